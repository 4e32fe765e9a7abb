# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions, against CPython: what ast reads from them is what the pickle holds."""
import ast
import datetime
import os
import pickle
import random
import struct
import subprocess

import pytest

from pythons import python, pythons

TOOL = os.environ.get("TEXTTOOL")
COUNT = int(os.environ.get("TEXT_COUNT", "3000"))
WIDTH = 79

pytestmark = pytest.mark.skipif(not TOOL, reason="TEXTTOOL does not name the test program")


class Tool:
    """One running test program: see tests/unit/texttool.c."""

    def __init__(self):
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, kind, data, protocol=4, python2=False):
        self.process.stdin.write(b"%s %d %d %d\n" % (kind.encode(), protocol, python2, len(data)) + data)
        self.process.stdin.flush()
        status, size = map(int, self.process.stdout.readline().split())
        return status, self.process.stdout.read(size).decode()

    def text(self, stored):
        """The text of a pickle; the program has checked that reading it prints the same."""
        status, text = self.ask("pickle", stored)
        assert status == 0, (text, stored)
        return text

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


@pytest.fixture(scope="module")
def tool():
    running = Tool()
    yield running
    running.close()


# Literals

TEXT = "ab'\"\\\n\t\r\0\x7f\x85\xa0\xadü€\u200e\u2028\ud800\U0001f600\U000e0001 xyz"


class Literals:
    """Random values whose repr ast.literal_eval() reads."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def atom(self):
        pick = self.random
        return pick.choice((
            lambda: pick.choice((None, True, False)),
            lambda: pick.choice((1, -1)) * pick.getrandbits(pick.choice((1, 8, 16, 31, 32, 63, 64, 65, 300))),
            lambda: pick.choice((0.0, -0.0, 1e999, -1e999, 0.1, 1e16, 5e-324, pick.random(),
                                 pick.uniform(-1e30, 1e30))),
            lambda: "".join(pick.choice(TEXT) for _ in range(pick.choice((0, 1, 3, 20, 80)))),
            lambda: bytes(pick.choice(b"ab'\"\\\n\0\xff") for _ in range(pick.choice((0, 2, 30, 100)))),
            lambda: pick.choice(("name", "id", "some key")),
        ))()

    def hashable(self):
        if self.random.random() < 0.9:
            return self.atom()
        return tuple(self.atom() for _ in range(self.random.randrange(4)))

    def value(self, depth):
        pick = self.random
        count = pick.choice((0, 1, 2, 3, 8))
        if depth == 0 or pick.random() < 0.3:
            return self.atom()
        return pick.choice((
            lambda: [self.value(depth - 1) for _ in range(count)],
            lambda: tuple(self.value(depth - 1) for _ in range(count)),
            lambda: {self.hashable(): self.value(depth - 1) for _ in range(count)},
            lambda: {self.hashable() for _ in range(count + 1)},
        ))()


def same(left, right):
    """Equal with types, order of dicts, and the sign of zero."""
    pairs = [(left, right)]
    while pairs:
        left, right = pairs.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, (list, tuple, dict)) and len(left) != len(right):
            return False
        if isinstance(left, (list, tuple)):
            pairs += zip(left, right)
        elif isinstance(left, dict):
            pairs += list(zip(left, right)) + list(zip(left.values(), right.values()))
        elif isinstance(left, set):
            if left != right or sorted(map(repr, left)) != sorted(map(repr, right)):
                return False
        elif repr(left) != repr(right):
            return False
    return True


@pytest.mark.parametrize("protocol", range(6))
def test_literals(tool, protocol):
    literals = Literals(protocol)
    compared = 0
    for _ in range(COUNT):
        value = literals.value(literals.random.choice((0, 1, 2, 4)))
        text = tool.text(pickle.dumps(value, protocol))
        # What is shared is named, which ast.literal_eval() doesn't read. Below protocol 3 one-letter strings are
        # shared with the text of one-letter bytes.
        if ":=" in text or "_codecs" in text:
            ast.parse(text, mode="eval")
            continue
        assert same(ast.literal_eval(text), value), text
        compared += 1
    assert compared > COUNT // 2


def test_width(tool):
    """A line is only longer than 79 columns if it can't be broken: one string, number or key and value."""
    literals = Literals(99)
    for _ in range(COUNT):
        text = tool.text(pickle.dumps(literals.value(3), 4))
        for line in text.split("\n"):
            indent = len(line) - len(line.lstrip())
            if len(line) > WIDTH and indent < 16 * 4:
                content = line.strip().rstrip(",")
                assert not content.startswith(("[", "{")) and not content.startswith("b'"), line


# Graphs with calls, instances and cycles

class Programs:
    """Random pickle programs of every opcode that makes something."""

    GLOBALS = (b"cm\nf\n", b"cbuiltins\nset\n", b"c__builtin__\nset\n", b"cbuiltins\nlen\n", b"ca.b\nC\n",
               b"c_1\nx\n", b"cm\nC.D\n", b"cbuiltins\nnew\n", b"cbuiltins\nbytearray\n",
               b"cdatetime\ndate\n", b"c__builtin__\nfrozenset\n")
    ATOMS = (b"N", b"K\x05", b"J\xff\xff\xff\xff", b"G?\xf0\0\0\0\0\0\0", b"G\x7f\xf8\0\0\0\0\0\x01",
             b"G\xff\xf0\0\0\0\0\0\0", b"\x8a\x09\0\0\0\0\0\0\0\x80\0", b"\x82\x05")
    WORDS = ("a", "name", "x y", "é", "set", "", "lambda", "_1", "\n", "datetime", "m.n", "x" * 50)

    def __init__(self, seed):
        self.random = random.Random(seed)

    def program(self, size, protocol, python2):
        pick = self.random
        out = bytearray(b"\x80" + bytes([protocol]))
        stack, memo = [], []  # whether each may be called: literals can't

        def put():
            out.extend(b"r" + struct.pack("<I", len(memo)))
            memo.append(stack[-1])

        def word():
            data = pick.choice(self.WORDS).encode()
            if python2 and pick.random() < 0.5:
                return b"U" + bytes([len(data)]) + data
            return b"X" + struct.pack("<I", len(data)) + data

        # (operands taken, what is made of them, memoised, code). Made are "literal", "object", the "same" as the lowest
        # operand, that "twice", or nothing; "call": an object, and the lowest operand is called.
        pushes = [(0, "literal", False, lambda: pick.choice(self.ATOMS)), (0, "literal", True, word),
                  (0, "literal", True, lambda: pick.choice((b"]", b"}", b")"))),
                  (0, "object", True, lambda: pick.choice(self.GLOBALS)),
                  (0, "object", True, lambda: b"(cm\nC\nK\x01o"),
                  (0, "literal", False, lambda: b"(N]t" if pick.random() < 0.5 else b"(K\x01Nd")]
        builds = [(1, "literal", True, lambda: b"\x85"), (2, "literal", True, lambda: b"\x86"),
                  (2, "same", False, lambda: b"a"), (3, "same", False, lambda: b"s"), (1, "call", True, lambda: b")R"),
                  (2, "call", True, lambda: b"\x85R"), (1, "call", True, lambda: b")\x81"),
                  (2, "same", False, lambda: b"b"), (1, "object", False, lambda: b"Q"),
                  (1, "", False, lambda: b"0"), (1, "twice", False, lambda: b"2")]
        if protocol >= 4:
            pushes.append((0, "literal", True, lambda: b"\x8f"))
            builds += [(1, "call", True, lambda: b")}X\x01\0\0\0kNs\x92"),
                       (1, "same", False, lambda: b"(NK\x01\x90")]
        for _ in range(size):
            if memo and pick.random() < 0.12:
                number = pick.randrange(len(memo))
                out.extend(b"j" + struct.pack("<I", number))
                stack.append(memo[number])
                continue
            takes, makes, memoised, code = pick.choice(pushes if pick.random() < 0.45 else builds)
            if len(stack) < takes or (makes == "call" and not stack[-takes]):
                continue
            out.extend(code())
            lowest = stack[-takes:][:1] if takes else []
            del stack[len(stack) - takes:]
            stack += {"literal": [False], "object": [True], "call": [True], "same": lowest, "twice": 2 * lowest}.get(makes, [])
            if memoised:
                put()
        return bytes(out) + (b"." if stack else b"N.")


def test_graphs_are_expressions(tool):
    """Every text is a Python expression, for the oldest Python that knows := and for the newest."""
    programs = Programs(7)
    texts = []
    for _ in range(COUNT):
        python2 = programs.random.random() < 0.3
        protocol = 2 if python2 else programs.random.choice((2, 3, 4, 5))
        stored = programs.program(programs.random.choice((3, 6, 10, 20, 60, 300)), protocol, python2)
        status, text = tool.ask("pickle", stored)
        assert status != -84, (text, stored)
        if status == 0:
            texts.append(text)
    assert len(texts) > COUNT // 2
    check = ("import ast, sys, warnings; warnings.simplefilter('ignore')\n"
             "for text in sys.stdin.buffer.read().decode().split('\\0'): ast.parse(text, mode='eval')")
    for path in {python(3, 8) or pythons()[-1][1], pythons()[-1][1]}:
        done = subprocess.run([path, "-c", check], input="\0".join(texts).encode(), stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("levels", (90, 91, 100, 1000, 20000))
def test_deep_values_parse(tool, levels):
    for stored in (b"\x80\x04" + b"]" * levels + b"a" * (levels - 1) + b".",
                   b"\x80\x04N" + b"\x85" * levels + b".",
                   b"\x80\x04N" + b"2\x86" * levels + b"."):
        text = tool.text(stored)
        for path in {python(3, 8) or pythons()[-1][1], pythons()[-1][1]}:
            done = subprocess.run([path, "-c", "import ast, sys; ast.parse(sys.stdin.read(), mode='eval')"],
                                  input=text.encode(), stderr=subprocess.PIPE)
            assert done.returncode == 0, done.stderr.decode()


# Dates

def dates():
    source = random.Random(5)
    zones = (None, datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=-3, minutes=30)))
    for _ in range(300):
        moment = datetime.datetime(source.randrange(1, 10000), source.randrange(1, 13), source.randrange(1, 29),
                                   source.randrange(24), source.randrange(60), source.choice((0, 7)),
                                   source.choice((0, 0, 123456)), source.choice(zones),
                                   fold=source.choice((0, 0, 1)))
        yield from (moment, moment.date(), moment.timetz())


@pytest.mark.parametrize("protocol", range(6))
def test_dates(tool, protocol):
    for value in dates():
        text = tool.text(pickle.dumps(value, protocol))
        if protocol < 4 and getattr(value, "fold", 0):
            value = value.replace(fold=0)
        assert eval(text, {"datetime": datetime}) == value
        again = eval(text, {"datetime": datetime})
        assert getattr(again, "fold", 0) == getattr(value, "fold", 0)
        assert "b'" not in text and 'b"' not in text
