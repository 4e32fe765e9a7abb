# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are no keys - swap files, locks, backups, refused texts - outlast the unmount and kill -9."""

import contextlib
import os
import pathlib
import random
import signal
import stat
import subprocess
import time

import pytest

from mounting import Mount, eventually, sh
from test_editors import Terminal

KILLS = 25  # on each engine


def holds(database, marker):
    return database.sidecar.exists() and marker in database.sidecar.read_bytes()


def make_companions(mount):
    """What editors leave while they work."""
    (mount / '.list.swp').write_bytes(b'b0VIM\0\xff' + b'x' * 5000)
    os.chmod(mount / '.list.swp', 0o600)
    (mount / '#list#').write_text('[1, 2, ')
    os.symlink('ann@host.42:1795272925', mount / '.#list')
    (mount / 'list~').write_text('[1]\n')
    (mount / 'dict~').write_text('{}\n')
    os.rename(mount / 'dict~', mount / 'dict.bak~')


def check_companions(mount):
    assert (mount / '.list.swp').read_bytes() == b'b0VIM\0\xff' + b'x' * 5000
    assert stat.S_IMODE((mount / '.list.swp').stat().st_mode) == 0o600
    assert mount.text('#list#') == '[1, 2, '
    assert os.readlink(mount / '.#list') == 'ann@host.42:1795272925'
    assert mount.text('list~') == '[1]\n'
    assert mount.text('dict.bak~') == '{}\n'
    assert not (mount / 'dict~').exists()
    assert mount.text('list') == '[1, 2, 3]\n'


@pytest.mark.parametrize('end', [Mount.stop, Mount.kill], ids=['unmount', 'kill'])
def test_companions_outlast_the_mount(mount, database, end):
    keys = database.keys()
    make_companions(mount)
    if end == Mount.kill:
        # The mode was set after the last close: that is written within seconds.
        eventually(lambda: holds(database, b'#list#'))
        os.close(os.open(mount / '.list.swp', os.O_WRONLY | os.O_APPEND))
        sh('sync .list.swp', mount.directory)
    assert not end(mount)
    assert database.keys() == keys
    if end == Mount.stop:
        assert 'companion file kept in the sidecar: list~' in mount.log
    mount.start()
    check_companions(mount)
    for name in ('.list.swp', '#list#', '.#list', 'list~', 'dict.bak~'):
        os.unlink(mount / name)
    mount.remount()
    assert not any(name.endswith(('~', '#', 'swp')) for name in os.listdir(mount.directory))
    assert database.keys() == keys


def test_read_only_mounts_show_them(mount):
    make_companions(mount)
    mount.remount('ro')
    assert mount.text('#list#') == '[1, 2, '
    assert mount.text('list~') == '[1]\n'


def test_an_update_that_rsync_delayed(mount, database):
    """It was interrupted: what had arrived is there for the next attempt, and in no key."""
    keys = database.keys()
    os.mkdir(mount / '.~tmp~', 0o700)
    (mount / '.~tmp~/list').write_text('[1, 2')
    (mount / '.~tmp~/.list.AbCdEf').write_text('[4]\n')
    os.rename(mount / '.~tmp~/.list.AbCdEf', mount / '.~tmp~/dict')
    mount.remount()
    assert database.keys() == keys
    assert '.~tmp~' in os.listdir(mount.directory)
    assert sorted(os.listdir(mount / '.~tmp~')) == ['dict', 'list']
    assert mount.text('.~tmp~/list') == '[1, 2'
    with pytest.raises(OSError, match='Invalid argument'):
        os.rename(mount / '.~tmp~/list', mount / 'list')
    os.rename(mount / '.~tmp~/dict', mount / 'dict')
    assert database.value('dict') == [4]
    with pytest.raises(OSError, match='not empty'):
        os.rmdir(mount / '.~tmp~')
    os.unlink(mount / '.~tmp~/list')
    os.rmdir(mount / '.~tmp~')
    assert database.keys() == keys
    assert '.~tmp~' not in os.listdir(mount.directory)


def test_swap_file_that_is_open(mount, database):
    """An editor holds it open for days; what it wrote is kept within seconds, or at once by fsync."""
    descriptor = os.open(mount / '.list.swp', os.O_RDWR | os.O_CREAT, 0o600)
    os.write(descriptor, b'first page ')
    eventually(lambda: holds(database, b'first page '))
    os.write(descriptor, b'second page')
    os.fsync(descriptor)
    mount.kill()
    with contextlib.suppress(OSError):
        os.close(descriptor)
    mount.start()
    assert (mount / '.list.swp').read_bytes() == b'first page second page'


def test_vim_recovers_after_both_were_killed(mount, database, tmp_path):
    terminal = Terminal(tmp_path / 'tmux', "vim -u NONE -c 'set updatetime=100' greeting", mount.directory)
    try:
        terminal.shows('hello')
        terminal.type('ggOnot yet saved', 'Escape')
        eventually(lambda: holds(database, b'not yet saved'))
        editor = int(subprocess.run(terminal.tmux('list-panes', '-F', '#{pane_pid}'), stdout=subprocess.PIPE, check=True).stdout)
        os.kill(editor, signal.SIGKILL)
        mount.kill()
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(terminal.tmux('kill-server'), check=True, stderr=subprocess.DEVNULL)
    assert database.value('greeting') == 'hello'
    mount.start()
    assert (mount / '.greeting.swp').exists()
    terminal = Terminal(tmp_path / 'tmux2', 'vim -u NONE -r greeting', mount.directory)
    try:
        terminal.shows('Press ENTER')
        terminal.type('Enter')
        terminal.shows('not yet saved')
        terminal.type(':wq', 'Enter')
        eventually(lambda: database.value('greeting') == 'not yet saved\nhello')
        eventually(terminal.ended)
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(terminal.tmux('kill-server'), check=True, stderr=subprocess.DEVNULL)


def test_a_backup_by_renaming_when_the_mount_is_killed(mount, database):
    """Between vim's rename of the key and the new text: the value is there, under both names."""
    os.rename(mount / 'greeting', mount / 'greeting~')
    mount.kill()
    assert database.value('greeting') == 'hello'
    mount.start()
    assert mount.text('greeting') == 'hello\n'
    assert mount.text('greeting~') == 'hello\n'


def test_refused_texts_until_a_good_save(mount, database):
    with pytest.raises(OSError):
        mount.save('list', '[1, 2')
    for end in (Mount.stop, Mount.kill, Mount.stop):
        assert not end(mount)
        mount.start()
        assert mount.control('rejected/list') == '[1, 2'
        assert b"expected ',' or ']'" in os.getxattr(mount / 'list', 'user.shelvefs.error')
    mount.save('list', '[1, 2]\n')
    mount.remount()
    assert os.listdir(mount / '.shelvefs/rejected') == []
    assert database.value('list') == [1, 2]


def test_refused_texts_of_folded_names(mount, database):
    key = 'k' * 700
    database.put(key, [1])
    path = next(str(pathlib.Path(root, name).relative_to(mount.directory))
                for root, _, names in os.walk(mount.directory) for name in names if root != str(mount.directory))
    with pytest.raises(OSError):
        mount.save(path, '[1, 2')
    mount.remount()
    assert mount.control('rejected/' + path) == '[1, 2'


@pytest.mark.parametrize('engine', ['tdb'], indirect=True)  # can be held by a lock that the mount respects, and be read
def test_an_unmount_that_cannot_save(database, mounter):
    """Another program holds the database when a signal ends the mount: the text goes to the sidecar, and the status says so."""
    mount = mounter(database, 'lock_timeout=0')
    descriptor = os.open(mount / 'list', os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, b'[4, 5]\n')
    with database.opened(write=True) as store:
        store.transaction_start()
        mount.process.send_signal(signal.SIGTERM)
        status = mount.process.wait(20)
        store.transaction_cancel()
    mount.process = None
    with contextlib.suppress(OSError):
        os.close(descriptor)
    assert status == 1
    assert 'refused text kept in the sidecar: list' in mount.log
    assert 'not everything could be saved' in mount.log
    assert database.value('list') == [1, 2, 3]
    if mount.is_mounted():
        subprocess.run(['fusermount3', '-u', '-z', str(mount.directory)], check=True)
    mount.start()
    assert mount.control('rejected/list') == '[4, 5]\n'


def test_too_large_to_keep(mount, database):
    """One file beyond the bounds, and the others are kept all the same."""
    (mount / 'big~').write_bytes(b'x' * (17 << 20))
    (mount / 'small~').write_text('small\n')
    mount.remount()
    assert mount.text('small~') == 'small\n'
    assert not (mount / 'big~').exists()
    assert 'no room to keep big~' in mount.log
    assert 'companion file not kept: big~' in mount.log


@pytest.fixture
def tiny(tmp_path):
    """A filesystem with no room for a sidecar."""
    folder = tmp_path / 'tiny'
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=200k', 'none', str(folder)], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        pytest.skip('no loop mounts here: no tmpfs either')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


def test_no_room_for_the_sidecar(database, mounter, tiny):
    mount = mounter(database, 'sidecar=%s/sidecar' % tiny)
    for i in range(5):
        mount.save('number', '%d\n' % i)
        os.utime(mount / 'number', (i, i))
        assert (mount / 'number').stat().st_mtime == i
    (mount / 'list~').write_text('[1]\n')
    eventually(lambda: 'not kept at present' in mount.log)
    assert database.value('number') == 4
    time.sleep(4)  # another attempt or two
    assert mount.log.count('not kept at present') == 1
    assert os.listdir(tiny) == []
    # Room appears, and everything is kept after all.
    subprocess.run(['mount', '-o', 'remount,size=8m', str(tiny)], check=True)
    eventually(lambda: os.listdir(tiny) == ['sidecar'])
    mount.remount()
    assert (mount / 'number').stat().st_mtime == 4
    assert mount.text('list~') == '[1]\n'


def test_killed_while_it_writes(mount, database):
    """At any moment of what changes the sidecar: it is whole or made anew, and values are as they were saved."""
    generator = random.Random(7)
    values = dict(database.values)
    for number in range(KILLS):
        script = ('for i in $(seq 1000); do echo $i > ".list.swp" && touch -d @$i list dict && ln -s $i .#dict && '
                  'rm .#dict && echo %d > number && sync list~ || exit; done' % number)
        (mount / 'list~').write_text('x')
        shell = subprocess.Popen(['bash', '-c', script], cwd=mount.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.02 + generator.random() / 8)
        mount.process.send_signal(signal.SIGKILL)
        mount.process.wait()
        shell.wait(20)
        mount.process = None
        subprocess.run(['fusermount3', '-u', '-z', str(mount.directory)], check=True)
        for key, value in values.items():
            if key != 'number':
                assert database.value(key) == value
        assert database.value('number') in (42, *range(number + 1))
        mount.start()
        assert mount.text('list') == '[1, 2, 3]\n'
        assert mount.text('list~') == 'x'
    assert 'damaged' not in mount.log and 'make no sense' not in mount.log


def test_unmounting_without_saving(database, mounter):
    """What is refused when it would become a key is said, makes the exit status, and waits in the sidecar."""
    mount = mounter(database)
    name, problems = '', []
    for number in range(5):  # on a machine that stood still for seconds, its time came before the unmount
        name = 'sedAbCdE%d' % number
        (mount / name).write_text('os.system("x")\n')
        problems = mount.stop()
        if problems:
            break
        mount.start()
    assert problems == ['exit status 1']
    assert 'not saved: %s: names os.system' % name in mount.log and 'not everything could be saved' in mount.log
    assert name.encode() not in database.keys()
    mount.start()
    assert mount.text(name) == mount.text('.shelvefs/rejected/' + name) == 'os.system("x")\n'
    for left in mount.directory.glob('sedAbCdE*'):
        left.unlink()
