# SPDX-License-Identifier: GPL-3.0-or-later
"""What may happen to a mount while it lives: signals, suspended programs, a kill, an unmount under open files, a clock that is set.

SHELVEFS_KILLS is how often test_killed_while_programs_work kills.
"""

import ctypes
import itertools
import multiprocessing
import os
import pathlib
import pickle
import signal
import subprocess

import pytest

from mounting import eventually

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
