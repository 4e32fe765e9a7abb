# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mount tests share: databases on disk, mounts, and the commands of a user."""

import contextlib
import dbm.dumb
import dbm.gnu
import dbm.ndbm
import errno
import json
import os
import pathlib
import pickle
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import tdb

import corpus

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'interop'))
import pythons  # noqa: E402 pylint: disable=wrong-import-position

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

READY_SECONDS = 60  # a sanitized build on a busy machine
HEXADECIMAL = b'0123456789abcdefABCDEF'
# For a shell in a mount namespace of its own, whose copies of other tests' mounts would keep their daemons from ending.
FORGET_OTHERS = 'umount -a -l -t fuse.shelvefs; '
# Likewise: /dev with nothing but /dev/shm, where the test may be at home.
EMPTY_DEV = (FORGET_OTHERS + 'mount --bind /dev/shm /mnt && mount -t tmpfs none /dev && mkdir /dev/shm && '
             'mount --bind /mnt /dev/shm && ')


# --- names ---

def units(key):
    """The pieces of a file name that are never cut: characters and escapes."""
    special = {b'': b'%', b'%': b'%25', b'.': b'%2E', b'..': b'%2E.', b'.shelvefs': b'%2Eshelvefs'}
    if key in special:
        yield special[key]
        return
    position = 0
    for character in key.decode('utf-8', 'surrogateescape'):
        raw = character.encode('utf-8', 'surrogateescape')
        position += len(raw)
        follow = key[position:position + 2]
        if raw == b'%':
            digits = len(follow) == 2 and all(byte in HEXADECIMAL for byte in follow)
            yield b'%25' if digits or key[position:] == b'+' else b'%'
        elif raw == b'/' or raw[0] < 0x20 or raw[0] == 0x7f or '\udc80' <= character <= '\udcff':
            yield b'%%%02X' % raw[0]
        else:
            yield raw


def file_name(key):
    """The path of a key's file in a view, as bytes: the rules of the design, written down a second time."""
    name = b''.join(units(key))
    if len(name) <= 240:
        return name
    pieces = [b'']
    for unit in units(key):
        if len(pieces[-1]) + len(unit) > 238:
            pieces.append(b'')
        pieces[-1] += unit
    pieces[-1] = {b'.': b'%2E', b'..': b'%2E.'}.get(pieces[-1], pieces[-1])
    return b'%+/'.join(pieces)


# --- databases ---

SUFFIXES = {'gdbm': '.gdbm', 'tdb': '.tdb', 'sqlite': '.sqlite'}


class SqliteShelf:
    """What CPython 3.13's dbm.sqlite3 does, statement by statement: Debian's Python has not got it."""

    def __init__(self, path, flag):
        self.connection = sqlite3.connect(pathlib.Path(path).absolute().as_uri() + '?mode=' + flag, uri=True,
                                          isolation_level=None)
        with contextlib.suppress(sqlite3.OperationalError):
            self.connection.execute('PRAGMA journal_mode = wal')
        if flag == 'rwc':
            self.connection.execute(
                'CREATE TABLE IF NOT EXISTS Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)')

    def __getitem__(self, key):
        row = self.connection.execute('SELECT value FROM Dict WHERE key = CAST(? AS BLOB)', (key,)).fetchone()
        if not row:
            raise KeyError(key)
        return row[0]

    def __setitem__(self, key, value):
        self.connection.execute('REPLACE INTO Dict (key, value) VALUES (CAST(? AS BLOB), CAST(? AS BLOB))',
                                (key, value))

    def __delitem__(self, key):
        if not self.connection.execute('DELETE FROM Dict WHERE key = CAST(? AS BLOB)', (key,)).rowcount:
            raise KeyError(key)

    def keys(self):
        return [row[0] for row in self.connection.execute('SELECT key FROM Dict')]

    def close(self):
        self.connection.close()


def open_gdbm(path, flag):
    """dbm.gnu gives up at once when somebody has the lock, as a mount does for some milliseconds."""
    for _ in range(4000):
        try:
            return dbm.gnu.open(path, flag)
        except dbm.gnu.error as error:
            if error.args[0] != errno.EAGAIN:
                raise
        time.sleep(0.005)
    return dbm.gnu.open(path, flag)


class Database:
    """A database as other programs see it: opened anew for each operation."""

    def __init__(self, engine, path):
        self.engine = engine
        self.path = str(path)

    @property
    def files(self):
        """The files that hold it."""
        suffixes = {'dumb': ['.dir', '.dat'], 'ndbm': ['.db']}.get(self.engine, [''])
        return [self.path + suffix for suffix in suffixes]

    @property
    def sidecar(self):
        """Where its mounts keep what it can't hold: the rule of the man page, written down a second time."""
        path = pathlib.Path(self.files[-1])
        name = path.name[:-4] if path.name.endswith('.dat') else path.name
        return path.parent / ('.%s.shelvefs' % name)

    def create(self, pairs=()):
        if self.engine == 'tdb':
            tdb.open(self.path, 0, tdb.DEFAULT, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600).close()
        elif self.engine == 'sqlite':
            SqliteShelf(self.path, 'rwc').close()
        elif self.engine == 'gdbm':
            dbm.gnu.open(self.path, 'n').close()
        elif self.engine == 'ndbm':
            dbm.ndbm.open(self.path, 'n').close()
        else:
            dbm.dumb.open(self.path, 'n').close()
        self.update(pairs)
        return self

    @contextlib.contextmanager
    def opened(self, write=False):
        if self.engine == 'tdb':
            # Also to read: libtdb does not lock for those who open read-only, and they see half of a change.
            store = tdb.open(self.path, 0, tdb.DEFAULT, os.O_RDWR)
        elif self.engine == 'sqlite':
            store = SqliteShelf(self.path, 'rw' if write else 'ro')
        elif self.engine == 'gdbm':
            store = open_gdbm(self.path, 'w' if write else 'r')
        elif self.engine == 'ndbm':
            store = dbm.ndbm.open(self.path, 'w' if write else 'r')
        else:
            store = dbm.dumb.open(self.path, 'w' if write else 'r')
        try:
            yield store
        finally:
            store.close()

    @contextlib.contextmanager
    def transaction(self, store):
        """One commit for all of it, where the engine knows that."""
        if self.engine == 'tdb':
            store.transaction_start()
        elif self.engine == 'sqlite':
            store.connection.execute('BEGIN IMMEDIATE')
        yield
        if self.engine == 'tdb':
            store.transaction_commit()
        elif self.engine == 'sqlite':
            store.connection.execute('COMMIT')

    def update(self, pairs):
        with self.opened(write=True) as store, self.transaction(store):
            for key, value in pairs:
                store[key] = value

    def verify(self):
        """The engine's own tool finds nothing wrong with it."""
        if self.engine == 'tdb':
            done = subprocess.run(['tdbtool', self.path, 'check'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, check=False)
            assert 'integrity is OK' in done.stdout, done.stdout
        elif self.engine == 'gdbm':
            dump = subprocess.run(['gdbm_dump', self.path], stdout=subprocess.PIPE, check=True).stdout.decode()
            assert int(re.search('^#:count=([0-9]+)$', dump, re.MULTILINE).group(1)) == len(self.records())
        elif self.engine == 'ndbm':
            subprocess.run(['db5.3_verify', '-q', self.path + '.db'], check=True)
        elif self.engine == 'sqlite':
            with self.opened(write=True) as store:
                assert store.connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]

    def put(self, key, value, protocol=4):
        """Stores a value as Python would."""
        self.update([(key.encode(), pickle.dumps(value, protocol))])

    def delete(self, key):
        with self.opened(write=True) as store:
            if self.engine == 'tdb':
                store.delete(key.encode())
            else:
                del store[key.encode()]

    def fetch(self, store, key):
        try:
            return bytes(store[key])
        except KeyError:
            if self.engine != 'ndbm':
                raise
            return b''  # libdb has no buffer to point to before its first fetch of more than that

    def records(self):
        with self.opened() as store:
            return {bytes(key): self.fetch(store, key) for key in store.keys()}

    def stored(self, key):
        return self.records()[key.encode()]

    def value(self, key):
        return pickle.loads(self.stored(key))

    def keys(self):
        return set(self.records())


# --- Pythons ---

class Written:
    """A database that some CPython wrote, in dbm.dumb's files and as pairs."""

    def __init__(self, version, protocol, path):
        self.version = version
        self.python = pythons.python(*version)
        self.protocol = protocol
        self.path = path
        self.pairs_path = path + '.pairs'
        run_corpus(self.python, 'write', path, protocol)
        self.records = dict(corpus.read_pairs(self.pairs_path))
        self.exact = dict(corpus.read_pairs(path + '.exact'))  # those whose bytes must survive a way through text

    def copy(self, database):
        """Makes `database` hold it: for dumb the very files, else through the engine."""
        if database.engine == 'dumb':
            for suffix in ('.dir', '.dat'):
                shutil.copy(self.path + suffix, database.path + suffix)
            return database
        return database.create(self.records.items())

    def problems(self, records, path):
        """What in `records` that CPython does not load as it was."""
        corpus.write_pairs(path, sorted(records.items()))
        return run_corpus(self.python, 'check', path, self.protocol)


def run_corpus(python, *arguments):
    """Runs corpus.py under another CPython; returns what it printed, fails with it if it failed."""
    done = subprocess.run([python, str(HERE / 'corpus.py'), *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    assert done.returncode == 0, '%s %s:\n%s' % (python, ' '.join(map(str, arguments)), done.stdout)
    return done.stdout


# --- mounts ---

def what_it_does(pid):
    """Where each thread of a process is, for whoever has to find out why it hangs."""
    if shutil.which('gdb'):
        done = subprocess.run(['gdb', '-p', str(pid), '-batch', '-ex', 'thread apply all backtrace'], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60, check=False)
        return done.stdout
    tasks = pathlib.Path('/proc/%d/task' % pid).iterdir()
    return ', '.join('%s in %s' % ((task / 'comm').read_text().strip(), (task / 'wchan').read_text()) for task in tasks)


class MountFailed(Exception):
    """The program ended instead of mounting."""

    def __init__(self, status, log):
        super().__init__('exit status %s: %s' % (status, log))
        self.status = status
        self.log = log


class Mount:
    """A running mount. Paths are made with `mount / 'name'`."""

    def __init__(self, source, directory, *options):
        self.source = str(source)
        self.directory = pathlib.Path(directory)
        self.options = options
        self.log_path = str(directory) + '.log'
        self.process = None

    def __truediv__(self, name):
        return self.directory / name

    @property
    def log(self):
        return pathlib.Path(self.log_path).read_text(encoding='utf-8', errors='replace')

    def command(self):
        options = [word for option in self.options for word in ([option] if option.startswith('-') else ['-o', option])]
        return [os.environ['SHELVEFS'], '-f', *options, self.source, str(self.directory)]

    def start(self):
        self.directory.mkdir(exist_ok=True)
        with open(self.log_path, 'ab') as log:
            # If pytest itself dies, the daemon gets SIGTERM and unmounts.
            self.process = subprocess.Popen(['setpriv', '--pdeathsig', 'TERM', *self.command()],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_mounted():
            if self.process.poll() is not None:
                raise MountFailed(self.process.returncode, self.log)
            if time.monotonic() > deadline:
                self.stop()
                raise MountFailed('none: not mounted in time', self.log)
            time.sleep(0.01)
        return self

    def is_mounted(self):
        wanted = str(self.directory).replace('\\', '\\134').replace(' ', '\\040')
        with open('/proc/self/mountinfo', encoding='utf-8', errors='replace') as mounts:
            return any(line.split()[4] == wanted for line in mounts)

    def unmount(self):
        """Returns whether it is unmounted; a file that is still open is given some time."""
        for _ in range(50):
            if not self.is_mounted():
                return True
            done = subprocess.run(['fusermount3', '-u', str(self.directory)], stdin=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=False)
            if done.returncode:
                time.sleep(0.1)
        subprocess.run(['fusermount3', '-u', '-z', str(self.directory)], stdin=subprocess.DEVNULL, check=False)
        return False

    def stop(self):
        """Unmounts; returns the problems. Whatever goes wrong, nothing stays mounted or running."""
        if self.process is None:
            return []
        problems = [] if self.unmount() else ['it stayed busy']
        try:
            status = self.process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            problems.append('it did not end')
            print(what_it_does(self.process.pid))
            self.process.kill()
            status = self.process.wait()
        self.process = None
        if status:
            problems.append('exit status %d' % status)
        if 'Sanitizer' in self.log or 'runtime error' in self.log:
            problems.append('a sanitizer\'s finding')
        return problems

    def kill(self, writer=None):
        """kill -9, and what a person does after it. `writer`: a thread that must notice before the directory is plain again."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        if writer:
            writer.join(READY_SECONDS)
        subprocess.run(['fusermount3', '-u', '-z', str(self.directory)], check=True)

    def remount(self, *options):
        """Unmounts and mounts again, with other options if there are any."""
        problems = self.stop()
        assert not problems, '%s\n%s' % (problems, self.log)
        self.options = options or self.options
        return self.start()

    def text(self, name):
        return (self / name).read_text(encoding='utf-8')

    def save(self, name, text):
        """Writes a text in one go; raises the OSError of close, which a shell would hide."""
        descriptor = os.open(self / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def raw(self):
        """{name: stored bytes} of all keys whose names are not cut."""
        folder = os.fsencode(self / '.shelvefs/raw')
        found = {}
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), 'rb') as file:
                found[name] = file.read()
        return found

    def control(self, name):
        return self.text('.shelvefs/' + name)


# --- commands ---

def sh(command, cwd, check=True, timeout=60):
    """Runs a command line as a user would, in `cwd`; returns the finished process."""
    done = subprocess.run(['bash', '-c', command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout, check=False)
    done.stdout = done.stdout.decode('utf-8', 'replace')
    assert not check or done.returncode == 0, '%s: exit status %d\n%s' % (command, done.returncode, done.stdout)
    return done


def eventually(condition, seconds=60.0):
    """Waits until `condition()` is true; returns the seconds that it took, or fails."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, 'not true after %.1f s' % seconds
        time.sleep(0.02)
    return time.monotonic() - start


def dumped(value, protocol=4):
    return pickle.dumps(value, protocol)


class Watcher:
    """Another process that looks at one key of a database without rest, and must only ever see allowed values."""

    idle = []  # of these processes: to start one takes as long as most tests do

    def __init__(self, database, key, allowed):
        if not self.idle:
            self.idle.append(subprocess.Popen([sys.executable, str(HERE / 'watch.py')], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self.process = self.idle.pop()
        self.say([database.engine, database.path, key, *[value.hex() for value in allowed]])
        assert self.process.stdout.readline() == b'watching\n'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.kill()
            self.process.communicate()

    def say(self, words):
        self.process.stdin.write(json.dumps(words).encode() + b'\n')
        self.process.stdin.flush()

    def has_enough(self):
        """Whether it has looked often and seen each allowed value."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def result(self):
        """Ends it; returns how often it looked, and fails if it saw anything else."""
        self.say([])
        line = self.process.stdout.readline()
        if line == b'enough\n':
            line = self.process.stdout.readline()
        looks, problems = json.loads(line)
        self.idle.append(self.process)
        self.process = None
        assert not problems, '\n'.join(problems)
        return looks


@contextlib.contextmanager
def watched(database, key, *values):
    """Meanwhile another process sees nothing but these values of the key."""
    with Watcher(database, key, [dumped(value) for value in values]) as watcher:
        yield
        assert watcher.result() > 0


@contextlib.contextmanager
def refused(*numbers):
    """The block must fail with one of these errno."""
    try:
        yield
    except OSError as error:
        assert error.errno in numbers, error
    else:
        raise AssertionError('not refused')
