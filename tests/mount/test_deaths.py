# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the daemon at each of its calls that change the database or its sidecar (failing.h), and each of them failing, up to
the end of the unmount: what was acknowledged is there, for Python at once and for the next mount; what failed was told; nothing stays behind.

SHELVEFS_DEATHS: at about how many calls of each kind, spread over all of them; "all": at every one. SHELVEFS_SEED: 1, 2, ... for others.
"""

import functools
import os
import pathlib
import re

import pytest

import mounting
import steps
from failing import (COUNTS, DEVICE, DISK, KILL, KILL_ALL, KILL_TORN, MODE, NEVER, SPACE, Failing, FailingMount, Outcomes, Patience,
                     clean_up, spread)
from test_calls import STATE

MOST = os.environ.get('SHELVEFS_DEATHS', '1')
# KILL_ALL and KILL_TORN: also of the helper that finishes a change of a gdbm or ndbm file when the daemon dies, so only the next mount
# may bring the database into order. So it is with half a line of dbm.dumb's index.
KILLS = {'kill': KILL, 'kill-all': KILL_ALL, 'kill-torn': KILL_TORN}


class Scene:
    """A database in a folder of its own."""

    def __init__(self, engine, folder, failing):
        self.folder = folder / 'home'
        self.folder.mkdir()
        self.failing = failing
        self.database = mounting.Database(engine, self.folder / ('shelf' + mounting.SUFFIXES.get(engine, '')))
        self.mount = FailingMount(self.database, folder / 'mnt', failing, 'lock_timeout=20')
        failing[DEVICE] = os.stat(self.folder).st_dev

    def start(self, mode):
        """Mounts it as it was at first."""
        for path in self.folder.iterdir():
            path.unlink()
        self.database.create((key.encode(), mounting.dumped(value)) for key, value in STATE.items())
        self.failing[MODE] = mode
        pathlib.Path(self.mount.log_path).write_bytes(b'')
        self.mount.start()

    def count(self, mode):
        """How many calls there are, up to the end."""
        self.start(mode)
        self.failing.fail(NEVER)
        run = steps.Run(self.mount, STATE)(steps.EVERYTHING)
        assert not run.errors and not self.mount.stop(), (run.errors, self.mount.log)
        problem = run.problem(self.database.records())
        assert not problem, problem
        self.failing.stop()
        return self.failing.count

    def shortest(self, mode):
        return min(self.count(mode) for _ in range(COUNTS if MOST == 'all' else 1))

    def check_remounted(self, run, where):
        """Everything is there through a mount, too, and a later save works."""
        mount = self.mount
        for name, text in run.kept.items():
            if name not in run.doubtful and os.path.basename(name) not in run.doubtful and text is not None:
                assert mount.text(name) == text, (name, where)
        os.listdir(mount.directory)  # a change that could neither be made nor taken back is completed
        records = self.database.records()
        problem = run.problem(records)
        assert not problem, '%s: %s' % (problem, where)
        for key, value in run.state.items():
            if key not in run.doubtful and value is not None:
                assert (mount / '.shelvefs/raw' / key).read_bytes() == records[key.encode()], where
        mount.save('list', "['afterwards']\n")
        assert self.database.value('list') == ['afterwards'], where
        run.state['list'] = ['afterwards']
        run.perhaps.pop('list', None)

    def check_litter(self, where, *more):
        """After the unmount: the database, and the sidecar. What has a name that nothing else has goes when it is old."""
        expected = {os.path.basename(path) for path in (*self.database.files, self.database.sidecar)}
        if self.database.engine == 'dumb':
            expected |= {'shelf.bak', 'shelf.bak.new'}  # the next index makes it anew
        old = [path for path in self.folder.iterdir() if re.fullmatch(r'\.shelvefs-[0-9a-f]{16}', path.name)]
        if old:
            for path in old:
                os.utime(path, (1e9, 1e9))
            self.mount.start()
            assert not self.mount.stop(), where
        expected |= set(more)
        litter = set(os.listdir(self.folder)) - expected
        assert not litter, '%s: %s' % (litter, where)


@pytest.fixture
def scene(engine, tmp_path):
    made = Scene(engine, tmp_path, Failing(tmp_path / 'failing'))
    yield made
    made.failing.stop()
    clean_up(made.mount)
    made.mount.stop()


def die_at(scene, kill, number):
    """None: there was no such call."""
    mount, failing = scene.mount, scene.failing
    scene.start(KILLS[kill])
    failing.fail(number)
    with Patience(mount):
        run = steps.Run(mount, STATE)(steps.EVERYTHING)
        problems = mount.stop()
    reached = failing.stop()
    where = '%s %d: %s, %s\n%s' % (kill, number, failing.name, run.errors, mount.log)
    assert problems == (['exit status -9'] if reached else []), (problems, where)
    clean_up(mount)
    if kill == 'kill' or scene.database.engine in ('sqlite', 'tdb') or (kill, scene.database.engine) == ('kill-all', 'dumb'):
        problem = run.problem(scene.database.records())
        assert not problem, '%s: %s' % (problem, where)
    mount.start()
    scene.check_remounted(run, where)
    assert not mount.stop(), where
    scene.check_litter(where)
    scene.database.verify()
    return True if reached else None


@pytest.mark.parametrize('kill', KILLS)
def test_death(scene, kill, capfd):
    total = scene.shortest(KILLS[kill])
    deaths = Outcomes(functools.partial(die_at, scene, kill), spread(total, MOST, scene.database.engine), total)
    with capfd.disabled():
        print('\n%s, %s: %s' % (scene.database.engine, kill, deaths))


def fail_at(scene, mode, for_ever, number):
    """What was told, also by the daemon's exit status; None: there was no such call."""
    mount, failing = scene.mount, scene.failing
    scene.start(mode)
    failing.fail(number, for_ever)
    with Patience(mount):
        run = steps.Run(mount, STATE)(steps.EVERYTHING)
        reached = failing.has_come  # else it is one of the unmount
        where = 'call %d: %s, %s' % (number, failing.name, run.errors)
        if reached:
            failing.stop()
            assert mount.process.poll() is None, (where, mount.log)
            assert {error for _, error in run.errors} <= steps.PLAUSIBLE, (where, mount.log)
            scene.check_remounted(run, (where, mount.log))
        told = mount.stop()
    where = '%s, %s, %s\n%s' % (where, failing.name, told, mount.log)
    reached = failing.stop() or reached
    assert told in ([], ['exit status 1']), where
    clean_up(mount)
    mount.start()
    scene.check_remounted(run, where)
    assert not mount.stop(), where
    scene.check_litter(where, scene.database.sidecar.name + '.old')  # a sidecar that could not be read or written
    scene.database.verify()
    return run.errors + told if reached else None


@pytest.mark.parametrize('for_ever', [False, True], ids=['once', 'for-ever'])
@pytest.mark.parametrize('mode', [DISK, SPACE], ids=['EIO', 'ENOSPC'])
def test_failure(scene, mode, for_ever, capfd):
    total = scene.shortest(mode)
    failures = Outcomes(functools.partial(fail_at, scene, mode, for_ever), spread(total, MOST, scene.database.engine), total)
    with capfd.disabled():
        print('\n%s, %s%s: %s, %d told' % (scene.database.engine, {DISK: 'EIO', SPACE: 'ENOSPC'}[mode],
                                         ' for ever' if for_ever else '', failures, failures.told))
