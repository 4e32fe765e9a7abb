# SPDX-License-Identifier: GPL-3.0-or-later
"""watch.py: reads one key of a database until it is told to stop, again and again until its input ends.

A line of JSON says what: [ENGINE, DATABASE, KEY, ALLOWED...], each allowed value in hexadecimal. Prints "watching" when it begins and
"enough" when it has looked ENOUGH times and seen all that is allowed. The next line ends that; printed is how often it looked, and each
sight of a value that is not allowed: [LOOKS, [PROBLEM...]].
"""

import json
import select
import sys

from mounting import Database

ENOUGH = 20


def is_told(stream):
    return bool(select.select([stream], [], [], 0)[0])


def watch(stream, engine, path, key, *allowed):
    database = Database(engine, path)
    allowed = {bytes.fromhex(value) for value in allowed}
    print('watching', flush=True)
    looks = 0
    seen = set()
    problems = set()
    enough = ended = False
    while not ended:
        ended = is_told(stream)
        try:
            with database.opened() as store:
                value = bytes(store[key.encode()])
        except Exception as error:  # whatever an engine may raise: each is a sight that must not be
            problems.add('look %d: %r' % (looks, error))
        else:
            if value not in allowed:
                problems.add('look %d: %r' % (looks, value[:200]))
            seen.add(value)
        looks += 1
        if not enough and looks >= ENOUGH and seen.issuperset(allowed):
            enough = True
            print('enough', flush=True)
    stream.readline()
    print(json.dumps([looks, sorted(problems)]), flush=True)


def main():
    stream = sys.stdin.buffer  # whoever asks waits for the answer: no line is in the buffer where select can't see it
    for line in iter(stream.readline, b''):
        watch(stream, *json.loads(line))


main()
