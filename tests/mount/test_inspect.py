# SPDX-License-Identifier: GPL-3.0-or-later
"""shelvefs --info and --check: what a database is, who has it, and what in it can't be read."""

import os
import pty
import re
import subprocess

import pytest

FAILED, USAGE, CANNOT_OPEN = 1, 2, 3


def shelvefs(*words):
    return subprocess.run([os.environ['SHELVEFS'], *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)


def folder_of(database):
    folder = os.path.dirname(database.path)
    return {name: os.stat(os.path.join(folder, name)).st_mtime_ns for name in os.listdir(folder)}


def test_info(database):
    before = folder_of(database)
    done = shelvefs('--info', database.path)
    assert (done.returncode, done.stderr) == (0, '')
    lines = done.stdout.splitlines()
    assert lines[0].startswith('engine: %s, ' % database.engine)
    for path in database.files:
        assert 'file: %s, %d bytes' % (path, os.path.getsize(path)) in lines
    assert 'keys: %d' % len(database.values) in lines
    assert 'values: pickle protocol 4' in lines
    assert not [line for line in lines if line.startswith(('lock:', 'note:'))]
    assert folder_of(database) == before


def test_info_says_who_has_it(mount, database):
    done = shelvefs('--info', database.path)
    assert done.returncode == 0
    held = re.search(r'^lock: process %d \(shelvefs\) holds one to (read|write) ' % mount.process.pid, done.stdout, re.M)
    # tdb takes locks for its changes only, and the others are opened for a burst of operations.
    assert bool(held) == (database.engine in ('dumb', 'sqlite'))


def test_check_of_what_is_whole(database):
    before = folder_of(database)
    done = shelvefs('--check', database.path)
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == '%s: %s, %d keys, all can be read\n' % (database.path, database.engine, len(database.values))
    assert folder_of(database) == before


def test_check_names_values_that_are_none(database):
    database.update([(b'broken/key', b'\x80\x04]q\0'), (b'other', b'nonsense')])
    done = shelvefs('--check', database.path)
    assert done.returncode == FAILED
    assert 'broken%2Fkey: its value is not a pickle\n' in done.stdout
    assert 'other: its value is not a pickle\n' in done.stdout
    assert done.stdout.endswith(', %d keys, 2 faults\n' % (len(database.values) + 2))


def test_check_names_what_is_damaged(database):
    """With its largest file cut in half, some of it can't be read, and that is said."""
    database.update((b'more %d' % number, b'\x80\x04K\x01.' + bytes(3000)) for number in range(40))
    largest = max(database.files, key=os.path.getsize)
    os.truncate(largest, os.path.getsize(largest) // 2)
    done = shelvefs('--check', database.path)
    assert done.returncode in (FAILED, CANNOT_OPEN)
    if done.returncode == FAILED:
        told = r"^(more \d+|not all keys can be listed): Input/output error$|some of its keys can't be reached$"
        assert re.search(told, done.stdout, re.M), done.stdout
    else:
        assert re.match(r'shelvefs: .*(damaged|truncated)', done.stderr), done.stderr


@pytest.mark.parametrize('words', [['--info'], ['--check'], ['--info', 'a', 'b'], ['--check', '']])
def test_usage(words):
    done = shelvefs(*words)
    assert done.returncode == USAGE and done.stderr.startswith('shelvefs: ')


def test_no_such_database(tmp_path):
    for command in ('--info', '--check'):
        done = shelvefs(command, tmp_path / 'missing')
        assert done.returncode == CANNOT_OPEN and 'there is no database' in done.stderr


def test_progress_is_for_terminals(tmp_path):
    """A large index: nothing of it on a pipe, and on a terminal nothing that stays."""
    values = tmp_path / 'large.dat'
    values.write_bytes(b'1')
    with open(tmp_path / 'large.dir', 'w', encoding='latin-1') as index:
        for number in range(200000):
            index.write("'key %d', (0, 1)\n" % number)
    assert shelvefs('--check', tmp_path / 'large').stderr == ''
    ours, theirs = pty.openpty()
    with subprocess.Popen([os.environ['SHELVEFS'], '--check', str(tmp_path / 'large')], stdout=subprocess.PIPE,
                          stderr=theirs) as process:
        os.close(theirs)
        shown = b''
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # nobody has the other end any more
                break
            if not part:
                break
            shown += part
        assert process.stdout.read().endswith(b'200000 keys, all can be read\n')
    os.close(ours)
    # How long it takes is the machine's affair: what shows is a line over and over, wiped away at the end.
    assert re.fullmatch(rb'((\rshelvefs: [a-z .]+: \d+%?\x1b\[K)+\r\x1b\[K)?', shown), shown
