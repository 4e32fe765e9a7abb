# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python process and the mount change the same database at the same time; SHELVEFS_CHANGES is how often each does, and
SHELVEFS_LOOKS how often readers look at one that changes all the time.

tdb, SQLite and gdbm order both by their locks. dbm.dumb and Berkeley DB have no locks that Python would take: of them
only what our own processes do to one another is tested.
"""

import ast
import collections
import contextlib
import errno
import os
import pathlib
import pickle
import re
import subprocess
import sys
import threading

import pytest

import mounting
from mounting import refused

CHANGES = int(os.environ.get('SHELVEFS_CHANGES', '300'))
LOOKS = int(os.environ.get('SHELVEFS_LOOKS', '1000'))
LOCKING = ['gdbm', 'sqlite', 'tdb']
# Saves numbered values under keys of its own and a shared one, then says how many.
OTHER = """
import pickle, sys, time
sys.path.insert(0, sys.argv[1])
from mounting import Database
database, count = Database(*sys.argv[2:4]), int(sys.argv[4])
done = 0
while done < count:
    try:
        with database.opened(write=True) as store:
            for done in range(done, min(done + 50, count)):
                with database.transaction(store):
                    store[b'theirs %d' % (done % 100)] = pickle.dumps(['theirs', done, 'x' * (done % 300)], 4)
                with database.transaction(store):
                    store[b'shared %d' % (done % 10)] = pickle.dumps(['theirs', done, 'x' * (done % 300)], 4)
            done += 1
    except OSError as error:  # locked: gdbm refuses at once
        time.sleep(0.001)
print(done)
"""


def start_other(database, count):
    return subprocess.Popen([sys.executable, '-c', OTHER, os.path.dirname(mounting.__file__), database.engine, database.path,
                             str(count)], stdout=subprocess.PIPE)


class Reader(threading.Thread):
    """Looks at what both change, as another process: at whole values only; and through the mount at what the other does."""

    def __init__(self, mount, database):
        super().__init__()
        self.mount = mount
        self.database = database
        self.ended = False
        self.looks = 0
        self.torn = []

    def run(self):
        while not self.ended:
            self.looks += 1
            try:
                value = ast.literal_eval(self.mount.text('theirs %d' % (self.looks % 100)))
            except FileNotFoundError:
                continue
            except (SyntaxError, ValueError) as error:
                self.torn.append(error)
            else:
                self.judge(value)
            with contextlib.suppress(KeyError, OSError), self.database.opened() as store:
                self.judge(pickle.loads(store[b'shared %d' % (self.looks % 10)]))

    def judge(self, value):
        who, number, filler = value
        if who not in ('ours', 'theirs') or len(filler) != number % 300:
            self.torn.append(value)


@pytest.mark.parametrize('engine', LOCKING, indirect=True)
def test_nothing_is_lost(mounter, new_database, capfd):
    database = new_database().create()
    mount = mounter(database, 'lock_timeout=60')
    reader = Reader(mount, database)
    reader.start()
    try:
        with start_other(database, CHANGES) as other:
            for number in range(CHANGES):
                text = '%r\n' % (['ours', number, 'x' * (number % 300)],)
                mount.save('ours %d' % (number % 100), text)
                mount.save('shared %d' % (number % 10), text)
            assert int(other.stdout.read()) == CHANGES
    finally:
        reader.ended = True
        reader.join()
    assert not reader.torn and reader.looks > 10
    records = {key: pickle.loads(value) for key, value in database.records().items()}
    for who in ('ours', 'theirs'):
        for key in range(100):
            last = max(range(key, CHANGES, 100))
            assert records[b'%s %d' % (who.encode(), key)] == [who, last, 'x' * (last % 300)]
    for key in range(10):
        last = max(range(key, CHANGES, 10))
        assert records[b'shared %d' % key] in ([who, last, 'x' * (last % 300)] for who in ('ours', 'theirs'))
    assert len(records) == 210
    database.verify()
    with capfd.disabled():
        print('\n%s: %d changes by each, none lost; %d looks, none torn' % (database.engine, CHANGES, reader.looks))


# Values of all sizes under three keys, until its input ends; then says how many.
CHANGER = """
import pickle, select, sys
sys.path.insert(0, sys.argv[1])
from mounting import Database
database, number = Database(*sys.argv[2:4]), 0
print('changing', flush=True)
while not select.select([sys.stdin], [], [], 0.002)[0]:
    with database.opened(write=True) as store:
        for number in range(number + 1, number + 20):
            with database.transaction(store):
                store[b'key %d' % (number % 3)] = pickle.dumps([number, 'x' * (number * 37 % 3000)], 4)
print(number)
"""


def whole(text):
    """Whether it is one of the texts that were stored."""
    try:
        number, filler = ast.literal_eval(text.decode())
    except (SyntaxError, ValueError):
        return False
    return filler == 'x' * (number * 37 % 3000)


def read_to_its_end(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return b''.join(iter(lambda: os.read(descriptor, 1 << 17), b''))
    finally:
        os.close(descriptor)


class Onlooker(threading.Thread):
    """Reads files by `read(path)`, until it has done so LOOKS times."""

    def __init__(self, mount, read):
        super().__init__()
        self.mount = mount
        self.read = read
        self.torn = []
        self.stale = 0

    def run(self):
        for number in range(LOOKS):
            path = self.mount / ('key %d' % (number % 3))
            try:
                text = self.read(path)
            except OSError as error:
                # It waited too long between open() and read(); the kernel would have shown a piece.
                assert error.errno == errno.ESTALE
                self.stale += 1
            else:
                if not whole(text):
                    self.torn.append(text)


@pytest.mark.parametrize('engine', LOCKING, indirect=True)
def test_no_reader_sees_a_piece(mounter, new_database, capfd):
    """The kernel has one size for all who have a file open, whatever each of them has opened."""
    database = new_database().create((b'key %d' % key, pickle.dumps([0, ''], 4)) for key in range(3))
    mount = mounter(database, 'lock_timeout=60')
    onlookers = [Onlooker(mount, read) for read in (read_to_its_end, read_to_its_end, pathlib.Path.read_bytes)]
    command = [sys.executable, '-c', CHANGER, os.path.dirname(mounting.__file__), database.engine, database.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as changer:
        assert changer.stdout.readline() == b'changing\n'
        for onlooker in onlookers:
            onlooker.start()
        while any(onlooker.is_alive() for onlooker in onlookers):
            for key in range(3):
                os.stat(mount / ('key %d' % key))
        changes = int(changer.communicate()[0])
    assert [onlooker.torn for onlooker in onlookers] == [[], [], []]
    stale = sum(onlooker.stale for onlooker in onlookers)
    assert stale < LOOKS and changes > 3
    with capfd.disabled():
        print('\n%s: %d changes, %d looks, none torn, %d refused' % (database.engine, changes, 3 * LOOKS, stale))


def test_two_mounts_of_one_database(database, mounter, tmp_path):
    """Either the second one is refused, or both are safe."""
    first = mounter(database, 'lock_timeout=30')
    if database.engine == 'dumb':
        with pytest.raises(mounting.MountFailed, match=r'locked by process %d \(shelvefs\)' % first.process.pid) as failure:
            mounting.Mount(database.path, tmp_path / 'second', 'lock_timeout=0').start()
        assert failure.value.status == 4
        reader = mounter(database, 'ro')
        first.save('number', '1\n')
        mounting.eventually(lambda: reader.text('number') == '1\n')
        return
    second = mounter(database, 'lock_timeout=30')
    for number in range(30):
        first.save('first %d' % number, '%d\n' % number)
        second.save('second %d' % number, '%d\n' % number)
        second.save('number', '%d\n' % number)
        mounting.eventually(lambda expected='%d\n' % number: first.text('number') == expected)
    assert {b'%s %d' % (who, number) for who in (b'first', b'second') for number in range(30)} <= database.keys()


# Keeps writers out, and readers in, until its input ends.
KEEPER = """
import fcntl, sys
sys.path.insert(0, sys.argv[1])
from mounting import Database
database = Database(*sys.argv[2:])
if database.engine == 'ndbm':
    file = open(database.files[0])
    fcntl.flock(file, fcntl.LOCK_SH)
    sys.stdin.read(print('locked', flush=True))
else:
    with database.opened(write=database.engine == 'sqlite') as store:
        with database.transaction(store):
            sys.stdin.read(print('locked', flush=True))
"""


@pytest.mark.parametrize('engine', ['gdbm', 'ndbm', 'sqlite', 'tdb'], indirect=True)
def test_who_has_it_locked(mounter, database):
    """What can't be done says who is in the way, in the log and in .shelvefs/errors."""
    mount = mounter(database, 'lock_timeout=0')
    command = [sys.executable, '-c', KEEPER, os.path.dirname(mounting.__file__), database.engine, database.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout.readline() == b'locked\n'
        assert mount.text('greeting') == 'hello\n'
        with refused(errno.EBUSY):
            mount.save('greeting', 'too early\n')
        with refused(errno.EBUSY):
            os.unlink(mount / 'list')
        with refused(errno.EBUSY):
            os.rename(mount / 'dict', mount / 'moved')
        keeper.communicate()
    who = r'it is locked by process %d \(python3[.0-9]*\)\n' % keeper.pid
    for told in ('greeting: the database did not take it: ', 'list: not removed: ', 'dict: not renamed: '):
        assert re.search(told + who, mount.control('errors')), mount.control('errors')
        assert re.search(told + who, mount.log), mount.log
    assert mount.text('.shelvefs/rejected/greeting') == 'too early\n'
    mount.save('greeting', 'now\n')
    os.unlink(mount / 'list')
    os.rename(mount / 'dict', mount / 'moved')
    assert mount.text('greeting') == 'now\n' and {b'moved', b'greeting'} <= database.keys()


@pytest.mark.parametrize('engine', LOCKING, indirect=True)
def test_a_save_of_what_another_has_just_removed(mount, database):
    """The kernel still knows the name: a shell's > makes the file all the same."""
    for number in range(5):
        mount.save('new', '%d\n' % number)
        database.delete('new')
        mounting.sh('echo %d > new' % (number + 100), mount.directory)
        assert database.value('new') == number + 100
        database.delete('new')
        with refused(errno.ENOENT):
            mount.text('new')


def test_listing_while_another_inserts(mount, database):
    """Each key that is there all the time is listed exactly once."""
    if database.engine in ('dumb', 'ndbm'):  # another writer is not to be had
        kept = {'kept %d' % number for number in range(300)}
        for name in kept:
            mount.save(name, '1\n')
        insert = threading.Thread(target=lambda: [mount.save('new %d' % number, '1\n') for number in range(300)])
        insert.start()
    else:
        kept = {'kept %d' % number for number in range(2000)}
        database.update((name.encode(), pickle.dumps(1)) for name in kept)
        insert = threading.Thread(target=lambda: start_other(database, CHANGES).communicate())
        insert.start()
    for _ in range(10):
        names = collections.Counter(os.listdir(mount.directory))
        assert kept <= set(names)
        assert set(names.values()) == {1}
    insert.join()


def test_removing_one_by_one(mount, database):
    count = min(CHANGES * 10, 10000)
    database.update((b'key %d' % number, pickle.dumps(number)) for number in range(count))
    mounting.eventually(lambda: len(os.listdir(mount.directory)) == count + len(database.values))
    seen = collections.Counter()
    with os.scandir(mount.directory) as entries:
        for entry in entries:
            seen[entry.name] += 1
            if entry.name.startswith('key '):
                os.unlink(entry.path)
    assert set(seen.values()) == {1} and len(seen) == count + len(database.values)
    assert database.keys() == {key.encode() for key in database.values}
