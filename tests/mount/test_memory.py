# SPDX-License-Identifier: GPL-3.0-or-later
"""Each allocation of a mounted daemon fails in turn, also those of libfuse and the engine's library (failing.h).

SHELVEFS_ALLOCATIONS: how many of each scenario at most, spread over all of them; "all": every one.
"""

import contextlib
import errno
import os
import pathlib
import pickle
import subprocess

import pytest

import mounting
from failing import BLOCKS, CALLS, SANITIZED, Failing, FailingMount

MOST = os.environ.get('SHELVEFS_ALLOCATIONS', '8')
# What a program may be told when there is no memory: ENOMEM, or that the engine's library could not do it.
EXPECTED = (errno.ENOMEM, errno.EIO)

pytestmark = pytest.mark.skipif(SANITIZED, reason='a sanitizer has allocations of its own')


@pytest.fixture
def allocations(tmp_path):
    return Failing(tmp_path / 'allocations')


@pytest.fixture
def starving(database, tmp_path, allocations):
    mount = FailingMount(database, tmp_path / 'mnt', allocations)
    yield mount
    problems = mount.stop()
    assert not problems, '%s\n%s' % (problems, mount.log)


def numbers(total):
    """Which allocations of so many are to fail."""
    return range(0, total, 1 if MOST == 'all' else max(1, total // int(MOST)))


def listing(mount):
    assert len(os.listdir(mount.directory)) == 8


def reading(mount):
    assert mount.text('list') == '[1, 2, 3]\n' and mount.control('dis/number')


def saving(mount):
    descriptor = os.open(mount / 'dict', os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(descriptor, b"{'b': [True, None], 'a': 2}\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def creating(mount):
    mount.save('new', '(1, 2)\n')
    os.unlink(mount / 'new')


def renaming(mount):
    os.rename(mount / 'dict', mount / 'moved')
    os.rename(mount / 'moved', mount / 'dict')


def replacing(mount):
    mount.save('.dict.aB3dE6', "{'b': [True, None], 'a': 3}\n")
    os.rename(mount / '.dict.aB3dE6', mount / 'dict')


def backing_up(mount):
    os.rename(mount / 'dict', mount / 'dict~')
    mount.save('dict', "{'b': [True, None], 'a': 4}\n")
    os.unlink(mount / 'dict~')


def setting(mount):
    os.chmod(mount / 'list', 0o640)
    os.utime(mount / 'list', (1e9, 1e9))


def put_in_order(mount):
    """After whatever has happened, nothing is lost, and all works."""
    names = set(os.listdir(mount.directory))
    assert names & {'dict', 'moved', 'dict~'}, names
    for name in ('moved', 'new', '.dict.aB3dE6', 'dict~'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mount / name)
    mount.save('dict', "{'a': 1, 'b': [True, None]}\n")
    mount.save('list', '[1, 2]\n')  # so that no page of the kernel has what is read next
    mount.save('list', '[1, 2, 3]\n')


@pytest.mark.parametrize('scenario', [listing, reading, saving, creating, renaming, replacing, backing_up, setting])
def test_requests(database, starving, allocations, scenario):
    mount = starving.start()
    put_in_order(mount)
    before = allocations[CALLS]
    scenario(mount)
    total = allocations[CALLS] - before
    failures, blocks = 0, None

    def chosen():
        """Some, one that never comes, and if nobody was told of any of them, the others until somebody is."""
        yield from [*numbers(total), total + 1000]
        for number in range(total):
            if failures:
                return
            yield number

    for number in chosen():
        put_in_order(mount)
        allocations.fail(number)
        try:
            scenario(mount)
        except OSError as error:
            assert error.errno in EXPECTED, (number, error)
            assert allocations.stop(), (number, error)
            failures += 1
        allocations.stop()
        assert mount.process.poll() is None, mount.log
        if number and blocks is None:
            blocks = allocations[BLOCKS]
    assert failures
    put_in_order(mount)
    assert allocations[BLOCKS] < blocks + 100 + failures / 4, (blocks, allocations[BLOCKS])
    print('%s: %d allocations, %d errors' % (scenario.__name__, total, failures))
    assert not mount.stop()
    assert {key.decode(): pickle.loads(value) for key, value in database.records().items()} == database.values


def test_mounting(database, tmp_path, allocations):
    """Refused with a line that says why, or mounted as ever."""
    mount = FailingMount(database, tmp_path / 'mnt', allocations).start()
    total = allocations[CALLS]
    assert not mount.stop()
    refusals = 0
    for number in numbers(total):
        for for_ever in (False, True):
            allocations[CALLS] = 0
            allocations.fail(number, for_ever)
            mount = FailingMount(database, tmp_path / 'mnt', allocations)
            pathlib.Path(mount.log_path).write_bytes(b'')
            try:
                mount.start()
            except mounting.MountFailed as failure:
                assert 1 < failure.status < 6 and failure.log.startswith('shelvefs: '), (number, failure)
                refusals += 1
            allocations.stop()
            if mount.process and mount.is_mounted():
                try:
                    assert mount.text('list') == '[1, 2, 3]\n', number
                except ConnectionRefusedError:  # libfuse had no memory for the kernel's first request: nothing is answered
                    refusals += 1
                mount.stop()
            assert database.value('list') == [1, 2, 3]
    assert refusals
    print('mount: %d allocations, %d refusals' % (total, refusals))


def test_unmounting(database, tmp_path, allocations):
    """What was saved is there; what was not, is there or was told."""
    failures = 0
    number, step, total = 0, 1, 1
    while number < total:
        mount = FailingMount(database, tmp_path / 'mnt', allocations).start()
        mount.save('list', '[%d]\n' % number)
        mount.save('.list.swp', 'anything')
        os.rename(mount / 'number', mount / 'number~')
        before = allocations[CALLS]
        allocations.fail(number)
        subprocess.run(['fusermount3', '-u', str(mount.directory)], check=True)
        status = mount.process.wait(20)
        mount.process = None
        if allocations[CALLS] - before > total:
            total = allocations[CALLS] - before
            step = 1 if MOST == 'all' else max(1, total // int(MOST))
        allocations.stop()
        assert status in (0, 1), (number, status, mount.log)
        assert database.value('list') == [number]
        records = database.records()
        assert b'number' in records or b'number~' in records
        if b'number~' in records:
            database.put('number', 42)
            database.delete('number~')
        else:
            failures += 1
            assert status == 1, number
        number += step
    print('unmount: %d allocations, %d failures' % (total, failures))
