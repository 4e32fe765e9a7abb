# SPDX-License-Identifier: GPL-3.0-or-later
"""Each call of the system and of the C library that a mounted daemon makes fails in turn, also those of libfuse and the engine's
library (failing.h): an error or none, never a wrong or a lost value, and all works again afterwards.

With a build under AddressSanitizer, nothing is leaked either: it says so when the daemon ends, after all failures of a scenario, or each
of mount and unmount. ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1 tests/mount/run tests/mount/test_calls.py build-asan/shelvefs

Run by hand: tests/mount/run tests/mount/test_calls.py build/shelvefs. It takes some seconds for each engine, and with "all" two to six
minutes, on a busy machine more.

SHELVEFS_CALLS: about how many calls of each scenario, spread over all of them, other ones for each engine; "all": every one.
SHELVEFS_SEED: 1, 2, ... for the ones behind them.
SHELVEFS_FAULTS: only these of FAULTS, such as "call,short".
"""

import contextlib
import errno
import functools
import os
import pathlib
import subprocess

import pytest

import mounting
import steps
from failing import (COUNTS, DISK, EACH_CALL, MODE, NEVER, SANITIZED, SHORT, SIGNALS, SPACE, Failing, FailingMount, Outcomes, Patience,
                     clean_up, spread)

MOST = os.environ.get('SHELVEFS_CALLS', '1')
# How calls fail, whether all after it, too, and whether the program may be told.
FAULTS = {'call': (EACH_CALL, False, True), 'calls': (EACH_CALL, True, True), 'space': (SPACE, False, True),
          'no-space': (SPACE, True, True), 'disk': (DISK, True, True), 'signals': (SIGNALS, False, False), 'short': (SHORT, True, False)}
WANTED = os.environ.get('SHELVEFS_FAULTS', ','.join(FAULTS)).split(',')
STATE = {'greeting': 'hello', 'list': [1, 2, 3], 'dict': {'a': 1, 'b': [True, None]}, 'number': 42, 'text': 'one\ntwo\nthree\n',
         'quoted': '123', 'bytes': b'\x00\xff', 'empty': ''}
IN_PLACE = ('gdbm', 'ndbm')  # Python reads what a change left that could not be completed
SCENARIOS = {
    'list': [steps.listed(8)],
    'read': [steps.read('list', [1, 2, 3])],
    'save': [steps.saving('dict', {'saved': 1}), steps.saving('list', steps.LONG)],
    'fsync': [steps.synced('dict', {'synced': 1}), steps.closed('dict')],
    'create': [steps.saving('new', (1, 2)), steps.removing('new')],
    'rename': [steps.renaming('dict', 'moved', STATE['dict']), steps.renaming('list', 'moved', STATE['list'])],
    'replace': steps.replacing({'replaced': 2}),
    'back up': steps.backing_up({'backed up': 3}),
    'set': steps.setting('list'),
    'scratch': [steps.scratching('.list.swp', 'anything'), steps.refused('dict', "{'half': ")],
}


@pytest.fixture
def failing(tmp_path):
    return Failing(tmp_path / 'failing')


@pytest.fixture
def failing_mount(database, tmp_path, failing):
    """SQLite takes a lock that can't be had for somebody else's, and would wait for it in each request."""
    mount = FailingMount(database, tmp_path / 'mnt', failing, 'lock_timeout=%d' % (database.engine != 'sqlite'))
    yield mount
    failing.stop()
    clean_up(mount)
    assert mount.stop() in ([], ['exit status 1']), mount.log


def put_in_order(mount):
    for name in ('moved', 'new', steps.TRANSIENT, 'dict~', '.list.swp'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mount / name)
    mount.save('dict', "{'a': 1, 'b': [True, None]}\n")
    mount.save('list', '[1, 2]\n')  # so that no page of the kernel has what is read next
    mount.save('list', '[1, 2, 3]\n')


class Trial:
    """While it lasts, the call of this number fails in this way: trial.begin(); ...; trial.end()"""

    def __init__(self, mount, engine, fault, number):
        self.mount = mount
        self.failing = mount.failing
        self.mode, self.for_ever, self.may_tell = FAULTS[fault]
        self.may_tell = self.may_tell or engine == 'tdb'  # libtdb takes an interrupted read for a failed one
        self.title = '%s %d' % (fault, number)
        self.number = number
        self.reached = None
        self.check_log()
        pathlib.Path(mount.log_path).write_bytes(b'')

    def begin(self):
        self.failing[MODE] = self.mode
        self.failing.fail(self.number, self.for_ever)

    def end(self):
        self.reached = self.failing.stop()
        self.check_log()

    def check_log(self):
        if SANITIZED and os.path.exists(self.mount.log_path):
            assert 'Sanitizer' not in self.mount.log and 'runtime error' not in self.mount.log, str(self)

    def outcome(self, told):
        """Whether somebody was told, or None if there was no such call."""
        assert self.reached or not told, self
        return bool(told) if self.reached else None

    def __str__(self):
        return '%s: %s\n%s' % (self.title, self.failing.name, self.mount.log)


def each_call(engine, failing, faults, attempt):
    """attempt(fault, number) returns an outcome. Returns what is to be reported."""
    report = []
    for fault in faults[:1]:
        attempt(fault, NEVER)  # the first one makes calls that no other makes
    for fault in faults:
        totals = []
        for _ in range(COUNTS):
            assert attempt(fault, NEVER) is None
            totals.append(failing.count)
        outcomes = Outcomes(functools.partial(attempt, fault), spread(min(totals), MOST, engine), min(totals))
        report.append('%s %s (%d told)' % (fault, outcomes, outcomes.told))
    return ', '.join(report)


def try_scenario(mount, database, scenario, fault, number):
    trial = Trial(mount, database.engine, fault, number)
    try:
        put_in_order(mount)
    except OSError as error:
        raise AssertionError('after %s' % mount.last) from error
    with Patience(mount):
        trial.begin()
        run = steps.Run(mount, STATE)(SCENARIOS[scenario])
        trial.end()
        mount.last = where = '%s, %s%s' % (scenario, trial, run.errors)
        assert mount.process.poll() is None, where
        assert {error for _, error in run.errors} <= (steps.PLAUSIBLE if trial.may_tell else set()), where
        if trial.for_ever and database.engine in IN_PLACE:
            os.listdir(mount.directory)  # a change that could neither be made nor taken back is completed now
        try:
            problem = run.problem(database.records())
        except Exception as error:
            raise AssertionError(where) from error
        assert not problem, '%s: %s' % (problem, where)
    return trial.outcome(run.errors)


@pytest.mark.parametrize('scenario', SCENARIOS)
def test_requests(database, failing_mount, failing, scenario, capfd):
    mount = failing_mount.start()
    put_in_order(mount)
    descriptors = len(os.listdir('/proc/%d/fd' % mount.process.pid))
    report = each_call(database.engine, failing, WANTED, functools.partial(try_scenario, mount, database, scenario))
    put_in_order(mount)
    # Between changes an engine may close its file.
    mounting.eventually(lambda: len(os.listdir('/proc/%d/fd' % mount.process.pid)) <= descriptors + 2)
    # A failed wait for the disk that nobody was told of is told at the end.
    assert mount.stop() in ([], ['exit status 1']), mount.log
    problem = steps.Run(mount, STATE).problem(database.records())
    assert not problem, problem
    if database.engine == 'tdb':
        assert not mount.start().stop()  # lost space, of which its own check complains, is mended
    database.verify()
    with capfd.disabled():
        print('\n%s, %s: %s' % (database.engine, scenario, report))


def try_mounting(mount, database, fault, number):
    """It mounts, or is refused with a line that says why."""
    trial = Trial(mount, database.engine, fault, number)
    trial.begin()
    code = 0
    try:
        mount.start()
        with Patience(mount):
            os.stat(mount.directory)  # what is done before the first answer belongs to it
    except mounting.MountFailed as failure:
        # libfuse opens /dev/fuse but once, also when a signal comes.
        assert (trial.may_tell or '/dev/fuse' in failure.log) and failure.status in range(2, 6), (str(trial), failure)
        assert failure.log.startswith('shelvefs: ') or (trial.for_ever and mount.failing.name == 'write'), (str(trial), failure)
        mount.process = None
    except OSError as error:
        code = error.errno
    trial.end()
    refused = not mount.process
    assert code in {0} | steps.DEAD | (steps.PLAUSIBLE if trial.may_tell else set()), (trial.title, code)
    if mount.process:
        with Patience(mount):
            try:
                assert mount.text('list') == '[1, 2, 3]\n', trial
            except OSError as error:  # the session could not begin: nothing is answered, or it is a plain directory again
                assert trial.may_tell and error.errno in {*steps.DEAD, errno.ENOENT}, '%s: %s' % (trial, error)
                refused = True
            problems = mount.stop()
            assert problems in ([], ['exit status 1']) or (refused and problems == ['exit status 5']), (str(trial), problems)
    clean_up(mount)
    assert database.value('list') == [1, 2, 3], trial
    return trial.outcome(refused or code)


def try_unmounting(mount, database, fault, number):
    """What was saved is there; what was not, is there or was told."""
    trial = Trial(mount, database.engine, fault, number)
    mount.start()
    mount.save('list', '[%d]\n' % number)
    mount.save('.list.swp', 'anything')
    os.rename(mount / 'number', mount / 'number~')
    trial.begin()
    with Patience(mount):
        subprocess.run(['fusermount3', '-u', str(mount.directory)], check=True)
        status = mount.process.wait()
    mount.process = None
    trial.end()
    assert status in ((0, 1) if trial.may_tell else (0,)), trial
    # A change of gdbm's or ndbm's file that could neither be made nor taken back is completed by the next mount.
    if trial.for_ever and database.engine in IN_PLACE:
        mount.start()
        assert not mount.stop(), trial
    records = database.records()
    assert database.value('list') == [number], trial
    if b'number~' in records:
        database.put('number', 42)
        database.delete('number~')
    else:
        assert b'number' in records and status == 1, trial
    return trial.outcome(status)


@pytest.mark.parametrize('attempt', [try_mounting, try_unmounting], ids=['mount', 'unmount'])
def test_ends(database, failing_mount, failing, attempt, capfd):
    mount = failing_mount
    # libtdb takes half of a header for another kind of file.
    faults = [fault for fault in WANTED if (attempt, fault, database.engine) != (try_mounting, 'short', 'tdb')]
    report = each_call(database.engine, failing, faults, functools.partial(attempt, mount, database))
    assert not mount.start().stop()
    database.verify()
    with capfd.disabled():
        print('\n%s, %s: %s' % (database.engine, attempt.__name__, report))
