# SPDX-License-Identifier: GPL-3.0-or-later
"""A database of marshals, such as Roundup's, through a real mount."""

import errno
import marshal
import subprocess

import pytest

import pythons

VALUES = {
    'user1': {'name': 'Ann', 'roles': ('admin', 'user'), 'karma': 2.5, 'flags': {1, 2}},
    'impedance': [1j, complex(-0.0, 2.0), ..., StopIteration],
    'big': -2 ** 70,
    'text': 'one\ntwo\n',
    'photo': b'\x00\xff',
    'code': compile('print(1)', 'job', 'exec'),
}


@pytest.fixture
def marshals(new_database):
    return new_database('issues').create((key.encode(), marshal.dumps(value, 4)) for key, value in VALUES.items())


def loaded(database, key):
    return marshal.loads(database.stored(key))


def test_shown_and_changed(marshals, mounter):
    before = marshals.records()
    mount = mounter(marshals)
    assert 'marshal 4' in mount.control('status')
    assert mount.text('text') == 'one\ntwo\n\n'
    assert mount.text('big') == '-1180591620717411303424\n'
    assert mount.text('impedance') == '[1j, complex(-0.0, 2.0), ..., StopIteration]\n'
    assert mount.text('code').startswith('code(\n    argcount=0,\n')
    assert (mount / 'photo').read_bytes() == b'\x00\xff'
    for key in VALUES:
        (mount / key).write_bytes((mount / key).read_bytes())
    assert marshals.records() == before
    mount.save('user1', mount.text('user1').replace("'Ann'", "'Bob'"))
    assert loaded(marshals, 'user1') == dict(VALUES['user1'], name='Bob')
    mount.save('new', 'plain text\n')
    assert loaded(marshals, 'new') == 'plain text'


def test_code_is_kept_but_not_made(marshals, mounter):
    mount = mounter(marshals)
    text = mount.text('code')
    for key, changed in (('code', text.replace('job', 'other')), ('copy', text)):
        with pytest.raises(OSError) as refusal:
            mount.save(key, changed)
        assert refusal.value.errno == errno.EPERM
    assert loaded(marshals, 'code') == VALUES['code']


def test_plain_values_beside_marshals(marshals, mounter):
    marshals.update([(b'_ids', b'1,2,3')])
    mount = mounter(marshals)
    assert 'marshal 4' in mount.control('status')
    assert mount.text('_ids') == '# raw\n1,2,3'
    mount.save('_ids', '# raw\n1,2,3,4')
    assert marshals.stored('_ids') == b'1,2,3,4'


@pytest.mark.skipif(not pythons.python(2, 7), reason='no Python 2.7')
def test_python2(new_database, mounter):
    def python2(code, data=b''):
        return subprocess.run([pythons.python(2, 7), '-c', 'import marshal, sys; ' + code], input=data,
                              stdout=subprocess.PIPE, check=True).stdout

    issue = python2("sys.stdout.write(marshal.dumps({'title': 'one', 'order': (1, 2 ** 40, u'\\xe9')}))")
    database = new_database('issues').create([(b'issue1', issue)])
    mount = mounter(database)
    assert 'marshal 2 (Python 2 str)' in mount.control('status')
    assert "u'\xe9'" in mount.text('issue1')
    mount.save('issue1', mount.text('issue1').replace('one', 'two'))
    told = python2('print(marshal.loads(sys.stdin.read()) == dict(title="two", order=(1, 2 ** 40, u"\\xe9")))',
                   database.stored('issue1'))
    assert told == b'True\n'
