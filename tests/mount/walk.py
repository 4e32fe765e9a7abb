# SPDX-License-Identifier: GPL-3.0-or-later
"""A random walk of file operations, done to a mount and to a plain directory of a tmpfs, which must answer alike.

The plain directory is the model: what POSIX says is there already. Beside it, each file remembers which contents a crash may
leave: the one of its last close or fsync, and whatever came after.
"""

import collections
import ctypes
import errno
import mmap
import multiprocessing
import os
import stat
import urllib.parse

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
NOREPLACE, EXCHANGE = 1, 2
LONG = 'n' * 238 + '%+/'
LONGER = LONG + 'o' * 238 + '%+/'
NAMES = ['a', 'b', 'c', 'd', 'e', 'two words', '%25ab', '%0A', 'ü', '4913', '%', LONG + 'tail', LONGER + 'x', LONG + 'bcd']
COMPANIONS = ['a~', '.b.swp', '#c#']
TRANSIENTS = ['sedAbCdEf', '.a.AbCdEf']


# --- clients: who calls ---

def rename2(source, target, flags):
    if LIBC.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write_mapped(descriptor, offset, data):
    """Into the file as it is; a mapping doesn't make it longer."""
    size = os.fstat(descriptor).st_size
    if offset >= size:
        return
    with mmap.mmap(descriptor, size) as mapped:
        part = data[:size - offset]
        mapped[offset:offset + len(part)] = part
        mapped.flush()


def listing(directory):
    """The paths of the files below; directories are there for long names only."""
    found = []
    for folder, _, files in os.walk(directory):
        found += [os.path.relpath(os.path.join(folder, name), directory) for name in files]
    return sorted(found)


def set_time(path, nanoseconds):
    os.utime(path, ns=(nanoseconds, nanoseconds))


def look(path):
    """`path`: or a descriptor."""
    found = os.stat(path)
    return stat.filemode(found.st_mode), found.st_size, found.st_nlink


def key_of(name):
    return urllib.parse.unquote_to_bytes(name.replace('%+/', '')) if name != '%' else b''


OWN = {'listing': listing, 'look': look, 'rename2': rename2, 'set_time': set_time, 'write_mapped': write_mapped}


def answer(function, arguments):
    """What a call returned, or the errno it failed with."""
    try:
        return True, (OWN.get(function) or getattr(os, function))(*arguments)
    except OSError as error:
        return False, error.errno


def serve(pipe):
    while True:
        try:
            pipe.send(answer(*pipe.recv()))
        except EOFError:
            return


class Client:
    """A process of its own with its own descriptors."""

    def __init__(self):
        ours, theirs = multiprocessing.Pipe()
        self.pipe = ours
        self.process = multiprocessing.get_context('fork').Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def call(self, function, *arguments):
        self.pipe.send((function, arguments))
        return self.pipe.recv()

    def end(self):
        self.process.terminate()
        self.process.join()


# --- the walk ---

class File:
    """`after_crash`: the contents that a crash may leave, None for no file; the first is the one that was saved."""

    def __init__(self, after_crash):
        self.after_crash = after_crash
        self.time = None  # set by utime and not changed since


Handle = collections.namedtuple('Handle', 'client mounted model file writes')


class Difference(AssertionError):
    pass


class Walk:
    """`mount`: a running Mount. `model`: the plain directory, with the same files. `texts`: only whole, well-formed texts are written,
    as the mount decodes them; else any bytes anywhere."""

    def __init__(self, mount, model, generator, texts):
        self.mount = mount
        self.model = model
        self.generator = generator
        self.texts = texts
        self.clients = [Client(), Client()]
        self.handles = []
        self.files = {}
        self.loose = set()  # names of which a crash may bring back what was there
        self.trail = collections.deque(maxlen=int(os.environ.get('SHELVEFS_TRAIL', '80')))
        self.read_model()

    def end(self):
        for client in self.clients:
            client.end()

    def read_model(self):
        self.files = {name: File([self.content(name)]) for name in listing(self.model)}

    def content(self, name):
        return (self.model / name).read_bytes()

    # Both sides

    def both(self, client, function, mounted, model, descriptors=False):
        """The common answer; `mounted`, `model`: the arguments on each side."""
        told = [part.replace(str(self.model) + '/', '').replace('n' * 238, 'N').replace('o' * 238, 'O') if isinstance(part, str) else
                repr(part)[:40] for part in model]
        self.trail.append('%d: %s(%s)' % (self.clients.index(client), function, ', '.join(told)))
        found, expected = client.call(function, *mounted), client.call(function, *model)
        if found != expected and not (descriptors and found[0] and expected[0]):
            raise Difference('the mount says %r, the model %r, at the end of\n%s' % (found, expected, '\n'.join(self.trail)))
        if not found[0]:
            self.trail[-1] += ': %s' % errno.errorcode[found[1]]
        return found, expected

    def paths(self, client, function, names, *more, descriptors=False):
        return self.both(client, function, [str(self.mount / name) for name in names] + list(more),
                         [str(self.model / name) for name in names] + list(more), descriptors)

    def on_handle(self, handle, function, *more):
        return self.both(handle.client, function, (handle.mounted, *more), (handle.model, *more))

    # What is chosen

    def name(self):
        return self.generator.choice(self.generator.choice([NAMES, NAMES, NAMES, NAMES, COMPANIONS, TRANSIENTS]))

    def client(self):
        return self.generator.choice(self.clients)

    def data(self):
        if self.texts:
            number = self.generator.randrange(1 << 40)
            return (self.generator.choice(['[%d, None]', 'word%d', '\'%d\'', '{%d: [\'x\']}']) % number + '\n').encode()
        size = self.generator.choice([0, 1, 7, 100, 4096, 5000, 20000])
        return self.generator.randbytes(min(size, 16)) * (size // 16 + 1)

    def offset(self):
        return self.generator.choice([0, 0, 1, 50, 4095, 4096, 9000])

    def handle(self, writes=False):
        able = [handle for handle in self.handles if handle.writes or not writes]
        return self.generator.choice(able) if able else None

    # What a crash may leave

    def changed(self, file, handle):
        fine, content = handle.client.call('pread', handle.model, 1 << 20, 0)
        self.changed_to(file, content if fine else None)

    def changed_to(self, file, content):
        file.time = None
        file.after_crash.append(content)

    def saved(self, file):
        """An empty file is waited for some seconds whether it gets a text."""
        if file.after_crash[-1] != b'':
            file.after_crash = file.after_crash[-1:]

    # Operations. Each is one call on each side, or the few that belong together.

    def do_open(self):
        client, name = self.client(), self.name()
        # Closing what was opened to read is no save.
        flags = self.generator.choice([os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_CREAT | os.O_EXCL])
        if not self.texts and flags & os.O_RDWR:
            flags |= self.generator.choice([0, 0, 0, os.O_TRUNC, os.O_APPEND])
        self.open_file(client, name, flags)

    def open_file(self, client, name, flags):
        if '/' in name and flags & os.O_CREAT:
            self.make_directories(client, name)
        (fine, mounted), (_, model) = self.paths(client, 'open', (name,), flags, 0o600, descriptors=True)
        if not fine:
            return None
        file = self.files.setdefault(name, File([None]))
        handle = Handle(client, mounted, model, file, bool(flags & os.O_RDWR))
        self.handles.append(handle)
        if flags & os.O_TRUNC or file.after_crash[-1] is None:
            self.changed(file, handle)
        return handle

    def make_directories(self, client, name):
        folder = ''
        for part in name.split('/')[:-1]:
            folder += part + '/'
            for side in (self.mount, self.model):
                client.call('mkdir', str(side / folder), 0o700)

    def do_close(self):
        handle = self.handle()
        if handle:
            self.close(handle)

    def close(self, handle):
        self.handles.remove(handle)
        self.on_handle(handle, 'close')
        if handle.writes:
            self.saved(handle.file)

    def do_read(self):
        handle = self.handle()
        if handle:
            self.on_handle(handle, 'pread', self.generator.choice([1, 100, 5000, 1 << 20]), self.offset())

    def do_write(self):
        handle = self.handle(writes=True)
        if not handle:
            return
        data = self.data()
        if self.texts:
            self.on_handle(handle, 'ftruncate', 0)
            self.on_handle(handle, 'pwrite', data, 0)
        elif self.generator.random() < 0.2:
            self.on_handle(handle, 'write_mapped', self.offset(), data)
        else:
            self.on_handle(handle, 'pwrite', data, self.offset())
        self.changed(handle.file, handle)

    def do_truncate(self):
        handle = self.handle(writes=True)
        if handle and not self.texts:
            self.on_handle(handle, 'ftruncate', self.generator.choice([0, 1, 100, 4096, 30000]))
            self.changed(handle.file, handle)

    def do_cut(self):
        """By name."""
        name = self.name()
        if self.paths(self.client(), 'truncate', (name,), 0 if self.texts else self.generator.choice([0, 1, 5000]))[0][0]:
            self.changed_to(self.files[name], self.content(name))

    def do_sync(self):
        handle = self.handle()
        if handle:
            self.on_handle(handle, self.generator.choice(['fsync', 'fdatasync']))
            self.saved(handle.file)

    def do_save(self):
        """As most programs do it."""
        client, name = self.client(), self.name()
        handle = self.open_file(client, name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if handle:
            self.on_handle(handle, 'write', self.data())
            self.changed(handle.file, handle)
            self.close(handle)

    def do_replace(self):
        """As editors and rsync do it."""
        client, name = self.client(), self.name()
        handle = self.open_file(client, 'sedAbCdEf', os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if handle:
            self.on_handle(handle, 'write', self.data())
            self.changed(handle.file, handle)
            self.close(handle)
            self.rename('sedAbCdEf', name, 0)

    def do_rename(self):
        source, target = self.name(), self.name()
        flags = self.generator.choice([0, 0, 0, NOREPLACE, EXCHANGE])
        if flags == EXCHANGE and source in COMPANIONS and target in COMPANIONS:
            return  # EINVAL
        self.rename(source, target, flags)

    def rename(self, source, target, flags):
        client = self.client()
        if '/' in target:
            self.make_directories(client, target)
        fine = self.paths(client, 'rename2', (source, target), flags)[0][0]
        if not fine or source == target:
            return
        file, other = self.files.pop(source), self.files.pop(target, None)
        self.files[target] = file
        if flags == EXCHANGE:
            self.files[source] = other
        if other:
            file.after_crash = other.after_crash + file.after_crash
        self.loose |= {name for name in (source, target) if {source, target} & set(COMPANIONS)}
        self.loose -= {target} if source in TRANSIENTS else set()

    def do_unlink(self):
        client, name = self.client(), self.name()
        if self.paths(client, 'unlink', (name,))[0][0]:
            self.files.pop(name)
            self.loose |= {name} & set(COMPANIONS)

    def do_mode(self):
        self.paths(self.client(), 'chmod', (self.name(),), self.generator.choice([0o600, 0o640, 0o644, 0o700]))

    def do_time(self):
        name, time = self.name(), self.generator.randrange(1 << 60)
        if self.paths(self.client(), 'set_time', (name,), time)[0][0]:
            self.files[name].time = time

    def do_look(self):
        self.paths(self.client(), 'look', (self.name(),))

    def do_look_at_handle(self):
        handle = self.handle()
        if handle:
            self.on_handle(handle, 'look')

    def do_list(self):
        self.paths(self.client(), 'listing', ('.',))

    def do_fold(self):
        """Directories are there for long names only: one that nothing is in goes by itself after some seconds, but can be removed until then."""
        client, folder = self.client(), self.generator.choice([LONG, LONGER])
        if any(name.startswith(folder) for name in self.loose):
            return  # its key may wait in it until a companion replaces it
        used = any(name.startswith(folder) for name in self.files)
        self.trail.append('fold %d, %s' % (folder.count('/'), 'used' if used else 'unused'))
        if self.generator.random() < 0.5:
            self.make_directories(client, folder.rstrip('/'))
            for side in (self.mount, self.model):
                self.expect(client.call('mkdir', str(side / folder), 0o700), errno.EEXIST, not used)
                self.expect(client.call('listdir', str(side / folder)))
            return
        for each in [LONGER, LONG] if folder == LONG and not used else [folder]:
            for side in (self.mount, self.model):
                self.expect(client.call('rmdir', str(side / each)), errno.ENOTEMPTY if used else errno.ENOENT, not used)
                if not used:
                    self.expect(client.call('stat', str(side / each)), errno.ENOENT, False)

    def expect(self, found, number=None, may_succeed=True):
        """That a call on one side did what `both` can't compare."""
        if not (may_succeed if found[0] else found[1] == number):
            raise Difference('%r and not %s at the end of\n%s' % (found, number, '\n'.join(self.trail)))

    def do_attributes(self):
        """Extended ones, which only the mount has. A new file may be no key as long as it is empty."""
        client, name = self.client(), self.name()
        path = str(self.mount / name)
        self.trail.append('attributes of ' + name)
        if name not in self.files:
            self.expect(client.call('getxattr', path, 'user.shelvefs.key'), errno.ENOENT, False)
            return
        self.expect(client.call('setxattr', path, 'user.other', b'value'), errno.ENOTSUP, False)
        if name in COMPANIONS + TRANSIENTS:
            return
        self.expect(client.call('getxattr', path, 'user.shelvefs.error'), errno.ENODATA, False)
        if not self.content(name) or any(handle.file is self.files[name] for handle in self.handles):
            return
        attributes = {'key': key_of(name)}
        if self.texts:
            attributes['type'] = {b'[': b'list', b'{': b'dict'}.get(self.content(name)[:1], b'str')
        for attribute, value in attributes.items():
            found = client.call('getxattr', path, 'user.shelvefs.' + attribute)
            self.expect(found, None, found == (True, value))

    def step(self):
        operations = {'open': 10, 'close': 10, 'read': 10, 'write': 10, 'truncate': 3, 'cut': 1, 'sync': 2, 'save': 6, 'replace': 4,
                      'rename': 5, 'unlink': 4, 'mode': 2, 'time': 2, 'look': 6, 'look_at_handle': 2, 'list': 2, 'fold': 2, 'attributes': 2}
        name, = self.generator.choices(list(operations), list(operations.values()))
        if name == 'open' and len(self.handles) > 8:
            name = 'close'
        getattr(self, 'do_' + name)()

    # Ends of a mount

    def close_all(self):
        for handle in list(self.handles):
            self.close(handle)

    def compare(self):
        """All contents, sizes, modes, and those times that were set."""
        self.paths(self.clients[0], 'listing', ('.',))
        for name, file in self.files.items():
            self.paths(self.clients[0], 'look', (name,))
            if (self.mount / name).read_bytes() != self.content(name):
                raise Difference('%r has other content, after\n%s' % (name, '\n'.join(self.trail)))
            if file.time is not None:
                assert os.stat(self.mount / name).st_mtime_ns == file.time, name

    def after_crash(self):
        """What is there may be there; the model becomes like it."""
        for handle in self.handles:
            handle.client.call('close', handle.mounted)
            handle.client.call('close', handle.model)
        self.handles = []
        there = set(listing(self.mount.directory))
        for name in there | set(self.files):
            found = (self.mount / name).read_bytes() if name in there else None
            # An empty file is in the sidecar for some seconds, which forgets it as slowly.
            allowed = self.files[name].after_crash if name in self.files else [None, b'']
            if name not in COMPANIONS + TRANSIENTS and name not in self.loose and found not in allowed:
                raise Difference('after the crash, %r is %r, which is none of %r, after\n%s' % (
                    name, found, allowed, '\n'.join(self.trail)))
            if found is None:
                os.unlink(self.model / name)
                continue
            self.make_directories(self.clients[0], name)
            (self.model / name).write_bytes(found)
            os.chmod(self.model / name, stat.S_IMODE(os.stat(self.mount / name).st_mode))
        self.loose = set()
        self.read_model()
