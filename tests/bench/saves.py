# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes one record after the other, and prints the seconds that took: through a mount as files, or into a database by CPython's own engine.

    saves.py DIRECTORY|DATABASE COUNT OF new|random [ENGINE]     with ENGINE: each is on the disk before the next one
"""
import dbm.dumb
import dbm.gnu
import os
import pickle
import random
import sqlite3
import sys
import time

import data


def file_saver(directory, synced):
    def save(key, value):
        with open(os.path.join(directory, key), "w") as file:
            file.write(repr(value))
            if synced:
                file.flush()
                os.fsync(file.fileno())
    return save


def gdbm_saver(path):
    database = dbm.gnu.open(path, "c")

    def save(key, value):
        database[key] = pickle.dumps(value, 4)
        database.sync()
    return save


def tdb_saver(path):
    database = data.tdb.open(path)

    def save(key, value):
        database.transaction_start()
        database.store(key.encode(), pickle.dumps(value, 4))
        database.transaction_commit()
    return save


def sqlite_saver(path):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA synchronous = full")

    def save(key, value):
        database.execute("REPLACE INTO Dict VALUES (?, ?)", (key.encode(), pickle.dumps(value, 4)))
    return save


def dumb_saver(path):
    database = dbm.dumb.open(path, "c")
    files = [os.open(path + suffix, os.O_RDWR) for suffix in (".dat", ".dir")]

    def save(key, value):
        database[key] = pickle.dumps(value, 4)
        for file in files:
            os.fsync(file)
    return save


SAVERS = {"gdbm": gdbm_saver, "tdb": tdb_saver, "sqlite": sqlite_saver, "dumb": dumb_saver}


def main(target, count, of, which, engine=None):
    rng = random.Random(2)
    if os.path.isdir(target):
        save = file_saver(target, synced=engine)
    else:
        save = SAVERS[engine](target)
    numbers = range(int(of), int(of) + int(count)) if which == "new" else [rng.randrange(int(of)) for _ in range(int(count))]
    keys = [data.key(number).decode() for number in numbers]
    values = [data.record(number, rng) for number in numbers]
    start = time.perf_counter()
    for key, value in zip(keys, values):
        save(key, value)
    print(time.perf_counter() - start)


main(*sys.argv[1:])
