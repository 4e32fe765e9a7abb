# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners and permissions: root, another user, a mount by an ordinary user, and mount(8) with /etc/fstab."""

import os
import subprocess

import pytest

from mounting import FORGET_OTHERS, eventually
from test_hostile import rows

needs_root = pytest.mark.skipif(os.getuid() != 0, reason='another user needs root')
NOBODY = 65534


def as_nobody(command, cwd, groups='--clear-groups'):
    return subprocess.run(['setpriv', '--reuid', str(NOBODY), '--regid', str(NOBODY), groups, 'bash', '-c', command],
                          cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          check=False)


@pytest.fixture
def public(tmp_path):
    """Others may pass through the directories above the test's own."""
    opened = []
    for directory in (tmp_path, *tmp_path.parents):
        mode = directory.stat().st_mode
        if not mode & 0o001:
            os.chmod(directory, mode & 0o7777 | 0o011)
            opened.append((directory, mode & 0o7777))
    yield tmp_path
    for directory, mode in opened:
        os.chmod(directory, mode)


@needs_root
def test_another_user_is_kept_out(database, mounter, public):
    mount = mounter(database)
    done = as_nobody('ls %s' % mount.directory, '/')
    assert done.returncode != 0 and 'Permission denied' in done.stdout


@needs_root
def test_permissions_for_another_user(database, mounter, public):
    for file in database.files:
        os.chmod(file, 0o644)
    mount = mounter(database, 'allow_other')
    assert as_nobody('cat greeting', mount.directory).stdout == 'hello\n'
    for command in ('echo x > greeting', 'echo x > new', 'rm greeting', 'mv greeting other', 'chmod 777 greeting', 'touch -d 2001-01-01 text'):
        done = as_nobody(command, mount.directory)
        assert done.returncode != 0, command
        assert 'Permission denied' in done.stdout or 'not permitted' in done.stdout, done.stdout
    os.chmod(mount / 'greeting', 0o600)
    assert as_nobody('cat greeting', mount.directory).returncode != 0
    os.chmod(mount / 'text', 0o666)
    assert as_nobody('echo from nobody > text', mount.directory).returncode == 0
    assert database.value('text') == 'from nobody'


@needs_root
def test_a_new_key_belongs_to_its_creator(database, mounter, public):
    mount = mounter(database, 'allow_other')
    os.chmod(mount.directory, 0o777)
    done = as_nobody('umask 027 && echo mine > mine && stat -c "%u %g %a" mine && cat mine && echo more >> mine', mount.directory)
    assert done.stdout == '%d %d 640\nmine\n' % (NOBODY, NOBODY) and done.returncode == 0
    assert database.value('mine') == 'mine\nmore'


@needs_root
@pytest.mark.parametrize('options', ['allow_other', 'allow_other,sidecar=none'])
def test_giving_away(database, mounter, public, options):
    """Root may give a file to anybody, its owner to a group that he is in; without a sidecar until the unmount."""
    for file in database.files:
        os.chmod(file, 0o644)
    mount = mounter(database, options)
    os.chown(mount / 'text', NOBODY, 1234)
    os.chown(mount / 'list', -1, 1234)
    with open(mount / 'dict', 'rb') as file:
        os.fchown(file.fileno(), NOBODY, NOBODY)
    script = 'chgrp 4321 text && chmod 640 text && echo more >> text && stat -c "%u %g %a" text && ! chown 0 text && ! chgrp 0 dict && ! chgrp 4321 list'
    done = as_nobody(script, mount.directory, '--groups=4321,77')
    assert done.stdout.splitlines()[0] == '%d 4321 640' % NOBODY and done.returncode == 0, done.stdout
    assert done.stdout.count('not permitted') == 3
    assert as_nobody('chgrp 4321 dict', mount.directory).returncode != 0
    for remounted in (False, True):
        found = [os.stat(mount / name) for name in ('text', 'list', 'dict', 'number')]
        kept = [(NOBODY, 4321), (0, 1234), (NOBODY, NOBODY), (0, 0)]
        lost = remounted and 'none' in options
        assert [(file.st_uid, file.st_gid) for file in found] == ([(0, 0)] * 4 if lost else kept)
        mount.remount()
    assert database.value('text') == 'one\ntwo\nthree\n\nmore'


@needs_root
def test_owner_and_permissions_that_the_mount_says(database, mounter, public):
    mount = mounter(database, 'allow_other,uid=%d,gid=%d,umask=077' % (NOBODY, NOBODY))
    for name in ('text', 'list', '.'):
        found = os.stat(mount / name)
        assert (found.st_uid, found.st_gid, found.st_mode & 0o077) == (NOBODY, NOBODY, 0)
    done = as_nobody('cat greeting && echo mine > new && stat -c "%u %a" new && chmod 600 new && rm list', mount.directory)
    assert done.stdout == 'hello\n%d 600\n' % NOBODY and done.returncode == 0
    assert database.value('new') == 'mine' and b'list' not in database.keys()


# In a container, /dev/fuse may be root's alone. Users may share their mounts.
FUSE_FOR_ALL = (FORGET_OTHERS + 'mount -t tmpfs none /mnt && mknod -m 666 /mnt/fuse c 10 229 && mount --bind /mnt/fuse /dev/fuse && '
                'echo user_allow_other > /mnt/fuse.conf && touch /etc/fuse.conf && mount --bind /mnt/fuse.conf /etc/fuse.conf && ')
AS_NOBODY = 'setpriv --reuid %d --regid %d --clear-groups ' % (NOBODY, NOBODY)


def give_away(database, public):
    """To an ordinary user, with a program and a place to mount it: `./shelvefs`, `mine`."""
    for file in database.files:
        os.chown(file, NOBODY, NOBODY)
    os.chown(public, NOBODY, NOBODY)
    (public / 'mine').mkdir()
    os.chown(public / 'mine', NOBODY, NOBODY)
    program = public / 'shelvefs'
    program.write_bytes(open(os.environ['SHELVEFS'], 'rb').read())  # where it was built, others may not look
    program.chmod(0o755)


def with_fuse_for_all(script, public):
    done = subprocess.run(['unshare', '-m', 'sh', '-c', FUSE_FOR_ALL + script], cwd=public, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=100, check=False)
    return done.returncode, done.stdout.decode(errors='replace')


@needs_root
def test_an_ordinary_user_mounts(database, public):
    """Through fusermount3, which is all that an ordinary user has."""
    give_away(database, public)
    commands = './shelvefs %s mine; cat mine/greeting; echo new > mine/text; stat -c %%u mine/text; fusermount3 -u mine' % database.path
    status, output = with_fuse_for_all('exec %s sh -ec "%s"' % (AS_NOBODY, commands), public)
    assert output.splitlines()[1:] == ['hello', str(NOBODY)], output
    assert status == 0
    eventually(lambda: database.value('text') == 'new')


@needs_root
@pytest.mark.parametrize('shared', [False, True])
@pytest.mark.parametrize('engine', ['dumb'], indirect=True)
def test_root_looks_into_a_users_mount(new_database, public, shared):
    """Of hostile values: not at all, or no more happens than to the user."""
    values = {name.encode(): value for name, value in rows('pickle', 'stored').items()}
    values.update({b'..': b'N.', b'../../etc/passwd': b'N.', b'\xff\n\x1b[31m': b'N.', b'x' * 5000: b'N.'})
    database = new_database().create(values.items())
    give_away(database, public)
    commands = ['find mine mine/.shelvefs -ls', 'ls -lR mine mine/.shelvefs', 'grep -r passwd mine mine/.shelvefs', 'tar cf /dev/null mine', 'du -s mine']
    status, output = with_fuse_for_all(
        '%s ./shelvefs -o codec=pickle,max_value=1000000%s %s mine; ' % (AS_NOBODY, ',allow_other' * shared, database.path) +
        'grep " $PWD/mine " /proc/self/mountinfo; ' +
        ''.join('timeout 60 %s > out; echo "status $?, $(wc -l < out) lines"; ' % command for command in commands) +
        'exec %s fusermount3 -u mine' % AS_NOBODY, public)
    assert status == 0 and 'nosuid,nodev' in output, output
    lines = [int(line.split()[2]) for line in output.splitlines() if line.startswith('status')]
    assert len(lines) == len(commands) and 'status 124' not in output and 'status 137' not in output, output
    if shared:
        assert min(lines[:2]) >= 2 * len(values), output
    else:
        assert output.count('Permission denied') >= len(commands) and max(lines[:3]) <= 2, output
    assert database.records() == values


FSTAB = """
set -e
mount -t tmpfs none /usr/local/bin
ln -s "$SHELVEFS" /usr/local/bin/shelvefs
printf '%s %s fuse.shelvefs %s 0 0\\n' "$0" "$1" "$3" > "$2"
mount -a -T "$2"
cat "$1/greeting"
echo saved > "$1/text"
umount "$1"
"""


@needs_root
@pytest.mark.parametrize('options', ['defaults', 'rw,noatime,allow_other,x-systemd.automount,x-systemd.idle-timeout=60,_netdev,nofail'])
def test_mounting_all_of_fstab(database, tmp_path, options):
    (tmp_path / 'mnt').mkdir()
    done = subprocess.run(['unshare', '-m', 'sh', '-c', FORGET_OTHERS + FSTAB, database.path, str(tmp_path / 'mnt'), str(tmp_path / 'fstab'), options],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == 'hello', done.stdout
    eventually(lambda: database.value('text') == 'saved')


@needs_root
@pytest.mark.parametrize('engine', ['dumb'], indirect=True)
def test_the_index_of_another_mode(database, mounter, public):
    """Who may not read the keys, or write them, may not do so through the mount."""
    os.chmod(database.path + '.dat', 0o666)
    for mode, listed, saved in ((0o600, False, False), (0o644, True, False), (0o666, True, True)):
        os.chmod(database.path + '.dir', mode)
        mount = mounter(database, 'allow_other')
        assert (as_nobody('ls %s' % mount.directory, '/').returncode == 0) == listed
        assert (as_nobody('cat %s/list' % mount.directory, '/').returncode == 0) == listed
        assert (as_nobody('echo mine > %s/list' % mount.directory, '/').returncode == 0) == saved
        assert not mount.stop()
