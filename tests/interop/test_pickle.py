# SPDX-License-Identifier: GPL-3.0-or-later
"""The pickle codec against every CPython of the machine.

What the C pickler of 3.7 and later wrote must come out of decoding and encoding byte for byte; what older ones wrote,
and comes out otherwise, must load alike in the Python that wrote it. PICKLE_GRAPHS is the number of random graphs a version (500).

Through text all of it must load alike, and be the same instructions but for which equal strings are one object, which text doesn't
tell. What is stored then 3.8 and later write again. PICKLE_TEXTS is the number of random graphs a version for that (60).
"""
import collections
import os
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from codec import TOOL as CODEC, Codec  # noqa: E402
from pythons import pythons  # noqa: E402

TOOL = os.environ.get("PICKLETOOL")
THROUGH_TEXT = int(os.environ.get("PICKLE_TEXTS", "60"))
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
    # The order in which sets are walked.
    environment = dict(os.environ, PYTHONHASHSEED="0")
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True, env=environment).stdout


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


REWRITING = [(version, path) for version, path in pythons() if version >= (3, 8)]


@pytest.mark.parametrize("version, path", REWRITING, ids=names(REWRITING))
@pytest.mark.skipif(not CODEC, reason="CODECTOOL does not name the test program")
def test_through_text(version, path):
    """What text makes of it is the same, and the Python that wrote the first writes the second again."""
    pickles = [pickle for pickle, in sized(run([path, "-W", "ignore", SCRIPT, "make", str(SEED), str(THROUGH_TEXT)]))]
    pairs = []
    with Codec() as codec:
        for pickle in pickles:
            text = codec.show(pickle)
            assert codec.over(text) == pickle
            pairs += [pickle, codec.save(text)]
            assert codec.show(pairs[-1]) == text
    data = b"".join(struct.pack("<I", len(pickle)) + pickle for pickle in pairs)
    verdicts = run([path, "-W", "ignore", SCRIPT, "rewrite"], data).decode().splitlines()
    assert len(verdicts) == len(pickles)
    counts = collections.Counter(verdicts)
    print("\n%s: %s" % (".".join(map(str, version)), dict(counts.most_common())))
    wrong = [pickles[index] for index, verdict in enumerate(verdicts)
             if "different" in verdict or verdict in ("unlike,", "fails,loads")]
    assert not wrong, wrong[0][:2000]
    assert sum(count for verdict, count in counts.items() if verdict.endswith("identical")) * 3 > len(pickles)
    assert sum(count for verdict, count in counts.items() if verdict.startswith("identical")) * 2 > len(pickles)
