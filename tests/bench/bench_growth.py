# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the time for each key stays the same in larger databases, and whether several readers gain from several processors.

SHELVEFS_BENCH_GROWTH=1000000 compares with so many records, on each engine, which takes half an hour.
"""
import os

import budget
import commands
import data
import peers
from measure import Goal, Row, Taken, interleaved, median

TIMES, MANY, SMALL, SIZE = 10, 100000, 50, 230
SECONDS, PASSES = 70, 75  # as in bench_read.py
GROWTH = 1.25
READERS = "cd {d} && find . -type f | xargs -P%d -n500 cat >/dev/null"


def same_sizes(place, count):
    """What the kernel itself takes for more files is to be known too."""
    path = place.path("%d.sizes" % count)
    with open(path, "w") as file:
        file.write("%d\n" % SIZE * count)
    return path


def for_each(taken, count):
    return [1e6 * seconds / count for seconds in taken]


def grow(place, name, who, mounts, runs):
    """Rows in microseconds for each key; `mounts`: by the number of keys."""
    taken = {count: [] for count in mounts}
    for _ in range(runs):
        for count, peer in mounts.items():
            taken[count].append(commands.cold(commands.READING[name], peer, place.path("out")))
    what = "%s, %s, us a key" % (name, who)
    few = min(mounts)
    for count in mounts:
        yield Row(what, "%d keys" % count, for_each([one.seconds for one in taken[count]], count),
                  cpu=for_each([one.cpu for one in taken[count]], count),
                  goals=() if count == few else (Goal("%d keys" % few, GROWTH),))


def readers(place, path, runs):
    peer = peers.shelvefs(place, path)
    return interleaved("xargs cat", [
        ("one reader", lambda: commands.cold(READERS % 1, peer, place.path("out")), ()),
        ("four readers", lambda: commands.cold(READERS % 4, peer, place.path("out")), (Goal("one reader", 1.5, faster=True),))], runs)


def rows(build, small):
    asked = int(os.environ.get("SHELVEFS_BENCH_GROWTH", 0))
    most = SMALL * TIMES if small else asked or budget.affordable(build, MANY, SECONDS, PASSES)
    counts, runs = (10000 if asked else most // TIMES, most), 1 if small or asked else 5
    names = list(commands.READING) if asked else ["find -size", "tar c"]
    with peers.temporary(build) as place:
        floors = {count: peers.discarding(place, same_sizes(place, count)) for count in counts}
        for name in names:
            yield from grow(place, name, "floor", floors, runs)
    for engine in data.engines(small):
        with peers.temporary(build) as place:
            databases = {count: data.write(place.folder, str(count), engine, data.Records(count)) for count in counts}
            mounts = {count: peers.shelvefs(place, path) for count, path in databases.items()}
            for name in names:
                yield from grow(place, name, engine, mounts, runs)
            if engine == ("gdbm" if small else "tdb"):
                yield from readers(place, databases[counts[0]], runs)
