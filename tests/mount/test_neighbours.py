# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody replaces, truncates or deletes a mounted database, at random moments while others read and write.

SHELVEFS_REPLACED: how often for each engine. SHELVEFS_SEED: of what was random, to see it again.
"""

import ast
import itertools
import os
import pathlib
import pickle
import random
import secrets
import threading
import time

import pytest

import mounting

TIMES = int(os.environ.get('SHELVEFS_REPLACED', '2'))
KEYS = 40
OTHERS = {'dumb': 'tdb', 'gdbm': 'sqlite', 'ndbm': 'gdbm', 'sqlite': 'ndbm', 'tdb': 'dumb'}


def filler(number, key):
    return 'x' * ((number * 7919 + key * 613) % 3000)


class Generation:
    """A database whose values say which one they are of, and whether they are whole."""

    def __init__(self, number, database):
        self.number = number
        # Its own keys are no other generation's: with those, sizes and places of all records differ.
        self.records = {b'key %d' % key: pickle.dumps([number, key, filler(number, key)], 4) for key in range(KEYS)}
        self.records.update({b'of %d: %d' % (number, key): pickle.dumps([number, key, filler(number, key)], 4)
                             for key in range(number % 17)})
        self.database = database.create(self.records.items())


def is_whole(text, generations):
    """Whether it is what a generation or a writer has stored."""
    try:
        number, key, found = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return False
    return (number == -1 or number in generations) and found == filler(number, key)


class Worker(threading.Thread):
    """Goes on until told to stop; any error is to be expected, but not another one's value."""

    def __init__(self, mount, generations, generator):
        super().__init__(daemon=True)
        self.mount = mount
        self.generations = generations
        self.generator = generator
        self.ended = False
        self.done = self.failures = 0
        self.torn = []

    def run(self):
        while not self.ended:
            try:
                self.step(self.generator.randrange(KEYS))
                self.done += 1
            except OSError:
                self.failures += 1
                time.sleep(0.002)


class Reader(Worker):
    def step(self, key):
        name = 'key %d' % key
        if self.generator.random() < 0.1:
            os.listdir(self.mount.directory)
        text = (self.mount / name).read_bytes().decode(errors='replace')
        if not is_whole(text, self.generations):
            self.torn.append((name, text[:60], text[-60:], len(text)))


class Writer(Worker):
    def step(self, key):
        name = 'written %d' % key
        kind = self.generator.choice('sssrd')
        if kind == 's':
            self.mount.save(name, '%r\n' % [-1, key, filler(-1, key)])
        elif kind == 'r':
            os.rename(self.mount / name, self.mount / ('written %d' % self.generator.randrange(KEYS)))
        else:
            os.unlink(self.mount / name)


class Neighbour:
    """What happens to the database."""

    def __init__(self, engine, folder, path, seed):
        self.engine = engine
        self.folder = folder
        self.database = mounting.Database(engine, path)
        self.generator = random.Random(seed)
        self.numbers = itertools.count(1)
        self.generations = {}

    def next_generation(self):
        """The name of another database, which is nowhere yet."""
        number = next(self.numbers)
        made = Generation(number, mounting.Database(self.engine, self.folder / ('new-%d' % number)))
        self.generations[number] = made
        return made

    def move(self, made):
        """As rsync puts files in place, one after the other."""
        for source, target in zip(reversed(made.files), reversed(self.database.files)):
            os.replace(source, target)

    def put(self, content):
        for target in reversed(self.database.files):
            path = self.folder / 'content'
            path.write_bytes(content)
            os.replace(path, target)

    # What is there afterwards, if it is a database.

    def replaced(self):
        made = self.next_generation()
        self.move(made.database)
        return made

    def deleted_and_made_anew(self):
        self.deleted()
        time.sleep(self.generator.choice([0, 0.01, 0.3]))
        return self.replaced()

    def deleted(self):
        for path in self.database.files:
            os.unlink(path)

    def emptied(self):
        self.put(b'')

    def of_another_engine(self):
        other = mounting.Database(OTHERS[self.engine], self.folder / 'other').create([(b'other', pickle.dumps('other'))])
        for target in self.database.files:
            (self.folder / 'content').write_bytes(pathlib.Path(other.files[0]).read_bytes())
            os.replace(self.folder / 'content', target)
        for path in other.files:
            os.unlink(path)

    def garbage(self):
        self.put(self.generator.randbytes(self.generator.choice([1, 100, 5000, 100000])))

    def cut(self):
        """In place; also what SQLite maps."""
        index = [self.database.path + '-shm'] if self.engine == 'sqlite' else []
        path = self.generator.choice(self.database.files + index)
        os.truncate(path, self.generator.randrange(os.stat(path).st_size + 1))

    def cut_to_nothing(self):
        for path in self.database.files:
            os.truncate(path, 0)

    KINDS = (replaced, deleted_and_made_anew, deleted, emptied, of_another_engine, garbage, cut, cut_to_nothing)


def shows(mount, made):
    """Whether the mount shows this generation."""
    try:
        return all(ast.literal_eval(mount.text('key %d' % key))[0] == made.number for key in range(0, KEYS, 7))
    except OSError:
        return False


def differences(neighbour, made):
    """The engine of CPython finds all of the new database, and of the writers' keys nothing that they have not stored."""
    bad = []
    records = neighbour.database.records()
    for key, value in made.records.items():
        if records.pop(key, None) != value:
            bad.append((key, 'not as it was'))
    for key, value in records.items():
        if not key.startswith(b'written ') or not is_whole(repr(pickle.loads(value)), {}):
            bad.append((key, 'of an older database', value[:80]))
    return bad


def contents(database):
    return [pathlib.Path(path).read_bytes() for path in database.files if os.path.exists(path)]


def bad_phase(neighbour, mount, kind):
    """What is no database stays as it is; but any text is an index of dbm.dumb, which may be added to."""
    before = contents(neighbour.database)
    time.sleep(neighbour.generator.random() * 0.5)
    status = mount.control('status')
    if kind in (Neighbour.deleted, Neighbour.of_another_engine, Neighbour.garbage) and neighbour.engine != 'dumb':
        assert contents(neighbour.database) == before
        assert 'note: ' in status and ('the database is gone: ' in status or "the database can't be used: " in status), status


def one_case(neighbour, mount, kind):
    generator = neighbour.generator
    workers = [Reader(mount, neighbour.generations, random.Random(generator.getrandbits(64))) for _ in range(2)]
    workers += [Writer(mount, neighbour.generations, random.Random(generator.getrandbits(64))) for _ in range(2)]
    inode = os.stat(neighbour.database.files[-1]).st_ino
    for worker in workers:
        worker.start()
    try:
        time.sleep(generator.random() * 0.2)
        made = kind(neighbour)
        if not made:
            bad_phase(neighbour, mount, kind)
            made = neighbour.replaced()
        seconds = mounting.eventually(lambda: shows(mount, made))
    finally:
        for worker in workers:
            worker.ended = True
        for worker in workers:
            worker.join(60)
    assert not any(worker.is_alive() for worker in workers)
    # A save that was being written when the file was cut behind it shows zeros in place of what is gone: as no value at all.
    torn = [sight for worker in workers for sight in worker.torn
            if not (kind is Neighbour.cut and sight[1].startswith('# raw\n') and sight[2].endswith('\0'))]
    assert (torn, differences(neighbour, made)) == ([], [])
    neighbour.database.verify()
    mount.save('written 0', '%r\n' % [-1, 0, filler(-1, 0)])
    assert pickle.loads(neighbour.database.records()[b'written 0']) == [-1, 0, filler(-1, 0)]
    # A filesystem may give the new file the number of one that was deleted: then it is taken for the same one, written anew.
    if os.stat(neighbour.database.files[-1]).st_ino != inode:
        assert "another file has the database's name: that one is shown now" in mount.control('status')
    assert mount.process.poll() is None
    return seconds


def test_replaced(mounter, new_database, tmp_path, engine, capfd):
    seed = int(os.environ.get('SHELVEFS_SEED') or secrets.randbits(64))
    folder = tmp_path / 'new'
    folder.mkdir()
    neighbour = Neighbour(engine, folder, new_database().path, seed)
    neighbour.replaced()
    mount = mounter(neighbour.database, 'lock_timeout=60')
    kinds, slowest = [], {}
    for number in range(TIMES):
        kinds = kinds or neighbour.generator.sample(Neighbour.KINDS, len(Neighbour.KINDS))
        kind = kinds.pop()
        try:
            seconds = one_case(neighbour, mount, kind)
        except AssertionError as error:
            raise AssertionError('case %d (%s) of seed %d: %s\n%s' % (number, kind.__name__, seed, error, mount.log)) from error
        slowest[kind.__name__] = max(slowest.get(kind.__name__, 0), seconds)
    assert not mount.stop()
    assert TIMES == 0 or "another file has the database's name" in mount.log
    with capfd.disabled():
        print('\n%s: %d cases of seed %d, none torn, nothing damaged; seconds until seen: %s' % (
            engine, TIMES, seed, ', '.join('%s %.1f' % pair for pair in sorted(slowest.items()))))


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_what_is_mapped_is_cut(mounter, database):
    """Whoever may write to the database may cut the index of its log: no SIGBUS, and nothing is lost."""
    mount = mounter(database)
    mount.save('number', '1\n')
    for number in range(20):
        os.truncate(database.path + '-shm', (number % 3) * 4096)
        assert mount.text('list') == '[1, 2, 3]\n'
        os.truncate(database.path + '-shm', (number % 2) * 8192)
        mount.save('number', '%d\n' % number)
        assert mount.text('number') == '%d\n' % number
    assert not mount.stop()
    assert {key.decode(): pickle.loads(value) for key, value in database.records().items()} == {**database.values, 'number': 19}
    database.verify()
