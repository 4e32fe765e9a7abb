# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything is read, right after mounting, in the ways of a user: beside the floor of FUSE, the files themselves, and what one would write instead.

SHELVEFS_BENCH_RECORDS=100000 takes so many records, however long that takes here.
"""
import os
import sys

import budget
import commands
import data
import peers
from measure import Goal, interleaved

RECORDS, SMALL = 100000, 100
SECONDS, PASSES = 150, 300  # all rows together take as long as so many passes of find over the floor
OF_FLOOR = {"gdbm": 1.2, "tdb": 1.2, "sqlite": 1.5, "dumb": 1.5}
READ_ONLY = ["tar c", "grep -r", "rsync -a"]
NAIVE = {"ls -l": 10, "tar c": 8}
FEWER = 10  # the naive mount gets that many times fewer records, or it would take all the time there is


def works(place, command, peer, *goals):
    return peer.who, lambda: commands.cold(command, peer, place.path("out")), goals


def script(place, database):
    command = "mkdir {out} && %s %s out {d} {out}" % (sys.executable, os.path.join(peers.HERE, "dump.py"))
    return "script", lambda: commands.timed(command, database, place.path("out")), ()


def writable(place, command, databases):
    for engine, path in databases.items():
        yield works(place, command, peers.shelvefs(place, path), Goal("floor", OF_FLOOR[engine]))


def read_only(place, command, databases, *more):
    for path in databases.values():
        yield works(place, command, peers.shelvefs(place, path, "ro"), Goal("floor", 3, faster=True), Goal("tmpfs", 3), *more)


def rows(build, small):
    count, runs = (SMALL, 1) if small else (int(os.environ.get("SHELVEFS_BENCH_RECORDS") or budget.affordable(build, RECORDS, SECONDS, PASSES)), 5)
    with peers.with_disk(build) as place:
        records = data.Records(count)
        databases = {engine: data.write(place.disk, "all", engine, records) for engine in data.engines(small)}
        floor = peers.floor(place, databases["gdbm"])
        tmpfs = peers.Directory(place, databases["gdbm"])
        for name, command in commands.READING.items():
            turn = [works(place, command, floor), works(place, command, tmpfs), *writable(place, command, databases)]
            if name == "tar c":
                turn.insert(0, script(place, databases["gdbm"]))
            if name in READ_ONLY:
                turn += read_only(place, command, databases, *([Goal("script", 1)] if name == "tar c" else []))
            yield from interleaved("%s, cold, %d keys" % (name, count), turn, runs)
        copy = commands.READING["cp -r"]
        yield from interleaved("dump by cp -r", [script(place, databases["gdbm"])] + [
            works(place, copy, peers.shelvefs(place, databases["gdbm"], *options), Goal("script", 2)) for options in [(), ("ro",)]], runs)
        few = data.write(place.disk, "few", "gdbm", data.Records(count // FEWER))
        for name, times in NAIVE.items():
            yield from interleaved("%s, cold, 1/%d records" % (name, FEWER), [
                works(place, commands.READING[name], peers.naive(place, few)),
                *[works(place, commands.READING[name], peers.shelvefs(place, few, *options), Goal("naive fusepy", times, faster=True))
                  for options in [(), ("ro",)]]], runs)
