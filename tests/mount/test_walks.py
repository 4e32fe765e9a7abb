# SPDX-License-Identifier: GPL-3.0-or-later
"""Who walks through the directory gets texts before asking for them, and a read-only mount lets the kernel keep what it knows. Both must show
what other programs change: in what is opened next at once, in attributes within a second."""

import os
import pickle

import pytest

import mounting

COUNT = 300


def fill(database):
    database.update((b'key %03d' % number, pickle.dumps('value %d' % number, 4)) for number in range(COUNT))


def expected(number):
    return 'value %d\n' % number


def in_orders(directory):
    """The keys' entries as tar, find and rsync go through them."""
    with os.scandir(directory) as found:
        entries = [entry for entry in found if entry.name.startswith('key ')]
    for entry in entries:
        entry.stat()
    return [entries, sorted(entries, key=os.DirEntry.inode), sorted(entries, key=lambda entry: entry.name)]


@pytest.mark.parametrize('options', [[], ['ro']], ids=['rw', 'ro'])
def test_walks(database, mounter, options):
    fill(database)
    for order in range(3):
        mount = mounter(database, *options)
        entries = in_orders(mount.directory)[order]
        assert len(entries) == COUNT
        for entry in entries:
            assert mount.text(entry.name) == expected(int(entry.name[4:])), entry.name
        for entry in entries:
            assert os.stat(entry.path).st_size == len(expected(int(entry.name[4:])))
        mount.stop()


def test_read_only_sees_changes(database, mounter):
    fill(database)
    mount = mounter(database, 'ro')
    for entry in in_orders(mount.directory)[0]:
        mount.text(entry.name)
    # Of the same size and of another; what was pushed, and what was only listed.
    changes = {'key 000': 'other 0', 'key 001': 'longer than it was', 'key %03d' % (COUNT - 1): 'x'}
    for name, value in changes.items():
        database.put(name, value)
    database.delete('key 002')
    database.put('new', 'one')
    for name, value in changes.items():
        mounting.eventually(lambda name=name, value=value: mount.text(name) == value + '\n')
        mounting.eventually(lambda name=name, value=value: os.stat(mount / name).st_size == len(value) + 1)
    mounting.eventually(lambda: not os.path.exists(mount / 'key 002'))
    mounting.eventually(lambda: 'new' in os.listdir(mount.directory))
    assert 'key 002' not in os.listdir(mount.directory)
    for number in range(3, COUNT - 1):
        assert mount.text('key %03d' % number) == expected(number)


# The others' formats have no locks: no other program may write them meanwhile.
@pytest.mark.parametrize('engine', ['gdbm', 'sqlite', 'tdb'], indirect=True)
def test_walk_after_changes(database, mounter):
    """What is opened is never older than the walk, whatever was pushed before."""
    fill(database)
    mount = mounter(database, 'ro')
    for state in range(5):
        changed = 'state %d %s' % (state, 'x' * state)
        database.update((b'key %03d' % number, pickle.dumps(changed, 4)) for number in range(0, COUNT, 2))
        for entry in in_orders(mount.directory)[state % 3]:
            number = int(entry.name[4:])
            assert mount.text(entry.name) == (expected(number) if number % 2 else changed + '\n')
