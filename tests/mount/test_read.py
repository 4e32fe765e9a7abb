# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user sees who only looks: names, texts and sizes of databases that several CPythons wrote."""

import ast
import os
import pickle

import corpus
from mounting import file_name, sh


LITERALS = (bool, int, float, complex, str, bytes, type(None))


def is_literal(value):
    if isinstance(value, LITERALS):
        return value == value  # nan is none
    if type(value) is dict:
        return all(is_literal(key) and is_literal(item) for key, item in value.items())
    return type(value) in (list, tuple, set) and all(map(is_literal, value))


def is_plain(value, text):
    """Whether `text` is a str shown as itself."""
    if not isinstance(value, str):
        return False
    # Python 2's str is bytes, of which `value` is the Latin-1 view.
    shown = [value.encode('utf-8', 'surrogatepass')] + ([value.encode('latin-1')] if max(value, default='') < '\u0100' else [])
    return text in [raw + b'\n' if raw and is_utf8(raw) else raw for raw in shown]


def means(text, value):
    """Whether a text of a value that is built of literals says exactly that value."""
    if isinstance(value, bytes) and text == value:
        return not is_utf8(value)
    if is_plain(value, text) and len(text) > 10000:
        return True  # prose of this length: Python's parser gives up with MemoryError
    try:
        if b'(_1 :=' in text or b'long(' in text:  # a long string that is repeated; 5L, which Python 3 has no literal for
            read = eval(text.decode(), {'__builtins__': {'set': set, 'long': int}})
        else:
            read = ast.literal_eval(text.decode())
    except (SyntaxError, ValueError):
        return is_plain(value, text)
    return corpus.same(value, read, {})


def is_utf8(raw):
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_every_key_is_a_file(written, shelve, mounter):
    mount = mounter(shelve)
    names = {file_name(key) for key in written.records}
    assert set(os.listdir(os.fsencode(mount.directory))) == names
    assert len(names) == len(written.records) > 200
    assert shelve.records() == written.records


def test_every_text_says_its_value(written, shelve, mounter):
    mount = mounter(shelve)
    objects = {key.encode() for key in corpus.objects(written.protocol)}
    wrong = []
    for key, stored in written.records.items():
        path = os.path.join(os.fsencode(mount.directory), file_name(key))
        with open(path, 'rb') as file:
            text = file.read()
        if os.stat(path).st_size != len(text):
            wrong.append((key, 'size', os.stat(path).st_size, len(text)))
        if key == b'old bytes':
            good = text == b'\x00\xff bytes'
        elif key in objects:
            # An expression in Python's syntax, not an opcode list or raw bytes.
            ast.parse(text.decode(), mode='eval')
            good = not text.startswith(b'# raw') and b'asm(' not in text
        else:
            value = pickle.loads(stored, encoding='latin-1')
            good = means(text, value) if is_literal(value) else not text.startswith(b'# raw')
        if not good:
            wrong.append((key, text[:300]))
    assert not wrong, '%d wrong: %r' % (len(wrong), wrong[:5])


def test_strings_that_look_like_something_else_are_quoted(database, mounter):
    strings = ['123', 'None', 'True', '[1, 2]', "'quoted'", '# raw', '# pickle protocol 2', 'nan', '-1', '()', 'f(1)', '"x"', ' 5']
    for number, string in enumerate(strings):
        database.put('k%d' % number, string)
    plain = ['hello', 'www.example.com', 'Good morning!', '10.0.0.1', '# a comment', 'a: b', 'x = 1', '50%', '2026-11-21', 'a-b']
    for number, string in enumerate(plain):
        database.put('p%d' % number, string)
    mount = mounter(database)
    for number, string in enumerate(plain):
        assert mount.text('p%d' % number) == string + '\n'
    for number, string in enumerate(strings):
        text = mount.text('k%d' % number)
        assert is_plain(string, text.encode()) or ast.literal_eval(text) == string
        assert text != string + '\n' or string in ('nan', 'f(1)', ' 5'), string


def test_protocol_of_a_value_that_differs_is_a_header(database, mounter):
    database.put('old', [1, b'x'], protocol=2)
    database.put('newest', bytearray(b'abc'), protocol=5)
    mount = mounter(database)
    assert mount.text('old') == "# pickle protocol 2\n[1, b'x']\n"
    assert mount.text('newest') == "# pickle protocol 5\nbytearray(b'abc')\n"
    assert mount.text('list') == '[1, 2, 3]\n'


def test_what_is_no_pickle_is_raw(database, mounter):
    database.update([(b'text', b'just text'), (b'cut', pickle.dumps(list(range(100)))[:-3]), (b'nothing', b'')])
    mount = mounter(database)
    assert (mount / 'text').read_bytes() == b'# raw\njust text'
    assert (mount / 'cut').read_bytes() == b'# raw\n' + pickle.dumps(list(range(100)))[:-3]
    assert (mount / 'nothing').read_bytes() == b'# raw\n'


def test_bytes_are_shown_verbatim(database, mounter):
    photo = bytes(range(256)) * 1000
    database.put('photo', photo)
    database.put('ascii', b'abc')
    mount = mounter(database)
    assert (mount / 'photo').read_bytes() == photo
    assert mount.text('ascii') == "b'abc'\n"


def test_nothing_is_executed(database, mounter, tmp_path):
    victim = tmp_path / 'victim'
    database.update([(b'evil', b"cos\nsystem\n(S'touch %s'\ntR." % os.fsencode(victim))])
    mount = mounter(database)
    text = mount.text('evil')
    assert 'os.system(' in text and str(victim) in text
    assert not victim.exists()


def test_commands_that_read(mount, tmp_path):
    listed = sh('ls', mount.directory).stdout.split()
    assert listed == ['bytes', 'dict', 'empty', 'greeting', 'list', 'number', 'quoted', 'text']
    assert sh('cat greeting list', mount.directory).stdout == 'hello\n[1, 2, 3]\n'
    assert sh('grep -r "2, 3" .', mount.directory).stdout == './list:[1, 2, 3]\n'
    assert sh('find . -type f -size -7c | sort', mount.directory).stdout.split() == \
        ['./bytes', './empty', './greeting', './number', './quoted']
    assert sh('wc -c < greeting; stat -c %s:%h:%F greeting', mount.directory).stdout.split('\n')[:2] == ['6', '6:1:regular file']
    assert sh('head -c 3 text; tail -n 2 text', mount.directory).stdout.startswith('onethree')
    sh('tar cf %s/all.tar .' % tmp_path, mount.directory)
    sh('mkdir %s/out && tar xf %s/all.tar -C %s/out && diff -r . %s/out' % ((tmp_path,) * 4), mount.directory)
    sh('cp -a . %s/copy && diff -r . %s/copy' % (tmp_path, tmp_path), mount.directory)
    assert sh('md5sum < text', mount.directory).stdout == sh('md5sum < copy/text', tmp_path).stdout


def test_identities_are_stable(mount):
    before = {entry.name: entry.inode() for entry in os.scandir(mount.directory)}
    assert len(set(before.values())) == len(before)
    assert {name: os.stat(mount / name).st_ino for name in before} == before
    mount.remount()
    assert {entry.name: entry.inode() for entry in os.scandir(mount.directory)} == before


def test_ten_thousand_nested_lists(database, mounter):
    depth = 100000
    database.update([(b'deep', b'\x80\x04' + b']' * depth + b'a' * (depth - 1) + b'.'),
                     (b'doubling', b'\x80\x04N' + b'2\x86' * 40 + b'.')])
    mount = mounter(database)
    assert len((mount / 'deep').read_bytes()) > depth
    assert len((mount / 'doubling').read_bytes()) < 100000
    assert mount.text('greeting') == 'hello\n'
