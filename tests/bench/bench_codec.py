# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as text and back, in one process, beside CPython with the same values.

Decoding is what `cat` causes: codec_render(), against repr(pickle.loads(value)). Encoding is what a save into a new key causes:
codec_accept(), against pickle.dumps(ast.literal_eval(text)). Times are processor time of the process, memory is what it
takes beyond the loaded input.
"""
import ast
import os
import pickle
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from pythons import python  # noqa: E402
from measure import RUNS, Peer, in_turns  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = 4
CHECKED = 1000  # values of which the two results are compared, in a small run: CPython reads texts slowly


def record(number, rng):
    """About 230 bytes as a pickle of protocol 4."""
    return {
        "id": number,
        "name": "user%06d" % number,
        "active": number % 3 != 0,
        "balance": round(rng.uniform(0, 10000), 2),
        "score": rng.random(),
        "tags": rng.sample(["red", "green", "blue", "large", "small", "new"], 3),
        "address": {"city": "Springfield", "zip": "%05d" % rng.randrange(100000), "lat": round(rng.uniform(-90, 90), 6),
                    "lon": round(rng.uniform(-180, 180), 6)},
        "visits": [rng.randrange(100000) for _ in range(4)],
        "note": None,
    }


def records(rng, small):
    return [record(number, rng) for number in range(200 if small else 20000)]


def nested(rng, small):
    """One value: groups of records, 10 MB as a literal. CPython's parser takes a hundred times that to read it."""
    groups = 2 if small else 34
    return [{"groups": [{"name": "group %d" % group, "members": {"member %d" % member: record(member, rng)
                                                                  for member in range(10 if small else 1000)}}
                        for group in range(groups)]}]


def floats(rng, small):
    """One list: half of them with all their digits, half as a person writes them."""
    return [[rng.random() if place % 2 else round(rng.uniform(-1000, 1000), 3) for place in range(1000 if small else 200000)]]


CASES = [("20,000 records", records), ("one nested value", nested), ("200,000 floats", floats)]


def write_values(path, values):
    with open(path, "wb") as file:
        for value in values:
            file.write(len(value).to_bytes(8, "little") + value)


def read_values(path, most):
    with open(path, "rb") as file:
        while most:
            size = file.read(8)
            if not size:
                return
            yield file.read(int.from_bytes(size, "little"))
            most -= 1


def same(work, ours, theirs):
    if work == "decode":
        return ast.literal_eval(ours.decode()) == ast.literal_eval(theirs.decode())
    return pickle.loads(ours) == pickle.loads(theirs)


def compare(what, work, peers, folder):
    """Whether both give the same values."""
    paths = [os.path.join(folder, "result%d" % place) for place in range(len(peers))]
    for peer, path in zip(peers, paths):
        peer.ask("%s %s" % (work, path))
    for theirs, ours in zip(*[read_values(path, CHECKED) for path in paths]):
        if not same(work, ours, theirs):
            raise SystemExit("%s: %s differs from CPython's" % (what, work))
    for path in paths:
        os.unlink(path)


def measure(name, work, values, build, interpreter, small):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "values")
        write_values(path, values)
        version = "CPython %s" % os.path.basename(os.path.dirname(os.path.dirname(interpreter)))[:4]
        peers = [Peer(version, [interpreter, os.path.join(HERE, "codec_peer.py"), path]),
                 Peer("shelvefs", [os.path.join(build, "codec_peer"), path])]
        yield from in_turns("%s, %s" % (name, work), peers, work, TARGET, 1 if small else RUNS)
        if small:
            compare(name, work, peers, folder)
        for peer in peers:
            peer.close()


def rows(build, small):
    interpreter = python(3, 13) or sys.executable
    for name, make in CASES:
        made = make(random.Random(1), small)
        yield from measure(name, "decode", [pickle.dumps(value, 4) for value in made], build, interpreter, small)
        yield from measure(name, "encode", [repr(value).encode() for value in made], build, interpreter, small)
        del made
