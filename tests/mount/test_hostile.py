# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of the hostile values of tests/unit/hostile.c, each a key: nothing hangs, fills the memory or is run.

HOSTILE_SIZE: of the rows, as for the unit test.
"""

import contextlib
import errno
import os
import pathlib
import pickle
import re
import shutil
import signal
import stat
import subprocess

import pytest

import mounting
from mounting import eventually, sh

SIZE = int(os.environ.get('HOSTILE_SIZE', '1024'))
BUILD = pathlib.Path(os.environ['SHELVEFS']).parent
SANITIZED = not (BUILD / 'libfailing.so').exists()
PER_BYTE = 64  # of memory, as README promises
MAX_VALUE = 1 << 20
CACHE = 64 << 20

one_engine = pytest.mark.parametrize('engine', ['tdb'], indirect=True)


def rows(codec, kind):
    """{name: bytes} of hostile.c."""
    made = subprocess.run([BUILD / 'hostiletool', str(SIZE)], stdout=subprocess.PIPE, check=True).stdout
    found, at = {}, 0
    while at < len(made):
        end = made.index(b'\n', at)
        of_codec, of_kind, size, name = made[at:end].decode().split(' ', 3)
        at = end + 1 + int(size)
        if (of_codec, of_kind) == (codec, kind):
            found[name.replace('/', '-')] = made[end + 1:at]
    return found


def memory(mount, what):
    status = pathlib.Path('/proc/%d/status' % mount.process.pid).read_text(encoding='utf-8')
    return int(re.search(what + r':\s+(\d+) kB', status).group(1)) * 1024


def forget_peak(mount):
    pathlib.Path('/proc/%d/clear_refs' % mount.process.pid).write_text('5', encoding='utf-8')


def read_all(folder):
    """Every file, one after the other; what can't be shown fails with one of two errors."""
    for name in os.listdir(folder):
        try:
            (folder / name).read_bytes()
        except OSError as error:
            assert error.errno in (errno.EIO, errno.EFBIG), (name, error)


@one_engine
@pytest.mark.parametrize('codec', ['pickle', 'marshal'])
def test_a_directory_of_hostile_values(mounter, new_database, codec, capfd):
    values = rows(codec, 'stored')
    assert len(values) > 15
    database = new_database().create((name.encode(), value) for name, value in values.items())
    mount = mounter(database, 'codec=' + codec, 'max_value=%d' % MAX_VALUE)
    largest = min(MAX_VALUE, max(map(len, values.values())))
    before = memory(mount, 'VmRSS')
    forget_peak(mount)
    listed = sh('ls -l', mount.directory).stdout
    assert len(listed.splitlines()) == len(values) + 1
    read_all(mount / '.')
    read_all(mount / '.shelvefs/dis')
    assert sh('grep -r "no such text" .', mount.directory, check=False).returncode in (1, 2)
    sh('cat * .shelvefs/dis/*', mount.directory, check=False)
    used = memory(mount, 'VmHWM') - before
    # One value that is read and one that is read ahead, their texts and what the listing makes; and the texts that are kept.
    bound = 2 * (PER_BYTE * largest + 2 * MAX_VALUE) + CACHE
    assert SANITIZED or used < bound
    assert {key.decode(): value for key, value in database.records().items()} == values
    with capfd.disabled():
        print('\n%s: %d values of up to %d bytes: %d KiB of memory' % (codec, len(values), largest, used >> 10))


@one_engine
def test_hostile_texts_are_saved_or_refused(mounter, new_database):
    texts = {**rows('pickle', 'text'), **rows('marshal', 'text')}
    assert len(texts) > 30
    mount = mounter(new_database().create([(b'other', pickle.dumps('here', 4))]), 'max_value=%d' % MAX_VALUE)
    for name, text in texts.items():
        try:
            descriptor = os.open(mount / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                os.write(descriptor, text)
            finally:
                os.close(descriptor)
        except OSError as error:
            assert error.errno in (errno.EINVAL, errno.EPERM, errno.EFBIG), (name, error)
        assert mount.text('other') == 'here\n'
    read_all(mount / '.')


def waits_for_the_mount(process):
    """It is in the middle of a request, or has ended."""
    if process.poll() is not None:
        return True
    return 'request_wait' in pathlib.Path('/proc/%d/wchan' % process.pid).read_text(encoding='utf-8')


@one_engine
def test_others_are_read_while_a_value_takes_long(mounter, new_database):
    """They are answered before the slow one ends: an order of events, whatever the machine's speed."""
    count = 1 << 18
    database = new_database().create([(b'other', pickle.dumps('here', 4))] +
                                     [(b'another %d' % number, pickle.dumps([number], 4)) for number in range(20)])
    mount = mounter(database)
    while count < 1 << 25:
        name = 'slow %d' % count
        database.update([(name.encode(), b'(' + b'cm\nn\n' * count + b't.')])
        with subprocess.Popen(['cat', str(mount / name)], stdout=subprocess.DEVNULL) as slow:
            eventually(lambda process=slow: waits_for_the_mount(process))
            for number in range(20):
                assert mount.text('another %d' % number) == '[%d]\n' % number
            assert mount.text('other') == 'here\n'
            goes_on = slow.poll() is None
        if goes_on:
            return
        database.delete(name)
        count *= 2  # this machine is too fast
    raise AssertionError('others wait for a slow value')


# What a loader would run, look up or open.
TRAPS = {
    'call': b"cos\nsystem\n(S'touch %s'\ntR.",
    'open': b"cio\nopen\n(S'%s'\nS'w'\ntR.",
    'import': b'c%s\nname\n.',
    'connect': b"csocket\ncreate_connection\n((S'127.0.0.1'\nI9\nttR.",
    'persistent': b'P%s\n.',
    'nested': b"cpickle\nloads\n(S'cos\\nsystem\\n(S\"touch %s\"\\ntR.'\ntR.",
    'path': b"cpathlib\nPosixPath\n(S'%s'\ntR.",
    'codec': b"c_codecs\nencode\n(V%s\nVrot13\ntR.",
}


def trace(mount, path):
    """strace of the daemon, attached; or a skip."""
    if not shutil.which('strace'):
        pytest.skip('there is no strace')
    tracer = subprocess.Popen(['strace', '-f', '-qq', '-o', str(path), '-e', 'trace=execve,execveat,open,openat,openat2,creat,socket,connect',
                               '-p', str(mount.process.pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    status = pathlib.Path('/proc/%d/status' % mount.process.pid)
    eventually(lambda: tracer.poll() is not None or 'TracerPid:\t0\n' not in status.read_text(encoding='utf-8'))
    if tracer.poll() is not None:
        pytest.skip('strace cannot trace here: ' + tracer.stderr.read())
    return tracer


@pytest.mark.parametrize('engine', ['gdbm'], indirect=True)  # whose file is opened each time, so that there is something to see
def test_nothing_is_run_or_opened(mounter, new_database, tmp_path):
    trap = tmp_path / 'trap'
    database = new_database().create(
        [(name.encode(), value.replace(b'%s', str(trap).encode())) for name, value in TRAPS.items()] +
        [(name.encode(), value) for name, value in rows('pickle', 'stored').items()])
    mount = mounter(database, 'codec=pickle', 'sidecar=none')
    tracer = trace(mount, tmp_path / 'calls')
    try:
        sh('ls -l', mount.directory)
        read_all(mount / '.')
        read_all(mount / '.shelvefs/dis')
        with mounting.refused(errno.EPERM):
            mount.save('call', mount.text('open'))
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=60)
    calls = (tmp_path / 'calls').read_text(encoding='utf-8', errors='replace').splitlines()
    # Its own: who has the database locked, what the time is here.
    folder, name = os.path.split(database.path)
    own = re.compile(r'open(at)?\((AT_FDCWD, )?"(%s/(%s"|\.%s\.shelvefs-journal")|/proc/|/etc/localtime")' %
                     (re.escape(folder), re.escape(name), re.escape(name)))
    calls = [call for call in calls if re.search(r'\b(exec|open|creat|socket|connect)\w*\(', call)]
    assert [call for call in calls if not own.search(call)] == [] and calls
    assert not trap.exists()
    assert re.match(r"os\.system\(\s*'touch ", mount.text('call'))


# --- terminals ---

NASTY = ['\x1b]0;owned\x07', 'new\nline', '\u202egnp.exe', '\x9b31m', '\x7f\x08', '-rf', '$(id)', '\u2066x']


def drives_a_terminal(text):
    """What of it is no plain text."""
    return re.findall('[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]', text)


def told(*arguments):
    done = subprocess.run([os.environ['SHELVEFS'], *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)
    return done.stdout.decode(errors='surrogateescape')


@pytest.mark.parametrize('engine', ['dumb', 'sqlite'], indirect=True)
def test_nothing_drives_a_terminal(mounter, new_database):
    """Keys, values and texts are quoted in many places."""
    nasty = ''.join(NASTY)
    pairs = [((name + nasty).encode('utf-8', 'surrogateescape'), pickle.dumps([name, nasty], 4)) for name in NASTY]
    pairs += [(b'\xff\x1b[31m', b'c' + nasty.replace('\n', '').encode() + b'\nname\n.'), (b'broken' + nasty.encode(), b'\x80\x04' + nasty.encode())]
    database = new_database('shelf\x1b[31m\u202e').create(pairs)
    mount = mounter(database)
    names = os.listdir(os.fsencode(mount.directory))
    assert len(names) == len(pairs)
    for name in names:
        for text in (b'[1, ', b"['\x1b[31m\xe2\x80\xae", b'[os.sys\x1btem', b'os.\xe2\x80\xae()', b'# pickle \x1b[31m protocol'):
            try:
                (mount / os.fsdecode(name)).write_bytes(text)
            except OSError as error:
                assert error.errno in (errno.EINVAL, errno.EPERM)
    assert drives_a_terminal(mount.control('status')) == [] and drives_a_terminal(mount.control('errors')) == []
    for name in os.listdir(mount / '.shelvefs/dis'):
        assert drives_a_terminal((mount / '.shelvefs/dis' / name).read_text()) == [], name
    for name in os.listdir(mount / '.shelvefs/rejected'):
        with contextlib.suppress(OSError):
            assert drives_a_terminal(os.getxattr(mount / '.shelvefs/rejected' / name, 'user.shelvefs.error').decode()) == []
    assert not mount.stop()
    assert 'not saved' in mount.log and drives_a_terminal(mount.log) == []
    for command in ('--info', '--check'):
        assert drives_a_terminal(told(command, database.path)) == [], command
    for name in names:
        assert drives_a_terminal(told('--dis', database.path, os.fsdecode(name))) == []


@one_engine
def test_no_file_is_more_than_a_file(mount):
    """No set-user-ID, no devices, no links but editors' own."""
    for mode in (0o4755, 0o2755, 0o1755, 0o7777):
        with contextlib.suppress(PermissionError):
            os.chmod(mount / 'list', mode)
        assert os.stat(mount / 'list').st_mode & 0o7000 == 0
    for make in (lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5)), lambda path: os.mkfifo(path),
                 lambda path: os.symlink('/etc/passwd', path), lambda path: os.link(mount / 'list', path)):
        with mounting.refused(errno.EPERM):
            make(mount / 'made')
    descriptor = os.open(mount / 'made', os.O_WRONLY | os.O_CREAT, 0o6777)
    os.close(descriptor)
    assert os.stat(mount / 'made').st_mode & 0o7000 == 0
