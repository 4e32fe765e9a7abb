# SPDX-License-Identifier: GPL-3.0-or-later
"""Very large databases: how long it takes until one is mounted, and until the first name of its listing is there, beside CPython's own engines; and what
the daemon holds after mounting, after everything was listed and forgotten again, and while it serves one large value."""
import json
import os
import subprocess
import sys
import time

import data
import peers
from measure import Goal, Most, Row, median

RECORDS, SMALL = 1000000, 500
MOUNT_SECONDS = 0.02
MIB = 1024  # kibibytes
MOUNTED = {"gdbm": 16 * MIB, "tdb": 16 * MIB, "sqlite": 16 * MIB}
DUMB_BYTES = 120  # a key
LEFT = 32 * MIB
LARGE, SMALL_LARGE = 1 << 30, 1 << 20
OF_LARGE = 2.2

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
    """Mounting and the first name, each in turn with CPython, which opens it and lists all keys."""
    mounted, named, opened, listed = [], [], [], []
    for _ in range(runs):
        mounted.append(mount(place, path))
        named.append(first_name(place, path))
        for taken, seconds in zip((opened, listed), cpython(engine, path)):
            taken.append(seconds)
    what = "mount %d keys, %s" % (count, engine)
    if engine == "dumb":
        yield Row(what, "dbm.dumb.open", opened)
        yield Row(what, "shelvefs", mounted, goals=(Goal("dbm.dumb.open", 20, faster=True),))
    else:
        yield Row(what, "shelvefs", mounted, goals=(Goal(MOUNT_SECONDS, 1),))
    what = "first of %d names, %s" % (count, engine)
    yield Row(what, "CPython, all keys", listed)
    yield Row(what, "shelvefs", named, goals=(Goal(median(listed) / 5 + 0.1, 1),))


def mounted_most(engine, count):
    return MOUNTED.get(engine, 4 * MIB + count * DUMB_BYTES // 1024)


def forget_inodes():
    """Whether the kernel could be made to."""
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("2\n")
    except OSError:
        return False
    return True


def listed(place, engine, path, count, small):
    peer = peers.shelvefs(place, path)
    start = time.perf_counter()
    with peer.mounted() as directory:
        before = peer.memory("VmRSS:")
        yield Row("memory of %d keys" % count, engine, [time.perf_counter() - start], memory=before, goals=(Most(mounted_most(engine, count)),))
        start = time.perf_counter()
        subprocess.run(["ls", "-lR", directory], stdout=subprocess.DEVNULL, check=True)
        taken = time.perf_counter() - start
        yield Row("and after ls -lR", engine, [taken], memory=peer.memory("VmRSS:"))
        if not small and forget_inodes():
            # The kernel tells of what it forgot when it comes to it.
            deadline = time.monotonic() + 20
            while peer.memory("VmRSS:") > before + LEFT and time.monotonic() < deadline:
                time.sleep(0.1)
            yield Row("and when it is forgotten", engine, [taken], memory=peer.memory("VmRSS:"), goals=(Most(before + LEFT),))


def large(place, size):
    path = data.write(place.folder, "large", "dumb", data.Blobs(1, size))
    peer = peers.shelvefs(place, path, "max_value=%d" % (2 * size))
    with peer.mounted() as directory:
        start = time.perf_counter()
        subprocess.run(["cat", os.path.join(directory, data.key(0).decode())], stdout=subprocess.DEVNULL, check=True)
        taken = time.perf_counter() - start
        most = OF_LARGE * size / 1024 + 16 * MIB
        yield Row("one value of %d MiB" % (size >> 20), "dumb", [taken], size, peer.memory("VmHWM:"), (Most(most),))


def rows(build, small):
    count, runs = (SMALL, 1) if small else (RECORDS, 5)
    records = data.Records(count)
    for engine in data.engines(small):
        with peers.temporary(build) as place:
            path = data.write(place.folder, "all", engine, records)
            yield from opening(place, engine, path, count, runs)
            yield from listed(place, engine, path, count, small)
    with peers.temporary(build) as place:
        yield from large(place, SMALL_LARGE if small else LARGE)
