# SPDX-License-Identifier: GPL-3.0-or-later
"""Sidecars that say what nobody wrote: bytes changed anywhere in the file, and records that are whole but mean something else.

SHELVEFS_DAMAGED is how many; another SHELVEFS_SEED damages otherwise.
"""

import collections
import os
import pathlib
import pickle
import random

import pytest
import tdb

import mounting
from mounting import sh
from test_damaged import COUNT, SEED, attempt, change

NAMES = ['greeting', 'list', 'odd/\n%41', '', 'sedAbCdEf', 'long ' + 'n' * 300, 'saved', 'removed']
WORD = (1 << 64) - 1


# --- the checksum of a record: SipHash-2-4-128 of its name, a NUL and its content ---

def rotate(word, bits):
    return (word << bits | word >> (64 - bits)) & WORD


def sip(state, rounds):
    a, b, c, d = state
    for _ in range(rounds):
        a = (a + b) & WORD
        b = rotate(b, 13) ^ a
        a = rotate(a, 32)
        c = (c + d) & WORD
        d = rotate(d, 16) ^ c
        a = (a + d) & WORD
        d = rotate(d, 21) ^ a
        c = (c + b) & WORD
        b = rotate(b, 17) ^ c
        c = rotate(c, 32)
    state[:] = a, b, c, d
    return a ^ b ^ c ^ d


def digest(content):
    key = 0x7368656c76656673, 0x7369646563617273
    state = [key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d ^ 0xee, key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573]
    tail = len(content) % 8
    words = [content[at:at + 8] for at in range(0, len(content) - tail, 8)]
    words.append(content[len(content) - tail:].ljust(7, b'\0') + bytes([len(content) & 0xff]))
    for word in words:
        number = int.from_bytes(word, 'little')
        state[3] ^= number
        sip(state, 2)
        state[0] ^= number
    state[2] ^= 0xee
    first = sip(state, 4)
    state[1] ^= 0xdd
    return first.to_bytes(8, 'little') + sip(state, 4).to_bytes(8, 'little')


def checksum(name, content):
    return digest(name + b'\0' + content)


# --- what is done to it ---

def craft(generator, sidecar):
    """Whole records, each with its checksum."""
    store = tdb.open(str(sidecar), 0, tdb.DEFAULT, os.O_RDWR)
    records = {name: store.get(name) for name in store.keys()}
    for _ in range(generator.choice([1, 2, 5, 20])):
        name = generator.choice(sorted(records))
        content = bytearray(records[name][17:])
        if content:
            change(generator, content)
        if generator.random() < 0.2:
            name = generator.choice(sorted(records))  # another one's
        store.store(name, records[name][:1] + checksum(name, bytes(content)) + content, tdb.REPLACE)
    store.close()


def damage(generator, sidecar):
    content = bytearray(sidecar.read_bytes())
    for _ in range(generator.choice([1, 1, 2, 5, 20, 100])):
        if content:
            change(generator, content)
    sidecar.write_bytes(content)


# --- what must be there nevertheless ---

def make(database, mounter):
    """A database whose sidecar has something of everything; the expected records."""
    database.create((name.encode(), pickle.dumps(['value', name], 4)) for name in NAMES)
    mount = mounter(database)
    os.chmod(mount / 'list', 0o640)
    os.utime(mount / 'greeting', (1e9, 1e9))
    mount.save('.list.swp', 'swap\n' * 100)
    os.symlink('somebody@host.1:2', mount / '.#list')
    with mounting.refused(22):
        mount.save('list', '[1, ')
    sh('ls -lR', mount.directory)
    assert not mount.stop()
    return database.records()


def check_values(mount, expected):
    """All keys are shown, each with its own value."""
    for key, value in expected.items():
        path = b'.shelvefs/raw/' + mounting.file_name(key)
        assert (mount / os.fsdecode(path)).read_bytes() == value, key
        assert os.path.lexists(mount / os.fsdecode(mounting.file_name(key))), key


def use(mount, database, expected):
    sh('ls -lR . .shelvefs; cat .shelvefs/status .shelvefs/errors .shelvefs/rejected/* | wc', mount.directory, check=False)
    sh('find . -type f -exec cat {} + | wc', mount.directory, check=False)
    check_values(mount, expected)
    if attempt(mount.save, 'saved', '[1, 2]\n'):
        expected[b'saved'] = database.records()[b'saved']
    if attempt(os.unlink, mount / 'removed'):
        expected.pop(b'removed')
    check_values(mount, expected)


@pytest.mark.parametrize('change_it', [damage, craft])
@pytest.mark.parametrize('engine', ['dumb'], indirect=True)  # it knows nothing of the sidecar
def test_crafted_sidecars(new_database, mounter, tmp_path, change_it, capfd):
    database = new_database()
    whole = make(database, mounter)
    sidecar = pathlib.Path(database.sidecar)
    kept = sidecar.read_bytes()
    outcomes = collections.Counter()
    # The reading here and the writing there agree.
    store = tdb.open(str(sidecar), 0, tdb.DEFAULT, os.O_RDONLY)
    assert all(store.get(name)[1:17] == checksum(name, store.get(name)[17:]) for name in store.keys())
    store.close()
    mount = mounting.Mount(database.path, tmp_path / 'mnt')
    for number in range(COUNT):
        for path in sidecar.parent.glob(sidecar.name + '*'):
            path.unlink()
        database.update(whole.items())
        sidecar.write_bytes(kept)
        change_it(random.Random(SEED + number), sidecar)
        pathlib.Path(mount.log_path).write_bytes(b'')
        expected = dict(whole)
        try:
            for step in (lambda: use(mount, database, expected), lambda: check_values(mount, expected)):
                mount.start()
                try:
                    step()
                finally:
                    problems = mount.stop()
                # A file that no key can be made of makes its exit status.
                assert problems in ([], ['exit status 1']), problems
            found = database.records()
            assert all(found.get(key) == value for key, value in expected.items())
        except AssertionError as error:
            raise AssertionError('SHELVEFS_SEED=%d: %s\n%s' % (SEED + number, error, mount.log)) from error
        outcomes['set aside' if os.path.exists(str(sidecar) + '.old') else 'used'] += 1
    with capfd.disabled():
        print('\nsidecar, %s: seed %d, %s' % (change_it.__name__, SEED, dict(outcomes)))
