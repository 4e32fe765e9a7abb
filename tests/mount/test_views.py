# SPDX-License-Identifier: GPL-3.0-or-later
""".shelvefs/, attributes, and read-only mounts."""

import errno
import os
import pickle
import subprocess

import pytest

from mounting import file_name, refused, sh


def test_control_directory_is_not_listed(mount):
    assert '.shelvefs' not in os.listdir(mount.directory)
    assert '.shelvefs' not in sh('ls -a; find .; rsync -a --list-only ./', mount.directory).stdout
    assert set(os.listdir(mount / '.shelvefs')) >= {'status', 'errors', 'rejected', 'raw'}
    assert os.stat(mount / '.shelvefs').st_mode & 0o170000 == 0o040000


def test_status_says_what_is_mounted(mount, database):
    status = mount.control('status')
    for fact in (database.engine, os.path.basename(database.path), '8', 'pickle protocol 4'):
        assert fact in status
    assert os.stat(mount / '.shelvefs/status').st_size in (0, len(status.encode()))
    with refused(errno.EACCES, errno.EPERM, errno.EROFS):
        mount.save('.shelvefs/status', 'x')


def test_errors_are_empty_at_first(mount):
    assert mount.control('errors') == ''
    assert os.listdir(mount / '.shelvefs/rejected') == []


def test_errors_come_in_order(mount):
    for number in range(5):
        with refused(errno.EINVAL):
            mount.save('list', '[%d,' % number)
        with refused(errno.EINVAL):
            mount.save('dict', '{%d:' % number)
    lines = mount.control('errors').splitlines()
    assert len(lines) >= 10
    assert ['list' in line for line in lines[:2]] == [True, False]
    assert (mount / '.shelvefs/rejected/list').read_text() == '[4,'
    assert sorted(os.listdir(mount / '.shelvefs/rejected')) == ['dict', 'list']
    os.unlink(mount / '.shelvefs/rejected/list')
    assert os.listdir(mount / '.shelvefs/rejected') == ['dict']


def test_raw_view_is_what_is_stored(written, shelve, mounter):
    mount = mounter(shelve)
    raw = os.fsencode(mount / '.shelvefs/raw')
    assert set(os.listdir(raw)) == {file_name(key) for key in written.records}
    for key, stored in written.records.items():
        with open(os.path.join(raw, file_name(key)), 'rb') as file:
            assert file.read() == stored


def test_raw_view_is_written_through(mount, database):
    stored = pickle.dumps({'raw': 1}, 2)
    (mount / '.shelvefs/raw/dict').write_bytes(stored)
    assert database.stored('dict') == stored
    assert mount.text('dict') == "# pickle protocol 2\n{'raw': 1}\n"
    (mount / '.shelvefs/raw/new').write_bytes(pickle.dumps('x', 4))
    assert mount.text('new') == 'x\n'
    mount.save('new', 'y\n')
    assert (mount / '.shelvefs/raw/new').read_bytes() == pickle.dumps('y', 4)
    sh('cp .shelvefs/raw/list .shelvefs/raw/copy && rm .shelvefs/raw/new', mount.directory)
    assert database.value('copy') == [1, 2, 3] and b'new' not in database.keys()


def test_raw_view_copies_a_database(mount, mounter, new_database, tmp_path):
    other_database = new_database('other')
    other = mounter(other_database, 'create,store=%s' % other_database.engine)
    sh('rsync -a --inplace %s/.shelvefs/raw/ %s/.shelvefs/raw/' % (mount.directory, other.directory), tmp_path)
    sh('diff -r %s %s' % (mount.directory, other.directory), tmp_path)


def test_attributes(mount):
    path = mount / 'dict'
    assert os.getxattr(path, 'user.shelvefs.key') == b'dict'
    assert b'pickle' in os.getxattr(path, 'user.shelvefs.codec')
    assert os.getxattr(path, 'user.shelvefs.type') == b'dict'
    assert os.getxattr(mount / 'greeting', 'user.shelvefs.type') == b'str'
    with refused(errno.ENODATA):
        os.getxattr(path, 'user.shelvefs.error')
    with refused(errno.ENODATA, errno.ENOTSUP):
        os.getxattr(path, 'user.other')
    with refused(errno.ENOTSUP):
        os.setxattr(path, 'user.other', b'x')
    assert {'user.shelvefs.key', 'user.shelvefs.codec', 'user.shelvefs.type'} <= set(os.listxattr(path))
    assert 'user.shelvefs.type="dict"' in sh('getfattr -d dict', mount.directory).stdout


def test_attribute_of_a_refusal_goes_with_the_next_save(mount):
    with refused(errno.EINVAL):
        mount.save('list', '[1, 2')
    assert b'line' in os.getxattr(mount / 'list', 'user.shelvefs.error')
    mount.save('list', '[1]\n')
    with refused(errno.ENODATA):
        os.getxattr(mount / 'list', 'user.shelvefs.error')


def test_key_attribute_is_the_very_key(database, mounter):
    keys = [b'a/b', b'', b'..', b'\xff', b'nul\0key']
    database.update((key, pickle.dumps(1)) for key in keys)
    mount = mounter(database)
    for key in keys:
        path = os.path.join(os.fsencode(mount.directory), file_name(key))
        assert os.getxattr(path, 'user.shelvefs.key') == key


@pytest.fixture
def frozen(database, mounter, tmp_path):
    before = {name: os.stat(tmp_path / name) for name in os.listdir(tmp_path)}
    mount = mounter(database, 'ro')
    yield mount
    mount.stop()
    after = {name: os.stat(tmp_path / name) for name in os.listdir(tmp_path) if not name.startswith('mnt')}
    assert {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in after.items()} == \
        {name: (stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in before.items()}


def test_read_only(frozen):
    mount = frozen
    assert mount.text('greeting') == 'hello\n'
    actions = [
        lambda: mount.save('greeting', 'x\n'), lambda: mount.save('new', 'x\n'), lambda: os.unlink(mount / 'list'),
        lambda: os.rename(mount / 'list', mount / 'dict'), lambda: os.truncate(mount / 'list', 0),
        lambda: os.utime(mount / 'list'), lambda: os.chmod(mount / 'list', 0o600), lambda: os.mkdir(mount / 'folder'),
        lambda: os.symlink('x', mount / '.#list'), lambda: mount.save('.shelvefs/raw/list', 'x'),
    ]
    for action in actions:
        with refused(errno.EROFS):
            action()
    assert not os.access(mount / 'list', os.W_OK)
    assert os.access(mount / 'list', os.R_OK)
    assert os.statvfs(mount.directory).f_flag & os.ST_RDONLY


def test_read_only_database_is_mounted_read_only(database, mounter):
    for file in database.files:
        os.chmod(file, 0o400)
    mount = mounter(database, 'ro')
    assert mount.text('list') == '[1, 2, 3]\n'


@pytest.mark.parametrize('codec, texts', [
    ('raw', {'plain': b'stored \xff', 'list': pickle.dumps([1], 4)}),
    ('text', {'plain': b'stored \xff', 'words': b'some words\n', 'nothing': b''}),
])
def test_codecs_without_headers(new_database, mounter, codec, texts):
    database = new_database().create([(b'plain', b'stored \xff'), (b'list', pickle.dumps([1], 4)), (b'words', b'some words'), (b'nothing', b'')])
    mount = mounter(database, 'codec=' + codec)
    for name, text in texts.items():
        assert (mount / name).read_bytes() == text
    mount.save('new', '[1, 2\n')
    assert database.stored('new') == (b'[1, 2\n' if codec == 'raw' else b'[1, 2')
    mount.save('new', '# raw\n')
    assert database.stored('new') == (b'# raw\n' if codec == 'raw' else b'# raw')


def test_dialect_is_that_of_the_database(new_database, mounter):
    database = new_database().create((b'k%d' % number, pickle.dumps([number], 2)) for number in range(20))
    mount = mounter(database)
    assert mount.text('k3') == '[3]\n'
    mount.save('k3', '[4]\n')
    mount.save('new', 'x\n')
    assert database.stored('k3') == pickle.dumps([4], 2)
    assert database.stored('new') == pickle.dumps('x', 2)


def test_database_without_pickles_is_raw(new_database, mounter):
    database = new_database().create([(b'one', b'first'), (b'two', b'second')])
    mount = mounter(database)
    assert mount.text('one') == 'first'
    mount.save('three', 'third\n')
    assert database.stored('three') == b'third\n'


DANGER = b"cos\nsystem\n(S'true'\ntR0]."


def test_listings_of_instructions(database, mounter):
    database.update([(b'danger', DANGER), (b'broken', b'\x80\x04\x8c\x02os\x8c\x06system\x93\xff'), (b'odd/name', pickle.dumps(5, 2))])
    mount = mounter(database)
    assert set(os.listdir(mount / '.shelvefs/dis')) == {os.fsdecode(file_name(key)) for key in database.keys()}
    danger = mount.text('.shelvefs/dis/danger')
    assert '      22  30  POP ' in danger
    assert danger.endswith('\n! calls    os.system, at byte 0\n')
    broken = mount.text('.shelvefs/dis/broken').splitlines()
    assert broken[-3:] == ['# it breaks at byte 15: no such opcode',
                           '# what a loader would look up and call (!: scanners take it for dangerous)',
                           '! looks up os.system, at byte 14']
    assert 'BININT1              1     0  5\n' in mount.text('.shelvefs/dis/odd%2Fname')
    for name in ('danger', 'broken', 'odd%2Fname'):
        assert os.stat(mount / '.shelvefs/dis' / name).st_size == len((mount / '.shelvefs/dis' / name).read_bytes())
    mount.save('list', '[5]\n')
    assert 'BININT1' in mount.text('.shelvefs/dis/list')


def test_listings_are_read_only(mount, database):
    before = database.records()
    dis = mount / '.shelvefs/dis'
    assert os.stat(dis / 'list').st_mode & 0o777 & 0o222 == 0
    actions = [
        lambda: mount.save('.shelvefs/dis/list', 'x'), lambda: mount.save('.shelvefs/dis/new', 'x'), lambda: os.unlink(dis / 'list'),
        lambda: os.rename(dis / 'list', dis / 'dict'), lambda: os.truncate(dis / 'list', 0), lambda: os.chmod(dis / 'list', 0o600),
        lambda: mount.save('.shelvefs/dis/.list.swp', 'x'), lambda: os.symlink('x', dis / '.#list'),
    ]
    for action in actions:
        with refused(errno.EACCES, errno.EPERM):
            action()
    assert database.records() == before
    assert os.getxattr(dis / 'list', 'user.shelvefs.key') == b'list'


def dis(*arguments):
    return subprocess.run([os.environ['SHELVEFS'], '--dis', *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)


def test_listing_without_a_mount(database, mounter):
    database.update([(b'danger', DANGER), (b'a/b', pickle.dumps([1], 0))])
    mount = mounter(database, 'ro')
    texts = {name: (mount / '.shelvefs/dis' / name).read_bytes() for name in ('danger', 'a%2Fb', 'list')}
    mount.stop()
    for name, text in texts.items():
        done = dis(database.path, name)
        assert (done.returncode, done.stdout, done.stderr) == (0, text, b'')
    assert dis('-o', 'store=' + database.engine, database.path, 'danger').stdout == texts['danger']


@pytest.mark.parametrize('key, status', [('missing', 1), ('a/b', 1), ('%2fx', 1)])
def test_listing_of_no_key(database, key, status):
    done = dis(database.path, key)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, b'', 1)
    assert key.encode() in done.stderr


def test_listing_of_no_database(tmp_path):
    (tmp_path / 'text').write_text('no database')
    for arguments, status in (((tmp_path / 'missing', 'key'), 3), ((tmp_path / 'text', 'key'), 3), ((), 2), (('a',), 2),
                              (('a', 'b', 'c'), 2), (('-o', 'nonsense', 'a', 'b'), 2)):
        done = dis(*arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, b'', 1)
    assert os.listdir(tmp_path) == ['text']
