# SPDX-License-Identifier: GPL-3.0-or-later
"""What CPython 2.7 stored comes out of its text again as cPickle wrote it, byte for byte.

cPickle leaves objects out of its memo that nothing else in the program refers to, and no pickle tells what did. So the bytes
must be the same for values that are referred to as in most programs, and for others all but the memo's instructions.
PICKLE_GRAPHS is the number of random graphs (500), each in the protocols 0 to 2.
"""
import io
import os
import struct
import subprocess

import pytest

from pythons import python

TOOL = os.environ.get("TEXTTOOL")
GRAPHS = int(os.environ.get("PICKLE_GRAPHS", "500"))
SEED = int(os.environ.get("PICKLE_SEED", "1"))
PORTION = 500
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pickle_graphs.py")
PYTHON2 = python(2, 7)
SHOWN_AS_ASM = -95

pytestmark = [pytest.mark.skipif(not TOOL, reason="TEXTTOOL does not name the test program"),
              pytest.mark.skipif(not PYTHON2, reason="no CPython 2.7 on this machine")]


def sized(data):
    """The records of a stream, each after its length."""
    at = 0
    while at < len(data):
        size, = struct.unpack_from("<I", data, at)
        yield data[at + 4:at + 4 + size]
        at += 4 + size


def through_text(make):
    """(what cPickle wrote, the status of its way through text, and what came out) for all that a command makes."""
    stored = list(sized(subprocess.run(make, stdout=subprocess.PIPE, check=True).stdout))
    requests = b"".join(b"again 0 1 %d\n" % len(pickle) + pickle for pickle in stored)
    answers = io.BytesIO(subprocess.run([TOOL], input=requests, stdout=subprocess.PIPE, check=True).stdout)
    for pickle in stored:
        status, size = map(int, answers.readline().split())
        yield pickle, status, answers.read(size)


def restored(kind):
    """The same for random graphs."""
    for start in range(0, GRAPHS, PORTION):
        yield from through_text([PYTHON2, "-W", "ignore", SCRIPT, kind, str(SEED + start), str(min(PORTION, GRAPHS - start))])


def pairs(kind):
    """(what cPickle wrote, what came out) of those pickles that have a text other than asm(...)."""
    total, found = 0, []
    for pickle, status, again in restored(kind):
        total += 1
        if status != SHOWN_AS_ASM:
            assert status == 0, (again, pickle[:2000])
            found.append((pickle, again))
    assert total >= GRAPHS * 2
    assert len(found) > total * 0.98
    print("%d pickles, %d unfaithful" % (total, total - len(found)))
    return found


CHARACTERS = r"""
import cPickle, struct, sys
def put(value):
    for protocol in range(3):
        data = cPickle.dumps(value, protocol)
        sys.stdout.write(struct.pack("<I", len(data)) + data)
step = 64
for first in range(0, sys.maxunicode + 1, step):
    points = map(unichr, range(first, first + step))
    put([u"".join(points)] + points[:2] + [points[2] * 2])
octets = map(chr, range(256))
put([a + b for a in "'\"\\ax" for b in octets] + octets + ["'" + b + '"' for b in octets])
put(["".join(octets), "".join(octets).replace("'", ""), "".join(octets).replace('"', "")])
"""


def test_every_character(tmp_path):
    """In unicode and in 8-bit strings; lone surrogates are characters, too."""
    script = tmp_path / "characters.py"
    script.write_text(CHARACTERS)
    compared = 0
    for pickle, status, again in through_text([PYTHON2, str(script)]):
        assert status == 0 and again == pickle, (pickle[:2000], again[:2000])
        compared += 1
    assert compared > 3 * 1024


def test_identical():
    for pickle, again in pairs("held"):
        assert again == pickle, (pickle[:2000], again[:2000])


def test_identical_but_for_the_memo():
    other = [pair for pair in pairs("loose") if pair[0] != pair[1]]
    data = b"".join(struct.pack("<I", len(pickle)) + pickle for pair in other for pickle in pair)
    answer = subprocess.run([PYTHON2, "-W", "ignore", SCRIPT, "memos"], input=data, stdout=subprocess.PIPE, check=True).stdout
    assert list(map(int, answer.split())) == [0, len(other)]
    print("%d differ in the memo's instructions" % len(other))
