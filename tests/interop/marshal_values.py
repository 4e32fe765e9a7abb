# SPDX-License-Identifier: GPL-3.0-or-later
"""What test_marshal.py runs in each CPython, 2.7 to the newest.

make SEED COUNT      random values, each in all versions of marshal, as records: dialect byte, length, bytes
pyc EVERY            likewise what stands in every EVERY-th .pyc file of the standard library
compare              reads records in pairs; how many pairs don't load alike, and how many there were
"""
import marshal
import os
import random
import struct
import sys

PYTHON2 = sys.version_info[0] == 2
binary_in = getattr(sys.stdin, 'buffer', sys.stdin)
binary_out = getattr(sys.stdout, 'buffer', sys.stdout)
text_type = type(u'')
try:
    character = unichr
except NameError:
    character = chr

INTEGERS = [0, 1, -1, 255, 2 ** 15 - 1, 2 ** 15, 2 ** 30, 2 ** 31 - 1, 2 ** 31, -2 ** 31, -2 ** 31 - 1, 2 ** 45, 2 ** 63,
            -2 ** 63, -2 ** 63 - 1, 2 ** 64, 10 ** 40, -10 ** 400, 2 ** 1000]
FLOATS = [0.0, -0.0, 1.5, -2.25, 1e300, 5e-324, 0.1, float('inf'), float('-inf'), float('nan')]
SIZES = [0, 1, 2, 3, 40, 41, 255, 256, 300]


def write(version, data):
    binary_out.write(struct.pack('<BI', version + 16 * PYTHON2, len(data)) + data)


class Maker:
    """Random values; what was made before is used again now and then, so that objects are shared."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.made = []

    def text(self, most):
        points = [self.random.choice([97, 32, 10, 39, 92, 0xe9, 0x2028, 0x20ac, 0xd800, 0x1f600])
                  if self.random.random() < .3 else 0x61 for _ in range(self.random.choice(SIZES[:most]))]
        return text_type().join(map(character, [min(point, sys.maxunicode) for point in points]))

    def atom(self, hashable=True):
        kind = self.random.randrange(9)
        if kind == 0:
            return self.random.choice([None, True, False, Ellipsis, StopIteration])
        if kind == 1:
            return self.random.choice(INTEGERS)
        if kind == 2:
            return self.random.choice(FLOATS + [self.random.uniform(-1e6, 1e6)])
        if kind == 3:
            return complex(self.random.choice(FLOATS), self.random.choice(FLOATS))
        if kind == 4:
            return bytes(bytearray(self.random.randrange(256) for _ in range(self.random.choice(SIZES))))
        if kind == 5:
            return (sys.intern if not PYTHON2 else intern)('name%d' % self.random.randrange(5))
        if kind == 6:
            return 'x' * self.random.choice(SIZES)
        return self.text(len(SIZES))

    def frozen(self, depth):
        kind = self.random.randrange(8) if depth else 0
        if kind == 6:
            return tuple(self.frozen(depth - 1) for _ in range(self.random.choice([0, 1, 2, 3, 255, 256])
                                                              if depth == 1 else self.random.randrange(4)))
        if kind == 7:
            return frozenset(self.frozen(depth - 1) for _ in range(self.random.randrange(4)))
        return self.atom()

    def value(self, depth):
        if self.made and self.random.random() < .15:
            return self.random.choice(self.made)
        kind = self.random.randrange(7) if depth else 6
        count = self.random.randrange(5)
        if kind == 0:
            value = [self.value(depth - 1) for _ in range(count)]
        elif kind == 1:
            value = tuple(self.value(depth - 1) for _ in range(count))
        elif kind == 2:
            value = dict((self.frozen(1), self.value(depth - 1)) for _ in range(count))
        elif kind == 3:
            value = set(self.frozen(1) for _ in range(count))
        elif kind == 4:
            value = self.frozen(3)
        elif kind == 5:
            value = dict(('key%d' % i, self.value(depth - 1)) for i in range(count))
        else:
            return self.atom()
        self.made.append(value)
        return value

    def cyclic(self):
        value = self.value(4)
        cycle = [value]
        cycle.append({'self': cycle, 'tuple': (cycle,)})
        return cycle


def dump(value, version):
    try:
        data = marshal.dumps(value, version)
    except MemoryError:
        return  # 3.11 and later say so of a set with elements of equal dumps, such as two nan
    write(version, data)


def make(seed, count):
    for number in range(seed, seed + count):
        value = Maker(number).value(5)
        for version in range(marshal.version + 1):
            dump(value, version)
        if marshal.version >= 3:
            cycle = Maker(number).cyclic()
            for version in range(3, marshal.version + 1):
                dump(cycle, version)


def pyc(every):
    header = 8 if PYTHON2 else 12 if sys.version_info < (3, 7) else 16
    paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(os.path.dirname(os.__file__))
                   for name in names if name.endswith('.pyc'))
    for path in paths[::every]:
        with open(path, 'rb') as file:
            data = file.read()[header:]
        try:
            marshal.loads(data)
        except ValueError:
            continue  # another version's
        write(2 if PYTHON2 else marshal.version, data)


def canonical(value):
    """A repr() that does not depend on the order in which sets are walked: that of nan changes with each object."""
    if type(value) is frozenset:
        return 'frozenset(%s)' % sorted(map(canonical, value))
    if type(value) is tuple:
        return 'tuple(%s)' % list(map(canonical, value))
    return repr(value)


def parts(value):
    """What the value is made of, in an order that does not depend on hashes, or None for an atom."""
    if type(value) in (list, tuple):
        return list(value)
    if type(value) is dict:
        return [part for item in value.items() for part in item]
    if type(value) in (set, frozenset):
        return sorted(value, key=canonical)
    if type(value) is type(parts.__code__):
        return [getattr(value, name) for name in dir(value)
                if name.startswith('co_') and not callable(getattr(value, name)) and name != 'co_lnotab']
    return None


def atoms_equal(a, b):
    if type(a) is float:
        return struct.pack('<d', a) == struct.pack('<d', b)
    if type(a) is complex:
        return struct.pack('<dd', a.real, a.imag) == struct.pack('<dd', b.real, b.imag)
    return a == b


def alike(left, right):
    """Equal in type and content, and the same objects shared where that can be noticed."""
    twins = {}
    pending = [(left, right)]
    while pending:
        a, b = pending.pop()
        if type(a) is not type(b):
            return False
        a_parts, b_parts = parts(a), parts(b)
        if a_parts is None:
            if not atoms_equal(a, b):
                return False
            continue
        if id(a) in twins:
            if twins[id(a)] is not b and type(a) in (list, dict, set):
                return False
            continue
        twins[id(a)] = b
        if len(a_parts) != len(b_parts):
            return False
        pending += list(zip(a_parts, b_parts))
    return True


def compare():
    data = binary_in.read()
    at = wrong = count = 0
    pair = []
    while at < len(data):
        size, = struct.unpack_from('<I', data, at)
        pair.append(marshal.loads(data[at + 4:at + 4 + size]))
        at += 4 + size
        if len(pair) == 2:
            count += 1
            if not alike(*pair):
                wrong += 1
                sys.stderr.write('%.300r\n%.300r\n' % tuple(pair))
            pair = []
    print('%d %d' % (wrong, count))


if __name__ == '__main__':
    {'make': make, 'pyc': pyc, 'compare': compare}[sys.argv[1]](*map(int, sys.argv[2:]))
