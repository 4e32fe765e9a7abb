# SPDX-License-Identifier: GPL-3.0-or-later
"""The marshal codec against every CPython of the machine.

What any of them wrote is encoded again, as it was read, to the same bytes, and loads alike in the same Python when it has gone
through its text. MARSHAL_VALUES is the number of random values a version (200), MARSHAL_PYC how many .pyc
files of the standard library there are to one that is tried (40; 1 tries all).
"""
import os
import struct
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pythons import pythons  # noqa: E402

TOOL = os.environ.get("MARSHALTOOL")
VALUES = int(os.environ.get("MARSHAL_VALUES", "200"))
SEED = int(os.environ.get("MARSHAL_SEED", "1"))
EVERY = int(os.environ.get("MARSHAL_PYC", "40"))
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "marshal_values.py")

pytestmark = pytest.mark.skipif(not TOOL, reason="MARSHALTOOL does not name the test program")
each_python = pytest.mark.parametrize("version, path", pythons(),
                                      ids=[".".join(map(str, version)) for version, _ in pythons()])


def run(command, data=b""):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def records(data, header):
    at = 0
    while at < len(data):
        first, size = struct.unpack_from(header, data, at)
        at += struct.calcsize(header)
        yield first, data[at:at + size]
        at += size


def ask(made):
    """(marshal, status, what we answer) for what a Python made."""
    answers = list(records(run([TOOL], made), "<cI"))
    asked = list(records(made, "<BI"))
    assert len(asked) == len(answers)
    return [(marshal, status, again) for (_, marshal), (status, again) in zip(asked, answers)]


def check(path, made):
    pairs = []
    for marshal, status, again in ask(made):
        assert status != b"!", (again, marshal[:1000])
        assert status == b"=", marshal[:1000]
        pairs += [marshal, again]
    data = b"".join(struct.pack("<I", len(marshal)) + marshal for marshal in pairs)
    wrong, compared = map(int, run([path, "-W", "ignore", SCRIPT, "compare"], data).split())
    assert wrong == 0
    assert compared == len(pairs) // 2
    return compared


@each_python
def test_values(version, path):
    total = 0
    for seed in range(SEED, SEED + VALUES, 500):
        count = min(500, SEED + VALUES - seed)
        total += check(path, run([path, "-W", "ignore", SCRIPT, "make", str(seed), str(count)]))
    assert total >= 2 * VALUES
    print("%d marshals" % total)


@each_python
def test_pyc(version, path):
    total = check(path, run([path, "-W", "ignore", SCRIPT, "pyc", str(EVERY)]))
    if not total:
        pytest.skip("no .pyc files")
    print("%d files" % total)
