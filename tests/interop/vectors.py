# SPDX-License-Identifier: GPL-3.0-or-later
"""What test_vectors.py runs in each CPython, 2.7 to the newest.

extract FILE...   the bytes literals of these modules of the Python's own test package, each after its length; concatenated
                  and repeated ones also as a whole
pickle | marshal  reads pairs, each after its length: a literal and what came of it. A line each:
                  "loads same" | "loads other"   the literal loads; what came of it loads alike or not
                  "content same" | "content other" it doesn't, but only because of what its names stand for or what its
                                                 parts make of each other; what came of it fails alike or not
                  "memory"                       a number in it asks for more memory than there is; another Python may load it
                  "elsewhere"                    it loads, but ends elsewhere: bytes are left, or Python 2 read beyond its end
                  "form"                         it could never load
"""
from __future__ import print_function

import ast
import collections
import io
import marshal
import os
import re
import struct
import sys

try:
    import copy_reg as copyreg
    import cPickle as pickle
except ImportError:
    import copyreg
    import pickle

PYTHON2 = sys.version_info[0] == 2
LITERAL = ast.Constant if sys.version_info >= (3, 8) else ast.Str if PYTHON2 else ast.Bytes
MEMORY = 4 << 30
LARGEST = 1 << 20
binary_in = getattr(sys.stdin, 'buffer', sys.stdin)
binary_out = getattr(sys.stdout, 'buffer', sys.stdout)
try:
    INTEGERS = (int, long)
    ATOMS = (int, long, float, complex, str, unicode, type(None), bool, type(Ellipsis))
except NameError:
    INTEGERS = (int,)
    ATOMS = (int, float, complex, str, bytes, type(None), bool, type(Ellipsis))


# --- literals ---

def constant(node):
    """The bytes or number that an expression of literals is, or None."""
    if isinstance(node, LITERAL):
        value = node.value if hasattr(node, 'value') else node.s
        return value if isinstance(value, (bytes, int)) else None
    if isinstance(node, getattr(ast, 'Num', ())):
        return node.n
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        left, right = constant(node.left), constant(node.right)
        if isinstance(left, bytes) and isinstance(node.op, ast.Add) and isinstance(right, bytes):
            return left + right
        if isinstance(left, bytes) and isinstance(node.op, ast.Mult) and type(right) is int:
            return left * min(right, LARGEST)
    return None


def extract(*names):
    import test
    folder = os.path.dirname(test.__file__)
    seen = set()
    for name in names:
        path = os.path.join(folder, name + '.py')
        if not os.path.exists(path):
            continue
        with open(path, 'rb') as file:
            tree = ast.parse(file.read())
        for node in ast.walk(tree):
            value = constant(node)
            if isinstance(value, bytes) and value not in seen:
                seen.add(value)
                binary_out.write(struct.pack('<I', len(value)) + value)


# --- equality ---

def named(value):
    """repr() without addresses."""
    return re.sub(' at 0x[0-9a-fA-F]+', '', repr(value))


def reduced(value):
    """What an object is made of, as it says itself; None if it does not."""
    try:
        state = value.__reduce_ex__(2)
    except Exception:
        state = None
    if isinstance(state, tuple):
        return [list(part) if index in (3, 4) and part is not None else part for index, part in enumerate(state)]
    if hasattr(value, '__dict__') and hasattr(value, '__class__') and not isinstance(value, type):
        return [value.__class__, value.__dict__]  # Python 2's instances without a class of their own
    return None


def parts(value):
    """What a value is made of, in order; None for what is compared as a whole."""
    if type(value) in (list, tuple):
        return list(value)
    if type(value) is dict:
        items = value.items() if not PYTHON2 else sorted(value.items(), key=lambda item: named(item[0]))
        return [part for item in items for part in item]
    if type(value) in (set, frozenset):
        return sorted(value, key=named)
    if type(value) is type(parts.__code__):
        return [getattr(value, name) for name in sorted(dir(value))
                if name.startswith('co_') and not callable(getattr(value, name)) and name != 'co_lnotab']
    if isinstance(value, (type, type(parts), type(len))) or type(value) in ATOMS or value is collections:
        return None
    if isinstance(value, BaseException):
        return [type(value), value.args, vars(value)]
    return reduced(value)


def whole(value):
    if type(value) is float:
        return struct.pack('<d', value)
    if type(value) is complex:
        return struct.pack('<dd', value.real, value.imag)
    if isinstance(value, ATOMS) or isinstance(value, type):
        return value
    return named(value)


def type_of(value):
    """Python 2's int and long are one where no 8-bit string says that a value is Python 2's."""
    return INTEGERS[0] if type(value) in INTEGERS else type(value)


def alike(left, right):
    """Equal in type and content, and the same objects shared where that can be noticed."""
    there, back, kept = {}, {}, []
    pending = [(left, right)]
    while pending:
        a, b = pending.pop()
        if type_of(a) is not type_of(b):
            return False
        a_parts, b_parts = parts(a), parts(b)
        kept += [a, b, a_parts, b_parts]
        if a_parts is None or b_parts is None:
            if whole(a) != whole(b):
                return False
            continue
        if id(a) in there or id(b) in back:
            if there.get(id(a)) != id(b) or back.get(id(b)) != id(a):
                if type(a) not in (tuple, frozenset):
                    return False
            else:
                continue
        there[id(a)], back[id(b)] = id(b), id(a)
        if len(a_parts) != len(b_parts):
            return False
        pending += list(zip(a_parts, b_parts))
    return True


# --- loading ---

class Anything(object):
    """Stands for what a name names, and for what is made of it: takes whatever a pickle does to it."""

    def __new__(cls, *args, **keywords):
        return object.__new__(cls)

    def __init__(self, *args, **keywords):
        pass

    def __call__(self, *args, **keywords):
        return Anything()

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        pass

    def add(self, item):
        pass


class Persistent(object):
    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        return Persistent, (self.number,)


def unpickler(data, find_class=None, encoding='ASCII'):
    if PYTHON2:
        loader = pickle.Unpickler(io.BytesIO(data))
        loader.persistent_load = Persistent
        if find_class:
            loader.find_global = find_class
        return loader

    class Loader(pickle.Unpickler):
        def persistent_load(self, number):
            return Persistent(number)

    if find_class:
        Loader.find_class = staticmethod(find_class)
    keywords = {} if sys.version_info < (3, 8) else {'buffers': [bytearray(b'one'), b'two', b'three']}
    return Loader(io.BytesIO(data), encoding=encoding, **keywords)


def load_pickle(data, find_class=None):
    for encoding in ('ASCII', 'latin-1'):
        try:
            return unpickler(data, find_class, encoding).load(), None
        except UnicodeDecodeError as error:
            failure = error
        except Exception as error:
            return None, error
    return None, failure


def pickle_has_form(data):
    """Whether it loads where every name names something that takes everything."""
    for code in (1, 2, 15, 128, 255, 256, 0xabc, 0xffff, 0x10000, 0xabcdef, 0x7fffffff):
        try:
            copyreg.add_extension('vectors', 'code%d' % code, code)
        except ValueError:
            pass
    try:
        return load_pickle(data, lambda module, name: Anything)[1] is None
    finally:
        for (module, name), code in list(copyreg._extension_registry.items()):
            if module == 'vectors':
                copyreg.remove_extension(module, name, code)
        copyreg._extension_cache.clear()


def load_marshal(data):
    try:
        return marshal.loads(data), None
    except Exception as error:
        return None, error


def verdict(literal, again, load, has_form):
    value, error = load(literal)
    if load is load_marshal and error is None:
        if load(literal[:-1])[1] is None or not alike(value, load(literal + b'\0' * 8)[0]):
            return 'elsewhere'
    if isinstance(error, MemoryError) and len(literal) < LARGEST:
        return 'memory' if load is load_pickle else 'form'
    if error is not None and not has_form(literal):
        return 'form'
    value2, error2 = load(again)
    if error is None:
        return 'loads same' if error2 is None and alike(value, value2) else 'loads other'
    return 'content same' if type(error) is type(error2) else 'content other'


def judge(load, has_form):
    data = binary_in.read()
    at = 0
    pair = []
    while at < len(data):
        size, = struct.unpack_from('<I', data, at)
        pair.append(data[at + 4:at + 4 + size])
        at += 4 + size
        if len(pair) == 2:
            print(verdict(pair[0], pair[1], load, has_form))
            pair = []


def main(verb, *arguments):
    if verb == 'extract':
        extract(*arguments)
        return
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.setrecursionlimit(10000)
    if verb == 'marshal':
        judge(load_marshal, lambda data: False)
    else:
        # Its classes are what the pickles name, some of them in __main__.
        from test import pickletester
        for name, value in vars(pickletester).items():
            if isinstance(value, type) or type(value) is type(getattr(pickletester, 'C', None)):
                globals().setdefault(name, value)
        judge(load_pickle, pickle_has_form)


if __name__ == '__main__':
    main(*sys.argv[1:])
