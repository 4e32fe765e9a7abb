# SPDX-License-Identifier: GPL-3.0-or-later
"""Very many keys through a mount: made, listed, copied out and in by rsync, and removed.

SHELVEFS_MANY is how many: 1,000,000 at length. What it took is printed, and what the daemon has in memory.
"""

import os
import pathlib
import pickle
import time

import pytest
import tdb

from mounting import sh

MANY = int(os.environ.get('SHELVEFS_MANY', '500'))
HOURS = 6 * 3600  # for one command, at length


class Report:
    """Times of steps, and the daemon's memory after each."""

    def __init__(self, mount):
        self.mount = mount
        self.parts = []
        self.last = time.monotonic()

    def step(self, name):
        now = time.monotonic()
        lines = pathlib.Path('/proc/%d/status' % self.mount.process.pid).read_text(encoding='utf-8').splitlines()
        resident = next(int(line.split()[1]) for line in lines if line.startswith('VmRSS'))
        self.parts.append('%s %.1f s, %d MiB' % (name, now - self.last, resident // 1024))
        self.last = time.monotonic()

    def show(self, engine, capfd):
        with capfd.disabled():
            print('\n%s, %d keys: %s' % (engine, MANY, '; '.join(self.parts)))


@pytest.fixture
def empty(new_database):
    """Of tdb with a larger hash table: its library looks through a list of it each time, and copies all of it for each transaction."""
    made = new_database()
    if made.engine != 'tdb':
        return made.create()
    tdb.open(made.path, max(131, MANY // 50), tdb.DEFAULT, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600).close()
    return made


def name_of(number):
    return 'key %07d' % number


def count_of(directory):
    with os.scandir(directory) as entries:
        return sum(1 for _ in entries)


def test_made_and_removed(empty, mounter, capfd):
    database = empty
    mount = mounter(database)
    report = Report(mount)
    for number in range(MANY):
        mount.save(name_of(number), 'value %d\n' % number)
    report.step('made')
    assert count_of(mount.directory) == MANY
    report.step('listed')
    with database.opened() as store:
        assert sum(1 for _ in store.keys()) == MANY
        for number in range(0, MANY, MANY // 100 + 1):
            assert pickle.loads(database.fetch(store, name_of(number).encode())) == 'value %d' % number
    report.step('compared')
    for number in range(MANY):
        os.unlink(mount / name_of(number))
    report.step('removed')
    assert count_of(mount.directory) == 0
    assert database.keys() == set()
    report.show(database.engine, capfd)


def changes(command, where):
    """What rsync says that it does, without directories' times."""
    done = sh(command, where, timeout=HOURS)
    return [line for line in done.stdout.splitlines() if not line.startswith(('.d', 'cd'))]


@pytest.mark.parametrize('engine', ['sqlite', 'tdb'], indirect=True)
def test_rsync_there_and_back(empty, mounter, tmp_path, capfd):
    database = empty
    database.update((name_of(number).encode(), pickle.dumps('value %d' % number, 4)) for number in range(MANY))
    mount = mounter(database)
    report = Report(mount)
    sh('rsync -a %s/ out/' % mount.directory, tmp_path, timeout=HOURS)
    report.step('out')
    assert count_of(tmp_path / 'out') == MANY
    assert changes('rsync -ai %s/ out/' % mount.directory, tmp_path) == []
    report.step('again')
    changed = range(0, MANY, MANY // 100 or 1)
    for number in changed:
        (tmp_path / 'out' / name_of(number)).write_text('changed %d\n' % number)
        os.utime(tmp_path / 'out' / name_of(number), (1e9, 1e9 + number))
    (tmp_path / 'out/new').write_text('new\n')
    sent = changes('rsync -ai out/ %s/' % mount.directory, tmp_path)
    assert len(sent) == len(changed) + 1
    report.step('back')
    assert changes('rsync -ai out/ %s/' % mount.directory, tmp_path) == []
    report.step('again')
    with database.opened() as store:
        assert sum(1 for _ in store.keys()) == MANY + 1
        for number in (0, 1, MANY - 1, *changed):
            expected = 'changed %d' if number in changed else 'value %d'
            assert pickle.loads(store[name_of(number).encode()]) == expected % number
    mount.remount()
    assert changes('rsync -ai out/ %s/' % mount.directory, tmp_path) == []
    report.step('after a remount')
    report.show(database.engine, capfd)
