# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the mount tests. `mount` and `database` are private to a test, and nothing outlives it."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

import mounting
import pythons

# Who writes the databases of the corpus: the Pythons of the issue where the machine has them, and its own.
WRITERS = [((2, 7), 0), ((2, 7), 1), ((2, 7), 2), ((3, 8), 3), ((3, 13), 4), ((3, 13), 5), (sys.version_info[:2], 4)]
if os.environ.get('SHELVEFS_PYTHONS') == 'few':
    WRITERS = [((2, 7), 0), ((2, 7), 2), ((3, 8), 3), ((3, 13), 5)]


def pytest_sessionstart(session):
    # meson ends a test that takes too long with SIGTERM: leave through the fixtures' ends, so that all is unmounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    # A daemon leaves a signal ignored that it was started with so, by nohup say; the tests want it heard.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# What the tests drive, for the record of a run.
TOOLS = ['coreutils', 'diffutils', 'e2fsprogs', 'ed', 'emacs-nox', 'file', 'findutils', 'fuse3', 'git', 'inotify-tools', 'joe', 'less',
         'libglib2.0-bin', 'micro', 'moreutils', 'nano', 'neovim', 'patch', 'perl', 'rsync', 'sed', 'tar', 'tmux', 'util-linux', 'vim']


def pytest_terminal_summary(terminalreporter):
    if not any('test_tools' in report.nodeid or 'test_editors' in report.nodeid
               for reports in terminalreporter.stats.values() for report in reports if hasattr(report, 'nodeid')):
        return
    if shutil.which('dpkg-query'):
        done = subprocess.run(['dpkg-query', '-W', '-f', '${Package} ${Version}, ', *TOOLS], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        terminalreporter.write_line('tools: ' + done.stdout.rstrip(', '))


@pytest.fixture(scope='session')
def engines_built():
    """The engines of the program under test."""
    version = subprocess.run([os.environ['SHELVEFS'], '-V'], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.search('engines: ([^;\n]*)', version).group(1).split(', ')


# What goes through the engine alone is tested on every one, the directory's own behaviour on two very different ones;
# SHELVEFS_ENGINES=all: everything on all; SHELVEFS_ENGINES=few: also what takes long, or waits for processes and disks, on those two.
ENGINES = ['dumb', 'gdbm', 'ndbm', 'sqlite', 'tdb']
FEW = ['dumb', 'tdb']
OWN_BEHAVIOUR = ['editors', 'files', 'folds', 'lifecycle', 'narrow', 'read', 'rsync', 'save', 'semantics', 'users', 'views']
LONG = ['calls', 'crash', 'deaths', 'kept', 'power', 'sidecar', 'tools']


def pytest_generate_tests(metafunc):
    given = [mark for mark in metafunc.definition.iter_markers('parametrize') if mark.args[0] == 'engine']
    if 'engine' in metafunc.fixturenames and not given:
        module = metafunc.module.__name__.rsplit('test_', 1)[-1]
        wanted = os.environ.get('SHELVEFS_ENGINES')
        few = (module in OWN_BEHAVIOUR and wanted != 'all') or (module in LONG and wanted == 'few')
        metafunc.parametrize('engine', FEW if few else ENGINES, indirect=True)


@pytest.fixture
def engine(request, engines_built):
    if request.param not in engines_built:
        pytest.skip('built without ' + request.param)
    return request.param


@pytest.fixture
def new_database(tmp_path, engine):
    """new_database(name): a database of the test's engine that does not exist yet."""
    return lambda name='shelf': mounting.Database(engine, tmp_path / (name + mounting.SUFFIXES.get(engine, '')))


@pytest.fixture
def database(new_database):
    """An ordinary shelve with a few values, protocol 4."""
    made = new_database().create()
    values = {'greeting': 'hello', 'list': [1, 2, 3], 'dict': {'a': 1, 'b': [True, None]}, 'number': 42,
              'text': 'one\ntwo\nthree\n', 'quoted': '123', 'bytes': b'\x00\xff', 'empty': ''}
    for key, value in values.items():
        made.put(key, value)
    made.values = values
    return made


@pytest.fixture
def mounter(tmp_path):
    """mounter(database or path, option...): mounts; each mount is gone after the test, and must have ended well."""
    mounts = []

    def mount(source, *options):
        path = getattr(source, 'path', source)
        made = mounting.Mount(path, tmp_path / ('mnt%d' % len(mounts) if mounts else 'mnt'), *options)
        mounts.append(made)
        return made.start()

    yield mount
    problems = []
    for made in mounts:
        found = made.stop()
        if found:
            print(made.log)
        problems += found
    assert not problems, problems


@pytest.fixture
def mount(database, mounter):
    return mounter(database)


@pytest.fixture(scope='session', params=[(version, protocol) for version, protocol in WRITERS if pythons.python(*version)],
                ids=lambda writer: '%d.%d-protocol-%d' % (*writer[0], writer[1]))
def written(request, tmp_path_factory):
    """What a CPython wrote in a protocol: over 250 keys of everything."""
    version, protocol = request.param
    return mounting.Written(version, protocol, str(tmp_path_factory.mktemp('written') / 'shelf'))


@pytest.fixture
def shelve(written, new_database):
    """A copy of what was written, in the test's engine."""
    return written.copy(new_database())
