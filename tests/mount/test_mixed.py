# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases whose values are of several kinds, in the form in which known programs write them, through a real mount."""

import marshal
import pickle

# Scrapy's DbmCacheStorage: a pickled response and the time as text for each fingerprint.
RESPONSE = {'status': 200, 'url': 'https://example.com/', 'headers': {b'Content-Type': [b'text/html']}, 'body': b'<p>\xff</p>'}
SCRAPY = {
    b'0a4d55a8d778e5022fab701977c5d840bbc486d0_data': pickle.dumps(RESPONSE, protocol=4),
    b'0a4d55a8d778e5022fab701977c5d840bbc486d0_time': b'1795269420.123456',
    b'1b4d55a8d778e5022fab701977c5d840bbc486d0_data': pickle.dumps(dict(RESPONSE, status=404), protocol=4),
    b'1b4d55a8d778e5022fab701977c5d840bbc486d0_time': b'1795269421.5',
}

# Roundup's back_anydbm: marshalled dicts; its counters are plain numbers.
ROUNDUP = {
    b'1': marshal.dumps({'title': 'Crash', 'priority': '2', 'creation': (2026, 11, 21, 5, 37, 0, 0, 0, 0), 'nosy': ['1', '3']}),
    b'2': marshal.dumps({'title': 'Wish', 'priority': '4', 'creation': (2026, 11, 22, 5, 37, 0, 0, 0, 0), 'nosy': []}),
    b'_ids': b'3',
}

# What a C program stores as strlen(text) + 1 bytes.
C_PROGRAM = {b'path\0': b'/usr/lib\0', b'motto\0': 'grüß dich'.encode() + b'\0', b'none\0': b'\0'}


def created(new_database, values):
    return new_database('values').create(values.items())


def test_pickles_beside_text(new_database, mounter):
    database = created(new_database, SCRAPY)
    mount = mounter(database)
    assert 'pickle protocol 4' in mount.control('status')
    first = '0a4d55a8d778e5022fab701977c5d840bbc486d0'
    assert mount.text(first + '_time') == '# raw\n1795269420.123456'
    assert "'status': 200" in mount.text(first + '_data')
    for key in SCRAPY:
        (mount / key.decode()).write_bytes((mount / key.decode()).read_bytes())
    assert database.records() == SCRAPY
    mount.save(first + '_data', mount.text(first + '_data').replace('200', '304'))
    mount.save(first + '_time', mount.text(first + '_time').replace('.123456', '.5'))
    assert pickle.loads(database.stored(first + '_data')) == dict(RESPONSE, status=304)
    assert database.stored(first + '_time') == b'1795269420.5'


def test_marshals_beside_counters(new_database, mounter):
    database = created(new_database, ROUNDUP)
    mount = mounter(database)
    assert 'marshal 4' in mount.control('status')
    assert mount.text('1').startswith("{\n    'title': 'Crash',\n")
    assert mount.text('_ids') == '# raw\n3'
    for key in ROUNDUP:
        (mount / key.decode()).write_bytes((mount / key.decode()).read_bytes())
    assert database.records() == ROUNDUP
    mount.save('1', mount.text('1').replace('Crash', 'Mended'))
    mount.save('3', mount.text('2'))
    mount.save('_ids', mount.text('_ids').replace('3', '4'))
    assert marshal.loads(database.stored('1')) == dict(marshal.loads(ROUNDUP[b'1']), title='Mended')
    assert marshal.loads(database.stored('3')) == marshal.loads(ROUNDUP[b'2'])
    assert database.stored('_ids') == b'4'


def test_counters_alone_are_bytes(new_database, mounter):
    """Roundup's file of counters: nothing in it is a marshal, so nothing is added to what is stored."""
    database = created(new_database, {b'issue': b'17', b'user': b'5'})
    mount = mounter(database)
    assert mount.text('issue') == '17'
    mount.save('issue', '18')
    assert database.stored('issue') == b'18'


def test_text_that_ends_in_nul(new_database, mounter):
    database = created(new_database, C_PROGRAM)
    mount = mounter(database, 'nulkeys')
    assert (mount / 'path').read_bytes() == b'/usr/lib\0'
    assert (mount / 'none').read_bytes() == b'\0'
    for key in C_PROGRAM:
        path = mount / key[:-1].decode()
        path.write_bytes(path.read_bytes())
    assert database.records() == C_PROGRAM
    (mount / 'path').write_bytes((mount / 'path').read_bytes().replace(b'lib', b'lib64'))
    assert database.stored('path\0') == b'/usr/lib64\0'


def test_text_that_ends_in_nul_beside_pickles(new_database, mounter):
    database = created(new_database, {b'list': pickle.dumps([1, 2], 4), b'path': b'/usr/lib\0'})
    mount = mounter(database)
    assert (mount / 'path').read_bytes() == b'# raw\n/usr/lib\0'
    (mount / 'path').write_bytes(b'# raw\n/usr/share\0')
    assert database.stored('path') == b'/usr/share\0'
    mount.save('list', '[1, 2, 3]\n')
    assert pickle.loads(database.stored('list')) == [1, 2, 3]
