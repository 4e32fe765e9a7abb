# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user changes with a shell and coreutils, and what Python finds afterwards."""

import ast
import datetime
import errno
import os
import pickle

import pytest

from mounting import Watcher, dumped, eventually, refused, sh


@pytest.mark.parametrize('command, key, value', [
    ('echo hello > new', 'new', 'hello'),
    ('echo hello > greeting', 'greeting', 'hello'),
    ("echo '[1, 2]' > list", 'list', [1, 2]),
    ("echo '[1, 2]' > greeting", 'greeting', [1, 2]),
    ('printf %s 42 > number', 'number', 42),
    ("printf 'no newline' > greeting", 'greeting', 'no newline'),
    ("printf 'two\\n\\n' > greeting", 'greeting', 'two\n'),
    ('> greeting', 'greeting', ''),
    ('echo four >> text', 'text', 'one\ntwo\nthree\n\nfour'),
    ('echo world >> greeting', 'greeting', 'hello\nworld'),
    ("echo ', 4' >> number", 'number', '42\n, 4'),
    ("sed -i s/hello/goodbye/ greeting", 'greeting', 'goodbye'),
    ("sed -i 's/2, 3/2, 3, 4/' list", 'list', [1, 2, 3, 4]),
    ("sed -i.bak 's/hello/goodbye/' greeting", 'greeting', 'goodbye'),
    ('cp dict list', 'list', {'a': 1, 'b': [True, None]}),
    ('cp greeting new', 'new', 'hello'),
    ('mv dict list', 'list', {'a': 1, 'b': [True, None]}),
    ('mv greeting new', 'new', 'hello'),
    ('cp bytes new', 'new', b'\x00\xff'),
    ('head -c 100000 /dev/zero | tr "\\0" "\\377" > new', 'new', b'\xff' * 100000),
    ("echo \"{'x': (1, 2.5), 'y': {1, 2}, 'z': b'ab'}\" > new", 'new', {'x': (1, 2.5), 'y': {1, 2}, 'z': b'ab'}),
    ("echo \"'123'\" > new", 'new', '123'),
    ('echo "datetime.date(2026, 11, 21)" > new', 'new', datetime.date(2026, 11, 21)),
    ('echo www.example.com > new', 'new', 'www.example.com'),
    ('dd if=text of=new bs=3 status=none', 'new', 'one\ntwo\nthree\n'),
    ('truncate -s 0 greeting', 'greeting', ''),
    ('echo ho > a%2Fb', 'a/b', 'ho'),
    ('install -m 600 greeting new', 'new', 'hello'),
    ('tee new < greeting > /dev/null', 'new', 'hello'),
    ('seq 100000 > new', 'new', '\n'.join(map(str, range(1, 100001)))),
    ('mktemp keep.XXXXXX && rm keep.*', 'greeting', 'hello'),
], ids=lambda argument: str(argument)[:40])
def test_commands_that_save(mount, database, command, key, value):
    keys = database.keys()
    sh(command, mount.directory)
    assert database.value(key) == value
    assert type(database.value(key)) is type(value)
    gone = {command.split()[1].encode()} if command.startswith('mv') else set()
    kept = {b'greeting.bak'} if '.bak' in command else set()
    assert database.keys() == (keys - gone) | {key.encode()} | kept
    # What it did not name is as it was.
    for other, was in database.values.items():
        if other != key and other.encode() not in gone:
            assert database.value(other) == was


@pytest.mark.parametrize('command', ['touch new', ': > new', 'cp /dev/null new', 'cp empty new'])
def test_a_new_empty_file_becomes_a_key_when_it_stays(mount, database, command):
    keys = database.keys()
    sh(command, mount.directory)
    assert (mount / 'new').read_bytes() == b''
    eventually(lambda: b'new' in database.keys())
    assert database.keys() == keys | {b'new'}
    assert database.value('new') == ''


@pytest.mark.parametrize('text, value', [
    ('[1, 2, 3, 4]\n', [1, 2, 3, 4]), ('{"a": 1}\n', {'a': 1}), ('(1,)', (1,)), ('None', None), ('-0.5\n', -0.5),
    ('1e999', float('inf')),
    ('{1}\n', {1}), ("b'x'", b'x'), ('"str"\n', 'str'), ('2 ** 8\n', '2 ** 8'), ('Zoë 日本語\n', 'Zoë 日本語'),
    ('[\n  1,\n  2,\n]\n', [1, 2]),
])
def test_bytes_are_those_of_pickle(mount, database, text, value):
    mount.save('new', text)
    assert database.stored('new') == dumped(value)
    mount.save('number', text)
    assert database.stored('number') == dumped(value)


def test_header_chooses_the_protocol(mount, database):
    mount.save('new', '# pickle protocol 2\n[1, 2]\n')
    assert database.stored('new') == dumped([1, 2], 2)
    assert mount.text('new') == '# pickle protocol 2\n[1, 2]\n'
    mount.save('new', '[1, 2]\n')
    assert pickle.loads(database.stored('new')) == [1, 2]
    mount.save('new', '# raw\nany bytes')
    assert database.stored('new') == b'any bytes'


def check_refused(mount, database, name, text, before):
    assert database.stored(name) == before
    errors = mount.control('errors')
    assert name in errors
    assert (mount / '.shelvefs/rejected' / name).read_text() == text
    assert os.getxattr(mount / name, 'user.shelvefs.error')
    return errors


def test_half_a_list_is_refused(mount, database):
    before = database.stored('list')
    sh("echo '[1, 2' > list", mount.directory, check=False)
    errors = check_refused(mount, database, 'list', '[1, 2\n', before)
    assert 'line ' in errors and 'column ' in errors
    assert mount.text('list') == '[1, 2, 3]\n'


def test_refusal_is_an_error_of_close(mount, database):
    before = database.records()
    with refused(errno.EINVAL):
        mount.save('list', '[1, 2\n')
    with refused(errno.EINVAL):
        mount.save('dict', "{'a': 1, 'b'}}")
    assert sh("echo '[1, 2' > %s; cp %s list" % ((mount.directory.parent / 'half',) * 2), mount.directory, check=False).returncode
    assert database.records() == before


def test_refused_text_can_be_fetched_and_mended(mount, database):
    with refused(errno.EINVAL):
        mount.save('list', '[1, 2\n')
    sh("sed 's/$/]/' .shelvefs/rejected/list > list", mount.directory)
    assert database.value('list') == [1, 2]


def test_half_a_list_over_a_str_is_text(mount, database):
    mount.save('greeting', '[1, 2\n')
    assert database.value('greeting') == '[1, 2'


def test_a_new_global_is_refused(mount, database):
    before = database.stored('dict')
    with refused(errno.EPERM):
        mount.save('dict', "os.system('true')\n")
    check_refused(mount, database, 'dict', "os.system('true')\n", before)
    mount.save('dict', "[datetime.timedelta(1), collections.OrderedDict(), decimal.Decimal('1.5')]\n")
    assert len(database.value('dict')) == 3


def test_any_global_is_allowed_when_asked_for(database, mounter):
    mount = mounter(database, 'globals=any')
    mount.save('new', "[os.path.join('a', 'b')]\n")
    assert database.value('new') == ['a/b']


def test_too_large_is_refused(database, mounter):
    mount = mounter(database, 'max_value=10000')
    before = database.records()
    with refused(errno.EFBIG):
        mount.save('list', 'x' * 20000)
    assert database.records() == before


def test_removing(mount, database):
    sh('rm greeting list', mount.directory)
    assert database.keys() == {b'bytes', b'dict', b'empty', b'number', b'quoted', b'text'}
    assert not (mount / 'greeting').exists()
    with refused(errno.ENOENT):
        os.unlink(mount / 'greeting')
    sh('rm *', mount.directory)
    assert database.keys() == set() and os.listdir(mount.directory) == []
    sh('echo again > greeting', mount.directory)
    assert database.value('greeting') == 'again'


def test_removing_everything_at_once(database, mounter):
    database.update((b'k%05d' % number, dumped(number)) for number in range(1500))
    mount = mounter(database)
    assert len(os.listdir(mount.directory)) == 1508
    sh('rm -r k*', mount.directory)
    assert len(database.keys()) == 8
    sh('find . -type f -delete', mount.directory)
    assert database.keys() == set()


def test_renaming(mount, database):
    stored = database.stored('dict')
    os.rename(mount / 'dict', mount / 'other')
    assert database.stored('other') == stored and b'dict' not in database.keys()
    os.rename(mount / 'other', mount / 'list')
    assert database.stored('list') == stored and b'other' not in database.keys()
    assert mount.text('list') == "{'a': 1, 'b': [True, None]}\n"
    with refused(errno.ENOENT):
        os.rename(mount / 'gone', mount / 'list')
    assert sh('mv -n greeting list', mount.directory, check=False).returncode in (0, 1)
    assert database.stored('list') == stored and database.value('greeting') == 'hello'


def test_a_name_that_is_no_key(mount, database):
    for name in ('a%41', '%2e', '%2Fa%2f', '%C3%A9'):
        with refused(errno.EINVAL, errno.ENOENT):
            mount.save(name, 'x\n')
    assert len(database.keys()) == 8
    with refused(errno.EPERM):
        os.mkdir(mount / 'folder')
    with refused(errno.EPERM):
        os.link(mount / 'greeting', mount / 'second')
    with refused(errno.EPERM):
        os.symlink('greeting', mount / 'second')
    with refused(errno.EPERM):
        os.mkfifo(mount / 'pipe')


def test_modes_and_times_are_accepted(mount):
    sh('chmod 640 greeting && chown $(id -u):$(id -g) greeting && touch -d 2026-01-02T03:04:05Z greeting', mount.directory)
    assert sh('stat -c "%a %Y" greeting', mount.directory).stdout == '640 1767323045\n'


@pytest.mark.parametrize('rounds, command', [
    (20, 'echo $w > ../source; cp ../source greeting.tmp; mv greeting.tmp greeting'),
    (20, 'sed -i "s/.*/$w/" greeting'),
    (20, 'echo $w > ../greeting; rsync -I ../greeting .'),
    (6, 'vim -es -u NONE -c "%s/.*/$w/" -c wq greeting'),
    (6, 'vim -es -u NONE -c "set backup backupcopy=no" -c "%s/.*/$w/" -c wq greeting'),
    (6, 'vim -es -u NONE -c "set nowritebackup" -c "%s/.*/$w/" -c wq greeting'),
], ids=['mv', 'sed -i', 'rsync', 'vim', 'vim-backup', 'vim-in-place'])
def test_nobody_sees_a_key_missing_or_half_written(mount, database, rounds, command):
    allowed = [dumped('hello'), dumped('goodbye')]
    with Watcher(database, 'greeting', allowed) as watcher:
        for _ in range(50):  # on gdbm, nobody else gets in between saves that follow each other closely
            sh('for i in $(seq %d); do for w in goodbye hello; do %s; done; done' % (rounds, command), mount.directory)
            if watcher.has_enough():
                break
        assert watcher.has_enough() and watcher.result()


UNTRUE = b']q\0cbuiltins\ntuple\nh\0\x85Rq\x010h\0K\x01a0h\x01.'  # tuple() runs before its list has an item


def test_program_of_instructions(database, mounter):
    database.update([(b'program', UNTRUE)])
    mount = mounter(database)
    text = mount.text('program')
    assert text.startswith("# pickle protocol 1\nasm(\n    ('EMPTY_LIST',),\n    ('BINPUT', 0),\n    ('GLOBAL', 'builtins', 'tuple'),\n")
    call = ast.parse(text, mode='eval').body
    assert ast.literal_eval(call.args[1]) == ('BINPUT', 0)
    mount.save('copy', text)
    assert database.stored('copy') == UNTRUE
    sh('sed -i "s/BININT1., 1/BININT1\', 7/" program', mount.directory)
    assert database.stored('program') == UNTRUE.replace(b'K\x01', b'K\x07')
    before = database.records()
    for code, bad in ((errno.EINVAL, text.replace("    ('STOP',),\n", '')), (errno.EINVAL, text.replace('TUPLE1', 'TUPLE9')),
                      (errno.EINVAL, text.replace("'BININT1', 1", "'BININT1', 256")), (errno.EPERM, text.replace('tuple', 'eval'))):
        for name in ('program', 'another'):
            with refused(code):
                mount.save(name, bad)
    assert 'no such instruction' in mount.control('errors')
    assert database.records() == before
