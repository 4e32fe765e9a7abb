# SPDX-License-Identifier: GPL-3.0-or-later
"""Few descriptors, little memory, files that may not grow, no inodes: clear errors, nothing lost, and all works again afterwards.

SHELVEFS_OPENS: how often files are opened to look for leaks (100,000 at length).
"""

import contextlib
import errno
import os
import pathlib
import pickle
import resource
import subprocess

import pytest

import mounting
from mounting import Mount, eventually

OPENS = int(os.environ.get('SHELVEFS_OPENS', '1000'))
SANITIZED = 'ASAN_OPTIONS' in os.environ
# What may be told of each shortage.
DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.EIO}
MEMORY = {errno.ENOMEM, errno.EIO}
SIZE = {errno.EFBIG, errno.EIO}
INODES = {errno.ENOSPC, errno.EIO}


class NarrowMount(Mount):
    """Started with limits, as prlimit(1) sets them."""

    def __init__(self, database, directory, *limits):
        super().__init__(database.path, directory)
        self.limits = limits

    def command(self):
        return ['prlimit', *self.limits, *super().command()]

    def descriptors(self):
        return len(os.listdir('/proc/%d/fd' % self.process.pid))

    @contextlib.contextmanager
    def limited(self, what, most):
        before = resource.prlimit(self.process.pid, what)
        resource.prlimit(self.process.pid, what, (most, before[1]))
        yield
        resource.prlimit(self.process.pid, what, before)


@pytest.fixture
def narrow(database, tmp_path):
    """narrow(limit...): mounts the database."""
    mounts = []

    def mount(*limits):
        mounts.append(NarrowMount(database, tmp_path / 'mnt', *limits))
        return mounts[-1].start()

    yield mount
    for made in mounts:
        problems = made.stop()
        assert not problems, '%s\n%s' % (problems, made.log)


def use(mount, number, allowed=frozenset()):
    """Lists, reads and saves; returns how many of these were refused."""
    refused = 0

    def attempt(function, *arguments):
        nonlocal refused
        try:
            function(*arguments)
        except OSError as error:
            assert error.errno in allowed, error
            refused += 1

    attempt(os.listdir, mount.directory)
    attempt(mount.text, 'text')
    attempt(mount.save, 'list', '[%d, 2, 3]\n' % number)
    attempt(mount.save, 'new', "{'n': %d}\n" % number)
    attempt(os.rename, mount / 'new', mount / 'newer')
    attempt(mount.control, 'status')
    return refused


def check(mount, database, number):
    """Nothing was lost, and all works."""
    assert use(mount, number) == 0
    records = {key.decode(): pickle.loads(value) for key, value in database.records().items()}
    assert records == {**database.values, 'list': [number, 2, 3], 'newer': {'n': number}}


def test_32_descriptors(database, narrow):
    """Enough for everything; and without any that is free, what needs one is refused."""
    mount = narrow('--nofile=32:32')
    files = [open(mount / 'text', encoding='utf-8') for _ in range(100)]  # noqa: SIM115 many at once are the point
    check(mount, database, 1)
    for file in files:
        assert file.read() == database.values['text'] + '\n'
        file.close()
    before = mount.descriptors()
    with mount.limited(resource.RLIMIT_NOFILE, 3):
        for number in range(5):
            use(mount, number, DESCRIPTORS)
    eventually(lambda: mount.descriptors() <= before)
    check(mount, database, 2)


@pytest.mark.skipif(SANITIZED, reason='a sanitizer reserves terabytes')
def test_256_mebibytes(database, narrow):
    mount = narrow('--as=%d:' % (256 << 20))
    check(mount, database, 1)
    text = 'x' * (25 << 20) + '\n'
    refused = 0
    for number in range(4):
        try:
            mount.save('large %d' % number, text)
            assert len(mount.text('large %d' % number)) == len(text)
        except OSError as error:
            assert error.errno in MEMORY | {errno.EFBIG}, error
            refused += 1
        use(mount, number, MEMORY)
    assert mount.process.poll() is None
    resource.prlimit(mount.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for number in range(4):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mount / ('large %d' % number))
    check(mount, database, 2)


def test_files_that_may_not_grow(database, narrow):
    """The limit sends a signal, too, which ends a process that does not mind it."""
    mount = narrow()
    check(mount, database, 1)
    size = max(os.path.getsize(path) for path in database.files)
    refused = 0
    with mount.limited(resource.RLIMIT_FSIZE, size):
        for number in range(20):
            try:
                mount.save('large', '%r\n' % ('y' * 5000 * (number + 1),))
            except OSError as error:
                assert error.errno in SIZE, error
                refused += 1
            use(mount, number, SIZE)
            assert mount.process.poll() is None
    assert refused
    with contextlib.suppress(FileNotFoundError):
        os.unlink(mount / 'large')
    check(mount, database, 2)
    assert not mount.stop()
    database.verify()


@pytest.fixture
def few_inodes(tmp_path):
    """A filesystem that has room for thirty files."""
    folder = tmp_path / 'small'
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16m,nr_inodes=30', 'none', str(folder)],
                          stderr=subprocess.PIPE, check=False)
    if done.returncode:
        pytest.skip('no loop mounts here: no tmpfs either')
    yield folder
    eventually(lambda: subprocess.run(['umount', str(folder)], check=False).returncode == 0)


def fill(folder):
    """Returns the files that took all inodes."""
    made = []
    with contextlib.suppress(OSError):
        while True:
            made.append(folder / ('filler %d' % len(made)))
            made[-1].touch()
    made.pop()
    return made


def use_if_it_mounts(mount):
    """SQLite's log needs a file."""
    try:
        mount.start()
    except mounting.MountFailed as failure:
        assert 1 < failure.status < 6 and ('No space left' in failure.log or 'unable to open' in failure.log), failure
    else:
        for number in range(5):
            use(mount, number, INODES)
        assert not mount.stop()


@pytest.mark.parametrize('first', [True, False], ids=['from-the-start', 'later'])
def test_no_inodes(few_inodes, tmp_path, engine, mounter, first):
    database = mounting.Database(engine, few_inodes / ('shelf' + mounting.SUFFIXES.get(engine, ''))).create()
    database.values = {'list': [1, 2, 3], 'text': 'text', 'number': 42}
    for key, value in database.values.items():
        database.put(key, value)
    fillers = fill(few_inodes) if first else []
    if first:
        use_if_it_mounts(Mount(database.path, tmp_path / 'early'))
    else:
        mount = mounter(database)
        check(mount, database, 1)
        fillers = fill(few_inodes)
        for number in range(5):
            use(mount, number, INODES)
    for filler in fillers:
        filler.unlink()
    if first:
        mount = mounter(database)
    check(mount, database, 2)
    assert not mount.stop()
    database.verify()


def memory(mount):
    """In KiB."""
    lines = pathlib.Path('/proc/%d/status' % mount.process.pid).read_text(encoding='utf-8').splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith('VmRSS'))


def test_opens_without_a_leak(database, narrow):
    mount = narrow()
    names = sorted(database.values)
    before = None
    for number in range(OPENS):
        path = mount / names[number % len(names)]
        os.close(os.open(path, os.O_RDONLY if number % 4 else os.O_RDWR))
        if number % 50 == 0:
            mount.save('list', '[%d, 2, 3]\n' % number)
            os.listdir(mount / '.shelvefs/raw')
        if number == OPENS // 2:
            before = mount.descriptors(), memory(mount)
    eventually(lambda: mount.descriptors() <= before[0])
    print('%d opens: %d descriptors, %d KiB; at half of them %d, %d' % (OPENS, mount.descriptors(), memory(mount), *before))
    # A sanitizer keeps what was freed.
    assert SANITIZED or memory(mount) < before[1] * 1.2 + 1024
