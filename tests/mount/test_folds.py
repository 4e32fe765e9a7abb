# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys whose names are too long for one component, in directories."""

import contextlib
import errno
import os
import pickle
import subprocess

import pytest

from mounting import eventually, file_name, refused, sh

FOLD = 'd' * 238 + '%+'
OTHER = 'e' * 238 + '%+'

LONG = [b'd' * 300, b'd' * 301, b'd' * 1000, b'e' * 240 + b'/e', b'\xff' * 500, 'ü'.encode() * 400, b'd' * 476 + b'..',
        b'%41' * 200, b'http://host/' + b'path/' * 100 + b'?q=%2F', b'd' * 238 + b'.file', b'x' * 237 + b'%+%+', b'\0' * 90]


@pytest.fixture
def long_keys(database):
    """The ordinary database with some long keys."""
    database.update((key, pickle.dumps('key ' + key.hex(), 4)) for key in LONG)
    return database


def path_of(mount, key):
    return os.path.join(os.fsencode(mount.directory), file_name(key))


def files_below(directory):
    """The paths of all files, found as a program does that walks."""
    return {os.path.relpath(os.path.join(folder, name), directory)
            for folder, _, files in os.walk(directory) for name in files}


def test_every_key_is_a_file(long_keys, mounter):
    mount = mounter(long_keys)
    assert files_below(os.fsencode(mount.directory)) == {file_name(key) for key in long_keys.keys()}
    for view in (b'.shelvefs/raw', b'.shelvefs/dis'):
        assert files_below(os.path.join(os.fsencode(mount.directory), view)) == {file_name(key) for key in long_keys.keys()}
    for key in LONG:
        path = path_of(mount, key)
        with open(path, encoding='utf-8') as file:
            assert file.read() == 'key ' + key.hex() + '\n'
        assert os.stat(path).st_size == 2 * len(key) + 5
        assert os.getxattr(path, 'user.shelvefs.key') == key
    assert 'keys in folded directories: %d\n' % len(LONG) in mount.control('status')
    assert len(os.listdir(mount.directory)) == len(set(os.listdir(mount.directory)))


def test_a_long_key_is_listed_without_a_mount(long_keys):
    done = subprocess.run([os.environ['SHELVEFS'], '--dis', long_keys.path, file_name(LONG[0])], stdout=subprocess.PIPE, check=True)
    assert b'STOP' in done.stdout


def test_writing_renaming_and_removing(long_keys, mounter):
    mount = mounter(long_keys)
    for number, key in enumerate(LONG):
        path = path_of(mount, key)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('[%d]\n' % number)
        assert pickle.loads(long_keys.records()[key]) == [number]
        os.rename(path, mount / 'short')
        assert key not in long_keys.keys() and long_keys.value('short') == [number]
        with contextlib.suppress(FileExistsError):
            os.makedirs(os.path.dirname(path))
        os.rename(mount / 'short', path)
        assert pickle.loads(long_keys.records()[key]) == [number]
    os.rename(path_of(mount, LONG[0]), path_of(mount, LONG[5]))
    assert pickle.loads(long_keys.records()[LONG[5]]) == [0]
    for key in LONG[1:]:
        os.unlink(path_of(mount, key))
    assert long_keys.keys() == {key.encode() for key in long_keys.values}
    assert not [name for name in os.listdir(mount.directory) if name.endswith('%+')]


def test_directories(mount, database):
    keys = database.keys()
    for name, number in (('dir', errno.EPERM), ('dir%+', errno.EINVAL), ('d' * 239 + '%+', errno.EINVAL), ('greeting', errno.EEXIST)):
        with refused(number):
            os.mkdir(mount / name)
    os.mkdir(mount / FOLD, 0o750)
    assert os.stat(mount / FOLD).st_mode & 0o7777 == 0o750
    assert FOLD in os.listdir(mount.directory) and os.listdir(mount / FOLD) == []
    with refused(errno.EEXIST):
        os.mkdir(mount / FOLD)
    with refused(errno.EISDIR):
        os.unlink(mount / FOLD)
    with refused(errno.EINVAL):  # its whole name would fit into one component
        mount.save(FOLD + '/dd', 'x')
    with refused(errno.ENAMETOOLONG):
        mount.save(FOLD + '/' + 'd' * 239, 'x')
    mount.save(FOLD + '/key', 'x\n')
    with refused(errno.ENOTEMPTY):
        os.rmdir(mount / FOLD)
    assert database.value('d' * 238 + 'key') == 'x'
    sh('mv %s %s' % (FOLD, OTHER), mount.directory)
    assert database.keys() == keys | {b'e' * 238 + b'key'}
    os.unlink(mount / OTHER / 'key')
    os.rmdir(mount / OTHER)
    assert database.keys() == keys
    # One that was never used is not for ever.
    os.mkdir(mount / FOLD)
    mount.remount()
    assert FOLD not in os.listdir(mount.directory)


def test_what_another_program_changes_shows(long_keys, mounter):
    mount = mounter(long_keys)
    assert 'f' * 238 + '%+' not in os.listdir(mount.directory)
    long_keys.put('f' * 300, 'new')
    eventually(lambda: os.path.exists(mount / ('f' * 238 + '%+') / ('f' * 62)))
    assert mount.text('f' * 238 + '%+/' + 'f' * 62) == 'new\n'
    long_keys.delete('f' * 300)
    eventually(lambda: not os.path.exists(mount / ('f' * 238 + '%+')))
    assert 'f' * 238 + '%+' not in os.listdir(mount.directory)


COPIES = {
    'rsync': 'rsync -a %s/ %s/',
    'rsync --inplace': 'rsync -a --inplace %s/ %s/',
    'cp': 'cp -r %s/. %s/',
    'cp -a': 'cp -a %s/. %s/',
    'tar': 'tar -c -C %s . | tar -x -C %s',
}


@pytest.mark.parametrize('command', COPIES.values(), ids=COPIES)
def test_there_and_back(long_keys, new_database, mounter, tmp_path, command):
    mount = mounter(long_keys)
    backup = tmp_path / 'backup'
    backup.mkdir()
    sh(command % (mount.directory, backup), tmp_path)
    restored = new_database('restored')
    other = mounter(restored, 'create,store=' + restored.engine)
    sh(command % (backup, other.directory), tmp_path)
    other.remount()  # an empty file becomes a key when it stays
    assert restored.records() == long_keys.records()
    sh('diff -r %s %s' % (mount.directory, other.directory), tmp_path)
    sh('rm -rf ./*', other.directory)
    assert restored.records() == {}
    assert os.listdir(other.directory) == []


def test_rsync_deletes_and_then_sends_nothing(long_keys, mounter, tmp_path):
    mount = mounter(long_keys)
    sh('rsync -a %s/ backup/' % mount.directory, tmp_path)
    before = long_keys.records()
    mount.save(FOLD + '/more', 'x\n')
    os.makedirs(mount / OTHER / ('e' * 238 + '%+'))
    mount.save(OTHER + '/' + 'e' * 238 + '%+/deep', 'x\n')
    os.unlink(path_of(mount, LONG[4]))
    sh('rsync -a --delete backup/ %s/' % mount.directory, tmp_path)
    assert long_keys.records() == before
    assert sh('rsync -ai --delete backup/ %s/' % mount.directory, tmp_path).stdout == ''
    assert files_below(os.fsencode(mount.directory)) == {file_name(key) for key in long_keys.keys()}


def test_directories_keep_times_and_modes(long_keys, new_database, mounter, tmp_path):
    mount = mounter(long_keys)
    sh('rsync -a %s/ backup/' % mount.directory, tmp_path)
    folders = sorted((folder for folder, _, _ in os.walk(tmp_path / 'backup')), key=len, reverse=True)
    for number, folder in enumerate(folders):
        os.chmod(folder, [0o700, 0o750, 0o755][number % 3])
        os.utime(folder, ns=(0, 1234567890123456789 + number * 10 ** 9))
    restored = new_database('restored')
    other = mounter(restored, 'create,store=' + restored.engine)
    sh('rsync -a backup/ %s/' % other.directory, tmp_path)
    for _ in range(2):
        assert sh('rsync -ai --delete backup/ %s/' % other.directory, tmp_path).stdout == ''
        assert sh('rsync -ai --delete %s/ backup/' % other.directory, tmp_path).stdout == ''
        other.remount()
    # Another program's key makes its directory new, and no other one.
    assert other.stop() == []
    restored.put('d' * 302, 'new')
    other.start()
    changed = sh('rsync -ai %s/ backup/' % other.directory, tmp_path).stdout.splitlines()
    assert [line.split()[1] for line in changed if line.startswith('>f')] == [FOLD + '/' + 'd' * 64]


@pytest.mark.parametrize('setting', ['set nobackup', 'set backup backupcopy=no', 'set backupcopy=yes'])
def test_vim_in_a_fold(long_keys, mounter, setting):
    mount = mounter(long_keys)
    keys = long_keys.keys()
    sh("vim -es -u NONE -c '%s' -c '%%s/.*/[1, 2]/' -c wq .file" % setting, mount / FOLD)
    assert pickle.loads(long_keys.records()[b'd' * 238 + b'.file']) == [1, 2]
    sh("sed -i 's/2/3/' .file", mount / FOLD)
    assert pickle.loads(long_keys.records()[b'd' * 238 + b'.file']) == [1, 3]
    assert long_keys.keys() == keys


def test_a_refused_save_in_a_fold(long_keys, mounter):
    mount = mounter(long_keys)
    mount.save(FOLD + '/list', '[1]\n')
    with refused(errno.EINVAL):
        mount.save(FOLD + '/list', '[1')
    assert mount.text('.shelvefs/rejected/' + FOLD + '/list') == '[1'
    assert FOLD + '/list: ' in mount.control('errors')
    mount.save(FOLD + '/list', '[2]\n')
    assert os.listdir(mount / '.shelvefs/rejected') == []


def walk_down(top, components):
    """A descriptor of a directory that no path names."""
    at = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for name in components:
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    return at


def test_a_key_of_half_a_megabyte(database, mounter):
    key = b'abcdefg' * 75000
    database.update([(key, pickle.dumps('far down'))])
    mount = mounter(database)
    *folds, last = file_name(key).split(b'/')
    at = walk_down(mount.directory, folds)
    with open(os.open(last, os.O_RDWR, dir_fd=at), 'r+', encoding='utf-8') as file:
        assert file.read() == 'far down\n'
        file.seek(0)
        file.write('[1, 2]  #\n')
        file.truncate(7)
    assert pickle.loads(database.records()[key]) == [1, 2]
    other = last + b'!'
    os.rename(last, other, src_dir_fd=at, dst_dir_fd=at)
    assert pickle.loads(database.records()[key + b'!']) == [1, 2]
    os.close(at)
    assert 'keys with a path of 4096 bytes or more: 1\n' in mount.control('status')
    sh('rm -r %s' % os.fsdecode(folds[0]), mount.directory)
    assert database.keys() == {name.encode() for name in database.values}


def test_many_long_keys(database, mounter):
    """In one directory, and in one each. Removing is work for the engines, so only some are removed."""
    count = 2000
    keys = [b's' * 238 + b'%05d' % number for number in range(count)]
    keys += [b'%05d' % number + b't' * 300 for number in range(count)]
    value = pickle.dumps('x', 4)
    database.update((key, value) for key in keys)
    mount = mounter(database)
    assert len(os.listdir(mount.directory)) == count + 1 + len(database.values)
    assert files_below(os.fsencode(mount.directory)) == {file_name(key) for key in database.keys()}
    sh('rm -r ./0000* ./s*/*9', mount.directory)
    assert len(database.keys()) == 2 * count - 10 - count // 10 + len(database.values)


def test_keys_of_c_programs(database, mounter):
    long_key = b'l' * 500
    database.update((key, pickle.dumps(value)) for key, value in (
        (b'name\0', 'with'), (b'name', 'without'), (b'\0', 'only'), (b'two\0\0', 'two'), (long_key + b'\0', 'long'), (long_key, 'bare')))
    mount = mounter(database, 'nulkeys')
    names = {'name': b'name\0', 'name%-': b'name', '%': b'\0', 'two%00': b'two\0\0',
             os.fsdecode(file_name(long_key)): long_key + b'\0', os.fsdecode(file_name(long_key)) + '%-': long_key}
    names.update((key + '%-', key.encode()) for key in database.values)
    assert files_below(mount.directory) == set(names)
    for name, key in names.items():
        assert os.getxattr(mount / name, 'user.shelvefs.key') == key
    mount.save('name', '[1]\n')
    mount.save('new', '[2]\n')
    os.rename(mount / 'name%-', mount / 'plain%-')
    os.unlink(mount / 'two%00')
    records = database.records()
    assert {key: pickle.loads(records[key]) for key in (b'name\0', b'new\0', b'plain')} == {b'name\0': [1], b'new\0': [2], b'plain': 'without'}
    assert not {b'name', b'new', b'two\0\0', b'two\0'} & set(records)
