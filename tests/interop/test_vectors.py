# SPDX-License-Identifier: GPL-3.0-or-later
"""CPython's own test vectors: the bytes literals of its tests of pickle and marshal, as each installed CPython has them.

Each goes through its text into an empty database. It must load alike in the CPython that it came from, or be shown as "# raw"
where that CPython refuses it for its form; and where only its content is refused (a class that isn't there), fail alike.
"""
import collections
import os
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from codec import TOOL, Codec  # noqa: E402
from pythons import pythons  # noqa: E402

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors.py")
PICKLE_TESTS = ("pickletester", "picklecommon", "test_pickle", "test_pickletools")

pytestmark = pytest.mark.skipif(not TOOL, reason="CODECTOOL does not name the test program")
each_python = pytest.mark.parametrize("version, path", pythons(),
                                      ids=[".".join(map(str, version)) for version, _ in pythons()])


def run(path, arguments, data=b""):
    done = subprocess.run([path, "-W", "ignore", SCRIPT] + list(arguments), input=data, stdout=subprocess.PIPE, timeout=120,
                          stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def literals(path, names):
    has_tests = subprocess.run([path, "-c", "import test.pickletester, test.test_marshal"], stderr=subprocess.PIPE)
    if has_tests.returncode:
        pytest.skip("%s has no test package: %s" % (path, has_tests.stderr.decode().strip().split("\n")[-1]))
    data = run(path, ["extract"] + list(names))
    found, at = [], 0
    while at < len(data):
        size, = struct.unpack_from("<I", data, at)
        found.append(data[at + 4:at + 4 + size])
        at += 4 + size
    return found


def through_text(vectors, dialect):
    """(text, what comes back from it) of each."""
    with Codec(*dialect) as codec:
        results = []
        for vector in vectors:
            text = codec.show(vector)
            assert codec.over(text) == vector
            results.append((text, codec.save(text)))
        return results


def fall(path, kind, vectors, dialect):
    """Where each vector falls: how many came where."""
    results = through_text(vectors, dialect)
    pairs = [part for vector, (_, again) in zip(vectors, results) for part in (vector, again)]
    verdicts = run(path, [kind], b"".join(struct.pack("<I", len(part)) + part for part in pairs)).decode().splitlines()
    assert len(verdicts) == len(vectors)
    counts, wrong = collections.Counter(), []
    for vector, (text, again), verdict in zip(vectors, results, verdicts):
        shown = "raw" if text.startswith(b"# raw\n") else "asm" if b"asm(" in text else "text"
        counts[verdict, shown] += 1
        # What is not exactly one marshal is shown as it is.
        if verdict == "memory":
            continue
        if verdict.endswith("other") or (shown == "raw") != (verdict in ("form", "elsewhere")):
            wrong.append((verdict, vector[:200], text[:400], again[:200]))
    print(path, kind, *("%s: %s %d" % (verdict, shown, count) for (verdict, shown), count in sorted(counts.items())))
    assert not wrong, "%d third outcomes\n%s" % (len(wrong), "\n".join(map(repr, wrong)))
    return counts


@each_python
def test_pickles(version, path):
    vectors = literals(path, PICKLE_TESTS)
    counts = fall(path, "pickle", vectors, ("pickle", 2, 1) if version < (3,) else ("pickle", 4, 0))
    loaded = sum(count for (verdict, _), count in counts.items() if verdict.startswith("loads"))
    assert len(vectors) > 200 and loaded > 20


@each_python
def test_marshals(version, path):
    vectors = literals(path, ["test_marshal"])
    counts = fall(path, "marshal", vectors, ("marshal", 2, 1) if version < (3,) else ("marshal", 4, 0))
    assert len(vectors) > 10 and sum(counts.values()) == len(vectors)
