# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls: what a program may expect of an open file, whatever its text means."""

import concurrent.futures
import errno
import fcntl
import mmap
import os
import pickle
import subprocess
import sys

from mounting import refused, sh


def test_exclusive_creation(mount, database):
    os.close(os.open(mount / 'new', os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    for name in ('new', 'greeting'):
        with refused(errno.EEXIST):
            os.open(mount / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert database.value('greeting') == 'hello'
    assert mount.stop() == []
    assert database.value('new') == ''  # a new file that stayed empty is a key from now on


def test_only_one_of_many_creates(mount):
    program = 'import os, sys\ntry: os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL)\nexcept FileExistsError: sys.exit(1)'
    running = [subprocess.Popen([sys.executable, '-c', program, str(mount / 'lock')]) for _ in range(8)]
    assert sorted(process.wait() for process in running) == [0] + [1] * 7


def test_appending(mount, database):
    with open(mount / 'greeting', 'a', encoding='utf-8') as file:
        file.write('one\n')
        file.flush()
        assert os.stat(mount / 'greeting').st_size == 10
        file.write('two\n')
    assert database.value('greeting') == 'hello\none\ntwo'


def test_truncation(mount, database):
    os.truncate(mount / 'text', 4)
    assert database.value('text') == 'one'
    with open(mount / 'text', 'r+b') as file:
        file.seek(0, os.SEEK_END)
        file.write(b'more text\n')
        file.flush()
        os.ftruncate(file.fileno(), 8)
        assert os.fstat(file.fileno()).st_size == 8
    assert database.value('text') == 'one\nmore'
    os.truncate(mount / 'text', 10)
    assert mount.text('text') == 'one\nmore\0\0' or database.value('text').startswith('one\nmore')


def test_writes_at_offsets(mount, database):
    descriptor = os.open(mount / 'words', os.O_RDWR | os.O_CREAT)
    os.pwrite(descriptor, b'world\n', 6)
    os.pwrite(descriptor, b'hello ', 0)
    assert os.pread(descriptor, 100, 0) == b'hello world\n'
    assert os.lseek(descriptor, 0, os.SEEK_END) == 12
    os.close(descriptor)
    assert database.value('words') == 'hello world'


def test_a_large_file_is_written_whole(mount, database):
    text = ('%06d\n' % 7) * 400000
    mount.save('large', '')
    with open(mount / 'large', 'w', encoding='utf-8') as file:
        file.write(text)
    assert database.value('large') == text[:-1]
    assert os.stat(mount / 'large').st_size == len(text)
    assert mount.text('large') == text


def test_two_handles_share_a_file(mount, database):
    one = os.open(mount / 'greeting', os.O_RDWR)
    two = os.open(mount / 'greeting', os.O_RDWR)
    os.pwrite(one, b'HE', 0)
    assert os.pread(two, 10, 0) == b'HEllo\n'
    os.pwrite(two, b'LL', 2)
    os.close(one)
    os.close(two)
    assert database.value('greeting') == 'HELLo'


def test_half_written_is_not_judged(mount, database):
    """A list in two writes: the first half alone would be refused."""
    with open(mount / 'list', 'wb', buffering=0) as file:
        file.write(b'[1,')
        assert database.value('list') == [1, 2, 3]
        file.write(b' 2]\n')
    assert database.value('list') == [1, 2]
    assert mount.control('errors') == ''


def test_unlinked_while_open(mount, database):
    with open(mount / 'greeting', 'r+b') as file:
        os.unlink(mount / 'greeting')
        assert b'greeting' not in database.keys()
        assert file.read() == b'hello\n'
        file.write(b'ghost\n')
    assert b'greeting' not in database.keys()
    mount.save('greeting', 'anew\n')
    assert database.value('greeting') == 'anew'


def test_replaced_while_open(mount, database):
    with open(mount / 'greeting', 'rb') as file:
        os.rename(mount / 'text', mount / 'greeting')
        assert file.read() == b'hello\n'
    assert mount.text('greeting') == 'one\ntwo\nthree\n\n'
    assert b'text' not in database.keys()


def test_renamed_while_written(mount, database):
    with open(mount / 'new', 'w', encoding='utf-8') as file:
        file.write('written\n')
        file.flush()
        os.rename(mount / 'new', mount / 'final')
    assert database.value('final') == 'written' and b'new' not in database.keys()


def test_fsync_saves(mount, database):
    with open(mount / 'greeting', 'w', encoding='utf-8') as file:
        file.write('synced\n')
        file.flush()
        os.fsync(file.fileno())
        assert database.value('greeting') == 'synced'
        file.write('more\n')
        file.flush()
        os.fdatasync(file.fileno())
        assert database.value('greeting') == 'synced\nmore'


def test_a_duplicate_descriptor_that_is_closed_saves(mount, database):
    descriptor = os.open(mount / 'greeting', os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, b'saved by dup\n')
    os.close(os.dup(descriptor))
    assert database.value('greeting') == 'saved by dup'
    os.close(descriptor)


def test_locks_and_mmap(mount):
    with open(mount / 'text', 'r+b') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with open(mount / 'text', 'rb') as other, refused(errno.EAGAIN):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert mapped[:7] == b'one\ntwo'


def test_statfs_and_access(mount):
    statistics = os.statvfs(mount.directory)
    assert statistics.f_namemax == 255
    assert statistics.f_blocks >= statistics.f_bfree > 0
    assert os.access(mount / 'greeting', os.R_OK | os.W_OK) and not os.access(mount / 'greeting', os.X_OK)
    assert os.access(mount.directory, os.R_OK | os.W_OK | os.X_OK)
    assert 'shelvefs' in sh('df -T . | tail -n 1', mount.directory).stdout


def test_owner_is_who_created(mount):
    mount.save('new', 'x\n')
    for name in ('new', 'greeting', '.'):
        stat = os.stat(mount / name)
        assert (stat.st_uid, stat.st_gid) == (os.getuid(), os.getgid())


def test_names_that_are_too_long(mount):
    with refused(errno.ENAMETOOLONG, errno.EINVAL):
        mount.save('n' * 256, 'x\n')
    mount.save('n' * 240, 'x\n')
    assert mount.text('n' * 240) == 'x\n'


def test_listing_while_it_changes(database, mounter):
    database.update((b'k%05d' % number, pickle.dumps(number)) for number in range(3000))
    mount = mounter(database)
    seen = []
    with os.scandir(mount.directory) as entries:
        for entry in entries:
            seen.append(entry.name)
            if entry.name.startswith('k'):
                os.unlink(entry.path)
    assert len(seen) == len(set(seen)) == 3008
    assert len(os.listdir(mount.directory)) == 8


def test_many_at_once(mount, database):
    def work(number):
        for step in range(25):
            name = 'worker %d' % number
            mount.save(name, '[%d, %d]\n' % (number, step))
            assert mount.text(name) == '[%d, %d]\n' % (number, step)
            os.listdir(mount.directory)
            mount.save('shared', '[%d]\n' % number)
            if step % 5 == 0:
                mount.save('temporary %d' % number, 'x\n')
                os.rename(mount / ('temporary %d' % number), mount / ('kept %d' % number))
        return number

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == list(range(6))
    for number in range(6):
        assert database.value('worker %d' % number) == [number, 24]
        assert database.value('kept %d' % number) == 'x'
    assert database.value('shared')[0] in range(6)
    assert mount.control('errors') == ''


def test_temporary_files_are_not_keys(mount, database):
    keys = database.keys()
    for name in ('.greeting.swp', '4913', 'greeting~', '#greeting#', '.~lock.greeting#', '.DS_Store', '.goutputstream-ABCDEF'):
        with open(mount / name, 'wb') as file:
            file.write(b'\0anything' if name != '4913' else b'')
            assert database.keys() == keys, name
        if name != '4913':
            assert (mount / name).read_bytes() == b'\0anything'
        os.unlink(mount / name)
    os.symlink('user@host.1234:1', mount / '.#greeting')
    assert os.readlink(mount / '.#greeting') == 'user@host.1234:1'
    os.unlink(mount / '.#greeting')
    assert database.keys() == keys
    assert len(os.listdir(mount.directory)) == len(keys)


def test_a_key_that_looks_temporary_is_a_key(database, mounter):
    database.put('notes~', 'a key')
    database.put('.secret.swp', 'another')
    mount = mounter(database)
    assert mount.text('notes~') == 'a key\n'
    mount.save('notes~', 'changed\n')
    mount.save('.secret.swp', 'changed\n')
    assert database.value('notes~') == database.value('.secret.swp') == 'changed'


def test_a_transient_that_stays_becomes_a_key(mount, database):
    mount.save('.report.XYZabc', '[1]\n')
    assert mount.stop() == []
    assert database.value('.report.XYZabc') == [1]
