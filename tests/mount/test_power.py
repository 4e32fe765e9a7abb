# SPDX-License-Identifier: GPL-3.0-or-later
"""Power cuts: what fsync promised is there afterwards, and nothing else is damaged.

The database is on a filesystem of its own, in a loop device, that is shut down without writing its log, and mounted
again. CPython's own engines do the same for comparison. SHELVEFS_CUTS is how often each test cuts.
"""

import ctypes
import os
import pathlib
import pickle
import random
import shutil
import subprocess
import sys
import time

import pytest

import mounting
from changes import Changer

CLONE_NEWNS = 0x20000
CUTS = int(os.environ.get('SHELVEFS_CUTS', '3'))
SEED = int(os.environ.get('SHELVEFS_SEED', '0')) or random.randrange(1, 1 << 30)
MIB = 1 << 20
FILESYSTEMS = {'ext4': (64 * MIB, ['mkfs.ext4', '-q', '-F']), 'xfs': (320 * MIB, ['mkfs.xfs', '-q', '-f'])}
# Puts a value and waits for the disk, as often as it can; says so each time.
PUTTER = """
import os, pickle, sys
sys.path.insert(0, sys.argv[1])
from mounting import Database
database = Database(*sys.argv[2:4])
with database.opened(write=True) as store:
    for number in range(int(sys.argv[4]), 1 << 30):
        with database.transaction(store) if database.engine == 'tdb' else open(os.devnull):
            store[b'key %d' % (number % 30)] = pickle.dumps([number, 'x' * (number % 700)])
        if hasattr(store, 'sync'):
            store.sync()
        print(number, flush=True)
"""


# All of them: what changes its file in place has a journal.
PROMISED = ('dumb', 'gdbm', 'ndbm', 'sqlite', 'tdb')


def run(*command):
    return subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


class Disk:
    """A filesystem that can lose its power."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.image = folder / 'image'
        self.directory = folder / 'disk'
        self.directory.mkdir()
        size, command = FILESYSTEMS[kind]
        with open(self.image, 'wb') as image:
            image.truncate(size)
        done = run(*command, self.image)
        assert done.returncode == 0, done.stdout
        self.is_on = False

    def plug_in(self):
        done = run('mount', '-t', self.kind, '-o', 'loop', self.image, self.directory)
        if done.returncode:
            pytest.skip('no loop mounts here: ' + done.stdout.strip())
        self.is_on = True

    def cut(self):
        done = run('xfs_io', '-x', '-c', 'shutdown', self.directory)
        assert done.returncode == 0, done.stdout

    def unplug(self):
        for _ in range(100):
            if not self.is_on or run('umount', self.directory).returncode == 0:
                self.is_on = False
                return
            time.sleep(0.05)
        raise AssertionError('it stayed busy')


@pytest.fixture(scope='module')
def private():
    """Mounts of this process are its own: a copy in another namespace would keep the dead filesystem in memory."""
    if os.getuid() or ctypes.CDLL(None).unshare(CLONE_NEWNS) or run('mount', '--make-rprivate', '/').returncode:
        pytest.skip('no loop mounts here: they need root')
    run('sh', '-c', mounting.FORGET_OTHERS)


@pytest.fixture(params=['ext4', 'xfs'])
def disk(request, tmp_path, private):
    if not shutil.which('xfs_io') or not shutil.which(FILESYSTEMS[request.param][1][0]):
        pytest.skip('xfs_io or mkfs is not installed (xfsprogs, e2fsprogs)')
    made = Disk(request.param, tmp_path)
    made.plug_in()
    yield made
    made.unplug()


@pytest.fixture
def on_disk(disk, engine):
    return mounting.Database(engine, disk.directory / ('shelf' + mounting.SUFFIXES.get(engine, '')))


@pytest.mark.parametrize('engine', PROMISED, indirect=True)
def test_fsync_survives_a_power_cut(disk, on_disk, mounter, capfd):
    generator = random.Random(SEED)
    on_disk.create()
    run('sync')
    mount = mounter(on_disk)
    state, count = {}, 0
    for number in range(CUTS):
        changer = Changer(mount, state, generator)
        changer.start()
        while changer.count < 2 and changer.is_alive():
            time.sleep(0.001)
        time.sleep(generator.random() * 0.05)
        # Before: an fsync that is under way while ext4 is shut down may return 0, which no real power cut could tell.
        promised = changer.durable
        disk.cut()
        mount.kill(changer)
        disk.unplug()
        disk.plug_in()
        mount.start()  # Python may need what this repairs
        records = {key.decode(): pickle.loads(value) for key, value in on_disk.records().items()}
        problem = changer.problem(records, promised)
        assert not problem, 'seed %d, cut %d: %s' % (SEED, number, problem)
        on_disk.verify()
        state = records
        count += changer.count
    mount.stop()
    with capfd.disabled():
        print('\n%s on %s: %d power cuts survived, %d changes, seed %d' % (on_disk.engine, disk.kind, CUTS, count, SEED))


@pytest.mark.parametrize('engine', PROMISED, indirect=True)
def test_python_in_the_same_place(disk, on_disk, capfd):
    """Not ours to promise: how often CPython's own engine loses something."""
    generator = random.Random(SEED)
    on_disk.create()
    first, lost = 0, 0
    for _ in range(CUTS):
        run('sync')
        with subprocess.Popen([sys.executable, '-c', PUTTER, str(pathlib.Path(__file__).parent), on_disk.engine,
                               on_disk.path, str(first)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as putter:
            putter.stdout.readline()
            time.sleep(generator.random() * 0.05)
            os.set_blocking(putter.stdout.fileno(), False)
            answers = [first, *map(int, (putter.stdout.read() or b'').splitlines())]
            disk.cut()
            putter.kill()
            putter.wait()
            os.set_blocking(putter.stdout.fileno(), True)
            first = 2 + max([*answers, *map(int, putter.stdout.read().split())])
        disk.unplug()
        disk.plug_in()
        try:
            values = {pickle.loads(value)[0] for value in on_disk.records().values()}
            intact = max(values) >= answers[-1]
        except Exception:  # whatever the engine says of a damaged database
            intact = False
        lost += not intact
        if not intact:
            for file in pathlib.Path(disk.directory).glob('shelf*'):
                file.unlink()
            on_disk.create()
    with capfd.disabled():
        print('\n%s on %s: %d of %d power cuts lost something' % (on_disk.engine, disk.kind, lost, CUTS))
