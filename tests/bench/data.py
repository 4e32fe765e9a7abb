# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases to measure with: the same keys and values on each engine, written as fast as its format allows.

A key is "user" and seven digits, which nullfs.c counts on; a value is a pickle of protocol 4. Records repeat after DISTINCT ones, which no cache here
can tell, for all of them go by key.
"""
import dbm.gnu
import os
import pickle
import random
import sqlite3

import tdb

from bench_codec import record

DISTINCT = 100000
BLOCK = 512  # dbm.dumb's
ENGINES = ["gdbm", "tdb", "sqlite", "dumb"]


def engines(small):
    """A small run only has to show that each benchmark works."""
    return ["gdbm", "dumb"] if small else ENGINES


def key(number):
    return b"user%07d" % number


class Records:
    """About 230 bytes each."""

    def __init__(self, count):
        rng = random.Random(1)
        self.count = count
        self.values = [pickle.dumps(record(number, rng), 4) for number in range(min(count, DISTINCT))]

    def items(self):
        for number in range(self.count):
            yield key(number), self.values[number % DISTINCT]


class Blobs:
    """Few large ones: texts of ten million bytes, or smaller ones."""

    def __init__(self, count, size=10000000):
        self.count = count
        line = "".join(chr(ord("a") + place % 26) for place in range(79)) + "\n"
        self.text = (line * (size // len(line) + 1))[:size]

    def items(self):
        for number in range(self.count):
            yield key(number), pickle.dumps("%d %s" % (number, self.text), 4)


def write_gdbm(path, data):
    with dbm.gnu.open(path, "nf") as database:
        for name, value in data.items():
            database[name] = value


def write_tdb(path, data):
    # The library's 131 chains would make a million records a measurement of lists.
    database = tdb.Tdb(path, hash_size=max(data.count, 131), tdb_flags=tdb.NOSYNC, flags=os.O_CREAT | os.O_RDWR)
    database.transaction_start()
    for name, value in data.items():
        database.store(name, value)
    database.transaction_prepare_commit()
    database.transaction_commit()
    database.close()


def write_sqlite(path, data):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = wal")
    database.execute("CREATE TABLE Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)")
    database.execute("BEGIN")
    database.executemany("INSERT INTO Dict VALUES (?, ?)", data.items())
    database.execute("COMMIT")
    database.close()


def write_dumb(path, data):
    """What dbm.dumb leaves after as many stores, without opening two files for each."""
    position = 0
    with open(path + ".dat", "wb") as values, open(path + ".dir", "w", encoding="latin-1") as index:
        for name, value in data.items():
            index.write("%r, %r\n" % (name.decode(), (position, len(value))))
            padding = -len(value) % BLOCK
            values.write(value + b"\0" * padding)
            position += len(value) + padding


WRITERS = {"gdbm": write_gdbm, "tdb": write_tdb, "sqlite": write_sqlite, "dumb": write_dumb}


def write(folder, name, engine, data):
    """The path to mount, in a folder of its own, for a database may be several files."""
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    path = os.path.join(folder, name, "db." + engine)
    WRITERS[engine](path, data)
    return path
