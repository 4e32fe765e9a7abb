# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines' own programs: what they wrote is read here, and their dumps say what .shelvefs/raw/ holds."""

import os
import re
import subprocess

import pytest

from mounting import Database, file_name

KEYS = [b'plain', b'two words', b'nul\0inside', b'\xff\x80', b'quote"d', b'a/b', b'back\\slash']


def run(*command, given=b''):
    return subprocess.run(list(map(str, command)), input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True).stdout


def unescape(text):
    return re.sub(rb'\\([0-9A-Fa-f]{2})', lambda match: bytes([int(match.group(1), 16)]), text)


def tdbdump(path):
    """tdbdump shows printable bytes as themselves and all others as \\XX."""
    found = re.findall(rb'^key\(\d+\) = "(.*)"\ndata\(\d+\) = "(.*)"$', run('tdbdump', path), re.MULTILINE)
    return {unescape(key): unescape(value) for key, value in found}


def sqlite_dump(path):
    found = re.findall(rb"INSERT INTO Dict VALUES\(X'([0-9a-f]*)',X'([0-9a-f]*)'\)", run('sqlite3', path, '.dump'))
    return {bytes.fromhex(key.decode()): bytes.fromhex(value.decode()) for key, value in found}


DUMPS = {'tdb': tdbdump, 'sqlite': sqlite_dump}


def raw(mount):
    folder = os.fsencode(mount / '.shelvefs/raw')
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), 'rb') as file:
            found[name] = file.read()
    return found


@pytest.mark.parametrize('engine', sorted(DUMPS), indirect=True)
def test_dump_agrees_with_raw(mount, database):
    with database.opened(write=True) as store:
        for key in KEYS:
            store[key] = key * 3 + b'\0\xff"\\'
    mount.save('saved', "{'by': 'us'}\n")
    dumped = DUMPS[database.engine](database.path)
    assert len(dumped) == len(database.values) + len(KEYS) + 1
    assert raw(mount) == {file_name(key): value for key, value in dumped.items()}


def test_what_tdbtool_wrote(mounter, tmp_path):
    path = tmp_path / 'tool'
    run('tdbtool', given=b'create %s\ninsert one first\ninsert two second\nstore one third\ndelete two\nquit\n'
        % os.fsencode(path))
    mount = mounter(path, 'codec=raw')
    assert raw(mount) == {b'one': b'third'}
    mount.save('three', 'fourth')
    assert tdbdump(path) == {b'one': b'third', b'three': b'fourth'}


def test_what_sqlite3_wrote(mounter, tmp_path):
    """With WAL or without, in UTF-16, with a page of another size: CPython opens each."""
    for number, pragmas in enumerate(['journal_mode=delete', 'encoding="UTF-16"', 'page_size=512', 'auto_vacuum=full']):
        path = tmp_path / ('written %d' % number)
        run('sqlite3', path, 'PRAGMA %s; CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL); '
            "INSERT INTO Dict VALUES (X'6F6E65', X'3100'), (X'74776F', 'text')" % pragmas)
        mount = mounter(path, 'codec=raw')
        assert raw(mount) == {b'one': b'1\0', b'two': b'text'}
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
