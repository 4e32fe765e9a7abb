# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the time for each key stays the same in larger databases, and whether several readers gain from several processors.

SHELVEFS_BENCH_GROWTH=1000000 compares with so many records, on each engine, which takes half an hour.
"""
import os

import commands
import data
import peers
from measure import Goal, Row, Taken, interleaved, median

FEW, MANY, SMALL = 10000, 100000, 50
GROWTH = 1.25
READERS = "cd {d} && find . -type f | xargs -P%d -n500 cat >/dev/null"


def for_each(taken, count):
    return [1e6 * seconds / count for seconds in taken]


def grow(place, name, engine, databases, runs):
    """Rows in microseconds for each key."""
    taken = {count: [] for count in databases}
    for _ in range(runs):
        for count, path in databases.items():
            taken[count].append(commands.cold(commands.READING[name], peers.shelvefs(place, path), place.path("out")))
    what = "%s, %s, us a key" % (name, engine)
    few = min(databases)
    for count in databases:
        yield Row(what, "%d keys" % count, for_each([one.seconds for one in taken[count]], count),
                  cpu=for_each([one.cpu for one in taken[count]], count),
                  goals=() if count == few else (Goal("%d keys" % few, GROWTH),))


def readers(place, path, runs):
    peer = peers.shelvefs(place, path)
    return interleaved("xargs cat", [
        ("one reader", lambda: commands.cold(READERS % 1, peer, place.path("out")), ()),
        ("four readers", lambda: commands.cold(READERS % 4, peer, place.path("out")), (Goal("one reader", 1.5, faster=True),))], runs)


def rows(build, small):
    most = int(os.environ.get("SHELVEFS_BENCH_GROWTH", MANY))
    counts, runs = ((SMALL, 4 * SMALL), 1) if small else ((FEW, most), 5 if most == MANY else 1)
    names = ["find -size", "tar c"] if most == MANY else list(commands.READING)
    for engine in data.engines(small):
        with peers.temporary(build) as place:
            databases = {count: data.write(place.folder, str(count), engine, data.Records(count)) for count in counts}
            for name in names:
                yield from grow(place, name, engine, databases, runs)
            if engine == ("gdbm" if small else "tdb"):
                yield from readers(place, databases[counts[0]], runs)
