# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of programs that people run: man-db's, Samba's and other Pythons' are read, changed, and used again by those."""

import ast
import getpass
import os
import re
import shutil
import subprocess

import pytest

import pythons
from mounting import Database, Mount, MountFailed, eventually, file_name
from programs import gdbm_dump, make_man_index, run, sqlite_dump, tdbdump


def replace(mount, name, old, new):
    """Changes some bytes of a file, as `sed -i` would."""
    path = os.path.join(os.fsencode(mount.directory), name)
    with open(path, 'rb') as file:
        before = file.read()
    assert old in before
    with open(path, 'wb') as file:
        file.write(before.replace(old, new))


def holds(mount, records):
    return mount.raw() == {file_name(key): value for key, value in records.items()}


# --- man-db, gdbm ---

@pytest.mark.skipif(not shutil.which('mandb'), reason='mandb is not installed (man-db)')
def test_man_db(mounter, tmp_path):
    """Its keys and values end in a NUL; what is changed in the mount is what `whatis` says."""
    index, config = make_man_index(tmp_path)
    found = gdbm_dump(index)
    mount = mounter(index)
    assert holds(mount, found) and b'foo\0' in found
    replace(mount, b'foo%00', b'does foo things', b'was changed in a mount')
    os.unlink(mount / 'bar%00')
    assert not mount.stop()  # gdbm's programs don't wait for a lock
    assert gdbm_dump(index)[b'foo\0'] == found[b'foo\0'].replace(b'does foo things', b'was changed in a mount')
    assert b'was changed in a mount' in run('whatis', '-C', config, 'foo')
    assert subprocess.run(['whatis', '-C', config, 'bar'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 16
    # Without its NUL a key has a name that people write.
    assert 'was changed in a mount' in mounter(index, 'nulkeys').text('foo')


# --- Samba, tdb ---

@pytest.fixture
def samba(tmp_path):
    """samba(word...): runs Samba's `net`, all of whose files are in `tmp_path`."""
    if not shutil.which('net'):
        pytest.skip('net is not installed (samba-common-bin)')
    config = tmp_path / 'smb.conf'
    lines = ['[global]', 'netbios name = SHELF', 'workgroup = TEST', 'log level = 0']
    lines += ['%s = %s' % (name, tmp_path) for name in (
        'private dir', 'state directory', 'cache directory', 'lock directory', 'pid directory', 'ncalrpc dir')] + ['passdb backend = tdbsam']
    config.write_text('\n'.join(lines) + '\n')
    return lambda *words: run('net', '-s', config, *words)


def test_samba_registry(samba, mounter, tmp_path):
    """`net conf` and `net registry` use the database while it is mounted."""
    samba('conf', 'addshare', 'data', '/srv/data', 'writeable=y', 'guest_ok=n', 'as written')
    mount = mounter(tmp_path / 'registry.tdb')
    found = tdbdump(mount.source)
    assert len(found) > 10 and holds(mount, found)
    share = b'SAMBA_REGVAL\\HKLM\\SOFTWARE\\SAMBA\\SMBCONF\\DATA\0'
    replace(mount, file_name(share), 'as written'.encode('utf-16-le'), 'as changed'.encode('utf-16-le'))
    assert b'comment = as changed\n' in samba('conf', 'showshare', 'data')
    samba('registry', 'createkey', 'HKLM\\Software\\Shelf')
    samba('registry', 'setvalue', 'HKLM\\Software\\Shelf', 'name', 'sz', 'a value')
    eventually(lambda: holds(mount, tdbdump(mount.source)))
    assert b'SAMBA_REGVAL\\HKLM\\SOFTWARE\\SHELF%00' in mount.raw()
    Database('tdb', mount.source).verify()


def test_samba_cache(samba, mounter, tmp_path):
    """Its processes lock it by mutexes in the file itself, which no other program can share: it is mounted read-only."""
    for name in ('one', 'two', 'three'):
        samba('cache', 'add', name, 'the value of ' + name, '1h')
    path = tmp_path / 'gencache.tdb'
    before = path.read_bytes()
    mount = mounter(path, 'ro')
    found = tdbdump(path)
    assert {b'one\0', b'two\0', b'three\0'} <= set(found) and holds(mount, found)
    assert not mount.stop()
    assert path.read_bytes() == before
    with pytest.raises(MountFailed) as error:
        Mount(path, tmp_path / 'elsewhere').start()
    assert 'mutexes' in error.value.log and '-o ro' in error.value.log and path.read_bytes() == before


def test_samba_groups(samba, mounter, tmp_path):
    samba('groupmap', 'add', 'ntgroup=people', 'unixgroup=root', 'sid=S-1-5-21-1-2-3-1001', 'type=domain')
    mount = mounter(tmp_path / 'group_mapping.tdb')
    assert holds(mount, tdbdump(mount.source))
    name = b'UNIXGROUP%2FS-1-5-21-1-2-3-1001%00'
    replace(mount, name, b'Domain Unix group', b'written in a longer way than before')
    assert b'Comment   : written in a longer way than before\n' in samba('groupmap', 'list', 'verbose')
    os.unlink(os.path.join(os.fsencode(mount.directory), name))
    assert samba('groupmap', 'list') == b''
    Database('tdb', mount.source).verify()


def test_samba_secrets(samba, mounter, tmp_path):
    samba('setlocalsid', 'S-1-5-21-1-2-3')
    mount = mounter(tmp_path / 'secrets.tdb')
    assert holds(mount, tdbdump(mount.source))
    replace(mount, b'SECRETS%2FSID%2FSHELF', b'\x03\0\0\0', b'\x04\0\0\0')
    assert samba('getlocalsid').endswith(b': S-1-5-21-1-2-4\n')
    Database('tdb', mount.source).verify()


def test_samba_users(samba, mounter, tmp_path):
    """passdb.tdb, the users and their passwords: renumbered in the mount, and changed by Samba meanwhile."""
    user = getpass.getuser()
    run('smbpasswd', '-c', tmp_path / 'smb.conf', '-L', '-s', '-a', user, input=b'secret\nsecret\n')
    assert samba('sam', 'show', user).rstrip().endswith(b'-1000')
    mount = mounter(tmp_path / 'passdb.tdb')
    assert holds(mount, tdbdump(mount.source))
    record = b'USER_%s%%00' % user.encode()
    replace(mount, record, b'\xe8\x03\0\0', b'\x39\x30\0\0')
    os.rename(mount / 'RID_000003e8%00', mount / 'RID_00003039%00')
    assert samba('sam', 'show', user).rstrip().endswith(b'-12345')
    samba('sam', 'set', 'fullname', user, 'set by Samba')
    eventually(lambda: b'set by Samba' in mount.raw()[record])
    before = tdbdump(mount.source)[b'USER_%s\0' % user.encode()]
    assert mount.raw()[record] == before
    run('smbpasswd', '-c', tmp_path / 'smb.conf', '-L', '-d', user)
    assert tdbdump(mount.source)[b'USER_%s\0' % user.encode()] != before
    Database('tdb', mount.source).verify()


# --- Pythons ---

# A database in another Python: puts what standard input says as literals, and prints all that is there then.
SCRIPT = r"""
import ast, pickle, sys
kind, path, protocol = sys.argv[1:]
store = __import__(kind, fromlist=['open']).open(path, 'c')
for key, value in ast.literal_eval(sys.stdin.read()):
    if value is None:
        del store[key]
    else:
        store[key] = pickle.dumps(value, int(protocol))
print(repr(sorted((bytearray(key), pickle.loads(store[key])) for key in store.keys())))
store.close()
"""
ODD = b'\xff\x80\xa1 "quoted" it\'s \\ \n'
VALUES = {b'number': 17, b'list': [1, 2.5, True], b'away': {1: (2, 3)}, b'gone': 5, b'a/b': [], ODD: 1, 'é'.encode(): 2 ** 70}
PYTHONS = [pytest.param(version, kind, protocol, marks=pytest.mark.skipif(not pythons.python(*version), reason=reason),
                        id='%s-%d' % (kind, protocol))
           for version, kind, protocol, reason in [
               ((2, 7), 'dumbdbm', 0, 'no Python 2.7'), ((2, 7), 'dumbdbm', 2, 'no Python 2.7'),
               ((3, 13), 'dbm.sqlite3', 4, 'no Python with dbm.sqlite3'), ((3, 13), 'dbm.dumb', 5, 'no Python with dbm.sqlite3')]]


def in_python(python, kind, path, protocol, pairs):
    """Stores `pairs`, where None deletes; returns the sorted pairs that are there then, as `python` prints them."""
    printed = run(python, '-c', SCRIPT, kind, path, protocol, input=repr(list(pairs.items())).encode()).decode()
    return eval(re.sub(r'(\d)L\b', r'\1', printed), {'bytearray': bytearray})  # pylint: disable=eval-used


@pytest.mark.parametrize('version, kind, protocol', PYTHONS)
def test_other_pythons(mounter, tmp_path, version, kind, protocol):
    """Written by that Python, changed in a mount, read and written by it again, and then seen in the mount again."""
    path = tmp_path / 'theirs'

    def told(pairs):
        return in_python(pythons.python(*version), kind, path, protocol, pairs)

    expected = dict(VALUES)
    assert told(expected) == sorted(expected.items())
    mount = mounter(path)
    assert mount.text('list') == '[1, 2.5, True]\n' and len(os.listdir(mount.directory)) == len(expected)
    mount.save('number', '[18]\n')
    os.rename(mount / 'away', mount / 'back')
    os.unlink(mount / 'gone')
    replace(mount, file_name(ODD), b'1', b'(1, 2)')
    mount.save('new key', '{3: 4}\n')
    expected.update({b'number': [18], b'back': expected.pop(b'away'), ODD: (1, 2), b'new key': {3: 4}})
    del expected[b'gone']
    if kind != 'dbm.sqlite3':  # a dumb database is its first opener's
        assert not mount.stop()
    assert told({}) == sorted(expected.items())
    expected.update({b'list': [9] * 500, b'from Python': 1})
    del expected[b'new key']
    assert told({b'list': [9] * 500, b'from Python': 1, b'new key': None}) == sorted(expected.items())
    if kind != 'dbm.sqlite3':
        mount.start()
    eventually(lambda: set(os.listdir(os.fsencode(mount.directory))) == {file_name(key) for key in expected})
    assert ast.literal_eval(mount.text('list')) == expected[b'list']
    if kind == 'dbm.sqlite3':
        assert holds(mount, sqlite_dump(path))
