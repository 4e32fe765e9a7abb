# SPDX-License-Identifier: GPL-3.0-or-later
"""Who walks through the directory gets texts before asking for them, and a read-only mount lets the kernel keep what it knows, and open files without
asking. Both must show what other programs change: in what is opened next at once, or, where nobody is asked, within a second. Nobody gets a piece of
one value and a piece of another."""

import contextlib
import errno
import os
import pickle
import random

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
@pytest.mark.parametrize('options', [[], ['ro']], ids=['rw', 'ro'])
def test_walk_after_changes(database, mounter, options):
    """What is opened is never older than the walk, or than a second, whatever was pushed before; and it is whole."""
    fill(database)
    mount = mounter(database, *options)
    last = None
    for state in range(5):
        changed = 'state %d %s' % (state, 'x' * state)
        database.update((b'key %03d' % number, pickle.dumps(changed, 4)) for number in range(0, COUNT, 2))
        for entry in in_orders(mount.directory)[state % 3]:
            number = int(entry.name[4:])
            now = expected(number) if number % 2 else changed + '\n'
            text = mount.text(entry.name)
            assert text == now or (options and text == (last or expected(number)))
            if text != now:
                mounting.eventually(lambda name=entry.name, now=now: mount.text(name) == now)
        last = changed + '\n'


def test_listing_while_files_change(database, mounter):
    """A page of a listing is made before it is asked for: what this mount changes meanwhile is not undone in the kernel's memory by it."""
    many, rounds = 800, 12
    database.update((b'key %03d' % number, pickle.dumps('value %d' % number, 4)) for number in range(many))
    mount = mounter(database)
    generator = random.Random(1)
    texts = {'key %03d' % number: expected(number) for number in range(many)}
    modes = {}
    for turn in range(rounds):
        changes = {generator.randrange(many): generator.choice('scur') for _ in range(3)}
        with os.scandir(mount.directory) as entries:
            for index, entry in enumerate(entries):
                with contextlib.suppress(FileNotFoundError):
                    entry.stat()
                name = generator.choice(sorted(texts))
                change = changes.get(index)
                if change == 's':
                    texts[name] = 'saved %d %s\n' % (turn, 'x' * generator.randrange(50))
                    mount.save(name, texts[name])
                elif change == 'c':
                    modes[name] = 0o600 + turn
                    os.chmod(mount / name, modes[name])
                elif change == 'u':
                    os.unlink(mount / name)
                    del texts[name]
                    modes.pop(name, None)
                elif change == 'r':
                    other = generator.choice(sorted(texts))
                    os.rename(mount / name, mount / other)
                    texts[other] = texts.pop(name) if other != name else texts[name]
                    modes[other] = modes.pop(name, 0) if other != name else modes.get(name, 0)
        for name, text in texts.items():
            found = os.lstat(mount / name)
            assert (name, found.st_size) == (name, len(text))
            assert (name, modes.get(name) or found.st_mode & 0o777) == (name, found.st_mode & 0o777)
        assert not any(os.path.lexists(mount / ('key %03d' % number)) for number in range(many) if 'key %03d' % number not in texts)
    assert all(mount.text(name) == text for name, text in texts.items())


def fill_large(database, state):
    """Two that are read in pieces, as long as each other."""
    for name in 'left', 'right':
        database.put(name, state * 3000000)


def test_read_only_file_never_changes(database, mounter):
    """A value that another program changes is another file: who has the old one open has it whole, or none of the rest."""
    database.put('small', 'one')
    fill_large(database, 'a')
    mount = mounter(database, 'ro')
    with open(mount / 'small') as small, open(mount / 'left') as left, open(mount / 'right') as right:
        before = os.fstat(left.fileno())
        assert left.read(100) == 'a' * 100
        assert os.stat(mount / 'left').st_ino == before.st_ino
        database.put('small', 'another')
        fill_large(database, 'b')
        mounting.eventually(lambda: mount.text('left') == 'b' * 3000000 + '\n')
        mounting.eventually(lambda: mount.text('small') == 'another\n')
        after = os.stat(mount / 'left')
        assert after.st_ino != before.st_ino and after.st_size == before.st_size
        # It was read in part, so it is kept.
        assert left.read() == 'a' * (3000000 - 100) + '\n'
        for file, whole in (small, 'one\n'), (right, 'a' * 3000000 + '\n'):
            try:
                assert file.read() == whole
            except OSError as error:
                assert error.errno == errno.ESTALE
        assert os.fstat(left.fileno()).st_size == before.st_size
        assert os.fstat(left.fileno()).st_nlink == 0


@pytest.mark.parametrize('engine', ['gdbm', 'sqlite', 'tdb'], indirect=True)
def test_read_only_reads_are_whole(database, mounter):
    """Values of several requests, changed again and again while they are read: each text is one of them, or its rest is refused."""
    values = [letter * (300000 + 50000 * number) for number, letter in enumerate('abcde')]
    database.put('key', values[0])
    mount = mounter(database, 'ro')
    seen = set()
    for number in range(60):
        with open(mount / 'key', 'rb') as file:
            start = file.read(4096)
            database.put('key', values[number % 5])
            try:
                text = start + file.read()
            except OSError as error:
                assert error.errno == errno.ESTALE
                continue
        assert text[:-1].decode() in values
        assert os.stat(mount / 'key').st_size in [len(value) + 1 for value in values]
        seen.add(text[:1])
    mounting.eventually(lambda: mount.text('key')[:-1] == values[4])
    assert seen


def test_read_only_reports_are_new(database, mounter):
    """Nobody is asked when they are opened, and still they tell of now."""
    database.put('word', 'one')
    mount = mounter(database, 'ro')
    for keys in 2, 3:
        database.put('key %d' % keys, 'more')
        status = mount.text('.shelvefs/status')
        assert len(status.encode()) == os.stat(mount / '.shelvefs/status').st_size
        assert 'read-only: yes' in status


def text_or_none(mount, name):
    try:
        return mount.text(name)
    except OSError:
        return None


def test_read_only_tells_what_is_wrong(database, mounter):
    """A file that can't be shown is not an empty one."""
    database.put('word', 'one')
    database.put('large', 'x' * 100000)
    mount = mounter(database, 'ro', 'max_value=50000')
    for _ in range(2):
        assert os.stat(mount / 'large').st_size > 0
        with pytest.raises(OSError) as failure:
            mount.text('large')
        assert failure.value.errno == errno.EFBIG
    assert mount.text('word') == 'one\n'
    database.put('large', 'small now')
    mounting.eventually(lambda: text_or_none(mount, 'large') == 'small now\n')


def test_read_only_asks_little(database, mounter):
    """A file that the kernel knows is opened and closed without a request; of a walk's, most are not asked for at all."""
    fill(database)
    mount = mounter(database, 'ro', '-d')
    for entry in in_orders(mount.directory)[0]:
        mount.text(entry.name)
    for request, most in ('OPEN ', 2), ('RELEASE ', 1), ('FLUSH ', 1), ('READ ', COUNT):
        assert mount.log.count('opcode: ' + request) <= most
