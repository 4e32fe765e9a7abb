# SPDX-License-Identifier: GPL-3.0-or-later
"""Floats and big integers as text, against CPython's repr(), float() and int()."""
import os
import random
import struct
import subprocess

import pytest

TOOL = os.environ.get("NUMBERSTOOL")
FLOATS = int(os.environ.get("NUMBERS_COUNT", "500000"))

pytestmark = pytest.mark.skipif(not TOOL, reason="NUMBERSTOOL does not name the test program")


def ask(lines):
    done = subprocess.run([TOOL], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, check=True,
                          universal_newlines=True)
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines)
    return answers


def number(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def bits_of(value):
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def check_floats(numbers):
    answers = ask(["f %x" % bits for bits in numbers])
    wrong = [(hex(bits), answer, repr(number(bits))) for bits, answer in zip(numbers, answers)
             if number(bits) == number(bits)
             and answer != "%s %016x" % (repr(number(bits)), bits)]
    assert not wrong, (len(wrong), wrong[:5])


def test_random_floats():
    source = random.Random(1)
    check_floats([source.getrandbits(64) for _ in range(FLOATS)])


def test_floats_that_people_write():
    source = random.Random(2)
    values = [round(source.uniform(-10 ** power, 10 ** power), source.randrange(12))
              for power in range(-3, 17) for _ in range(FLOATS // 100)]
    values += [source.random() for _ in range(FLOATS // 10)]
    values += [integer / 1000 for integer in range(20000)] + [float(n) for n in range(20000)]
    check_floats([bits_of(value) for value in values])


def test_powers_and_their_neighbours():
    powers = [1 << bit for bit in range(52)] + [exponent << 52 for exponent in range(1, 0x7FF)]
    tens = [bits_of(float("1e%d" % exponent)) for exponent in range(-323, 309)]
    check_floats([bits + step for bits in powers + tens for step in (-2, -1, 0, 1, 2)
                  if 0 <= bits + step < 0x7FF << 52])


def test_subnormals():
    source = random.Random(3)
    check_floats(list(range(2000)) + [source.getrandbits(source.randrange(1, 53))
                                      for _ in range(FLOATS // 10)])


def test_parse_as_float_does():
    source = random.Random(4)
    texts = []
    for _ in range(FLOATS // 5):
        digits = "".join(source.choice("0123456789") for _ in range(source.choice((1, 3, 8, 17, 20, 40))))
        point = source.randrange(len(digits) + 1)
        exponent = source.choice(("", "e%d" % source.randrange(-340, 320), "E+%d" % source.randrange(40)))
        texts.append(source.choice("-+") + digits[:point] + "." + digits[point:] + exponent)
    answers = ask(["p " + text for text in texts])
    wrong = [(text, answer) for text, answer in zip(texts, answers)
             if answer != "%016x" % bits_of(float(text))]
    assert not wrong, (len(wrong), wrong[:5])


def minimal(integer):
    size = (integer if integer >= 0 else ~integer).bit_length() // 8 + 1 if integer else 0
    return integer.to_bytes(size, "little", signed=True).hex()


def text_of(integer):
    return repr(integer) if abs(integer) < 10 ** 4300 else hex(integer)


def test_integers():
    source = random.Random(5)
    integers = [sign * ((1 << bit) + step) for bit in list(range(140)) + [14283, 14284, 14285, 14286, 40000]
                for step in (-1, 0, 1) for sign in (1, -1)]
    integers += [sign * (10 ** power + step) for power in (1, 8, 9, 10, 18, 19, 27, 300, 4299, 4300)
                 for step in (-1, 0, 1) for sign in (1, -1)]
    integers += [source.choice((1, -1)) * source.getrandbits(source.randrange(1, 2000))
                 for _ in range(5000)]
    lines, expected = [], []
    for integer in integers:
        for base, form in ((2, "b"), (8, "o"), (10, "d"), (16, "x")):
            if base == 10 and abs(integer) >= 10 ** 4300:
                continue
            lines.append("i %d %s" % (base, format(integer, form)))
            expected.append("%s %s" % (minimal(integer), text_of(integer)))
    answers = ask(lines)
    wrong = [row for row in zip(lines, answers, expected) if row[1] != row[2]]
    assert not wrong, (len(wrong), wrong[:3])
