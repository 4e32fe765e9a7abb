# SPDX-License-Identifier: GPL-3.0-or-later
"""Database files with some bytes changed, mounted and walked as a person would: no crash, no hang, an error where something is wrong,
and what could be read is not lost by saves.

SHELVEFS_DAMAGED is how many of each engine (300 at length); SHELVEFS_SEED is of the first.
"""

import collections
import errno
import os
import pathlib
import pickle
import random

import mounting
from mounting import Mount, sh

COUNT = int(os.environ.get('SHELVEFS_DAMAGED', '4'))
SEED = int(os.environ.get('SHELVEFS_SEED', '0')) or random.randrange(1, 1 << 30)
NAMES = ['key %d' % number for number in range(20)] + ['large', 'long ' + 'n' * 300, 'odd/\n%41', 'saved', 'removed']
# What a save or a removal may be told: nothing is right any more, the disk, or that the key was not to be found.
EXPECTED = {errno.EIO, errno.EUCLEAN, errno.EROFS, errno.ENOENT, errno.EFBIG, errno.ENOSPC, errno.ESTALE, errno.EINVAL}


def make(new_database):
    """With values of all sizes, and space that is free."""
    values = {name: ['value', number, 'x' * (number * number)] for number, name in enumerate(NAMES)}
    values['large'] = 'y' * 20000
    database = new_database().create((name.encode(), pickle.dumps(value, 4)) for name, value in values.items())
    for name in ('key 3', 'key 9', 'key 15'):
        database.delete(name)
    return database


def change(generator, content):
    """One change of `content`, a bytearray."""
    position = generator.randrange(len(content)) if generator.random() < 0.5 else generator.randrange(min(len(content), 4200))
    kind = generator.choice(['flip', 'flip', 'number', 'zeros', 'noise', 'copy', 'cut'])
    size = generator.choice([1, 2, 4, 8, 16, 100, 4096])
    if kind == 'flip':
        content[position] ^= 1 << generator.randrange(8)
    elif kind == 'number':
        number = generator.choice([0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff, len(content), generator.randrange(1 << 32)])
        position -= position % 4
        content[position:position + 4] = number.to_bytes(4, generator.choice(['little', 'big']))
    elif kind == 'zeros':
        content[position:position + size] = bytes(len(content[position:position + size]))
    elif kind == 'noise':
        content[position:position + size] = generator.randbytes(len(content[position:position + size]))
    elif kind == 'copy':
        start = generator.randrange(len(content))
        piece = content[start:start + size]
        content[position:position + len(piece)] = piece
    elif generator.random() < 0.3:
        del content[position:]


def damage(generator, database, whole):
    for path in database.files:
        content = bytearray(whole[path])
        for _ in range(generator.choice([0, 1, 1, 2, 5, 20]) if len(database.files) > 1 else generator.choice([1, 1, 2, 5, 20])):
            if content:
                change(generator, content)
        pathlib.Path(path).write_bytes(content)
        os.utime(path, (1e9, 1e9))  # long ago: nothing is being written


def remove_traces(database):
    """Also what the mount before has made: the sidecar, a log, a journal, what gdbm kept."""
    for path in pathlib.Path(database.path).parent.iterdir():
        if path.is_file() and not path.name.startswith('mnt'):
            path.unlink()


def listed(mount):
    """The paths of the keys, from one directory to the next."""
    found = sh('find . -type f', mount.directory, check=False)
    return [line for line in found.stdout.splitlines() if line.startswith('./')]


def contents(mount, paths):
    """{path: content} of what can be read."""
    found = {}
    for path in paths:
        try:
            found[path] = (mount / path).read_bytes()
        except OSError as error:
            assert error.errno in EXPECTED, error
    return found


def attempt(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        assert error.errno in EXPECTED, error
        return False
    return True


def walk(mount):
    """Returns what came of it."""
    sh('ls -lR . .shelvefs/raw .shelvefs/dis; cat .shelvefs/status .shelvefs/errors', mount.directory, check=False)
    sh('cat -- * .shelvefs/raw/* .shelvefs/dis/* | wc', mount.directory, check=False)
    before = contents(mount, listed(mount))
    saved = [attempt(mount.save, 'saved', '[1, 2]\n'), attempt(mount.save, 'new', 'a new one\n')]
    removed = attempt(os.unlink, mount / 'removed')
    after = contents(mount, listed(mount))
    meant = {'./saved', './new', './removed'}
    lost = [path for path, content in before.items() if path not in meant and after.get(path) != content]
    assert not lost, lost
    assert not saved[0] or after['./saved'] == b'[1, 2]\n'
    assert not saved[1] or after['./new'] == b'a new one\n'
    assert not removed or './removed' not in after
    return 'saved' if all(saved) else 'saved one' if any(saved) else 'read' if before else 'empty'


def use(database, directory):
    mount = Mount(database.path, directory)
    pathlib.Path(mount.log_path).write_bytes(b'')
    try:
        mount.start()
    except mounting.MountFailed as failure:
        # SQLite's own words may have several lines.
        assert failure.status == 3 and failure.log.startswith('shelvefs: ') and 'Sanitizer' not in failure.log, failure
        return 'refused'
    try:
        outcome = walk(mount)
        assert mount.process.poll() is None
    finally:
        problems = mount.stop()
    # What could not be saved in time makes its exit status.
    assert problems in ([], ['exit status 1']), '%s\n%s' % (problems, mount.log)
    return outcome


def test_damaged_files(new_database, tmp_path, capfd):
    database = make(new_database)
    whole = {path: pathlib.Path(path).read_bytes() for path in database.files}
    outcomes = collections.Counter()
    for number in range(COUNT):
        remove_traces(database)
        damage(random.Random(SEED + number), database, whole)
        try:
            outcomes[use(database, tmp_path / 'mnt')] += 1
        except AssertionError as error:
            raise AssertionError('SHELVEFS_SEED=%d: %s' % (SEED + number, error)) from error
    with capfd.disabled():
        print('\n%s: seed %d, %s' % (database.engine, SEED, dict(outcomes)))
