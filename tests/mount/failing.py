# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts whose system and library calls fail, or kill them, in turn (failing.h)."""

import itertools
import mmap
import os
import pathlib
import re
import signal
import struct
import subprocess
import threading

from conftest import ENGINES
from mounting import Mount, what_it_does

LIBRARY = pathlib.Path(os.environ['SHELVEFS']).parent / 'libfailing.so'
SANITIZED = not LIBRARY.exists()
if SANITIZED:
    LIBRARY = LIBRARY.with_name('libfailing_calls.so')
CALLS, FIRST, END, BLOCKS, MODE, DEVICE = range(6)
NAME = 7 * 8
ALLOCATIONS, EACH_CALL, SPACE, DISK, SIGNALS, SHORT, KILL, KILL_ALL, KILL_TORN = range(9)
FOR_EVER = 1 << 62
NEVER = 1 << 40  # the number of no call
SEED = int(os.environ.get('SHELVEFS_SEED', '0'))
COUNTS = 3  # a run may have more calls than another, those of a timer; those of the shortest are there in each
TRIES = 5
PATIENCE = 120  # seconds in which any request is answered


def spread(total, most, engine):
    """
    Numbers of calls without end, of which about `most`, or "all", are below `total`: others for each engine, and one further with
    each SHELVEFS_SEED.
    """
    step = 1 if most == 'all' else max(1, total // int(most))
    share = ENGINES.index(engine) / len(ENGINES)
    return itertools.count((int(step * share) + SEED) % step, step)


class Outcomes:
    """
    Of attempt(number) for some of `total` calls, None where there was no such call: a timer or another thread makes some more or fewer
    each time, so a run that ended before the one that was wanted is made again. Goes on behind `total` up to the first that is not there.
    """

    def __init__(self, attempt, numbers, total):
        self.total = total
        self.reached = []  # what became of them
        self.missed = []   # their numbers
        for number in numbers:
            tries = TRIES if number < total else 1
            outcome = next((found for found in map(attempt, [number] * tries) if found is not None), None)
            if outcome is not None:
                self.reached.append(outcome)
            elif number >= total:
                break
            else:
                self.missed.append(number)

    def __str__(self):
        missed = ', not reached: %s' % self.missed if self.missed else ''
        return '%d of %d calls%s' % (len(self.reached), self.total, missed)

    @property
    def told(self):
        """How many of them somebody was told of."""
        return sum(map(bool, self.reached))


class Failing:
    """The words that are shared with the daemon."""

    def __init__(self, path):
        path.write_bytes(bytes(4096))
        with open(path, 'r+b') as file:
            self.memory = mmap.mmap(file.fileno(), 4096)
        self.path = path
        self.start = 0
        self.count = 0  # of the calls from fail() to stop()

    def __getitem__(self, word):
        return struct.unpack_from('Q', self.memory, 8 * word)[0]

    def __setitem__(self, word, value):
        struct.pack_into('Q', self.memory, 8 * word, value)

    def fail(self, number, for_ever=False, times=1):
        """From now on the call of this number (from 0), and perhaps more after it."""
        self.start = self[CALLS]
        first = self.start + 1 + number
        self[END] = FOR_EVER if for_ever else first + times
        self[FIRST] = first

    def stop(self):
        """Returns whether it came to that."""
        has_come = self.has_come
        self[FIRST] = 0
        self.count = self[CALLS] - self.start
        return has_come

    @property
    def has_come(self):
        """Whether a call has failed since fail()."""
        return self[CALLS] >= self[FIRST] > 0

    @property
    def name(self):
        """Which call failed last."""
        return self.memory[NAME:NAME + 40].split(b'\0')[0].decode()


def preloaded():
    """A sanitizer wants to be the first."""
    if not SANITIZED:
        return str(LIBRARY)
    linked = subprocess.run(['ldd', os.environ['SHELVEFS']], stdout=subprocess.PIPE, text=True, check=True).stdout
    return ':'.join([*re.findall(r'=> (\S*/lib[a-z]*san\.so\S*)', linked), str(LIBRARY)])


class FailingMount(Mount):
    def __init__(self, database, directory, failing, *options):
        super().__init__(database.path, directory, *options)
        self.failing = failing
        self.preloaded = preloaded()

    def command(self):
        # AddressSanitizer ends a program whose sysconf fails, which it asks when it makes a stack for signals.
        options = ['ASAN_OPTIONS=%s:use_sigaltstack=0' % os.environ.get('ASAN_OPTIONS', '')] if SANITIZED else []
        return ['env', *options, 'LD_PRELOAD=%s' % self.preloaded, 'FAILING=%s' % self.failing.path, *super().command()]


class Patience:
    """Ends a daemon that does not answer, so that whoever waits for it gets an error: with Patience(mount): ..."""

    def __init__(self, mount):
        self.mount = mount
        self.timer = threading.Timer(PATIENCE, self.end)
        self.ended = False

    def end(self):
        self.ended = True
        try:
            print('it hangs:\n' + what_it_does(self.mount.process.pid))
        finally:
            self.mount.process.send_signal(signal.SIGKILL)

    def __enter__(self):
        self.timer.start()
        return self

    def __exit__(self, *_):
        self.timer.cancel()
        self.timer.join()
        assert not self.ended, 'a request was not answered'


def clean_up(mount):
    """After a daemon that was killed or gave up: its directory is a plain one again."""
    if mount.process and mount.process.poll() is not None:
        mount.process = None
    if mount.is_mounted() and not mount.process:
        subprocess.run(['fusermount3', '-u', '-z', str(mount.directory)], check=True)
