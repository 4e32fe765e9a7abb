# SPDX-License-Identifier: GPL-3.0-or-later
"""The pickle codec against every CPython of the machine.

What the C pickler of 3.7 and later wrote must come out of decoding and encoding byte for byte; what older ones wrote,
and comes out otherwise, must load alike in the Python that wrote it. PICKLE_GRAPHS is the number of random graphs a version (500).
"""
import os
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pythons import pythons  # noqa: E402

TOOL = os.environ.get("PICKLETOOL")
GRAPHS = int(os.environ.get("PICKLE_GRAPHS", "500"))
SEED = int(os.environ.get("PICKLE_SEED", "1"))
PORTION = 1000
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pickle_graphs.py")

pytestmark = pytest.mark.skipif(not TOOL, reason="PICKLETOOL does not name the test program")


def names(found):
    return [".".join(map(str, version)) for version, _ in found]


IDENTICAL = [(version, path) for version, path in pythons() if version >= (3, 7)]
ALIKE = [(version, path) for version, path in pythons() if version < (3, 7)]


def run(command, data=b""):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def portions():
    for start in range(0, GRAPHS, PORTION):
        yield SEED + start, min(PORTION, GRAPHS - start)


def sized(data, header="<I"):
    """The records of a stream, each after its header, whose last field is its size."""
    at = 0
    while at < len(data):
        fields = struct.unpack_from(header, data, at)
        at += struct.calcsize(header)
        yield fields[:-1] + (data[at:at + fields[-1]],)
        at += fields[-1]


def round_trips(path, seed, count):
    """(status, what Python wrote, what we wrote) for random graphs."""
    made = run([path, "-W", "ignore", SCRIPT, "make", str(seed), str(count)])
    answers = list(sized(run([TOOL], made), "<cI"))
    pickles = [pickle for pickle, in sized(made)]
    assert len(answers) == len(pickles)
    return [(status, pickle, again) for pickle, (status, again) in zip(pickles, answers)]


@pytest.mark.parametrize("version, path", IDENTICAL, ids=names(IDENTICAL))
def test_identical(version, path):
    total = 0
    for seed, count in portions():
        for status, pickle, again in round_trips(path, seed, count):
            assert status != b"!", (again, pickle[:2000])
            assert again == pickle, (seed, pickle[:2000], again[:2000])
            assert status == b"=", (seed, pickle[:2000])
            total += 1
    assert total >= GRAPHS * 3
    print("%d pickles" % total)


@pytest.mark.parametrize("version, path", ALIKE, ids=names(ALIKE))
def test_alike(version, path):
    total = unfaithful = 0
    for seed, count in portions():
        pairs = []
        for status, pickle, again in round_trips(path, seed, count):
            assert status != b"!", (again, pickle[:2000])
            # What would be shown as asm(...) is never re-encoded from its graph.
            unfaithful += status == b"~"
            if status == b"=" and pickle != again:
                pairs += [pickle, again]
            total += 1
        data = b"".join(struct.pack("<I", len(pickle)) + pickle for pickle in pairs)
        wrong, compared = map(int, run([path, "-W", "ignore", SCRIPT, "compare"], data).split())
        assert wrong == 0
        assert compared == len(pairs) // 2
    assert total >= GRAPHS
    assert unfaithful * 100 < total
    print("%d pickles, %d unfaithful" % (total, unfaithful))
