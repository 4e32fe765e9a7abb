# SPDX-License-Identifier: GPL-3.0-or-later
"""Each call of the system and of the C library that a mounted daemon makes fails in turn, also those of libfuse and the engine's
library (failing.h): an error or none, never a wrong or a lost value, and all works again afterwards.

Takes too long for CI as yet, so it is run by hand: see tests/mount/run. SHELVEFS_CALLS: about how many of each scenario, spread over all of them; "all": every one. SHELVEFS_SEED makes it repeatable.
"""

import contextlib
import os
import pathlib
import subprocess

import pytest

import mounting
import steps
from failing import (CALLS, DISK, EACH_CALL, MODE, SHORT, SIGNALS, SPACE, Failing, FailingMount, Patience, clean_up, spread)

MOST = os.environ.get('SHELVEFS_CALLS', '1')
# How calls fail, whether all after it, too, and whether the program may be told.
FAULTS = {'call': (EACH_CALL, False, True), 'calls': (EACH_CALL, True, True), 'space': (SPACE, False, True),
          'no-space': (SPACE, True, True), 'disk': (DISK, True, True), 'signals': (SIGNALS, False, False), 'short': (SHORT, True, False)}
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
    mount = FailingMount(database, tmp_path / 'mnt', failing, 'lock_timeout=1')
    yield mount
    assert mount.stop() in ([], ['exit status 1']), mount.log


def put_in_order(mount):
    for name in ('moved', 'new', steps.TRANSIENT, 'dict~', '.list.swp'):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mount / name)
    mount.save('dict', "{'a': 1, 'b': [True, None]}\n")
    mount.save('list', '[1, 2]\n')  # so that no page of the kernel has what is read next
    mount.save('list', '[1, 2, 3]\n')


def try_scenario(mount, database, fault, scenario, number):
    """Returns the errors, or None if there was no such call."""
    mode, for_ever, may_tell = FAULTS[fault]
    may_tell = may_tell or database.engine == 'tdb'  # libtdb takes an interrupted read for a failed one
    failing = mount.failing
    try:
        put_in_order(mount)
    except OSError as error:
        raise AssertionError('after ' + mount.last) from error
    pathlib.Path(mount.log_path).write_bytes(b'')
    failing[MODE] = mode
    failing.fail(number, for_ever)
    with Patience(mount):
        run = steps.Run(mount, STATE)(SCENARIOS[scenario])
        reached = failing.stop()
        where = '%s, %s %d: %s, %s\n%s' % (scenario, fault, number, failing.name, run.errors, mount.log)
        assert mount.process.poll() is None, where
        for _, error in run.errors:
            assert error in steps.PLAUSIBLE and may_tell, where
        assert reached or not run.errors, where
        if for_ever and database.engine in IN_PLACE:
            os.listdir(mount.directory)  # a change that could neither be made nor taken back is completed now
        try:
            problem = run.problem(database.records())
        except Exception as error:
            raise AssertionError(where) from error
        assert not problem, '%s: %s' % (problem, where)
    mount.last = where
    return run.errors if reached else None


@pytest.mark.parametrize('scenario', SCENARIOS)
def test_requests(database, failing_mount, failing, scenario, capfd):
    mount = failing_mount.start()
    put_in_order(mount)
    descriptors = len(os.listdir('/proc/%d/fd' % mount.process.pid))
    report = []
    for fault in FAULTS:
        before = failing[CALLS]
        assert try_scenario(mount, database, fault, scenario, 1 << 40) is None
        total = failing[CALLS] - before
        failures, tries = 0, 0
        for number in spread(total, MOST):
            errors = try_scenario(mount, database, fault, scenario, number)
            if errors is None:
                break
            failures += bool(errors)
            tries += 1
        report.append('%s %d (%d told)' % (fault, tries, failures))
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
        print('\n%s, %s: %s' % (database.engine, scenario, ', '.join(report)))


def try_mounting(mount, database, fault, number):
    """Returns whether it was refused, with a line that says why, or None if there was no such call."""
    mode, for_ever, may_tell = FAULTS[fault]
    failing = mount.failing
    pathlib.Path(mount.log_path).write_bytes(b'')
    refused = False
    failing[CALLS] = 0
    failing[MODE] = mode
    failing.fail(number, for_ever)
    try:
        mount.start()
    except mounting.MountFailed as failure:
        where = '%s %d: %s, %s' % (fault, number, failing.name, failure)
        assert may_tell and 1 < failure.status < 6, where
        assert failure.log.startswith('shelvefs: ') or (for_ever and failing.name == 'write'), where
        mount.process = None
        refused = True
    reached = failing.stop()
    where = '%s %d: %s, %s' % (fault, number, failing.name, mount.log)
    if not refused:
        with Patience(mount):
            try:
                assert mount.text('list') == '[1, 2, 3]\n', where
            except ConnectionRefusedError:  # the session could not begin: nothing is answered
                refused = True
            assert mount.stop() in ([], ['exit status 1']) or refused, where
    clean_up(mount)
    assert database.value('list') == [1, 2, 3], where
    return refused if reached else None


def test_mounting(database, tmp_path, failing, capfd):
    mount = FailingMount(database, tmp_path / 'mnt', failing, 'lock_timeout=1')
    report = []
    # libtdb takes half of a header for another kind of file.
    for fault in ('call', 'calls', 'signals', *(['short'] if database.engine != 'tdb' else [])):
        assert try_mounting(mount, database, fault, 1 << 40) is None
        tries, refusals = 0, 0
        for number in spread(failing[CALLS], MOST):
            refused = try_mounting(mount, database, fault, number)
            if refused is None:
                break
            tries += 1
            refusals += refused
        report.append('%s %d (%d refused)' % (fault, tries, refusals))
    mount.start()
    assert not mount.stop()
    database.verify()
    with capfd.disabled():
        print('\n%s, mount: %s' % (database.engine, ', '.join(report)))


def try_unmounting(mount, database, fault, number):
    mode, for_ever, may_tell = FAULTS[fault]
    failing = mount.failing
    pathlib.Path(mount.log_path).write_bytes(b'')
    failing[MODE] = mode
    mount.start()
    mount.save('list', '[%d]\n' % number)
    mount.save('.list.swp', 'anything')
    os.rename(mount / 'number', mount / 'number~')
    mount.before = failing[CALLS]
    failing.fail(number, for_ever)
    subprocess.run(['fusermount3', '-u', str(mount.directory)], check=True)
    with Patience(mount):
        status = mount.process.wait(60)
    mount.process = None
    reached = failing.stop()
    where = '%s %d: %s, %s' % (fault, number, failing.name, mount.log)
    assert status in ((0, 1) if may_tell else (0,)), where
    # A change of gdbm's or ndbm's file that could neither be made nor taken back is completed by the next mount.
    if for_ever and database.engine in IN_PLACE:
        mount.start()
        assert not mount.stop(), where
    records = database.records()
    assert database.value('list') == [number], where
    moved = b'number~' in records
    assert moved or (b'number' in records and status == 1), where
    if moved:
        database.put('number', 42)
        database.delete('number~')
    return bool(status) if reached else None


def test_unmounting(database, tmp_path, failing, capfd):
    """What was saved is there; what was not, is there or was told."""
    mount = FailingMount(database, tmp_path / 'mnt', failing, 'lock_timeout=1')
    report = []
    for fault in FAULTS:
        assert try_unmounting(mount, database, fault, 1 << 40) is None
        tries, failures = 0, 0
        for number in spread(failing[CALLS] - mount.before, MOST):
            told = try_unmounting(mount, database, fault, number)
            if told is None:
                break
            tries += 1
            failures += told
        report.append('%s %d (%d told)' % (fault, tries, failures))
    mount.start()
    assert not mount.stop()
    database.verify()
    with capfd.disabled():
        print('\n%s, unmount: %s' % (database.engine, ', '.join(report)))
