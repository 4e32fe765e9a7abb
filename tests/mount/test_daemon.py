# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as people and mount(8) call it: the daemon, paths, fstab's words, mount points that will not do."""

import contextlib
import os
import pathlib
import signal
import subprocess

import pytest

from mounting import EMPTY_DEV, FORGET_OTHERS, eventually

LOCKED, CANNOT_MOUNT = 4, 5


@pytest.fixture
def directory(tmp_path):
    """A directory to mount on, which is free again after the test."""
    made = tmp_path / 'mnt'
    made.mkdir()
    yield made
    while str(made) in mounts():
        subprocess.run(['fusermount3', '-u', '-z', str(made)], check=True)


def run(*arguments, cwd='/', prefix=()):
    return subprocess.run([*prefix, os.environ['SHELVEFS'], *map(str, arguments)], cwd=cwd, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def mounts():
    """Mount point -> (source, type, options), of the FUSE mounts."""
    lines = [line.split() for line in pathlib.Path('/proc/self/mounts').read_text(encoding='utf-8').splitlines()]
    return {where: (source, kind, options.split(',')) for source, where, kind, options, *_ in lines if kind.startswith('fuse')}


def daemons_of(database):
    """The process ids of daemons that were started with this database as an argument."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b'\0')
            if words[0].endswith(b'shelvefs') and str(database).encode() in words:
                found.append(int(path.parent.name))
    return found


def daemon_of(database):
    found = daemons_of(database)
    assert len(found) == 1, found
    return found[0]


def is_running(process):
    try:
        status = pathlib.Path('/proc/%d/status' % process).read_text(encoding='utf-8')
    except OSError:
        return False
    return 'State:\tZ' not in status


def check_refused(done, status, *words):
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (status, '', 1), done
    for word in words:
        assert word in done.stderr


def test_the_daemon_lets_go_of_its_starter(database, directory):
    done = subprocess.run(['bash', '-c', '"$SHELVEFS" "$0" "$1" 2>&1 | cat', database.path, str(directory)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout == 'shelvefs: %s: %s, 8 keys, pickle protocol 4\n' % (database.path, database.engine)
    process = daemon_of(database.path)
    assert os.readlink('/proc/%d/cwd' % process) == '/'
    assert os.getsid(process) == process
    assert {os.readlink('/proc/%d/fd/%d' % (process, number)) for number in range(3)} == {'/dev/null'}
    assert (directory / 'greeting').read_text() == 'hello\n'


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_to_the_daemon_unmounts(database, directory, number):
    assert run(database.path, directory).returncode == 0
    (directory / 'greeting').write_text('bye\n')
    process = daemon_of(database.path)
    os.kill(process, number)
    eventually(lambda: not is_running(process))
    assert str(directory) not in mounts()
    assert os.listdir(directory) == []
    assert database.value('greeting') == 'bye'


def test_unmounting_ends_the_daemon(database, directory):
    assert run(database.path, directory).returncode == 0
    process = daemon_of(database.path)
    subprocess.run(['fusermount3', '-u', str(directory)], check=True)
    eventually(lambda: not is_running(process))


def test_relative_paths(database, directory):
    there = os.path.dirname(database.path)
    assert run(os.path.basename(database.path), 'mnt', cwd=there).returncode == 0
    assert (directory / 'greeting').read_text() == 'hello\n'
    # The engine finds its files after the daemon left the directory, too.
    (directory / 'greeting').write_text('changed\n')
    assert database.value('greeting') == 'changed'
    database.put('later', 'from outside')
    eventually(lambda: 'later' in os.listdir(directory))


def test_what_proc_mounts_shows(database, directory):
    assert run(database.path, directory).returncode == 0
    source, kind, options = mounts()[str(directory)]
    assert (source, kind) == (database.path, 'fuse.shelvefs')
    assert {'rw', 'nosuid', 'nodev'} <= set(options)


def test_names_for_proc_mounts(database, directory):
    assert run('-o', 'fsname=a\\,b,subtype=other,allow_other', database.path, directory).returncode == 0
    source, kind, options = mounts()[str(directory)]
    assert (source, kind) == ('a,b', 'fuse.other')
    assert {'allow_other', 'default_permissions'} <= set(options)


@pytest.mark.parametrize('words,expected', [
    ('rw,suid,dev,exec,auto,nouser,async', {'rw'}),
    ('rw,nosuid,nodev,noexec,noatime,sync,dirsync', {'rw', 'nosuid', 'nodev', 'noexec', 'noatime', 'dirsync'}),
    ('ro,noauto,user,_netdev,nofail,x-systemd.automount', {'ro'}),
    ('rw,max_read=65536,auto_unmount,allow_root', {'rw', 'max_read=65536'}),
])
def test_options_of_mount(database, directory, words, expected):
    done = run(database.path, directory, '-o', words)
    assert done.returncode == 0, done
    assert expected <= set(mounts()[str(directory)][2])
    if 'ro' in expected:
        assert done.stdout.endswith(', read-only\n')
        with pytest.raises(OSError, match='Read-only'):
            (directory / 'greeting').write_text('x')


# mount(8) forgets PATH, so the program must be where the shell looks then; only in this namespace.
MOUNT_BY_TYPE = """
set -e
mount -t tmpfs none /usr/local/bin
ln -s "$SHELVEFS" /usr/local/bin/shelvefs
mount -t fuse.shelvefs "$0" "$1" -o ro,noauto,user,x-mine=1
grep " $1 fuse.shelvefs " /proc/self/mounts
cat "$1/greeting"
umount "$1"
"""


@pytest.mark.skipif(os.getuid() != 0, reason='mount(8) needs root')
def test_mount_finds_it_by_its_type(database, directory):
    done = subprocess.run(['unshare', '-m', 'sh', '-c', FORGET_OTHERS + MOUNT_BY_TYPE, database.path, str(directory)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          check=False)
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines), lines[-1]) == (0, 3, 'hello'), done
    assert lines[1].startswith('%s %s fuse.shelvefs ro,' % (database.path, directory))
    eventually(lambda: not daemons_of(database.path))


def test_many_keys_are_not_counted(new_database, directory):
    database = new_database('many').create((b'%d' % i, b'N.') for i in range(65))
    assert run(database.path, directory).stdout == 'shelvefs: %s: %s, over 64 keys, pickle protocol 0\n' % (
        database.path, database.engine)


def test_one_key(new_database, directory):
    database = new_database('one').create([(b'k', b'hello')])
    assert run(database.path, directory).stdout == 'shelvefs: %s: %s, 1 key, raw\n' % (database.path, database.engine)


@pytest.mark.parametrize('option,line', [('codec=raw', 'raw'), ('codec=text', 'text'), ('protocol=2', 'pickle protocol 2'),
                                         ('codec=pickle', 'pickle protocol 4'), ('codec=auto', 'pickle protocol 4')])
def test_the_dialect_may_be_given(database, directory, option, line):
    assert run('-o', option, database.path, directory).stdout.endswith(', 8 keys, %s\n' % line)


def test_a_mount_that_was_left_over(database, directory):
    assert run(database.path, directory).returncode == 0
    process = daemon_of(database.path)
    os.kill(process, signal.SIGKILL)
    eventually(lambda: not is_running(process))
    check_refused(run(database.path, directory), CANNOT_MOUNT, 'fusermount3 -u %s' % directory)


def test_mounted_twice(database, new_database, directory):
    other = new_database('other').create()
    assert run(database.path, directory).returncode == 0
    check_refused(run(other.path, directory), CANNOT_MOUNT, 'fusermount3 -u %s' % directory)
    assert (directory / 'greeting').read_text() == 'hello\n'


def test_a_mount_that_would_cover_its_database(database):
    check_refused(run(database.path, os.path.dirname(database.path)), CANNOT_MOUNT, 'inside')


def test_mounted_by_another_mount(database, tmp_path, mounter):
    """dumb has one writer, tdb has as many as there are: they see what each other saves."""
    first = mounter(database)
    if database.engine == 'dumb':
        second = tmp_path / 'second'
        second.mkdir()
        check_refused(run('-o', 'lock_timeout=0', database.path, second), LOCKED, 'another')
        return
    second = mounter(database)
    second.save('greeting', 'from the second\n')
    eventually(lambda: first.text('greeting') == 'from the second\n')
    first.save('new', '[1]\n')
    eventually(lambda: (second / 'new').exists() and second.text('new') == '[1]\n')


def test_names_do_not_reach_the_terminal_unescaped(tmp_path, directory):
    done = run(tmp_path / 'x\x1b[31m\ny\u202e', directory)
    check_refused(done, 3)
    assert done.stderr[:-1].isprintable()
    done = run('-o', 'x\x1b[31m\ny\u202e', 'database', directory)
    check_refused(done, 2)
    assert done.stderr[:-1].isprintable()


@pytest.mark.skipif(os.getuid() != 0, reason='another user needs root')
def test_no_fusermount3(database, tmp_path):
    """As an ordinary user, with /dev/fuse but without the helper."""
    tmp_path.chmod(0o755)
    (tmp_path / 'mnt').mkdir()
    os.chown(tmp_path / 'mnt', 65534, 65534)
    for path in database.files:
        os.chmod(path, 0o666)
    script = (EMPTY_DEV + 'mknod -m 666 /dev/fuse c 10 229 && mknod -m 666 /dev/null c 1 3 && '
              'mount --bind "$0" "$(dirname "$(command -v fusermount3)")/fusermount3" && '
              'cp "$1" /dev/shelvefs && shift && '  # where it was built, others may not look
              'exec setpriv --reuid 65534 --regid 65534 --clear-groups env PATH=/nonexistent /dev/shelvefs "$@"')
    empty = tmp_path / 'empty'
    empty.write_text('')
    done = run(database.path, tmp_path / 'mnt', prefix=['unshare', '-m', 'sh', '-c', script, str(empty)])
    check_refused(done, CANNOT_MOUNT, 'fuse')
