# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a database locked: a store that can't do something names the process that is in its way, and no bystander.

STORETOOL names the program that drives a store (tests/unit/storetool.c).
"""
import contextlib
import dbm.gnu
import os
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from storetool import TOOL, Store  # noqa: E402

SQLITE = "import sqlite3; db = sqlite3.connect(path, isolation_level=None); "
TABLE = ("CREATE TABLE IF NOT EXISTS Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL); "
         "REPLACE INTO Dict VALUES (x'61', x'31')")
WAL_READER = SQLITE + "db.execute('PRAGMA journal_mode = wal'); db.execute('BEGIN'); db.execute('SELECT * FROM Dict').fetchone()"
TDB = "import os, tdb; db = tdb.open(path, 0, %s, os.O_RDWR)"
# How another process has a database open, and whether that keeps writers out.
SITUATIONS = [
    pytest.param("gdbm", "import dbm.gnu; db = dbm.gnu.open(path, 'r')", True, id="gdbm-reader"),
    pytest.param("gdbm", "import fcntl; file = open(path, 'r+'); fcntl.lockf(file, fcntl.LOCK_EX)", False,
                 id="gdbm-other-lock"),
    pytest.param("ndbm", "import fcntl; file = open(path + '.db'); fcntl.flock(file, fcntl.LOCK_SH)", True, id="ndbm"),
    pytest.param("sqlite", SQLITE + "db.execute('PRAGMA journal_mode = wal'); db.execute('BEGIN IMMEDIATE')", True,
                 id="sqlite-wal-writer"),
    pytest.param("sqlite", WAL_READER, False, id="sqlite-wal-reader"),
    pytest.param("sqlite", SQLITE + "db.execute('BEGIN IMMEDIATE')", True, id="sqlite-writer"),
    pytest.param("sqlite", SQLITE + "db.execute('BEGIN'); db.execute('SELECT * FROM Dict').fetchone()", True,
                 id="sqlite-reader"),
    pytest.param("tdb", TDB % "0" + "; db.transaction_start()", True, id="tdb-transaction"),
    pytest.param("tdb", TDB % "1", False, id="tdb-open"),
]


@contextlib.contextmanager
def another(script, path):
    """Another process that has done this with the database, and keeps it so."""
    words = [sys.executable, "-c", "import sys; path = sys.argv[1]; " + script + "; print('done', flush=True); sys.stdin.read()", path]
    with subprocess.Popen([*map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"done\n"
        yield process
        process.communicate()


def create(engine, path):
    if engine == "sqlite":  # in the rollback mode that a program chose
        subprocess.run([sys.executable, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])",
                        str(path), TABLE], check=True)
    elif engine == "gdbm":
        dbm.gnu.open(str(path), "n").close()
    else:
        with Store(engine, path, "-c") as store:
            store.ask("put", b"a", b"1")


def bystander(engine, script):
    """What another process does that is in nobody's way."""
    if engine == "tdb":
        return TDB % "1"
    if "wal" in script:
        return WAL_READER
    return "file = open(path + ('.db' if %r == 'ndbm' else ''))" % engine


@pytest.mark.parametrize("engine, script, excludes", SITUATIONS)
def test_who_is_in_the_way(tmp_path, engine, script, excludes):
    path = tmp_path / "db"
    create(engine, path)
    with another(bystander(engine, script), path), another(script, path) as process, \
            Store(engine, path, "-w") as store:
        if excludes:
            with pytest.raises(OSError) as error:
                store.ask("put", b"b", b"2")
            assert error.value.errno == 16
            told = error.value.strerror
            assert re.fullmatch(r"it is locked by process %d \(python[0-9.]*\)" % process.pid, told), told
            process.communicate()
        store.ask("put", b"b", b"2")


@pytest.mark.parametrize("engine, script", [
    pytest.param("gdbm", "import dbm.gnu; db = dbm.gnu.open(path, 'w')", id="gdbm"),
    pytest.param("sqlite", SQLITE + "db.execute('BEGIN EXCLUSIVE')", id="sqlite")])
def test_who_keeps_it_from_opening(tmp_path, engine, script):
    path = tmp_path / "db"
    create(engine, path)
    with another(script, path) as process:
        done = subprocess.run([TOOL, "-w", engine, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        assert done.returncode == 1 and done.stdout.startswith(b"error 16 ")
        assert b" is locked by process %d (python" % process.pid in done.stdout, done.stdout


def test_many_readers(tmp_path):
    """Three of them are named."""
    path = tmp_path / "db"
    create("gdbm", path)
    with contextlib.ExitStack() as stack:
        readers = {stack.enter_context(another("import dbm.gnu; db = dbm.gnu.open(path, 'r')", path)).pid
                   for _ in range(4)}
        store = stack.enter_context(Store("gdbm", path, "-w"))
        with pytest.raises(OSError) as error:
            store.ask("put", b"b", b"2")
    told = error.value.strerror
    assert set(map(int, re.findall(r"process (\d+)", told))) < readers and told.count("process") == 3
    assert told.endswith(" and 1 more")
