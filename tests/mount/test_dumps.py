# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines' own programs: what they wrote is read here, and their dumps say what .shelvefs/raw/ holds."""

import os
import subprocess

import pytest

from mounting import Database, file_name
from programs import db_dump, gdbm_dump, run, sqlite_dump, tdbdump

# What a database of another program is changed from and to, through a mount.
THEIRS = {b'one': b'first', b'two words': b'second', b'gone': b'third', b'long': b'l' * 9000}
CHANGED = {b'one': b'saved', b'moved words': b'second', b'long': b'l' * 9000, b'new': b'n' * 5000}
KEYS = [b'plain', b'two words', b'nul\0inside', b'\xff\x80', b'quote"d', b'a/b', b'back\\slash']


DUMPS = {'gdbm': gdbm_dump, 'ndbm': db_dump, 'sqlite': sqlite_dump, 'tdb': tdbdump}


@pytest.mark.parametrize('engine', sorted(DUMPS), indirect=True)
def test_dump_agrees_with_raw(mount, database):
    with database.opened(write=True) as store:
        for key in KEYS:
            store[key] = key * 3 + b'\0\xff"\\'
    mount.save('saved', "{'by': 'us'}\n")
    shown = mount.raw()
    assert not mount.stop()  # gdbm's and Berkeley's programs don't wait for a lock, nor for what is not yet in the file
    dumped = DUMPS[database.engine](database.files[0])
    assert len(dumped) == len(database.values) + len(KEYS) + 1
    assert shown == {file_name(key): value for key, value in dumped.items()}


def change(mount):
    """From THEIRS to CHANGED, and unmounts: gdbm's programs don't wait for a lock."""
    assert mount.raw() == THEIRS
    mount.save('one', 'saved')
    os.rename(mount / 'two words', mount / 'moved words')
    os.unlink(mount / 'gone')
    mount.save('new', 'n' * 5000)
    assert mount.raw() == CHANGED
    assert not mount.stop()


@pytest.mark.parametrize('format_options', [[], ['-x']], ids=['standard', 'numsync'])
def test_what_gdbmtool_wrote(mounter, tmp_path, format_options):
    path = tmp_path / 'tool.gdbm'
    script = ''.join('store "%s" "%s"\n' % (key.decode(), value.decode()) for key, value in THEIRS.items())
    run('gdbmtool', '-q', '-N', '-n', *format_options, path, input=script.encode())
    magic = path.read_bytes()[:4]
    change(mounter(path, 'codec=raw'))
    assert gdbm_dump(path) == CHANGED
    assert run('gdbmtool', '-q', '-N', '-r', path, 'fetch', 'moved words').strip() == b'second'
    assert path.read_bytes()[:4] == magic


def test_what_gdbm_load_wrote(mounter, tmp_path):
    theirs, loaded, again = (tmp_path / name for name in ('theirs.gdbm', 'loaded.gdbm', 'again.gdbm'))
    Database('gdbm', theirs).create(THEIRS.items())
    run('gdbm_load', '-', loaded, input=run('gdbm_dump', theirs))
    change(mounter(loaded, 'codec=raw'))
    assert gdbm_dump(loaded) == CHANGED
    run('gdbm_load', '-', again, input=run('gdbm_dump', loaded))
    assert mounter(again, 'codec=raw').raw() == CHANGED


@pytest.mark.parametrize('order', ['1234', '4321'])
def test_what_db_load_wrote(mounter, tmp_path, order):
    path = tmp_path / 'tool'
    lines = b''.join(b' %s\n %s\n' % pair for pair in THEIRS.items())
    run('db5.3_load', '-c', 'db_lorder=' + order, str(path) + '.db',
        input=b'VERSION=3\nformat=print\ntype=hash\nHEADER=END\n' + lines + b'DATA=END\n')
    change(mounter(path, 'codec=raw'))
    assert db_dump(str(path) + '.db') == CHANGED
    Database('ndbm', path).verify()
    run('db5.3_load', tmp_path / 'again.db', input=run('db5.3_dump', str(path) + '.db'))
    assert mounter(tmp_path / 'again', 'codec=raw').raw() == CHANGED


def test_what_tdbrestore_wrote(mounter, tmp_path):
    theirs, restored, again = (tmp_path / name for name in ('theirs.tdb', 'restored.tdb', 'again.tdb'))
    Database('tdb', theirs).create(THEIRS.items())
    run('tdbrestore', restored, input=run('tdbdump', theirs))
    change(mounter(restored, 'codec=raw'))
    assert tdbdump(restored) == CHANGED
    run('tdbrestore', again, input=run('tdbdump', restored))
    assert mounter(again, 'codec=raw').raw() == CHANGED


def test_what_tdbtool_wrote(mounter, tmp_path):
    path = tmp_path / 'tool'
    run('tdbtool', input=b'create %s\ninsert one first\ninsert two second\nstore one third\ndelete two\nquit\n'
        % os.fsencode(path))
    mount = mounter(path, 'codec=raw')
    assert mount.raw() == {b'one': b'third'}
    mount.save('three', 'fourth')
    assert tdbdump(path) == {b'one': b'third', b'three': b'fourth'}


def test_what_sqlite3_wrote(mounter, tmp_path):
    """With WAL or without, in UTF-16, with a page of another size: CPython opens each."""
    for number, pragmas in enumerate(['journal_mode=delete', 'encoding="UTF-16"', 'page_size=512', 'auto_vacuum=full']):
        path = tmp_path / ('written %d' % number)
        run('sqlite3', path, 'PRAGMA %s; CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL); '
            "INSERT INTO Dict VALUES (X'6F6E65', X'3100'), (X'74776F', 'text')" % pragmas)
        mount = mounter(path, 'codec=raw')
        assert mount.raw() == {b'one': b'1\0', b'two': b'text'}
        mount.save('one', 'x' * 5000)
        os.rename(mount / 'one', mount / 'three')
        os.unlink(mount / 'two')
        assert not mount.stop()
        assert sqlite_dump(path) == {b'three': b'x' * 5000}
        Database('sqlite', path).verify()


@pytest.mark.parametrize('schema, what', [
    ('CREATE TABLE moz_places(a); CREATE TABLE moz_hosts(b)', 'with the tables moz_places, moz_hosts'),
    ('CREATE TABLE t(key, value); CREATE VIEW Dict AS SELECT key, value FROM t', 'its Dict is a view'),
    ('CREATE TABLE Dict(key BLOB UNIQUE NOT NULL, value BLOB NOT NULL, more)', 'other columns'),
    ('CREATE TABLE Dict(key BLOB NOT NULL, value BLOB NOT NULL)', 'not the key is unique'),
    ('CREATE TABLE Dict(key BLOB UNIQUE, value BLOB UNIQUE)', 'not the key is unique'),
    ('CREATE TABLE Dict(key TEXT UNIQUE COLLATE NOCASE, value)', 'not the key is unique'),
    ('CREATE TABLE Dict(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID', 'without row numbers'),
    ('CREATE TABLE Dict(key BLOB UNIQUE NOT NULL, value BLOB CHECK (length(value) < 9))', 'a CHECK'),
    ('CREATE TABLE Dict(key BLOB UNIQUE, value AS (upper(key)))', 'other columns'),
    ('CREATE VIRTUAL TABLE Dict USING fts5(key, value)', 'a virtual table'),
])
def test_other_sqlite_databases_are_named(tmp_path, schema, what):
    path = tmp_path / 'other'
    run('sqlite3', path, schema)
    before = path.read_bytes()
    done = subprocess.run([os.environ['SHELVEFS'], '--check', str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    assert done.returncode == 3 and what in done.stderr, done.stderr
    assert path.read_bytes() == before


def test_triggers_do_not_run(mounter, tmp_path):
    path = tmp_path / 'shelf.sqlite'
    database = Database('sqlite', path).create([(b'a', b'1'), (b'b', b'2')])
    run('sqlite3', path, 'CREATE TRIGGER t AFTER INSERT ON Dict BEGIN DELETE FROM Dict; END')
    mount = mounter(path, 'codec=raw')
    mount.save('c', '3')
    assert database.keys() == {b'a', b'b', b'c'}
