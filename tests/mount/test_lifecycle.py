# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen to a mount while it lives: signals, suspended programs, a kill, an unmount under open files, a clock that is set."""

import contextlib
import ctypes
import errno
import itertools
import multiprocessing
import os
import pathlib
import pickle
import signal
import subprocess
import threading

import pytest

from mounting import Mount, eventually, refused

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
        eventually(lambda: all(client.saved > 1 for client in clients), 60)
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
    with open(mount / 'greeting', 'rb') as file:
        lookings = (beside(os.stat, mount / ('large %d' % number)) for number in range(5))
        looking = next(looking for looking in lookings if message_waits(database, mount, file, looking))
        daemon = mount.process.pid
        mount.process.send_signal(signal.SIGKILL)
        try:
            eventually(lambda: is_gone(daemon) and not looking.is_alive(), 20)
        finally:
            break_connection(mount.directory)
            mount.process.wait()
            mount.process = None
            subprocess.run(['fusermount3', '-u', '-z', '-q', str(mount.directory)], check=False)
