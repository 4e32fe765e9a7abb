# -*- coding: utf-8 -*-
# SPDX-License-Identifier: GPL-3.0-or-later
"""The values that the mount tests store, written and judged by whichever CPython runs this file.

    python corpus.py write DATABASE PROTOCOL    makes a dbm.dumb DATABASE, DATABASE.pairs and DATABASE.exact, prints nothing
    python corpus.py check PAIRS PROTOCOL       prints what in PAIRS does not load as the values, fails if anything

Runs under CPython 2.7 and 3.7 to 3.14. A pairs file is: length (u32, little-endian), key, length, value, and so on;
it carries a database between Pythons and engines. Strings that are equal are one object, because text can't tell them
apart: only then must the bytes survive a way through text. In Python 2 literals are compiled, and the code is kept, since
cPickle's bytes depend on what else refers to an object.
DATABASE.exact is a pairs file of those values whose bytes must survive.
"""

from __future__ import print_function, unicode_literals

import collections
import datetime
import decimal
import fractions
import re
import struct
import sys
import uuid

try:
    import cPickle as pickle
    import dumbdbm
except ImportError:
    import pickle
    import dbm.dumb as dumbdbm

PYTHON2 = sys.version_info[0] == 2
if PYTHON2:
    INTEGERS = (int, long)  # noqa: F821 pylint: disable=undefined-variable
else:
    import dataclasses
    import enum
    INTEGERS = (int,)
BYTES = type(b'')
TEXT = type('')


# --- classes ---

class Plain(object):
    """An ordinary instance; `tags` and others may refer back to it."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Old:  # an old-style class where there are such
    def __init__(self, name):
        self.name = name


class Slots(object):
    __slots__ = ('left', 'right')

    def __init__(self, left, right):
        self.left = left
        self.right = right


class SlotsAndDict(Slots):
    def __init__(self, left, right, extra):
        Slots.__init__(self, left, right)
        self.extra = extra


class Labelled(list):
    pass


class Registry(dict):
    pass


class Stateful(object):
    def __init__(self, text):
        self.text = text

    def __getstate__(self):
        return ('state', self.text)

    def __setstate__(self, state):
        self.text = state[1]


class Reduced(object):
    def __init__(self, number, unit):
        self.number = number
        self.unit = unit

    def __reduce__(self):
        return (Reduced, (self.number, self.unit))


class Keyword(object):
    def __new__(cls, number, unit='m'):
        self = object.__new__(cls)
        self.number = number
        self.unit = unit
        return self

    def __getnewargs_ex__(self):
        return ((self.number,), {'unit': self.unit})


class Failure(Exception):
    pass


Point = collections.namedtuple(str('Point'), str('x y'))

if not PYTHON2:
    class Colour(enum.Enum):
        RED = 1
        BLUE = 'blue'

    # Not the class syntax: 2.7 must be able to parse this file.
    User = dataclasses.make_dataclass('User', [('name', str), ('age', int), ('tags', list)])
    Frozen = dataclasses.make_dataclass('Frozen', [('path', tuple)], frozen=True)
    User.__module__ = Frozen.__module__ = __name__

    class Outer:
        class Inner:
            def __init__(self, depth):
                self.depth = depth


def function(argument):
    return argument


# --- values ---

class Unifier(object):
    """Copies a value of literals so that equal strings are one object and nothing else is shared."""

    def __init__(self):
        self.strings = {}

    def copy(self, value):
        if isinstance(value, (BYTES, TEXT)):
            made = self.strings.setdefault((type(value), value), value)
        elif type(value) in (list, tuple, set, frozenset):
            made = type(value)(self.copy(item) for item in value)
        elif type(value) is dict:
            made = {}
            for key in value:
                made[self.copy(key)] = self.copy(value[key])
        else:
            made = value
        return made


CODES = []


def literal(value):
    """The value as a program has it that stores this literal."""
    if not PYTHON2:
        return Unifier().copy(value)
    CODES.append(compile(re.sub(r'\binf\b', '1e999', repr(value)), 'literal', 'eval'))
    return eval(CODES[-1])


class Random(object):
    """The same numbers in every Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        return (self.state >> 33) % limit


WORDS = ['', 'a', 'name', 'Zoë', 'x y', "it's", '"both" \'quotes\'', 'tab\there', 'line\nbreak', '日本語', '#tag', '123', 'None',
         'back\\slash', '\x00nul', '\x7f\x80\x9f', '\u2028', '\ufeffbom', 'e\u0301', 'long ' * 30, '😀', '[1, 2', 'f(x)']
NUMBERS = [0, 1, -1, 255, 256, 65535, 65536, -2 ** 31, 2 ** 31 - 1, 2 ** 31, -2 ** 31 - 1, 2 ** 63, -2 ** 63 - 1, 10 ** 30, -10 ** 40]
FLOATS = [0.0, -0.0, 0.1, 1.5, -2.25, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, float('inf'), -float('inf'), 123456789.125]


def random_atom(random, native):
    kind = random.below(8)
    if kind == 0:
        return [None, True, False][random.below(3)]
    if kind <= 2:
        return NUMBERS[random.below(len(NUMBERS))]
    if kind == 3:
        return FLOATS[random.below(len(FLOATS))]
    word = WORDS[random.below(len(WORDS))]
    if kind == 4 and native:
        return word.encode('utf-8') * (1 + random.below(3))
    return word


def random_value(random, depth, native):
    """Nested literals. `native`: the protocol has bytes and sets of its own, or Python 2's str is meant."""
    kind = random.below(7) if depth else 0
    count = random.below(6)
    if kind <= 1:
        return random_atom(random, native)
    if kind == 2:
        return tuple(random_value(random, depth - 1, native) for _ in range(count))
    if kind == 3 and native and not PYTHON2:
        return set(random_atom(random, native) for _ in range(count))
    if kind <= 4:
        return [random_value(random, depth - 1, native) for _ in range(count)]
    made = collections.OrderedDict()
    for _ in range(count):
        made[random_atom(random, native)] = random_value(random, depth - 1, native)
    return dict(made)


def literals(protocol):
    """Values made of literals: their bytes must survive a way through text."""
    native = protocol >= 3 or PYTHON2
    values = {
        'none': None, 'true': True, 'false': False, 'zero': 0, 'float': 3.14,
        'infinities': [float('inf'), -float('inf')], 'negative zero': -0.0,
        'greeting': 'hello', 'empty string': '', 'digits': '123', 'looks like a list': '[1, 2]',
        'looks like a header': '# pickle protocol 4\n', 'two lines': 'one\ntwo', 'two lines ended': 'one\ntwo\n',
        'newline': '\n', 'blank': ' ', 'unicode': 'Zoë 日本語 😀', 'surrogate': '\ud800', 'carriage': 'a\rb\r\nc',
        'quotes': 'it\'s "so"', 'megabyte': 'shelve ' * 150000, 'many lines': 'a line of text\n' * 5000,
        'nested': {'a': [1, (2, {'b': [None, True]})], 'c': {'d': {}}, 'e': ()}, 'empty list': [], 'empty tuple': (),
        'empty dict': {}, 'one tuple': (1,), 'deep': [[[[[[[[[[1]]]]]]]]]], 'long list': list(range(2500)),
        'thousand': list(range(1000)), 'thousand and one': list(range(1001)), 'big dict': dict((i, str(i)) for i in range(1500)),
        'wide text': ['word%d' % i for i in range(200)], 'integers': list(NUMBERS), 'floats': list(FLOATS), 'words': list(WORDS),
        'repeated': ['a long string that is repeated, so that it has a name'] * 3, 'config': {'debug': False, 'ports': [80, 443]},
        'tuple keys': {(1, 'a'): 1, (2, 'b'): 2}, 'mixed keys': {1: 'a', 'b': 2, None: 3, 2.5: 4},
    }
    if native:
        values.update({'bytes': b'abc', 'binary': b'\x00\xff\xfe' * 100, 'empty bytes': b'', 'utf-8 bytes': 'Zoë'.encode('utf-8'),
                       'photo': bytes(bytearray(range(256))) * 400, 'header bytes': b'# raw\n'})
    if native and not PYTHON2:
        values.update({'set': {1, 2, 3}, 'empty set': set(), 'words set': {'a', 'b', 'c'},
                       'frozen': frozenset([1, (2, 3)]), 'bytearray': bytearray(b'mutable \x00')})
    if PYTHON2:
        values.update({'long': long(5), 'longs': [long(0), long(-1)], 'mixed strings': [b'bytes', 'text']})  # noqa: F821
    random = Random(20261121)
    for number in range(130):
        values['random %03d' % number] = random_value(random, 1 + number % 4, native)
    return values


def recursive_list():
    made = [1, 2]
    made.append(made)
    return made


def recursive_dict():
    made = {'name': 'loop'}
    made['self'] = made
    return made


def recursive_tuple():
    made = ([],)
    made[0].append(made)
    return made


def recursive_instance():
    made = Plain(name='tree', children=[])
    made.children.append(Plain(name='leaf', parent=made))
    return made


def shared():
    part = ['shared']
    pair = (1, 2, part)
    return {'first': part, 'second': part, 'pairs': [pair, pair]}


def objects(protocol):
    """Values that name classes, functions or themselves: they must load equal, sharing included."""
    values = {
        'recursive list': recursive_list(), 'recursive dict': recursive_dict(), 'recursive tuple': recursive_tuple(),
        'recursive instance': recursive_instance(), 'shared': shared(), 'nan': float('nan'), 'nans': [float('nan'), 1.0],
        'instance': Plain(name='Ann', age=33, tags=['x']), 'empty instance': Plain(), 'old': Old('ancient'),
        'odd attributes': Plain(**{str('with space'): 1, str('class'): 2, str('über') if not PYTHON2 else str('u'): 3}),
        'labelled': Labelled([1, 2]), 'registry': Registry(a=1), 'stateful': Stateful('kept'), 'reduced': Reduced(5, 'cm'),
        'point': Point(1, 2), 'points': [Point(i, -i) for i in range(3)], 'failure': Failure('it broke', 7),
        'error': ValueError('bad value'), 'ordered': collections.OrderedDict([('b', 1), ('a', [2])]),
        'counter': collections.Counter('abracadabra'), 'defaultdict': collections.defaultdict(list, {'k': [1]}),
        'deque': collections.deque([1, 2, 3], 5), 'decimal': decimal.Decimal('19.90'), 'fraction': fractions.Fraction(1, 3),
        'uuid': uuid.UUID('12345678123456781234567812345678'), 'date': datetime.date(2026, 11, 21),
        'datetime': datetime.datetime(2026, 11, 21, 5, 37, 12, 345678), 'time': datetime.time(23, 59, 58),
        'timedelta': datetime.timedelta(3, 7201, 5), 'dates': [datetime.datetime(2026, 1, day) for day in range(1, 20)],
        'complex': 1.5 - 2j, 'class': Plain, 'type': list, 'builtin': len, 'function': function, 'range': range(5),
        'labelled attributes': Labelled([1]), 'frozen sets': {'a': frozenset('xy')}, 'a set': {1, 2},
    }
    values['labelled attributes'].label = 'with attributes'
    values['deque'].append(4)
    if protocol >= 2:
        values['slots'] = Slots(1, [2])
        values['slots and dict'] = SlotsAndDict(1, 2, extra={'x': 'y'})
    if not PYTHON2:
        values.update({
            'aware': datetime.datetime(2026, 11, 21, 5, 37, tzinfo=datetime.timezone.utc),
            'zone': datetime.timezone(datetime.timedelta(hours=2), 'EET'), 'colour': Colour.RED, 'colours': [Colour.RED, Colour.BLUE],
            'user': User('Ann', 33, ['x', 'y']), 'users': [User('u%d' % i, i, []) for i in range(5)],
            'frozen dataclass': Frozen(('a', 'b')), 'keyword': Keyword(1, unit='cm') if protocol >= 2 else None,
            'inner': Outer.Inner(3) if protocol >= 4 else None, 'ellipsis': Ellipsis, 'none type': type(None),
            'old bytes': b'\x00\xff bytes', 'old bytearray': bytearray(b'ab'), 'nested sets': [frozenset({frozenset({1})})],
        })
    return values


ODD_KEYS = [
    b'', b'.', b'..', b'...', b'%', b'%%', b'100%', b'%41', b'%zz', b'%2', b'a%2fb', b'/', b'a/b/c', b'/etc/passwd', b'nul\x00key', b'\x00', b' ',
    b' leading', b'trailing ', b'new\nline', b'tab\t', b'\x1b[31m', b'\x7f', b'\xff\xfe', b'caf\xe9', 'café'.encode('utf-8'),
    '日本語'.encode('utf-8'), b'\xed\xa0\x80', b'.hidden', b'.shelvefs', b'.shelvefs2', b'-rf', b'*', b'a"b\'c', b'back\\slash', b'~', b'#x',
    b'k' * 240, b'CON', '\x80'.encode('utf-8'),
]


def corpus(protocol):
    """[(key, value, whether its bytes must survive)], sorted by key."""
    values = dict((key.encode('utf-8'), (literal(value), True)) for key, value in literals(protocol).items())
    for key, value in objects(protocol).items():
        values[key.encode('utf-8')] = (value, False)
    for number, key in enumerate(ODD_KEYS):
        values[key] = (literal(['odd key', number]), True)
    return [(key,) + values[key] for key in sorted(values)]


# --- comparing ---

STRICT = (float, complex)


def same(old, new, seen):
    """Equal in class, state and sharing. `seen` maps what was compared, both ways."""
    if type(old) is not type(new):
        return False
    if old is None or isinstance(old, INTEGERS + (BYTES, TEXT, type, type(len), type(function))):
        return old == new
    if isinstance(old, STRICT):
        return repr(old) == repr(new)
    if id(old) in seen or id(new) in seen:
        return seen.get(id(old)) == id(new) and seen.get(id(new)) == id(old)
    if old != ():  # there is one empty tuple
        seen[id(old)], seen[id(new)] = id(new), id(old)
    return same_content(old, new, seen) and same_state(old, new, seen)


def same_content(old, new, seen):
    if isinstance(old, (list, tuple, collections.deque)):
        return len(old) == len(new) and all(same(one, two, seen) for one, two in zip(old, new))
    if isinstance(old, dict):
        if len(old) != len(new) or getattr(old, 'default_factory', 0) != getattr(new, 'default_factory', 0):
            return False
        if isinstance(old, collections.OrderedDict) or not PYTHON2:
            return all(same(one, two, seen) and same(old[one], new[two], seen) for one, two in zip(list(old), list(new)))
        return all(key in new and same(old[key], new[key], seen) for key in old)
    if isinstance(old, (set, frozenset)):
        return old == new and sorted(map(repr, map(type, old))) == sorted(map(repr, map(type, new)))
    if isinstance(old, Exception):
        return same(old.args, new.args, seen)
    if type(old).__module__ in ('datetime', 'decimal', 'fractions', 'uuid'):
        return old == new and repr(old) == repr(new)
    if isinstance(old, bytearray) or type(old) is type(range(0)):
        return old == new
    return True


def same_state(old, new, seen):
    if type(old).__module__ in ('uuid', 'enum') or (not PYTHON2 and isinstance(old, enum.Enum)):
        return old == new
    slots = [name for cls in getattr(type(old), '__mro__', ()) for name in getattr(cls, '__slots__', ())] \
        if isinstance(old, Slots) else []
    if any(not same(getattr(old, name), getattr(new, name), seen) for name in slots):
        return False
    return not hasattr(old, '__dict__') or same(old.__dict__, new.__dict__, seen)


# --- files ---

def read_pairs(path):
    with open(path, 'rb') as file:
        data = file.read()
    fields = []
    position = 0
    while position < len(data):
        size, = struct.unpack(str('<I'), data[position:position + 4])
        fields.append(data[position + 4:position + 4 + size])
        position += 4 + size
    return list(zip(fields[::2], fields[1::2]))


def write_pairs(path, pairs):
    with open(path, 'wb') as file:
        for key, value in pairs:
            for field in (key, value):
                file.write(struct.pack(str('<I'), len(field)) + field)


def write(database, protocol):
    values = corpus(protocol)
    pairs = [(key, pickle.dumps(value, protocol)) for key, value, _ in values]
    write_pairs(database + '.pairs', pairs)
    write_pairs(database + '.exact', [pair for pair, value in zip(pairs, values) if value[2]])
    store = dumbdbm.open(database, 'n')
    for key, value in pairs:
        store[key] = value
    store.close()


def check(path, protocol):
    stored = dict(read_pairs(path))
    expected = corpus(protocol)
    problems = ['%r: no such key' % key for key, _, _ in expected if key not in stored]
    problems += ['%r: nobody stored that' % key for key in set(stored) - set(key for key, _, _ in expected)]
    for key, value, _ in expected:
        if key in stored:
            try:
                loaded = pickle.loads(stored[key])
            except Exception as error:  # whatever an unpickler may raise
                problems.append('%r: does not load: %r: %r' % (key, error, stored[key][:200]))
                continue
            if not same(value, loaded, {}):
                problems.append('%r: %.300r is now %.300r' % (key, value, loaded))
    print('\n'.join(problems))
    return 1 if problems else 0


def main():
    action, path, protocol = sys.argv[1:]
    return {'write': write, 'check': check}[action](path, int(protocol))


if __name__ == '__main__':
    import corpus as this  # so that the classes are corpus.Plain, not __main__.Plain
    sys.exit(this.main())
