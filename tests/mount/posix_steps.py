# SPDX-License-Identifier: GPL-3.0-or-later
"""posix_steps.py DIRECTORY: small steps of a program in an empty directory; prints a line for what each of them gave.

Run in a mount and in an ordinary directory, to compare.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import stat
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
READ, WRITE, BOTH, CREATE = os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT | os.O_TRUNC
OMIT = (1 << 30) - 2


def write(name, data=b'data\n', mode='wb'):
    with open(name, mode) as file:
        file.write(data)


def content(name):
    with open(name, 'rb') as file:
        return file.read()


def opened(flags, step, name='a'):
    """What `step` gives of a descriptor."""
    descriptor = os.open(name, flags, 0o644)
    try:
        return step(descriptor)
    finally:
        os.close(descriptor)


def is_new(name='a'):
    return os.stat(name).st_mtime > 1e9


def aged(step, name='.'):
    """Whether a step makes a file new."""
    os.utime(name, (1, 1))
    step()
    return is_new(name)


def is_noted(step, name='a'):
    """Whether a step is a change of the file's status."""
    os.utime(name, (1, 1))
    step()
    return os.stat(name).st_ctime > 1e9


def utimens(*words):
    result = LIBC.utimensat(-100, b'a', (ctypes.c_long * 4)(*words), 0)
    return result, errno.errorcode.get(ctypes.get_errno()) if result else None


def copied(copy, name):
    return opened(READ, lambda source: opened(CREATE, lambda target: (copy(source, target), os.pread(target, 20, 0)), name))


def unlinked(descriptor):
    os.write(descriptor, b'still')
    os.unlink('gone')
    os.ftruncate(descriptor, 3)
    os.write(descriptor, b'!')
    os.fchmod(descriptor, 0o600)
    return os.pread(descriptor, 20, 0), os.fstat(descriptor).st_nlink, os.path.exists('gone')


def renamed_over(descriptor):
    write('new', b'one\n')
    os.rename('new', 'old')
    os.write(descriptor, b'OLD')
    return os.pread(descriptor, 9, 0), content('old'), os.fstat(descriptor).st_nlink


def renamed_while_open():
    write('first', b'one\n')
    opened(BOTH, lambda file: (os.rename('first', 'second'), os.write(file, b'NEW')), 'first')
    return content('second'), os.path.exists('first')


def mapped():
    write('mapped', b'0' * 5000)
    with open('mapped', 'r+b') as file, mmap.mmap(file.fileno(), 5000) as memory:
        memory[0:3] = b'abc'
        before = os.pread(file.fileno(), 5, 0)
        os.pwrite(file.fileno(), b'xyz', 4096)
        after = memory[4096:4100]
    return before, after, content('mapped')[:4]


def appended_later(descriptor):
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
    os.write(descriptor, b'LATER')
    return os.pread(descriptor, 100, 0)


def script():
    write('script', b'#!/bin/sh\necho ran\n')
    os.chmod('script', 0o755)
    return os.access('script', os.X_OK)


def umask():
    os.umask(0o027)
    write('masked')
    os.umask(0o022)
    return oct(os.stat('masked').st_mode)


STEPS = {
    'exclusive': lambda: opened(os.O_CREAT | os.O_EXCL, os.fstat),
    'exclusive in no directory': lambda: opened(os.O_CREAT | os.O_EXCL, os.fstat, 'nowhere/x'),
    'a file as a directory': lambda: opened(READ | os.O_DIRECTORY, os.fstat),
    'a directory to write': lambda: opened(WRITE, os.fstat, '.'),
    'a file with a slash': lambda: opened(READ, os.fstat, 'a/'),
    'stat with a slash': lambda: os.stat('a/'),
    'a new file with a slash': lambda: opened(CREATE, os.fstat, 'new/'),
    'no follow': lambda: opened(READ | os.O_NOFOLLOW, lambda file: os.read(file, 10)),
    'path only': lambda: opened(os.O_PATH, lambda file: os.fstat(file).st_size),
    'truncated by a reader': lambda: opened(READ | os.O_TRUNC, lambda file: os.fstat(file).st_size, 'b'),
    'reading a writer': lambda: opened(WRITE, lambda file: os.read(file, 1)),
    'writing a reader': lambda: opened(READ, lambda file: os.write(file, b'x')),
    'truncating a reader': lambda: opened(READ, lambda file: os.ftruncate(file, 0)),
    'truncating to less than nothing': lambda: os.truncate('a', -1),
    'truncating a directory': lambda: os.truncate('.', 0),
    'truncating nothing': lambda: os.truncate('missing', 0),
    'reading before the start': lambda: opened(READ, lambda file: os.pread(file, 1, -1)),
    'reading behind the end': lambda: opened(READ, lambda file: os.pread(file, 10, 100)),
    'pwrite and O_APPEND': lambda: opened(BOTH | os.O_APPEND, lambda file: (os.pwrite(file, b'END', 0), os.pread(file, 100, 0))),
    'position and O_APPEND': lambda: opened(BOTH | os.O_APPEND, lambda file: (os.write(file, b'x'), os.lseek(file, 0, 1))),
    'O_APPEND set later': lambda: opened(BOTH, appended_later),
    'writev': lambda: opened(BOTH | os.O_TRUNC, lambda file: (os.writev(file, [b'ab', b'cd', b'']), os.pread(file, 9, 0))),
    'writing nothing': lambda: opened(BOTH, lambda file: os.write(file, b'')),
    'synchronous': lambda: opened(WRITE | os.O_SYNC, lambda file: os.write(file, b'x')),
    'copy_file_range': lambda: copied(lambda source, target: os.copy_file_range(source, target, 3, 0, 5), 'ranged'),
    'sendfile': lambda: copied(lambda source, target: os.sendfile(target, source, 0, 4), 'sent'),
    'posix_fallocate': lambda: opened(BOTH, lambda file: os.posix_fallocate(file, 0, 2)),
    'fadvise': lambda: opened(BOTH, lambda file: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)),
    'sync_file_range': lambda: opened(BOTH, lambda file: LIBC.sync_file_range(file, 0, 0, 7)),
    'fsync of a reader': lambda: opened(READ, os.fsync),
    'fsync of the directory': lambda: opened(READ, os.fsync, '.'),
    'seeking data': lambda: opened(READ, lambda file: (os.lseek(file, 0, os.SEEK_DATA), os.lseek(file, 0, os.SEEK_HOLE))),
    'mkdir of a file': lambda: os.mkdir('a'),
    'mkdir of .': lambda: os.mkdir('.'),
    'rmdir of .': lambda: os.rmdir('.'),
    'rmdir of a file': lambda: os.rmdir('a'),
    'rmdir of nothing': lambda: os.rmdir('missing'),
    'unlink of nothing': lambda: os.unlink('missing'),
    'unlink of .': lambda: os.unlink('.'),
    'rename of nothing': lambda: os.rename('missing', 'x'),
    'rename to itself': lambda: os.rename('a', 'a'),
    'rename to .': lambda: os.rename('a', '.'),
    'rename with a slash': lambda: os.rename('a', 'x/'),
    'a long name': lambda: write('n' * 256),
    'stat of a long name': lambda: os.stat('n' * 256),
    'rename to a long name': lambda: os.rename('a', 'n' * 256),
    'readlink of a file': lambda: os.readlink('a'),
    'mknod': lambda: (os.mknod('node', 0o644 | stat.S_IFREG), os.stat('node').st_size),
    'mknod of a file': lambda: os.mknod('a', 0o644 | stat.S_IFREG),
    'chmod': lambda: (os.chmod('a', 0o640), oct(os.stat('a').st_mode)),
    'chmod with more': lambda: (os.chmod('a', 0o4755), oct(os.stat('a').st_mode & 0o777)),
    'umask': umask,
    'a script': script,
    'utimens omits both': lambda: utimens(0, OMIT, 0, OMIT),
    'utimens with a bad time': lambda: utimens(0, 2000000000, 0, 0),
    'before 1970': lambda: (os.utime('a', (-5, -5)), os.stat('a').st_mtime),
    'futimens': lambda: opened(BOTH, lambda file: (os.utime(file, (7, 8)), os.fstat(file).st_atime, os.stat('a').st_mtime)),
    'reading keeps the time': lambda: (content('a') and None, os.stat('a').st_mtime),
    'writing makes new': lambda: aged(lambda: write('a', b'+', 'ab'), 'a'),
    'chmod keeps the time': lambda: aged(lambda: os.chmod('a', 0o600), 'a'),
    'truncating to its size makes new': lambda: aged(lambda: os.truncate('a', os.stat('a').st_size), 'a'),
    'truncating what is empty makes new': lambda: (write('empty', b''), aged(lambda: write('empty', b''), 'empty')),
    'a new file in the directory': lambda: aged(lambda: write('fresh')),
    'a removed file in the directory': lambda: aged(lambda: os.unlink('fresh')),
    'a changed file in the directory': lambda: aged(lambda: write('a', b'again\n')),
    'a renamed file in the directory': lambda: aged(lambda: os.rename('sent', 'renamed')),
    'renaming keeps the time': lambda: (os.utime('renamed', (5, 5)), os.rename('renamed', 'sent'), os.stat('sent').st_mtime),
    'utime is noted': lambda: is_noted(lambda: None),
    'chmod is noted': lambda: is_noted(lambda: os.chmod('a', 0o600)),
    'renaming is noted': lambda: is_noted(lambda: (os.rename('sent', 'noted'), os.rename('noted', 'sent')), 'sent'),
    'chmod of the directory is noted': lambda: is_noted(lambda: os.chmod('.', 0o755), '.'),
    'links': lambda: os.stat('a').st_nlink,
    'an attribute that is not there': lambda: os.getxattr('a', 'user.nothing'),
    'unlinked': lambda: opened(CREATE, unlinked, 'gone'),
    'renamed over': lambda: (write('old', b'two\n'), opened(BOTH, renamed_over, 'old'), content('old')),
    'renamed while open': renamed_while_open,
    'mapped': mapped,
    'access': lambda: (os.access('a', os.R_OK), os.access('a', os.X_OK), os.access('missing', 0)),
    'flock of a reader': lambda: opened(READ, lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)),
    'the longest name': lambda: os.statvfs('.').f_namemax,
    'ioctl of a terminal': lambda: opened(READ, lambda file: fcntl.ioctl(file, 0x5401, bytes(64))),
    'all names': lambda: sorted(os.listdir('.')),
}


def main():
    os.chdir(sys.argv[1])
    write('a')
    write('b', b'bbb\n')
    for name, step in STEPS.items():
        try:
            result = step()
        except OSError as error:
            result = errno.errorcode[error.errno]
        print('%s: %r' % (name, result))


main()
