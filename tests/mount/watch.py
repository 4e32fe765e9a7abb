# SPDX-License-Identifier: GPL-3.0-or-later
"""watch.py ENGINE DATABASE KEY: reads one key until its input ends; prints each sight of a value that is not allowed.

The allowed values come first on the input: length (u32, little-endian) and bytes, ended by length 0. Prints "watching"
when it begins and "enough" when it has looked ENOUGH times and seen all that is allowed. Ends with how often it looked.
"""

import select
import sys

from mounting import Database

ENOUGH = 20

def read_allowed(stream):
    allowed = []
    while True:
        size = int.from_bytes(stream.read(4), 'little')
        if not size:
            return allowed
        allowed.append(stream.read(size))


def main():
    engine, path, key = sys.argv[1:]
    database = Database(engine, path)
    stream = sys.stdin.buffer  # nothing but its end comes after the allowed values: select may look past the buffer
    allowed = read_allowed(stream)
    print('watching', flush=True)
    looks = 0
    seen = set()
    problems = set()
    enough = ended = False
    while not ended:
        ended = bool(select.select([stream], [], [], 0)[0])
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
    print('\n'.join(sorted(problems)))
    print(looks)
    return 1 if problems else 0


sys.exit(main())
