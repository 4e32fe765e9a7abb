# SPDX-License-Identifier: GPL-3.0-or-later
"""What POSIX promises of files and directories, through a mount."""

import ctypes
import errno
import fcntl
import mmap
import os
import pickle
import random
import socket
import stat
import subprocess
import sys
import textwrap

import pytest

from mounting import refused, sh, watched

LIBC = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
AT_FDCWD = -100


def rename2(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), 'renameat2')


def in_parallel(*programs):
    """Runs Python programs at the same time; all must succeed."""
    running = [subprocess.Popen([sys.executable, '-c', textwrap.dedent(program), *map(str, arguments)], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True) for program, *arguments in programs]
    for process in running:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0, output


@pytest.fixture(params=['pickle', 'raw'])
def view(request, mount):
    """A directory where a file `text` may hold any text: the values, or their stored bytes."""
    return mount.directory if request.param == 'pickle' else mount / '.shelvefs/raw'


# --- content ---

def test_every_handle_sees_every_write(view):
    path = view / 'text'
    writer, reader, appender = (os.open(path, flags) for flags in (os.O_RDWR, os.O_RDONLY, os.O_WRONLY | os.O_APPEND))
    os.ftruncate(writer, 0)
    expected = b''
    for number in range(50):
        line = b'line %d\n' % number
        if number % 2:
            os.write(appender, line)
        else:
            os.pwrite(writer, line, len(expected))
        expected += line
        assert os.pread(reader, 10000, 0) == os.pread(writer, 10000, 0) == expected
        assert os.fstat(reader).st_size == os.stat(path).st_size == len(expected)
    for descriptor in (writer, reader, appender):
        os.close(descriptor)
    assert path.read_bytes() == expected


APPENDER = '''
    import os, sys
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for number in range(100):
        line = b'%s %03d of a hundred\\n' % (sys.argv[2].encode(), number)
        assert os.write(file, line) == len(line)
    os.close(file)
'''


def test_several_processes_append(view):
    path = view / 'log'
    path.write_text('start\n')
    in_parallel(*[(APPENDER, path, name) for name in ('one', 'two', 'three')])
    lines = path.read_text().splitlines()
    assert lines[0] == 'start'
    assert sorted(lines[1:]) == sorted('%s %03d of a hundred' % (name, number) for name in ('one', 'two', 'three') for number in range(100))
    for name in ('one', 'two', 'three'):
        assert [line for line in lines if line.startswith(name)] == sorted(line for line in lines if line.startswith(name))


# Each owns every second record; both read all of them under a lock and must see what the other one wrote last. The
# records lie on many pages, and the sizes and times are asked for, as that is when a kernel may throw pages away.
SHARER = '''
    import fcntl, os, struct, sys
    path, me, step = sys.argv[1], int(sys.argv[2]), 3001
    counters = os.open(sys.argv[3], os.O_RDWR)
    file = os.open(path, os.O_RDWR)
    for number in range(60):
        fcntl.lockf(file, fcntl.LOCK_EX)
        content = os.pread(file, 16 * step, 0)
        seen = [struct.unpack_from('<Q', content, slot * step)[0] for slot in range(16)]
        known = struct.unpack('<2Q', os.pread(counters, 16, 0))
        assert set(seen[me::2]) == {known[me]}, ('my own', seen, known)
        assert set(seen[1 - me::2]) == {known[1 - me]}, ('the other one', seen, known)
        for slot in range(me, 16, 2):
            os.pwrite(file, struct.pack('<Q', number + 1), slot * step)
            os.stat(path)
        os.pwrite(counters, struct.pack('<Q', number + 1), me * 8)
        fcntl.lockf(file, fcntl.LOCK_UN)
        os.fstat(file)
    os.close(file)
'''


def test_two_processes_share_a_file_under_locks(mount, tmp_path):
    path = mount / '.shelvefs/raw/shared'
    path.write_bytes(bytes(16 * 3001))
    # What was written last is known from beside the mount, from an ordinary file.
    turn = tmp_path / 'turn'
    turn.write_bytes(bytes(16))
    in_parallel((SHARER, path, 0, turn), (SHARER, path, 1, turn))
    assert path.read_bytes() == ((60).to_bytes(8, 'little') + bytes(3001 - 8)) * 16


# Each writes a word of its own on the page that all share. A kernel that throws the page away because its time has changed, as
# with FUSE_CAP_AUTO_INVAL_DATA, may do so between a write to the page and the same write to us, and read the old word anew:
# with that on, each of 8 runs had such reads, 17 of the 16,000 on the average; without, 0 of 8 had any.
OWNER = '''
    import os, struct, sys
    path, me = sys.argv[1], int(sys.argv[2])
    file = os.open(path, os.O_RDWR)
    for number in range(1, 4001):
        os.pwrite(file, struct.pack('<Q', number), me * 8)
        found = struct.unpack('<Q', os.pread(file, 8, me * 8))[0]
        assert found == number, 'wrote %d, read %d' % (number, found)
        if number % 4 == me:
            os.fstat(file)
'''


def test_processes_read_what_they_wrote(mount):
    path = mount / '.shelvefs/raw/shared'
    path.write_bytes(bytes(4096))
    in_parallel(*[(OWNER, path, me) for me in range(4)])
    assert path.read_bytes() == (4000).to_bytes(8, 'little') * 4 + bytes(4096 - 32)


def test_truncating_by_opening(view):
    path = view / 'text'
    reader = os.open(path, os.O_RDONLY)
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    assert os.fstat(reader).st_size == os.stat(path).st_size == 0
    os.close(reader)
    path.write_bytes(b'new\n')
    assert path.read_bytes() == b'new\n'


def test_sizes(mount):
    path = mount / '.shelvefs/raw/sized'
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.write(descriptor, b'0123456789')
    os.ftruncate(descriptor, 4)
    os.ftruncate(descriptor, 8)
    assert os.pread(descriptor, 100, 0) == b'0123\0\0\0\0'
    os.pwrite(descriptor, b'far', 100000)
    assert os.fstat(descriptor).st_size == 100003
    assert os.pread(descriptor, 100, 99990) == bytes(10) + b'far'
    assert os.lseek(descriptor, 0, os.SEEK_END) == 100003
    assert os.lseek(descriptor, -3, os.SEEK_END) == 100000 and os.read(descriptor, 10) == b'far'
    # The file is one piece of data, as a file system may say that does not look for holes.
    assert os.lseek(descriptor, 5, os.SEEK_DATA) == 5
    assert os.lseek(descriptor, 5, os.SEEK_HOLE) == 100003
    with refused(errno.ENXIO):
        os.lseek(descriptor, 100003, os.SEEK_DATA)
    with refused(errno.EINVAL):
        os.ftruncate(descriptor, -1)
    os.close(descriptor)
    os.truncate(path, 3)
    assert path.read_bytes() == b'012'
    os.truncate(path, 5)
    assert path.read_bytes() == b'012\0\0'
    with refused(errno.EISDIR):
        os.truncate(mount.directory, 0)


def test_what_is_unlinked_lives_as_long_as_it_is_open(mount, database):
    path = mount / 'text'
    descriptor = os.open(path, os.O_RDWR)
    os.unlink(path)
    assert os.fstat(descriptor).st_nlink == 0
    assert os.pread(descriptor, 4, 0) == b'one\n'
    os.pwrite(descriptor, b'ONE', 0)
    os.fsync(descriptor)
    assert os.pread(descriptor, 4, 0) == b'ONE\n'
    with refused(errno.ENOENT):
        os.stat(path)
    path.write_text('another\n')
    assert os.fstat(descriptor).st_ino != os.stat(path).st_ino
    assert os.pread(descriptor, 4, 0) == b'ONE\n'
    os.close(descriptor)
    assert database.value('text') == 'another'


def test_renaming_over_an_open_file(mount, database):
    reader = os.open(mount / 'text', os.O_RDONLY)
    os.rename(mount / 'greeting', mount / 'text')
    assert os.pread(reader, 12, 0) == b'one\ntwo\nthre'
    assert os.fstat(reader).st_nlink == 0
    assert mount.text('text') == 'hello\n'
    os.close(reader)
    assert database.value('text') == 'hello' and b'greeting' not in database.keys()


def test_renaming_without_replacing(mount, database):
    before = database.records()
    with refused(errno.EEXIST):
        rename2(mount / 'greeting', mount / 'text', RENAME_NOREPLACE)
    assert database.records() == before
    rename2(mount / 'greeting', mount / 'new', RENAME_NOREPLACE)
    assert database.value('new') == 'hello'
    with refused(errno.EINVAL):
        rename2(mount / 'new', mount / 'text', RENAME_NOREPLACE | RENAME_EXCHANGE)


def test_exchanging(mount, database):
    ids = os.stat(mount / 'list').st_ino, os.stat(mount / 'text').st_ino
    rename2(mount / 'list', mount / 'text', RENAME_EXCHANGE)
    assert (os.stat(mount / 'text').st_ino, os.stat(mount / 'list').st_ino) == ids
    assert (mount.text('list'), mount.text('text')) == ('one\ntwo\nthree\n\n', '[1, 2, 3]\n')
    assert (database.value('list'), database.value('text')) == ('one\ntwo\nthree\n', [1, 2, 3])
    with refused(errno.ENOENT):
        rename2(mount / 'list', mount / 'absent', RENAME_EXCHANGE)
    (mount / '.list.AbCdEf').write_text('[4]\n')
    with watched(database, 'list', 'one\ntwo\nthree\n', [4]):
        rename2(mount / '.list.AbCdEf', mount / 'list', RENAME_EXCHANGE)
    assert (mount.text('list'), mount.text('.list.AbCdEf')) == ('[4]\n', 'one\ntwo\nthree\n\n')
    assert (database.value('list'), database.value('.list.AbCdEf')) == ([4], 'one\ntwo\nthree\n')
    os.rename(mount / '.list.AbCdEf', mount / 'list')
    long_name = 'd' * 238 + '%+/key'
    os.mkdir(mount / ('d' * 238 + '%+'))
    mount.save(long_name, 'long\n')
    rename2(mount / long_name, mount / 'list', RENAME_EXCHANGE)
    assert (mount.text('list'), mount.text(long_name)) == ('long\n', 'one\ntwo\nthree\n\n')
    mount.remount()
    assert (mount.text('list'), mount.text(long_name)) == ('long\n', 'one\ntwo\nthree\n\n')


MODEL_OPERATIONS = 1500


def random_step(generator, descriptors, size):
    """One operation on both of two files, as a function of a descriptor, and its name."""
    offset, length = generator.randrange(size), generator.randrange(1, size // 3)
    data = bytes(generator.randrange(256) for _ in range(min(length, 300))) * (length // 300 + 1)
    return generator.choice([
        ('pwrite', lambda file: os.pwrite(file, data[:length], offset)),
        ('pread', lambda file: os.pread(file, length, offset)),
        ('ftruncate', lambda file: os.ftruncate(file, offset)),
        ('end', lambda file: os.lseek(file, 0, os.SEEK_END)),
        ('size', lambda file: os.fstat(file).st_size),
        ('fsync', os.fsync),
    ])


@pytest.mark.parametrize('seed', range(2))
def test_a_raw_file_is_a_plain_file(database, mounter, tmp_path, seed):
    """Random steps on a file of the mount and on an ordinary one give the same, as fsx does it."""
    mount = mounter(database, 'codec=raw')
    generator = random.Random(seed)
    paths = [mount / 'file', tmp_path / 'file']
    flags = os.O_RDWR | os.O_CREAT
    files = [os.open(path, flags, 0o600) for path in paths]
    for number in range(MODEL_OPERATIONS):
        name, step = random_step(generator, files, 40000)
        results = [step(file) for file in files]
        assert results[0] == results[1], '%s, step %d' % (name, number)
        if number % 50 == 0:
            for file in files:
                os.close(file)
            flags = generator.choice([os.O_RDWR, os.O_RDWR, os.O_RDWR, os.O_RDWR | os.O_TRUNC])
            files = [os.open(path, flags) for path in paths]
        if number % 120 == 0:
            content = paths[1].read_bytes()
            assert paths[0].read_bytes() == content
    for file in files:
        os.close(file)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert database.stored('file') == paths[1].read_bytes()


def test_the_largest_value(database, mounter):
    mount = mounter(database, 'codec=raw,max_value=64K')
    descriptor = os.open(mount / 'file', os.O_RDWR | os.O_CREAT, 0o600)
    os.pwrite(descriptor, b'last', 65532)
    with refused(errno.EFBIG):
        os.pwrite(descriptor, b'x', 65536)
    with refused(errno.EFBIG):
        os.ftruncate(descriptor, 65537)
    os.ftruncate(descriptor, 65536)
    try:
        os.close(descriptor)
    except OSError as error:
        assert error.errno == errno.EFBIG
    (mount / 'other').write_bytes(bytes(65536))
    assert database.stored('other') == bytes(65536)


def test_memory_maps(mount):
    path = mount / '.shelvefs/raw/mapped'
    path.write_bytes(bytes(10000))
    with open(path, 'r+b') as file, mmap.mmap(file.fileno(), 10000) as mapped:
        mapped[5000:5005] = b'hello'
        assert mapped[5000:5005] == b'hello'
        mapped.flush()
        os.fsync(file.fileno())
        assert os.pread(file.fileno(), 5, 5000) == b'hello'
        mapped[0:5] = b'start'
    assert path.read_bytes()[:5] == b'start' and path.read_bytes()[5000:5005] == b'hello'
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapped:
        assert bytes(mapped) == path.read_bytes()


# --- directories ---

class Directory:
    """opendir(3) with telldir(3) and seekdir(3), which Python does not have."""

    class Entry(ctypes.Structure):
        _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('reclen', ctypes.c_ushort), ('type', ctypes.c_ubyte),
                    ('name', ctypes.c_char * 256)]

    def __init__(self, path):
        LIBC.opendir.restype = LIBC.readdir64.restype = ctypes.c_void_p
        LIBC.telldir.restype = ctypes.c_long
        self.stream = ctypes.c_void_p(LIBC.opendir(os.fsencode(path)))
        assert self.stream.value

    def read(self):
        entry = LIBC.readdir64(self.stream)
        return ctypes.cast(entry, ctypes.POINTER(self.Entry)).contents.name.decode() if entry else None

    def rest(self):
        return list(iter(self.read, None))

    def tell(self):
        return LIBC.telldir(self.stream)

    def seek(self, position):
        LIBC.seekdir(self.stream, ctypes.c_long(position))

    def rewind(self):
        LIBC.rewinddir(self.stream)

    def close(self):
        LIBC.closedir(self.stream)


def test_positions_in_a_directory_that_changes(database, mounter):
    database.update((b'k%04d' % number, pickle.dumps(number)) for number in range(1000))
    mount = mounter(database)
    directory = Directory(mount.directory)
    first = [directory.read() for _ in range(300)]
    position = directory.tell()
    rest = directory.rest()
    assert len(set(first + rest)) == len(first + rest) == 1010
    for name in first[50:100]:
        if name.startswith('k'):
            os.unlink(mount / name)
    mount.save('later', 'x\n')
    directory.seek(position)
    assert directory.rest() == rest
    directory.rewind()
    assert set(directory.rest()) >= set(rest)
    directory.close()
    assert 'later' in os.listdir(mount.directory)


def test_syncing(mount, database):
    descriptor = os.open(mount / 'synced', os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, b'[1]\n')
    os.fsync(descriptor)
    assert database.value('synced') == [1]
    os.write(descriptor, b'  \n')
    os.fdatasync(descriptor)
    os.close(descriptor)
    top = os.open(mount.directory, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(top)
    os.close(top)
    os.sync()


# --- attributes ---

def test_times_of_nanoseconds(mount):
    path = mount / 'text'
    os.utime(path, ns=(1234567890123456789, 987654321123456789))
    assert (os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns) == (1234567890123456789, 987654321123456789)
    omit, now = (1 << 30) - 2, (1 << 30) - 1

    class Times(ctypes.Structure):
        _fields_ = [('seconds', ctypes.c_long), ('nanoseconds', ctypes.c_long)]

    def utimens(atime, mtime):
        times = (Times * 2)(Times(*atime), Times(*mtime))
        assert LIBC.utimensat(AT_FDCWD, os.fsencode(path), times, 0) == 0

    utimens((0, omit), (5, 7))
    assert (os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns) == (1234567890123456789, 5000000007)
    utimens((0, now), (0, omit))
    assert os.stat(path).st_mtime_ns == 5000000007
    assert os.stat(path).st_atime_ns > 1600000000 * 10**9
    utimens((0, omit), (0, now))
    assert os.stat(path).st_mtime_ns > 1600000000 * 10**9


def test_a_write_is_a_new_time(mount):
    path = mount / 'text'
    os.utime(path, ns=(10**18, 10**18))
    with open(path, 'rb') as file:
        file.read()
    assert os.stat(path).st_mtime_ns == 10**18
    with open(path, 'r+b') as file:
        file.write(b'ONE')
        file.flush()
        written = os.fstat(file.fileno())
        assert written.st_mtime_ns > 10**18 and written.st_ctime_ns >= written.st_mtime_ns
    assert os.stat(path).st_mtime_ns >= written.st_mtime_ns
    os.utime(path, ns=(10**18, 10**18))
    os.truncate(path, 3)
    assert os.stat(path).st_mtime_ns > 10**18
    before = os.stat(mount.directory).st_mtime_ns
    os.unlink(path)
    assert os.stat(mount.directory).st_mtime_ns >= before


def test_steps_as_in_any_directory(database, mounter, tmp_path):
    """Values of any text as well as raw bytes: what each step gives is what it gives elsewhere."""
    script = os.path.join(os.path.dirname(__file__), 'posix_steps.py')
    plain = tmp_path / 'plain'
    plain.mkdir()
    expected = sh('%s %s %s' % (sys.executable, script, plain), '/').stdout
    mount = mounter(database)
    for options in ('', 'codec=raw'):
        mount.remount(options or 'rw')
        for name in os.listdir(mount.directory):
            os.unlink(mount / name)
        assert sh('%s %s %s' % (sys.executable, script, mount.directory), '/').stdout.splitlines() == expected.splitlines()


# --- what can't be ---

def test_what_can_not_be_made(mount, database):
    before = database.records()
    with refused(errno.EPERM):
        os.link(mount / 'text', mount / 'linked')
    with refused(errno.EPERM):
        os.mkfifo(mount / 'fifo')
    with refused(errno.EPERM):
        os.mknod(mount / 'device', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with refused(errno.EPERM), socket.socket(socket.AF_UNIX) as listener:
        os.chdir(mount.directory)  # a socket's path has to be short
        try:
            listener.bind('socket')
        finally:
            os.chdir('/')
    with refused(errno.EPERM):
        os.mkdir(mount / 'folder')
    with refused(errno.EPERM):
        os.symlink('text', mount / 'symlink')
    with refused(errno.ENOTDIR):
        os.rmdir(mount / 'text')
    with refused(errno.ENOTDIR):
        os.stat(mount / 'text/below')
    with refused(errno.ENOTSUP):
        os.setxattr(mount / 'text', 'user.mine', b'x')
    with open(mount / 'text', 'r+b') as file:
        assert LIBC.fallocate(file.fileno(), 0, ctypes.c_long(0), ctypes.c_long(1000)) == -1
        assert ctypes.get_errno() == errno.EOPNOTSUPP
    assert database.records() == before


def test_locks_are_between_processes(mount):
    program = '''
        import fcntl, os, sys
        file = open(sys.argv[1], 'r+b')
        for lock in (fcntl.flock, fcntl.lockf):
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            sys.exit('not locked')
    '''
    with open(mount / 'text', 'r+b') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        in_parallel((program, mount / 'text'))
    with open(mount / 'text', 'r+b') as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
    assert sh('flock -n text -c "echo locked"', mount.directory).stdout == 'locked\n'
