# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes until a database is mounted, and until the first name of its listing is there: beside CPython's own engines."""
import json
import os
import subprocess
import sys
import time

import data
import peers
from measure import Goal, Row, Taken, interleaved, median

RECORDS, SMALL = 1000000, 500
MOUNT_SECONDS = 0.02

# Prints the seconds that opening took, and those for all keys.
CPYTHON = """
import dbm.dumb, dbm.gnu, json, sqlite3, sys, time
import tdb
engine, path = sys.argv[1:]
start = time.perf_counter()
if engine == 'dumb':
    database = dbm.dumb.open(path, 'r')
elif engine == 'gdbm':
    database = dbm.gnu.open(path, 'r')
elif engine == 'tdb':
    database = tdb.open(path)
else:
    database = sqlite3.connect(path)
opened = time.perf_counter()
keys = [row[0] for row in database.execute('SELECT key FROM Dict')] if engine == 'sqlite' else list(database.keys())
print(json.dumps([opened - start, time.perf_counter() - opened]))
"""


def cpython(engine, path):
    done = subprocess.run([sys.executable, "-c", CPYTHON, engine, path], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def mount(place, path):
    """The seconds until the program that a user started returns."""
    mountpoint = place.mountpoint()
    ended, write = os.pipe()
    start = time.perf_counter()
    subprocess.run([os.path.join(place.build, "shelvefs"), path, mountpoint], stdout=subprocess.DEVNULL, pass_fds=[write], check=True)
    taken = time.perf_counter() - start
    os.close(write)
    subprocess.run(["fusermount3", "-u", mountpoint], check=True)
    os.read(ended, 1)  # returns when the daemon, which has the other end, is gone
    os.close(ended)
    return taken


def first_name(place, path):
    with peers.shelvefs(place, path).mounted() as directory:
        start = time.perf_counter()
        next(os.scandir(directory))
        return time.perf_counter() - start


def opening(place, engine, path, count, runs):
    what = "mount %d keys, %s" % (count, engine)
    ours = lambda: Taken(mount(place, path), 0)  # noqa: E731
    if engine == "dumb":
        theirs = lambda: Taken(cpython(engine, path)[0], 0)  # noqa: E731
        return interleaved(what, [("dbm.dumb.open", theirs, ()), ("shelvefs", ours, (Goal("dbm.dumb.open", 20, faster=True),))], runs)
    return interleaved(what, [("shelvefs", ours, (Goal(MOUNT_SECONDS, 1),))], runs)


def listing(place, engine, path, count, runs):
    what = "first of %d names, %s" % (count, engine)
    theirs, ours = [], []
    for _ in range(runs):
        theirs.append(cpython(engine, path)[1])
        ours.append(first_name(place, path))
    yield Row(what, "CPython, all keys", theirs)
    yield Row(what, "shelvefs", ours, goals=(Goal(median(theirs) / 5 + 0.1, 1),))


def rows(build, small):
    count, runs = (SMALL, 1) if small else (RECORDS, 5)
    records = data.Records(count)
    for engine in data.engines(small):
        with peers.temporary(build) as place:
            path = data.write(place.folder, "all", engine, records)
            yield from opening(place, engine, path, count, runs)
            yield from listing(place, engine, path, count, runs)
