# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are written: many new ones, each with fsync, and some of many again. Beside the floor, which discards them, and CPython's own engines."""
import os
import shutil
import subprocess
import sys
import tempfile

import budget
import commands
import data
import peers
from measure import Goal, Taken, interleaved

NEW, SYNCED, AGAIN, FEW, MANY = 10000, 300, 1000, 10000, 100000
SMALL = 10
SECONDS, PASSES = 30, 100  # of the new files: as in bench_read.py
COPY = "cp -r %s/. {d}"


def saves(place, peer, database, *arguments):
    """Runs saves.py through a mount of `database`, or on the database itself."""
    program = [sys.executable, "-B", os.path.join(peers.HERE, "saves.py")]
    if not peer:
        return Taken(float(subprocess.run([*program, database, *arguments], stdout=subprocess.PIPE, check=True).stdout), 0)
    with peer.mounted() as directory:
        before = peer.cpu()
        done = subprocess.run([*program, directory, *arguments], stdout=subprocess.PIPE, check=True)
        return Taken(float(done.stdout), peer.cpu() - before)


def on_copy(place, path, work):
    """`work` with the path of a fresh copy of a database."""
    folder = place.path("copy")
    shutil.copytree(os.path.dirname(path), folder)
    try:
        return work(os.path.join(folder, os.path.basename(path)))
    finally:
        shutil.rmtree(folder)


def no_sizes(place):
    """Of a directory without files."""
    path = place.path("nothing.sizes")
    open(path, "w").close()
    return path


def new_files(place, count, empty, runs):
    texts = data.write(place.folder, "source", "gdbm", data.Records(count))
    source = peers.Directory(place, texts)
    copy = COPY % source.path
    nothing = no_sizes(place)

    def into(path):
        return commands.cold(copy, peers.shelvefs(place, path), place.path("out"))

    turn = [("floor", lambda: commands.cold(copy, peers.discarding(place, nothing), place.path("out")), ())]
    turn += [(engine, lambda path=path: on_copy(place, path, into), (Goal("floor", 2),)) for engine, path in empty.items()]
    yield from interleaved("cp -r of %d new files" % count, turn, runs)


def synced(place, count, empty, nothing, runs):
    """Where the disk is fast, the requests alone take longer than CPython, which makes none: the floor tells."""
    for engine, path in empty.items():
        arguments = [str(count), "0", "new", engine]
        yield from interleaved("%d new, fsync each, %s" % (count, engine), [
            ("CPython", lambda: on_copy(place, path, lambda copy: saves(place, None, copy, *arguments)), ()),
            ("floor", lambda: saves(place, peers.discarding(place, nothing), None, *arguments), (Goal("CPython", 1.3),)),
            ("shelvefs", lambda: on_copy(place, path, lambda copy: saves(place, peers.shelvefs(place, copy), copy, *arguments)),
             (Goal("CPython", 1.3),))], runs)


def again(place, engine, count, databases, runs):
    few = min(databases)
    turn = []
    for of, path in databases.items():
        arguments = [str(count), str(of), "random"]
        turn.append(("of %d" % of, lambda path=path, arguments=arguments: on_copy(place, path, lambda copy: saves(
            place, peers.shelvefs(place, copy), copy, *arguments)), () if of == few else (Goal("of %d" % few, 1.25),)))
    yield from interleaved("%d random saves, %s" % (count, engine), turn, runs)


def rows(build, small):
    runs = 1 if small else 5
    new, few, many, times = (SMALL, SMALL, 2 * SMALL, SMALL) if small else (budget.affordable(build, NEW, SECONDS, PASSES), FEW, MANY, AGAIN)
    with peers.temporary(build) as place:
        empty = {engine: data.write(place.folder, "empty-" + engine, engine, data.Records(0)) for engine in data.engines(small)}
        yield from new_files(place, new, empty, runs)
        for engine in data.engines(small):
            databases = {of: data.write(place.folder, "%s-%d" % (engine, of), engine, data.Records(of)) for of in (few, many)}
            yield from again(place, engine, times, databases, runs)
    # This is about the disk.
    with peers.temporary(build, tempfile.gettempdir()) as place:
        empty = {engine: data.write(place.folder, "empty-" + engine, engine, data.Records(0)) for engine in data.engines(small)}
        yield from synced(place, SMALL if small else SYNCED, empty, no_sizes(place), runs)
