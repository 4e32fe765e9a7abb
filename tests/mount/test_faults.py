# SPDX-License-Identifier: GPL-3.0-or-later
"""A full disk, and writes, syncs and reads that fail: the save fails, the old value stays, and later saves work again."""

import errno
import os
import pickle
import shutil
import subprocess

import pytest

import mounting
from mounting import Mount, eventually, refused, sh

OLD = ['old', 'y' * 2000]
WRITES = 'write,pwrite64,pwritev,writev,ftruncate,fallocate'
SYNCS = 'fsync,fdatasync,msync,sync_file_range'


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of a megabyte."""
    folder = tmp_path / 'small'
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'none', str(folder)], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        pytest.skip('no loop mounts here: no tmpfs either')
    yield folder
    eventually(lambda: subprocess.run(['umount', str(folder)], check=False).returncode == 0)


def test_disk_full(small_disk, engine, mounter):
    database = mounting.Database(engine, small_disk / ('shelf' + mounting.SUFFIXES.get(engine, ''))).create()
    for number in range(5):
        database.put('key %d' % number, OLD)
    mount = mounter(database)
    filler = small_disk / 'filler'
    failures = 0
    filler.write_bytes(b'f' * (900 << 10))
    for number in range(200):
        try:
            mount.save('key %d' % (number % 5), '%r\n' % (['new', number, 'x' * 20000],))
            mount.save('more %d' % number, '%r\n' % (['more', number, 'x' * 20000],))
        except OSError as error:
            assert error.errno in (errno.ENOSPC, errno.EIO), error
            failures += 1
            if failures == 5:
                break
    assert failures == 5
    kept = {key: pickle.loads(value) for key, value in database.records().items()}
    for number in range(5):
        assert kept[b'key %d' % number][0] in ('old', 'new')
    filler.unlink()
    for number in range(5):
        mount.save('key %d' % number, '%r\n' % (['after', number],))
    for number in range(5):
        assert database.value('key %d' % number) == ['after', number]
    assert {key: pickle.loads(value) for key, value in database.records().items() if key.startswith(b'more')} == \
        {key: value for key, value in kept.items() if key.startswith(b'more')}
    mount.stop()
    database.verify()


def test_disk_full_in_the_middle_of_a_copy(small_disk, engine, mounter, tmp_path):
    """Also the sidecar finds no room. What was there and what was copied before is whole, and the second copy completes it."""
    database = mounting.Database(engine, small_disk / ('shelf' + mounting.SUFFIXES.get(engine, ''))).create()
    for number in range(5):
        database.put('old %d' % number, OLD)
    texts = {'file %d' % number: 'text %d %s' % (number, 'z' * 9000) for number in range(300)}
    (tmp_path / 'out').mkdir()
    for name, text in texts.items():
        (tmp_path / 'out' / name).write_text(text + '\n')
    mount = mounter(database)
    done = sh('rsync -a out/ %s/' % mount.directory, tmp_path, check=False)
    assert done.returncode and ('No space left' in done.stdout or 'Input/output error' in done.stdout), done
    assert mount.process.poll() is None
    with refused(errno.ENOSPC, errno.EIO):
        for number in range(300):  # an engine may have had room left for a shorter one
            mount.save('another %d' % number, 'y' * 9000)
    kept = {key.decode(): pickle.loads(value) for key, value in database.records().items()}
    assert [kept.pop('old %d' % number) for number in range(5)] == [OLD] * 5
    assert all(value == texts.get(name, 'y' * 9000) for name, value in kept.items())
    subprocess.run(['mount', '-o', 'remount,size=32m', str(small_disk)], check=True)
    sh('rsync -a out/ %s/' % mount.directory, tmp_path)
    for name, text in texts.items():
        assert mount.text(name) == text + '\n'
    assert mount.stop() == []
    assert {key.decode(): pickle.loads(value) for key, value in database.records().items()} == \
        {**{'old %d' % number: OLD for number in range(5)}, **kept, **texts}
    database.verify()


class FailingMount(Mount):
    """The system calls `calls` fail with `error` from the `when`-th on, `count` times, when they go to the database."""

    def __init__(self, database, directory, calls, error, when):
        super().__init__(database.path, directory)
        folder = os.path.dirname(database.path)
        self.paths = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith('shelf')]
        self.inject = 'inject=%s:error=%s:when=%s' % (calls, error, when)

    def command(self):
        sanitizer = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
        paths = [word for path in self.paths for word in ('-P', path)]
        return ['strace', '-f', '-o', os.devnull, '-E', 'ASAN_OPTIONS=' + sanitizer, *paths, '-e', self.inject,
                *super().command()]


@pytest.mark.parametrize('calls, error', [(WRITES, 'EIO'), (WRITES, 'ENOSPC'), (SYNCS, 'EIO')],
                         ids=['write-EIO', 'write-ENOSPC', 'sync-EIO'])
def test_failing_calls(database, tmp_path, calls, error):
    """Whichever write or sync it is: the value is the old or the new one, whole, and another program can use the database."""
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    before = database.records()
    failures = 0
    for when in ('1+', '2+', '3+', '5', '8'):
        mount = FailingMount(database, tmp_path / ('mnt' + when), calls, error, when)
        try:
            failures += save_some(mount.start())
        except mounting.MountFailed:
            failures += 1
        finally:
            mount.stop()  # what could not be saved makes its exit status
        after = database.records()
        assert pickle.loads(after.pop(b'list')) in ([1, 2, 3], [0, 5, 6], [1, 5, 6], [2, 5, 6])
        assert after == {key: value for key, value in before.items() if key != b'list'}
        database.verify()
    # Not all engines sync or write by these calls in each of the three steps.
    assert failures or calls == SYNCS


def save_some(mount):
    """How many of three saves failed."""
    failures = 0
    for number in range(3):
        try:
            descriptor = os.open(mount / 'list', os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(descriptor, b'[%d, 5, 6]\n' % number)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as failure:
            assert failure.errno in (errno.EIO, errno.ENOSPC, errno.EUCLEAN, errno.EROFS), failure
            failures += 1
    return failures


def test_failing_reads(database, tmp_path):
    """An error of the disk is EIO, and neither a missing key nor an empty value."""
    if not shutil.which('strace'):
        pytest.skip('strace is not installed')
    mount = FailingMount(database, tmp_path / 'mnt-reads', 'pread64', 'EIO', '60+')
    refused = 0
    try:
        mount.start()
        for number in range(40):
            name = sorted(database.values)[number % len(database.values)]
            try:
                os.close(os.open(mount / name, os.O_RDONLY))
            except OSError as failure:
                assert failure.errno == errno.EIO
                refused += 1
    except mounting.MountFailed:
        refused += 1
    finally:
        mount.stop()
    assert refused or database.engine != 'tdb'  # the others keep in memory what they have read
    assert {key.decode() for key in database.keys()} == set(database.values)
