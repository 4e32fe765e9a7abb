# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and stopping: one line that says what happened, and an exit status that tells causes apart."""

import contextlib
import os
import pickle
import signal
import subprocess

import pytest

import mounting
from mounting import EMPTY_DEV, Mount, MountFailed, eventually, sh

USAGE, CANNOT_OPEN, CANNOT_MOUNT = 2, 3, 5


def run(*arguments):
    return subprocess.run([os.environ['SHELVEFS'], *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def check_failure(done, status, *words):
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (status, 1), done
    assert lines[0].startswith('shelvefs: ')
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize('arguments', [[], ['database'], ['a', 'b', 'c'], ['-x', 'a', 'b'], ['-o', 'nonsense', 'a', 'b'],
                                       ['-o', 'protocol=9', 'a', 'b'], ['-o', 'store=oracle', 'a', 'b'], ['-o', 'codec=json', 'a', 'b'],
                                       ['-o', 'max_value=many', 'a', 'b'], ['-o', 'create,ro', 'a', 'b']])
def test_usage(arguments):
    check_failure(run(*arguments), USAGE)


def test_help_and_version():
    done = run('--help')
    assert done.returncode == 0
    for word in ('DATABASE MOUNTPOINT', 'store=', 'codec=', 'protocol=', 'create', 'globals=', 'max_value=', 'lock_timeout='):
        assert word in done.stdout
    assert run('-h').stdout == done.stdout
    version = run('-V')
    assert version.returncode == 0
    assert version.stdout.startswith('shelvefs 0') and 'dumb' in version.stdout and 'tdb' in version.stdout


def test_no_such_database(tmp_path):
    (tmp_path / 'mnt').mkdir()
    check_failure(run(tmp_path / 'missing', tmp_path / 'mnt'), CANNOT_OPEN, 'missing', 'create')


@pytest.mark.parametrize('content', [b'', b'hello', b'\x7fELF' + bytes(100), b'SQLite format 3\0' + bytes(100),
                                     b'TDB file\n' + bytes(20), b'TDB file\n' + bytes(4000)])
def test_not_a_database(tmp_path, content):
    (tmp_path / 'mnt').mkdir()
    (tmp_path / 'file').write_bytes(content)
    check_failure(run(tmp_path / 'file', tmp_path / 'mnt'), CANNOT_OPEN, 'file')
    assert (tmp_path / 'file').read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ['file', 'mnt']


def test_a_directory_is_not_a_database(tmp_path):
    (tmp_path / 'mnt').mkdir()
    check_failure(run(tmp_path, tmp_path / 'mnt'), CANNOT_OPEN)


def test_mount_point_that_does_not_exist(database, tmp_path):
    check_failure(run(database.path, tmp_path / 'nowhere'), CANNOT_MOUNT, 'nowhere')


def test_mount_point_that_is_a_file(database, tmp_path):
    (tmp_path / 'file').write_text('x')
    check_failure(run(database.path, tmp_path / 'file'), CANNOT_MOUNT, 'file')


def test_mount_point_that_is_in_use(database, mount, new_database, tmp_path):
    other = new_database('other').create()
    done = run(other.path, mount.directory)
    if done.returncode == 0:  # pragma: no cover - the kernel allows it; then it must go again
        sh('fusermount3 -u %s' % mount.directory, tmp_path)
    check_failure(done, CANNOT_MOUNT, 'mnt')


def test_no_fuse_device(database, tmp_path):
    if os.getuid():
        pytest.skip('needs root, to hide /dev/fuse')
    (tmp_path / 'mnt').mkdir()
    done = subprocess.run(['unshare', '-m', 'sh', '-c', EMPTY_DEV + 'exec "$@"', 'sh', os.environ['SHELVEFS'],
                           database.path, str(tmp_path / 'mnt')], stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    check_failure(done, CANNOT_MOUNT, '/dev/fuse')


def test_create_does_not_overwrite(database, mounter):
    before = database.records()
    mounter(database, 'create')
    assert database.records() == before


def test_create(new_database, mounter):
    database = new_database('made')
    mount = mounter(database, 'create,store=ndbm' if database.engine == 'ndbm' else 'create')
    assert os.listdir(mount.directory) == []
    assert database.keys() == set()
    mount.save('first', '[1]\n')
    assert database.stored('first') == pickle.dumps([1], 4)


@pytest.mark.parametrize('suffix', ['.dir', '.dat'])
def test_dumb_database_by_the_name_of_a_file(tmp_path, mounter, suffix):
    database = mounting.Database('dumb', tmp_path / 'shelf').create()
    database.put('greeting', 'hello')
    mount = mounter(database.path + suffix)
    assert mount.text('greeting') == 'hello\n'


def test_one_line_says_what_was_mounted(database, tmp_path):
    (tmp_path / 'mnt').mkdir()
    done = run(database.path, tmp_path / 'mnt')
    try:
        line = (done.stdout + done.stderr).splitlines()
        assert done.returncode == 0 and len(line) == 1
        for fact in (os.path.basename(database.path), database.engine, '8 keys', 'pickle protocol 4'):
            assert fact in line[0]
        assert (tmp_path / 'mnt/greeting').read_text() == 'hello\n'
    finally:
        sh('fusermount3 -u mnt', tmp_path)
    assert not os.listdir(tmp_path / 'mnt')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_signals_unmount(mount, database, number):
    mount.save('greeting', 'before the signal\n')
    mount.process.send_signal(number)
    assert mount.process.wait(20) == 0
    assert not mount.is_mounted()
    assert database.value('greeting') == 'before the signal'


def test_a_signal_saves_what_is_open(mount, database):
    descriptor = os.open(mount / 'greeting', os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, b'unsaved\n')
    mount.process.send_signal(signal.SIGTERM)
    assert mount.process.wait(20) == 0
    with contextlib.suppress(OSError):
        os.close(descriptor)
    assert database.value('greeting') in ('unsaved', 'hello')


def test_a_database_with_spaces_and_commas(tmp_path, engine, mounter):
    folder = tmp_path / 'a folder, with commas=x'
    folder.mkdir()
    database = mounting.Database(engine, folder / 'my shelf').create()
    database.put('k', 'v')
    mount = Mount(database.path, folder / 'mount point')
    try:
        assert mount.start().text('k') == 'v\n'
    finally:
        assert mount.stop() == []


def test_mount_survives_a_busy_unmount(mount, database):
    with open(mount / 'greeting', 'rb') as file:
        assert sh('fusermount3 -u %s' % mount.directory, '/', check=False).returncode
        assert file.read() == b'hello\n'
    assert mount.text('greeting') == 'hello\n'


def test_a_damaged_index(tmp_path):
    (tmp_path / 'mnt').mkdir()
    (tmp_path / 'shelf.dir').write_bytes(b"'a', (0, 5)\n'b', (512,")
    (tmp_path / 'shelf.dat').write_bytes(b'x' * 600)
    try:
        mount = Mount(tmp_path / 'shelf', tmp_path / 'mnt').start()
    except MountFailed as failed:
        assert failed.status == CANNOT_OPEN and len(failed.log.splitlines()) == 1
    else:
        eventually(lambda: 'a' in os.listdir(mount.directory))
        assert mount.stop() == []
    assert (tmp_path / 'shelf.dir').read_bytes().startswith(b"'a', (0, 5)\n")
