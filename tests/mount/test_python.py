# SPDX-License-Identifier: GPL-3.0-or-later
"""Python uses the database while it is mounted: each sees what the other does."""

import errno
import os
import pickle

from mounting import eventually, refused, sh

SOON = 2.0  # seconds, twice what the design promises: a busy machine may be late, but not each time


def test_python_sees_each_save(mount, database):
    for number in range(30):
        mount.save('counter', '%d\n' % number)
        assert database.value('counter') == number
        mount.save('key %d' % number, "{'n': %d}\n" % number)
        assert database.value('key %d' % number) == {'n': number}
    os.unlink(mount / 'counter')
    assert b'counter' not in database.keys()


def test_the_mount_sees_what_python_writes(mount, database):
    assert mount.text('greeting') == 'hello\n'
    assert not (mount / 'fresh').exists()
    late = []
    for text in ('changed', 'and again', 'x' * 5000, 'short'):
        database.put('greeting', text)
        late.append(eventually(lambda: mount.text('greeting') == text + '\n'))
        assert os.stat(mount / 'greeting').st_size == len(text) + 1
    assert min(late) < SOON
    database.put('fresh', [1])
    eventually(lambda: (mount / 'fresh').exists())
    eventually(lambda: 'fresh' in os.listdir(mount.directory))
    assert mount.text('fresh') == '[1]\n'
    database.delete('fresh')
    eventually(lambda: not (mount / 'fresh').exists())
    eventually(lambda: 'fresh' not in os.listdir(mount.directory))


def test_size_without_opening(mount, database):
    assert os.stat(mount / 'list').st_size == len('[1, 2, 3]\n')
    late = []
    for count in (1000, 2000, 3000):
        database.put('list', list(range(count)))
        late.append(eventually(lambda: os.stat(mount / 'list').st_size > 4 * count))
    assert min(late) < SOON
    assert len(mount.text('list')) == os.stat(mount / 'list').st_size


def test_a_reader_keeps_what_it_opened(mount, database):
    database.put('greeting', 'a' * 300000)
    eventually(lambda: os.stat(mount / 'greeting').st_size == 300001)
    with open(mount / 'greeting', 'rb') as reader:
        first = reader.read(10)
        database.put('greeting', 'b' * 300000)
        eventually(lambda: mount.text('greeting')[0] == 'b')
        assert first + reader.read() == b'a' * 300000 + b'\n'


def test_both_write_in_turn(mount, database):
    for number in range(20):
        database.put('turn', ['python', number])
        eventually(lambda: mount.text('turn') == "['python', %d]\n" % number)
        mount.save('turn', "['mount', %d]\n" % number)
        assert database.value('turn') == ['mount', number]
        database.put('other %d' % number, number)
    assert {('other %d' % number).encode() for number in range(20)} <= database.keys()


def test_an_open_shelve_sees_a_new_key(database, mounter):
    mount = mounter(database, 'lock_timeout=1')
    with database.opened() as store:
        assert pickle.loads(store[b'greeting']) == 'hello'
        if database.engine == 'gdbm':  # whoever reads keeps writers out
            with refused(errno.EBUSY):
                mount.save('greeting', 'too early\n')
            assert mount.text('greeting') == 'hello\n'
            assert mount.text('.shelvefs/rejected/greeting') == 'too early\n'
        else:
            mount.save('greeting', 'meanwhile\n')
            if database.engine == 'tdb':  # dbm.dumb reads its index only once
                assert pickle.loads(store[b'greeting']) == 'meanwhile'
    assert database.value('greeting') == ('hello' if database.engine == 'gdbm' else 'meanwhile')
    mount.save('greeting', 'afterwards\n')
    assert database.value('greeting') == 'afterwards'


def test_shells_while_python_writes(mount, database):
    for number in range(10):
        database.put('from python %d' % number, number)
        sh("echo %d > 'from the shell %d'" % (number, number), mount.directory)
    assert len(database.keys()) == 28
    assert len(os.listdir(mount.directory)) == 28
