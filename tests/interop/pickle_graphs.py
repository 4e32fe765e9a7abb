# SPDX-License-Identifier: GPL-3.0-or-later
"""Random object graphs, pickled by whatever Python runs this (2.7 and later).

    pickle_graphs.py make SEED COUNT     writes COUNT graphs in each protocol, each after its length
    pickle_graphs.py held SEED COUNT     the same, of values that are referred to as in most programs: see Held
    pickle_graphs.py loose SEED COUNT    the same, of values that are referred to at random: see Loose
    pickle_graphs.py compare             reads pairs of pickles, writes how many do not load alike
    pickle_graphs.py memos               the same of those that differ in more than the memo's instructions
    pickle_graphs.py rewrite             reads pairs of a pickle and what came of it through text, writes for each how far they
                                         are the same, and how far this Python writes the second one again (3.8 and later)
"""
import collections
import datetime
import decimal
import fractions
import gc
import pickletools
import random
import re
import struct
import sys
import uuid

PYTHON2 = sys.version_info[0] == 2
if PYTHON2:
    import cPickle as pickle
else:
    import pickle
    unicode, unichr, long = str, chr, int

try:
    import enum
except ImportError:
    enum = None

LITERALS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE")
SIZES = [0, 1, 2, 3, 4, 5, 7]
EDGES = [254, 255, 256, 257, 999, 1000, 1001, 1002, 1999, 2000, 2001]
LENGTHS = [255, 256, 257, 65535, 65536, 65537, 70000]


class Plain(object):
    pass


class Old:
    pass


class Slots(object):
    __slots__ = ("a", "b", "__dict__")


class OnlySlots(object):
    __slots__ = ("a", "b")


class Items(list):
    pass


class Mapping(dict):
    pass


class Word(str):
    pass


class Late(object):
    """Made from its content, which may refer to it."""

    def __init__(self, *content):
        self.content = content

    def __reduce__(self):
        return Late, self.content


class State(object):
    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        self.state = state


def set_content(made, content):
    made.content = content


class Settled(object):
    """Whose state a function sets."""

    def __reduce__(self):
        return Settled, (), self.content, None, None, set_content


class WithNewArguments(object):
    def __new__(cls, *args, **kw):
        return object.__new__(cls)

    def __getnewargs__(self):
        return self.arguments


class WithKeywords(WithNewArguments):
    def __getnewargs_ex__(self):
        return self.arguments, {"key": self.arguments}


class Outer(object):
    class Inner(object):
        pass


Outer.Inner.__qualname__ = "Outer.Inner"
Point = collections.namedtuple("Point", "x y")
if enum:
    class Colour(enum.Enum):
        RED = 1
        BLUE = "blue"

    class Bits(enum.IntFlag if hasattr(enum, "IntFlag") else enum.IntEnum):
        ONE = 1
        TWO = 2


def function():
    pass


class Graph(object):
    """Makes one graph: leaves and containers that share what was made before, and late edges for cycles."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.made = []
        self.depth = 0
        self.open = []
        self.left = self.random.choice([5, 20, 60, 150])

    def integer(self):
        choice = self.random.randrange
        base = self.random.choice([0, 1, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**63 - 1,
                                   2**63, 2**64, 2**200, 2**2040 - 1, 2**2040, 10**choice(60)])
        number = base + choice(-2, 3)
        return -number if choice(2) else number

    def float(self):
        return self.random.choice([
            0.0, -0.0, 1.0, 0.1, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf"),
            self.random.uniform(-1e6, 1e6), struct.unpack("<d", struct.pack(
                "<Q", self.random.getrandbits(64) & ~(0x7ff << 52) | self.random.randrange(2047) << 52))[0]])

    def stretched(self, text):
        """`text` or, rarely, a string of a length where the pickler changes its mind."""
        if text and self.random.random() < 0.01:
            length = self.random.choice(LENGTHS)
            return (text * length)[:length]
        return text

    def length(self):
        return self.random.choice([0, 1, 2, 3, 5, 8, 20])

    def text(self):
        alphabet = self.random.choice([
            u"abcxyz_", u"ab\\'\"\n\r\0\x1a\x7f\t", u"a\xe9\xff\u0100\u20ac", u"\U0001f600\ud800a" if not PYTHON2
            else u"\u20aca", u"latin1"])
        return self.stretched(u"".join(self.random.choice(alphabet) for _ in range(self.length())))

    def bytes(self):
        return self.stretched(bytes(bytearray(
            self.random.choice([0, 65, 92, 10, 39, 255, 128]) for _ in range(self.length()))))

    def name(self):
        return self.random.choice(["a", "b", "name", "value", "latin1", "builtins", "x y"])

    def leaf(self):
        make = self.random.choice([
            lambda: None, lambda: True, lambda: False, self.integer, self.integer, self.float, self.text,
            self.text, self.bytes, self.bytes, self.name, lambda: (), lambda: bytearray(self.bytes()),
            self.extra])
        return make()

    def extra(self):
        choice = self.random.randrange
        makers = [
            lambda: datetime.datetime(2026, 11, 21, choice(24), 37, 1, choice(10**6)),
            lambda: datetime.date(2026, 1 + choice(12), 5), lambda: datetime.timedelta(choice(9), 5),
            lambda: datetime.time(5, choice(60)), lambda: decimal.Decimal(choice(10**6)) / 100,
            lambda: fractions.Fraction(choice(99), 7), lambda: uuid.UUID(int=choice(2**64)),
            lambda: complex(choice(9), 1.5), lambda: range(choice(9)), lambda: Plain, lambda: len,
            lambda: function, lambda: collections.OrderedDict, lambda: ValueError("text", choice(9)),
            lambda: bytearray, lambda: set, lambda: int]
        if not PYTHON2:
            makers += [lambda: Outer.Inner, lambda: Outer.Inner(), lambda: type(None), lambda: Ellipsis,
                       lambda: "text".upper, lambda: slice(1, choice(9)), lambda: bytes]
        else:
            makers += [lambda: long(choice(9)), lambda: unicode("text")]
        if enum:
            makers += [lambda: Colour.RED, lambda: Colour.BLUE, lambda: Bits.TWO]
        return self.random.choice(makers)()

    def value(self):
        self.left -= 1
        if self.made and self.random.random() < 0.25:
            return self.random.choice(self.made)
        if self.left < 0 or self.depth > 12 or self.random.random() < 0.4:
            value = self.leaf()
        else:
            self.depth += 1
            value = self.container()
            self.depth -= 1
        self.made.append(value)
        return value

    def values(self):
        if self.random.random() < 0.01:
            return [self.leaf() for _ in range(self.random.choice(EDGES))]
        return [self.value() for _ in range(self.random.choice(SIZES))]

    def hashables(self):
        values = []
        for value in self.values():
            try:
                hash(value)
            except TypeError:
                value = self.integer()
            values.append(value)
        return values

    def pairs(self):
        keys = self.hashables()
        if self.random.random() < 0.01:
            keys = list(range(self.random.choice(EDGES)))
        return [(key, self.value() if len(keys) < 20 else key) for key in keys]

    def filled(self, value, fill):
        """`value` is known before it is filled: it may come to contain itself."""
        self.made.append(value)
        fill(value)
        return value

    def instance(self, value):
        def fill(value):
            for name in "ab"[:self.random.randrange(3)]:
                setattr(value, name, self.value())
        return self.filled(value, fill)

    def special(self, value):
        if isinstance(value, State):
            value.state = self.value()
        elif isinstance(value, Settled):
            value.content = self.value()
        elif isinstance(value, Late):
            value.content = tuple(self.values()[:4])
        elif isinstance(value, WithKeywords):
            # Not recursive: protocols 2 and 3 make a functools.partial of it, twice (see pickle_encode.c).
            value.arguments = tuple(self.leaf() for _ in range(3))
        else:
            value.arguments = tuple(self.values()[:4])
        return value

    def container(self):
        pick = self.random.choice
        makers = [
            lambda: self.filled([], lambda x: x.extend(self.values())),
            lambda: self.filled([], lambda x: x.extend(self.values())),
            lambda: self.filled({}, lambda x: x.update(self.pairs())),
            lambda: self.filled({}, lambda x: x.update(self.pairs())),
            lambda: tuple(self.values()), lambda: tuple(self.values()), lambda: frozenset(self.hashables()),
            lambda: self.filled(set(), lambda x: x.update(self.hashables())),
            lambda: self.instance(pick([Plain, Plain, Slots, OnlySlots, Old])()),
            lambda: self.instance(self.filled(Items(), lambda x: x.extend(self.values()))),
            lambda: self.instance(self.filled(Mapping(), lambda x: x.update(self.pairs()))),
            lambda: self.filled(pick([State, Late, WithNewArguments, WithKeywords])(), self.special),
            lambda: self.filled(collections.OrderedDict(), lambda x: x.update(self.pairs())),
            lambda: self.filled(collections.defaultdict(pick([int, list, None])),
                                lambda x: x.update(self.pairs())),
            lambda: self.filled(collections.deque(maxlen=pick([None, 2000])),
                                lambda x: x.extend(self.values())),
            lambda: Point(self.value(), self.value()),
        ]
        if sys.version_info >= (3, 8):
            makers.append(lambda: self.filled(Settled(), self.special))
        return pick(makers)()


class Held(Graph):
    """What cPickle's memo depends on is as in a literal: each string has a reference beside the graph, as a constant has,
    and so has a tuple that the compiler makes of constants; nothing else has one. Equal strings are one object. No class
    has a __reduce__() of its own, and nothing is made from itself."""

    strings = {}
    constants = []

    def __init__(self, seed):
        Graph.__init__(self, seed)
        del self.constants[:]

    def tuple(self):
        value = tuple(self.values())
        if value and all(map(self.constant, value[1:])) and \
                (self.constant(value[0]) or any(value[0] is known for known in self.constants) or value[0] == ()):
            self.constants.append(value)
        return value

    def constant(self, value):
        return value is None or type(value) in (int, long, float, bytes, unicode)

    def text(self):
        if self.random.random() < 0.2:
            text = unichr(self.random.choice([self.random.randrange(256), self.random.randrange(0x110000)]))
            text *= self.random.choice([1, 1, 2, 3]) if not 0xd800 <= ord(text) < 0xe000 else 1
        else:
            text = Graph.text(self)
        return self.strings.setdefault((unicode, text), text)

    def bytes(self):
        text = Graph.bytes(self)
        return self.strings.setdefault((bytes, text), text)

    def extra(self):
        value = Graph.extra(self)
        return self.strings.setdefault((unicode, value), value) if isinstance(value, unicode) else value

    def container(self):
        pick = self.random.choice
        makers = [
            lambda: self.filled([], lambda x: x.extend(self.values())),
            lambda: self.filled([], lambda x: x.extend(self.values())),
            lambda: self.filled({}, lambda x: x.update(self.pairs())),
            lambda: self.filled({}, lambda x: x.update(self.pairs())),
            lambda: self.tuple(), lambda: self.tuple(), lambda: frozenset(self.hashables()),
            lambda: self.filled(set(), lambda x: x.update(self.hashables())),
            lambda: self.instance(pick([Plain, Slots, OnlySlots, Old])()),
            lambda: self.instance(Items(self.values())),
            lambda: self.instance(Mapping(self.pairs())),
            lambda: collections.OrderedDict(self.pairs()),
            lambda: self.filled(collections.defaultdict(pick([int, list, None])), lambda x: x.update(self.pairs())),
            lambda: collections.deque(self.values(), pick([None, 2000])),
            lambda: Point(self.value(), self.value()), lambda: Word("word%d" % self.left),
            lambda: bytearray(self.bytes()), lambda: KeyError(self.leaf(), self.leaf()),
        ]
        return pick(makers)()


class Loose(Held):
    """The same values, but what else refers to them is random."""

    def __init__(self, seed):
        Held.__init__(self, seed)
        del self.kept[:]

    kept = []

    def text(self):
        return self.loose(Held.text(self))

    def bytes(self):
        return self.loose(Held.bytes(self))

    def loose(self, text):
        """Another string that is equal."""
        return text if self.random.random() < 0.5 else text[:1] + text[1:]

    def container(self):
        value = Held.container(self)
        if self.random.random() < 0.3:
            self.kept.append(value)
        return value


def pickles(seed, kind=Graph):
    try:
        value = kind(seed).container()
    except RuntimeError:
        return
    if kind is not Graph:
        gc.collect()  # what dropped containers refer to
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            yield pickle.dumps(value, protocol)
        except Exception:
            # Slots without a state in protocols 0 and 1, too deep, a set that a hash is needed for, ...
            continue


def make(seed, count, kind):
    out = sys.stdout if PYTHON2 else sys.stdout.buffer
    for number in range(seed, seed + count):
        for data in pickles(number, kind):
            out.write(struct.pack("<I", len(data)) + data)


def parts(value):
    """What a value is made of, in order, beside its type; None: compare with =="""
    if isinstance(value, (type, type(function), type(len))) or enum and isinstance(value, enum.Enum):
        return None
    if isinstance(value, (set, frozenset)):
        plain = [repr(item).rstrip("L") for item in value
                 if isinstance(item, (int, long, float, str, bytes, unicode))]
        return [sorted(plain), len(value)] + list(vars(value).items() if hasattr(value, "__dict__") else ())
    if isinstance(value, float):
        return [struct.pack("<d", value)]
    found = []
    if isinstance(value, dict):
        found += [part for item in value.items() for part in item]
    elif isinstance(value, (list, tuple, collections.deque)):
        found += list(value)
    elif isinstance(value, BaseException):
        found += list(value.args)
    elif not hasattr(value, "__dict__") and not hasattr(value, "__slots__"):
        return None
    elif value.__class__.__module__ != __name__:
        return None
    if PYTHON2 and isinstance(value, dict) and type(value) is not collections.OrderedDict:
        plain = all(isinstance(part, (int, long, str)) for part in found)
        found = sorted(repr(part).rstrip("L") for part in found) if plain else [len(found)]
    for name in getattr(value, "__slots__", ()):
        if hasattr(value, name) and name != "__dict__":
            found.append(getattr(value, name))
    if getattr(value, "__dict__", None):
        found += [part for item in sorted(vars(value).items()) for part in item]
    return found


def named(value):
    """repr() without the addresses of methods and the like."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))


def alike(a, b):
    """Whether two graphs are the same, sharing included."""
    known, back, left = {}, {}, [(a, b)]
    keep = [a, b]
    while left:
        a, b = left.pop()
        # A pickle without 8-bit strings does not tell that it is Python 2's, which has two kinds of integers.
        if type(a) is not type(b) and not (isinstance(a, (int, long)) and a == b):
            return False
        mutable = not isinstance(a, (int, long, float, str, bytes, unicode, type(None), bool))
        if mutable and (id(a) in known or id(b) in back):
            if known.get(id(a)) != id(b) or back.get(id(b)) != id(a):
                # Equal atoms may be one object in one graph and two in the other.
                if parts(a) is not None and a != ():
                    return False
            continue
        if mutable:
            known[id(a)], back[id(b)] = id(b), id(a)
        x, y = parts(a), parts(b)
        if x is None or y is None:
            if a != b and named(a) != named(b):
                return False
            continue
        keep += [x, y]
        if len(x) != len(y):
            return False
        left += list(zip(x, y))
    return True


def load(data):
    try:
        return pickle.loads(data)
    except Exception as error:
        return type(error)


def without_memo(data):
    """A pickle's instructions; a string in place of its GET, and what else is got by the place where it was made."""
    program, memo = [], {}
    for op, argument, _ in pickletools.genops(data):
        if "PUT" in op.name:
            memo[int(argument)] = len(program) - 1
        elif "GET" in op.name:
            place = memo[int(argument)]
            program.append(program[place] if program[place][0] in LITERALS else ("GET", place))
        else:
            program.append((op.name, repr(argument)))
    return program


def compare(same):
    source = sys.stdin if PYTHON2 else sys.stdin.buffer
    wrong = total = 0
    while True:
        pair = []
        for _ in range(2):
            size = source.read(4)
            if not size:
                print("%d %d" % (wrong, total))
                return
            pair.append(source.read(struct.unpack("<I", size)[0]))
        total += 1
        if not same(*pair):
            wrong += 1
            sys.stderr.write("%r\n%r\n" % (pair[0][:2000], pair[1][:2000]))


# What a pickle says beside its bytes

STRINGS = ("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
VALUES = ("str", "bytes", "global", "encode arguments")


def fold(instructions):
    """Takes the call by which low protocols make bytes as the bytes."""
    if instructions[-2:] == [instructions[-2], ("REDUCE", None)] and instructions[-2][0] == "encode arguments":
        instructions[-2:] = [("bytes", instructions[-2][1].encode("latin1"))]
    for pattern in ([None, ("str", "latin1"), ("TUPLE2", None)],
                    [("MARK", None), None, ("str", "latin1"), ("TUPLE", None)]):
        size = len(pattern)
        last = instructions[-size - 1:]
        if len(last) > size and last[0] == ("global", "_codecs", "encode") and last[-3][0] == "str" and all(
                want is None or want == got for want, got in zip(pattern, last[1:])):
            instructions[-size - 1:] = [("encode arguments", last[-3][1])]


def instructions_of(data):
    """A pickle's instructions where equal strings, bytes and globals are not told apart by the memo."""
    import pickletools
    found, memo, stored = [], {}, 0
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name in STRINGS or name in BYTES:
            found.append(("str" if name in STRINGS else "bytes", argument))
        elif name == "GLOBAL":
            found.append(("global",) + tuple(argument.split(" ", 1)))
        elif name == "STACK_GLOBAL" and found[-2][0] == found[-1][0] == "str":
            found[-2:] = [("global", found[-2][1], found[-1][1])]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            found.append(memo[int(argument)])
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            index = len(memo) if name == "MEMOIZE" else int(argument)
            if found[-1][0] in VALUES:
                memo[index] = found[-1]
            else:
                stored += 1
                memo[index] = ("GET", stored)
                found.append(("PUT", stored))
        elif name != "FRAME":
            found.append((name, argument))
            if len(found) > 2:
                fold(found)
    return found


def less_unused(instructions):
    """Without what is stored in the memo and never taken from it."""
    used = [number for name, number in (part[:2] for part in instructions if len(part) > 1) if name == "GET"]
    order = {number: index for index, number in enumerate(sorted(set(used)))}
    return [(part[0], order[part[1]]) if part[0] in ("GET", "PUT") else part for part in instructions
            if part[0] != "PUT" or part[1] in order]


def has(instructions, *names):
    return any(part[0] in ("ADDITEMS", "FROZENSET") and "set" in names or part[0] == "global" and part[2] in names
               for part in instructions)


PARSED = {}  # the last few: the same ones are compared with each other, and this takes most of the time


def parsed(data):
    if data not in PARSED:
        if len(PARSED) == 4:
            PARSED.clear()
        PARSED[data] = instructions_of(data)
    return PARSED[data]


def likeness(data, again):
    if data == again:
        return "identical"
    left, right = parsed(data), parsed(again)
    if left == right:
        return "strings"  # only which equal strings are one object
    # 3.13 stores no more what it calls getattr() with to find a class within a class; earlier ones do.
    return "nested names" if has(left, "getattr") and less_unused(left) == less_unused(right) else "different"


def dumped(value, protocol):
    try:
        return pickle.dumps(value, protocol)
    except Exception:
        return None  # too deep


def rewritten(value, data):
    """How far pickling what `data` loads as gives `data`."""
    protocols = [data[1]] if data[:1] == b"\x80" else [0, 1]
    # A protocol below 2 does not say which it is.
    written = [again for again in (dumped(value, protocol) for protocol in protocols) if again is not None]
    if not written:
        return "too deep"
    if data in written:
        return "identical"
    kinds = [likeness(again, data) for again in written]
    for kind in ("strings", "nested names"):
        if kind in kinds:
            return kind
    # A set is walked in the order of its hashes, and those of objects are their addresses.
    sets = has(parsed(data), "set", "frozenset")
    return "sets" if sets and any(alike(load(again), value) for again in written) else "different"


def rewrite():
    source = sys.stdin.buffer
    while True:
        pair = []
        for _ in range(2):
            size = source.read(4)
            if not size:
                return
            pair.append(source.read(struct.unpack("<I", size)[0]))
        first, second = load(pair[0]), load(pair[1])
        if isinstance(first, type) and issubclass(first, Exception):
            print("fails,%s" % ("fails" if first is second else "loads"))
        elif not alike(first, second):
            print("unlike,")
        else:
            how = rewritten(second, pair[1])
            if how == "different" and rewritten(first, pair[0]) == how:
                how = "nor its own"
            print("%s,%s" % (likeness(*pair), how))


KINDS = {"make": Graph, "held": Held, "loose": Loose}

if __name__ == "__main__":
    if sys.argv[1] in KINDS:
        make(int(sys.argv[2]), int(sys.argv[3]), KINDS[sys.argv[1]])
    elif sys.argv[1] == "memos":
        compare(lambda a, b: without_memo(a) == without_memo(b))
    else:
        {"compare": lambda: compare(lambda a, b: alike(load(a), load(b))), "rewrite": rewrite}[sys.argv[1]]()
