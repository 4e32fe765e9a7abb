# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen to a mount while it lives: signals, suspended programs, a kill, an unmount under open files, a clock that is set."""

import contextlib
import ctypes
import errno
import fcntl
import itertools
import multiprocessing
import os
import pathlib
import pickle
import shutil
import signal
import struct
import subprocess
import threading
import time

import pytest

from mounting import FORGET_OTHERS, Mount, eventually, refused, sh
from test_kept import holds
from test_users import NOBODY, public  # pylint: disable=unused-import

MNT_FORCE = 1


def state_of(process, thread=None):
    """The letter of ps: R, S, D, T, Z; None: it is no more."""
    try:
        status = pathlib.Path('/proc/%d/task/%d/stat' % (process, thread or process)).read_text(encoding='utf-8')
    except OSError:
        return None
    return status.rsplit(') ', 1)[1][0]


def threads_of(process):
    return [int(task.name) for task in pathlib.Path('/proc/%d/task' % process).iterdir()]


def is_gone(process):
    return state_of(process) in (None, 'Z')


def children_of(process):
    """Those of all of its threads."""
    return [int(word) for task in pathlib.Path('/proc/%d/task' % process).iterdir()
            for word in (task / 'children').read_text(encoding='utf-8').split()]


@pytest.fixture
def beside():
    """beside(function, argument...): another process that calls it; gone after the test."""
    started = []

    def start(function, *arguments):
        process = multiprocessing.get_context('fork').Process(target=function, args=arguments, daemon=True)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.is_alive():
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
        process.join(20)


# --- signals ---

class Client(threading.Thread):
    """Saves numbers to a key of its own and lists and reads the others until the mount ends. `saved`: what close() has confirmed."""

    def __init__(self, mount, name):
        super().__init__(daemon=True)
        self.directory = os.open(mount.directory, os.O_RDONLY)  # not what is there when the mount is gone
        self.key = name
        self.tried = self.saved = 0

    def run(self):
        try:
            while True:
                self.tried += 1
                self.write(b'[%d, %r]\n' % (self.tried, 'x' * (self.tried * 37 % 3000)))
                self.saved = self.tried
                os.listdir(self.directory)
                with open('list', 'rb', opener=lambda path, flags: os.open(path, flags, dir_fd=self.directory)) as file:
                    assert file.read() == b'[1, 2, 3]\n'
        except OSError as error:
            self.error = error.errno
        finally:
            os.close(self.directory)

    def write(self, text):
        descriptor = os.open(self.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=self.directory)
        try:
            os.write(descriptor, text)
        finally:
            os.close(descriptor)


@pytest.fixture
def busy():
    """busy(mount): eight clients at work."""
    clients = []

    def start(mount):
        clients.extend(Client(mount, 'of client %d' % number) for number in range(8))
        for client in clients:
            client.start()
        eventually(lambda: all(client.saved > 1 for client in clients))
        return clients

    yield start
    for client in clients:
        client.join(20)
        assert not client.is_alive()


def check_clients(clients, database):
    for client in clients:
        client.join(20)
        assert client.error in (errno.ENOTCONN, errno.ECONNABORTED), os.strerror(client.error)
        assert client.saved <= database.value(client.key)[0] <= client.tried


def ended_in_order(mount, *lines):
    """Whether it has unmounted, said nothing but these lines after the first, and was content."""
    status = mount.process.wait(20)
    mount.process = None
    assert mount.log.splitlines()[1:] == list(lines)
    assert not mount.is_mounted()
    assert not os.listdir(mount.directory)
    return status == 0


ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGXCPU]


@pytest.mark.parametrize('number', ENDING, ids=lambda number: number.name)
def test_a_signal_in_the_middle_of_work(mount, database, busy, number):
    """What was written to a file that is open is saved as it is then, what close() has confirmed is there, and all is whole."""
    clients = busy(mount)
    draft = os.open(mount / 'greeting', os.O_WRONLY | os.O_TRUNC)
    os.write(draft, b'not yet closed\n')
    mount.process.send_signal(number)
    assert ended_in_order(mount)
    with contextlib.suppress(OSError):
        os.close(draft)
    check_clients(clients, database)
    assert database.value('greeting') == 'not yet closed'
    database.verify()


def test_one_thread(database, mounter, busy):
    """With -s requests are answered one after the other, and a signal ends it as ever."""
    mount = mounter(database, '-s')
    clients = busy(mount)
    mount.process.send_signal(signal.SIGTERM)
    assert ended_in_order(mount)
    check_clients(clients, database)
    database.verify()
    mount.start()
    assert mount.text('list') == '[1, 2, 3]\n'
    mount.unmount()
    assert mount.process.wait(20) == 0


def test_a_signal_while_something_unfinished_is_open(mount, database):
    """It would not do as a value: it is kept beside the database, and the status says so."""
    draft = os.open(mount / 'list', os.O_WRONLY | os.O_TRUNC)
    os.write(draft, b'[1, 2')
    mount.process.send_signal(signal.SIGTERM)
    assert mount.process.wait(20) == 1
    mount.process = None
    with contextlib.suppress(OSError):
        os.close(draft)
    assert 'refused text kept in the sidecar: list' in mount.log
    assert database.value('list') == [1, 2, 3]
    assert mount.start().control('rejected/list') == '[1, 2'


@pytest.mark.parametrize('engine', ['tdb'], indirect=True)  # can be held by a lock that the mount waits for
def test_more_signals_while_it_unmounts(database, mounter):
    mount = mounter(database, 'lock_timeout=60')
    draft = os.open(mount / 'list', os.O_WRONLY | os.O_TRUNC)
    os.write(draft, b'[4, 5]\n')
    with database.opened(write=True) as store:
        store.transaction_start()
        for number in ENDING * 3:
            mount.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                mount.process.wait(0.02)
        assert mount.process.poll() is None
        store.transaction_cancel()
    assert ended_in_order(mount)
    with contextlib.suppress(OSError):
        os.close(draft)
    assert database.value('list') == [4, 5]


def test_signals_that_are_none_of_its_business(mount, database):
    for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGCONT, signal.SIGXFSZ):
        mount.process.send_signal(number)
        mount.save('greeting', '%s\n' % number.name)
        assert database.value('greeting') == number.name
    assert mount.log.count('\n') == 1


def test_nobody_reads_its_log(database, tmp_path):
    """In the foreground, behind a pager that was left."""
    mount = Mount(database.path, tmp_path / 'mnt')
    mount.directory.mkdir()
    ends = os.pipe()
    mount.process = subprocess.Popen(mount.command(), stdin=subprocess.DEVNULL, stdout=ends[1], stderr=ends[1])
    try:
        os.close(ends[1])
        eventually(mount.is_mounted)
        os.close(ends[0])
        with refused(errno.EINVAL):
            mount.save('list', '[1, 2')
        mount.save('list', '[1, 2]\n')
        assert database.value('list') == [1, 2]
    finally:
        pathlib.Path(mount.log_path).touch()
        assert mount.stop() == []


def test_a_signal_to_all_of_them(mount, database):
    """As from a service manager, or a terminal: the guard goes last."""
    processes = [mount.process.pid, *children_of(mount.process.pid)]
    mount.save('greeting', 'saved\n')
    for process in reversed(processes):
        os.kill(process, signal.SIGTERM)
    assert ended_in_order(mount)
    assert all(is_gone(process) for process in processes)
    assert database.value('greeting') == 'saved'


# --- suspended ---

def suspend(process):
    os.kill(process, signal.SIGSTOP)
    eventually(lambda: all(state_of(process, thread) == 'T' for thread in threads_of(process)))


def test_a_suspended_mount(mount, database, beside):
    """Who asks meanwhile has to wait, also for the end."""
    client = Client(mount, 'greeting')
    suspend(mount.process.pid)
    saving = beside(client.write, b'late\n')
    mount.process.send_signal(signal.SIGTERM)
    assert saving.is_alive() and mount.is_mounted()
    mount.process.send_signal(signal.SIGCONT)
    saving.join(20)
    os.close(client.directory)
    assert ended_in_order(mount)
    # Where it could not finish, what it had done so far is saved, which may be that the file was emptied.
    assert database.value('greeting') in (['late'] if saving.exitcode == 0 else ['late', 'hello', ''])


def test_a_suspended_mount_goes_on(mount, database, beside):
    suspend(mount.process.pid)
    saving = beside(mount.save, 'greeting', 'late\n')
    mount.process.send_signal(signal.SIGCONT)
    saving.join(20)
    assert saving.exitcode == 0
    assert database.value('greeting') == 'late'


def in_the_middle_of_reading(mount, told):
    with open(mount / 'text', 'rb', buffering=0) as file:
        file.read(3)
        told.set()
        signal.pause()


def in_the_middle_of_listing(mount, told):
    with os.scandir(mount.directory) as entries:
        next(entries)
        told.set()
        signal.pause()


def in_the_middle_of_writing(mount, told):
    with open(mount / 'text', 'wb', buffering=0) as file:
        file.write(b'not yet')
        told.set()
        signal.pause()


def with_flock(mount, told):
    with open(mount / 'text', 'rb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        told.set()
        signal.pause()


def with_record_lock(mount, told):
    with open(mount / 'text', 'r+b') as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        told.set()
        signal.pause()


@pytest.mark.parametrize('doing', [in_the_middle_of_reading, in_the_middle_of_listing, in_the_middle_of_writing, with_flock, with_record_lock],
                         ids=lambda doing: doing.__name__)
def test_a_suspended_program_holds_up_nobody(mount, database, beside, doing):
    told = multiprocessing.get_context('fork').Event()
    program = beside(doing, mount, told)
    assert told.wait(20)
    suspend(program.pid)
    database.put('number', 43)
    eventually(lambda: mount.text('number') == '43\n')
    assert sorted(os.listdir(mount.directory)) == sorted(database.values)
    mount.save('text', 'saved meanwhile\n')
    os.rename(mount / 'text', mount / 'renamed')
    mount.save('text', 'new\n')
    os.unlink(mount / 'list')
    assert database.value('renamed') == 'saved meanwhile'
    assert database.value('text') == 'new'
    # What it had written went with the text that the other save replaced, and its locks end with it.
    program.kill()
    program.join(20)
    assert mount.text('renamed') == 'saved meanwhile\n'
    with open(mount / 'renamed', 'r+b') as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize('lock,doing', [(fcntl.flock, with_flock), (fcntl.lockf, with_record_lock)], ids=['flock', 'record lock'])
def test_a_lock_of_a_suspended_program(mount, beside, lock, doing):
    """It keeps it while it is suspended, and who waits for it gets it when that program ends."""
    told = multiprocessing.get_context('fork').Event()
    program = beside(doing, mount, told)
    assert told.wait(20)
    suspend(program.pid)
    with open(mount / 'text', 'r+b') as file:
        with refused(errno.EAGAIN, errno.EACCES):
            lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        program.kill()
        lock(file, fcntl.LOCK_EX)


# --- what is open when the mount goes ---

def detach(mount):
    """As umount -l, for who need not be root."""
    subprocess.run(['fusermount3', '-u', '-z', str(mount.directory)], check=True)
    assert not mount.is_mounted()
    assert not os.listdir(mount.directory)


def test_detached_while_files_are_open(mount, database):
    """The daemon lives until the last of them is closed, and what is saved until then is saved."""
    with open(mount / 'greeting', 'r+b', buffering=0) as first, open(mount / 'list', 'r+b', buffering=0) as second:
        first.truncate()
        detach(mount)
        assert second.read() == b'[1, 2, 3]\n'
        first.write(b'after the unmount\n')
        os.fsync(first.fileno())
        assert database.value('greeting') == 'after the unmount'
        second.seek(0)
        second.write(b'[4]\n')
        second.truncate()
        assert mount.process.poll() is None
    assert ended_in_order(mount)
    assert database.value('list') == [4]


def test_a_directory_that_is_open_across_an_unmount(mount, database):
    """It is the old mount's as long as it is open, and what it was opened in does not come back with another mount."""
    descriptor = os.open(mount.directory, os.O_RDONLY)
    try:
        detach(mount)
        assert sorted(os.listdir(descriptor)) == sorted(database.values)
        inside = os.open('greeting', os.O_RDONLY, dir_fd=descriptor)
        assert os.read(inside, 100) == b'hello\n'
        os.close(inside)
        mount.process.send_signal(signal.SIGTERM)
        assert ended_in_order(mount)
        for remounted in (False, True):
            with refused(errno.ENOTCONN):
                os.listdir(descriptor)
            with refused(errno.ENOTCONN):
                os.open('greeting', os.O_RDONLY, dir_fd=descriptor)
            with refused(errno.ENOTCONN):
                os.stat('greeting', dir_fd=descriptor)
            if not remounted:
                mount.start()
        assert mount.text('greeting') == 'hello\n'
    finally:
        os.close(descriptor)


def test_ended_after_another_took_its_place(mount, new_database):
    """Detached, with a file open, it is ended by a signal: what is mounted there now stays."""
    other = new_database('other').create([(b'key', pickle.dumps('other', 4))])
    with open(mount / 'greeting', 'rb') as file:
        detach(mount)
        successor = Mount(other.path, mount.directory).start()
        try:
            mount.process.send_signal(signal.SIGTERM)
            assert mount.process.wait(20) == 0
            mount.process = None
            assert successor.text('key') == 'other\n'
            with refused(errno.ENOTCONN, errno.ECONNABORTED):
                os.fstat(file.fileno())
                os.read(file.fileno(), 1)
        finally:
            problems = successor.stop()
        assert not problems


def test_a_program_that_is_in_the_mount(mount, database):
    """With its directory there, the mount is busy; detached, it lasts until that program leaves."""
    with subprocess.Popen(['bash'], cwd=mount.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        try:
            assert subprocess.run(['fusermount3', '-u', str(mount.directory)], stderr=subprocess.DEVNULL, check=False).returncode
            detach(mount)
            shell.stdin.write('cat greeting; echo there > greeting; cat greeting\n')
            shell.stdin.flush()
            assert [shell.stdout.readline(), shell.stdout.readline()] == ['hello\n', 'there\n']
            assert mount.process.poll() is None
            shell.communicate('cd /\n', timeout=20)
        finally:
            shell.kill()
    assert ended_in_order(mount)
    assert database.value('greeting') == 'there'


# --- kill -9 ---

def break_connection(directory):
    """umount -f, in a process that may hang."""
    process = multiprocessing.get_context('fork').Process(
        target=lambda: ctypes.CDLL(None).umount2(os.fsencode(directory), MNT_FORCE), daemon=True)
    process.start()
    process.join(10)


def message_waits(database, mount, file, looking):
    """Whether the kernel lets a message about that open file wait until `looking` has been answered."""
    daemon = mount.process.pid
    for number in itertools.count():
        database.put('greeting', [looking.name, number])
        os.getxattr(file.fileno(), 'user.shelvefs.type')  # the mount notices that another program changed it
        if not looking.is_alive():
            return False
        if 'D' in [state_of(daemon, thread) for thread in threads_of(daemon)]:
            return True


@pytest.mark.skipif(os.getuid() != 0, reason='only root may abort a connection where nothing is mounted for that')
@pytest.mark.parametrize('engine', ['tdb'], indirect=True)
def test_killed_while_a_message_waits_in_the_kernel(database, mounter, beside):
    """A message about a name waits for the directory, which a lookup has that waits for the mount: nobody is left to answer it."""
    large = pickle.dumps(list(range(3000000)), 4)
    database.update((b'large %d' % number, large) for number in range(5))
    mount = mounter(database)
    guards = children_of(mount.process.pid)
    with open(mount / 'greeting', 'rb') as file:
        lookings = (beside(os.stat, mount / ('large %d' % number)) for number in range(5))
        looking = next(looking for looking in lookings if message_waits(database, mount, file, looking))
        daemon = mount.process.pid
        mount.process.send_signal(signal.SIGKILL)
        try:
            eventually(lambda: all(is_gone(process) for process in [daemon, *guards]) and not looking.is_alive())
        finally:
            break_connection(mount.directory)
            mount.process.wait()
            mount.process = None
            subprocess.run(['fusermount3', '-u', '-z', '-q', str(mount.directory)], check=False)


class LateMount(Mount):
    """Its guard is late: it asks to be told of the daemon's end a while after the mount is there."""

    def command(self):
        # The search for leaks does not work in a traced process.
        sanitizer = os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0'
        return ['strace', '-f', '-o', os.devnull, '-E', 'ASAN_OPTIONS=' + sanitizer, '-e', 'trace=prctl',
                '-e', 'inject=prctl:delay_enter=500000:when=1', *super().command()]


def test_killed_before_the_guard_is_ready(database, tmp_path):
    mount = LateMount(database.path, tmp_path / 'mnt').start()
    daemon = next(child for child in children_of(mount.process.pid) if not is_gone(child))
    processes = [daemon, *children_of(daemon)]
    os.kill(daemon, signal.SIGKILL)
    try:
        eventually(lambda: all(is_gone(process) for process in processes))
    finally:
        for process in processes:
            if not is_gone(process):
                os.kill(process, signal.SIGKILL)
        mount.process.wait(20)
        mount.process = None
        subprocess.run(['fusermount3', '-u', '-z', str(mount.directory)], check=True)


def is_unmounted_by_itself(mount):
    """After a kill. fusermount3 looks once whether the mount is dead, when its socket is closed: if the kernel has not yet come to close the mount's
    own descriptor, which happens where the machine is busy, it leaves it."""
    mount.process.send_signal(signal.SIGKILL)
    try:
        eventually(lambda: not mount.is_mounted(), 20)
        mount.process.wait()
        assert not os.listdir(mount.directory)
        return True
    except AssertionError:
        mount.process.wait()
        subprocess.run(['fusermount3', '-u', '-z', str(mount.directory)], check=True)
        return False


def test_unmounted_by_itself_after_a_kill(database, mounter):
    mount = mounter(database, 'auto_unmount')
    assert any(is_unmounted_by_itself(mount if attempt == 0 else mount.start()) for attempt in range(3))
    assert mount.start().text('greeting') == 'hello\n'


# What an ordinary user does. $0: whether the kernel's connections are in their place.
BY_A_USER = """
[ "$0" = none ] || mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections
mount -t tmpfs none /mnt
mknod -m 666 /mnt/fuse c 10 229 # in a container, /dev/fuse may be root's alone
mount --bind /mnt/fuse /dev/fuse
echo user_allow_other > /mnt/fuse.conf
mount --bind /mnt/fuse.conf /etc/fuse.conf
exec setpriv --reuid 65534 --regid 65534 --clear-groups bash -ec '
exec 2>&1
is_mounted() { grep -q " $PWD/mine fuse" /proc/self/mounts; }
kill_one_with() {
    ./shelvefs -f -o $1 shelf mine > line &
    until is_mounted; do kill -0 $!; sleep 0.02; done
    cat mine/greeting
    pgrep -P $! -x shelvefs-guard > guards || echo no guard
    kill -KILL $!
    wait $! || true
}
kill_one_with auto_unmount,allow_other # without the latter, some fusermount3 may not look whether it is time
while is_mounted; do sleep 0.02; done
kill_one_with rw
./shelvefs shelf mine || echo status $?
fusermount3 -u mine
./shelvefs shelf mine > line
cat mine/greeting
fusermount3 -u mine
'
"""


@pytest.mark.skipif(os.getuid() != 0, reason='another user needs root')
@pytest.mark.parametrize('engine', ['dumb'], indirect=True)
@pytest.mark.parametrize('place', ['none', 'connections'])
def test_an_ordinary_user_kills_a_mount(database, public, place):
    for path in (public, *map(pathlib.Path, database.files)):
        os.chown(path, NOBODY, NOBODY)
    (public / 'mine').mkdir()
    os.chown(public / 'mine', NOBODY, NOBODY)
    shutil.copy(os.environ['SHELVEFS'], public / 'shelvefs')  # where it was built, others may not look
    done = subprocess.run(['unshare', '-m', 'sh', '-ec', FORGET_OTHERS + BY_A_USER, place], cwd=public, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    lines = [line for line in done.stdout.splitlines() if 'Killed' not in line]
    guard = ['no guard'] if place == 'none' and not os.path.ismount('/sys/fs/fuse/connections') else []
    assert lines[-1:] == ['hello'], lines
    assert [line for line in lines if 'guard' in line] == 2 * guard
    assert lines[-3] == 'shelvefs: mine is left over from a mount that ended; unmount it: fusermount3 -u mine'
    assert lines[-2] == 'status 5'


# --- the clock ---

CLOCK = pathlib.Path(os.environ['SHELVEFS']).parent / 'libclock.so'
DAY = 86400


class SkewedMount(Mount):
    """The daemon's time of day is as far off as set() said last; files that it writes have the kernel's time."""

    def __init__(self, database, tmp_path, *options):
        super().__init__(database.path, tmp_path / 'mnt', *options)
        self.path = tmp_path / 'clock'
        self.set(0)

    def set(self, seconds):
        self.offset = seconds
        with open(self.path, 'r+b' if self.path.exists() else 'wb') as file:
            file.write(struct.pack('q', seconds))

    def command(self):
        return ['env', 'LD_PRELOAD=%s' % CLOCK, 'CLOCK=%s' % self.path, *super().command()]

    def has_now(self, name):
        return abs((self / name).stat().st_mtime - time.time() - self.offset) < DAY / 2


@pytest.fixture
def skewed(database, tmp_path):
    mount = SkewedMount(database, tmp_path, 'lock_timeout=1').start()
    yield mount
    assert not mount.stop(), mount.log


set_by = pytest.mark.parametrize('offset', [-DAY, DAY], ids=['back', 'forward'])
needs_clock = pytest.mark.skipif(not CLOCK.exists(), reason='a sanitizer has to be loaded first')


def sent(mount, target):
    """The names that rsync finds changed since the last time; it usually takes times of the same second for equal."""
    done = sh('rsync -ai --modify-window=-1 --out-format="%%i %%n" . %s/' % target, mount.directory)
    return {line.split(' ', 1)[1] for line in done.stdout.splitlines() if line.startswith('>f')}


@needs_clock
@set_by
def test_changes_after_the_clock_was_set(skewed, database, tmp_path, offset):
    """Each has another time than before, so that who compares finds it, whoever made it and in which order."""
    skewed.save('greeting', 'first\n')
    assert sent(skewed, tmp_path / 'copy') == set(database.values)
    skewed.set(offset)
    skewed.save('greeting', 'later\n')
    assert skewed.has_now('greeting')
    assert sent(skewed, tmp_path / 'copy') == {'greeting'}
    database.put('greeting', 'again')
    database.put('number', 43)
    eventually(lambda: (skewed.text('greeting'), skewed.text('number')) == ('again\n', '43\n'))
    assert sent(skewed, tmp_path / 'copy') == {'greeting', 'number'}
    skewed.save('list', '[3, 2, 1]\n')
    skewed.set(0)
    skewed.save('dict', '{}\n')
    database.put('list', [1, 2, 4])
    eventually(lambda: skewed.text('list') == '[1, 2, 4]\n')
    assert sent(skewed, tmp_path / 'copy') == {'list', 'dict'}
    skewed.remount()
    assert sent(skewed, tmp_path / 'copy') == set()


@needs_clock
@set_by
@pytest.mark.parametrize('engine', ['dumb'], indirect=True)
def test_what_time_makes_due_does_not_follow_the_clock(skewed, database, offset):
    """New empty files become keys, the sidecar is written, another program's changes are seen."""
    (skewed / 'new').touch()
    made = (skewed / 'new').stat().st_mtime
    (skewed / 'sedAbCdEf').write_text('[1]\n')
    (skewed / 'list~').write_text('kept\n')
    skewed.set(offset)
    os.utime(skewed / 'text', (1, 1))
    database.put('number', 43)
    eventually(lambda: skewed.text('number') == '43\n')
    eventually(lambda: {b'new', b'sedAbCdEf'} <= database.keys())
    assert (skewed / 'new').stat().st_mtime == made
    eventually(lambda: holds(database, b'kept\n'))
    skewed.kill()
    assert skewed.start().text('list~') == 'kept\n'


@needs_clock
@set_by
@pytest.mark.parametrize('engine', ['tdb'], indirect=True)  # can be held by a lock that the mount waits for
def test_waiting_for_a_lock_while_the_clock_is_set(skewed, database, beside, offset):
    with database.opened(write=True) as store:
        store.transaction_start()
        saving = beside(skewed.save, 'greeting', 'late\n')
        skewed.set(offset)
        saving.join(20)
        store.transaction_cancel()
    assert saving.exitcode == 1  # refused in time
    skewed.save('greeting', 'now\n')
    assert database.value('greeting') == 'now'
