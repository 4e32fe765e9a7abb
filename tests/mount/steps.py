# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of changes through a mount whose calls fail, or which is killed: what must be there afterwards, and what may."""

import ast
import errno
import os
import pickle

from mounting import dumped

# What a program may be told when a call of the daemon failed.
PLAUSIBLE = {errno.EIO, errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.EUCLEAN, errno.EROFS, errno.EBUSY, errno.EAGAIN, errno.ENOLCK,
             errno.EPERM}
DEAD = {errno.ENOTCONN, errno.ECONNABORTED, errno.ECONNREFUSED, errno.EINTR, errno.EBADF}
LONG = ['long', 'x' * 9000]
LARGE = ['large', 'x' * 60000]
TRANSIENT = '.dict.aB3dE6'


class Step:
    """`changes` is what it makes of the keys, None: gone; `names`, what else it needs or touches."""

    def __init__(self, action, changes=(), names=(), kept=()):
        self.action = action
        self.changes = dict(changes)
        self.names = {*self.changes, *names}
        self.kept = dict(kept)  # in the sidecar: the texts of files


def saving(name, value):
    return Step(lambda mount: mount.save(name, '%r\n' % (value,)), {name: value})


def scratching(name, text):
    return Step(lambda mount: mount.save(name, text), names=[name], kept={name: text})


def renaming(source, target, value, names=()):
    return Step(lambda mount: os.rename(mount / source, mount / target), {source: None, target: value}, names)


def removing(name):
    return Step(lambda mount: os.unlink(mount / name), {name: None})


def synced(name, value):
    def action(mount):
        mount.descriptor = os.open(mount / name, os.O_WRONLY | os.O_TRUNC)
        os.write(mount.descriptor, b'%a\n' % (value,))
        os.fsync(mount.descriptor)
    return Step(action, {name: value})


def closed(name):
    def action(mount):
        descriptor, mount.descriptor = mount.descriptor, None
        os.close(descriptor)
    return Step(action, names=[name])


def refused(name, text):
    def action(mount):
        try:
            mount.save(name, text)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return
        raise AssertionError('it was saved')
    return Step(action, names=[name], kept={'.shelvefs/rejected/' + name: text})


def listed(count):
    def action(mount):
        names = os.listdir(mount.directory)
        assert len(names) == count, names
    return Step(action)


def read(name, value):
    def action(mount):
        assert ast.literal_eval(mount.text(name)) == value
        assert mount.control('dis/' + name)
    return Step(action)


def backing_up(value):
    """As vim does."""
    return [Step(lambda mount: os.rename(mount / 'dict', mount / 'dict~'), names=['dict', 'dict~']),
            Step(lambda mount: mount.save('dict', '%r\n' % (value,)), {'dict': value}, ['dict~']),
            Step(lambda mount: os.unlink(mount / 'dict~'), names=['dict', 'dict~'])]


def replacing(value):
    """As rsync does."""
    return [Step(lambda mount: mount.save(TRANSIENT, '%r\n' % (value,)), names=[TRANSIENT]),
            Step(lambda mount: os.rename(mount / TRANSIENT, mount / 'dict'), {'dict': value}, [TRANSIENT],
                 {'.shelvefs/rejected/dict': None})]


def setting(name):
    return [Step(lambda mount: os.chmod(mount / name, 0o640), names=[name]),
            Step(lambda mount: os.utime(mount / name, (1e9, 1e9)), names=[name])]


# Of everything that changes a database or its sidecar, for the values of the fixture `database`.
EVERYTHING = [
    saving('new', [1]),
    saving('list', LONG),
    saving('list', [2]),
    synced('dict', {'synced': 1}),
    closed('dict'),
    renaming('new', 'number', [1]),
    removing('greeting'),
    *setting('list'),
    scratching('.list.swp', 'anything'),
    scratching('.list.swp', 'anything\n' * 500),
    refused('dict', "{'half': "),
    *replacing({'replaced': 2}),
    *backing_up({'backed up': 3}),
    saving('large', LARGE),
    renaming('large', 'moved', LARGE),
    Step(lambda mount: os.unlink(mount / '.list.swp'), names=['.list.swp'], kept={'.list.swp': None}),
    Step(lambda mount: os.truncate(mount / 'text', 3), {'text': 'one'}),
    Step(lambda mount: (mount / '.shelvefs/raw/bytes').write_bytes(dumped('raw')), {'bytes': 'raw'}),
]


class Run:
    """What became of some steps."""

    def __init__(self, mount, state):
        self.mount = mount
        self.mount.descriptor = None
        self.state = dict(state)  # what was acknowledged
        self.perhaps = {}         # {key: values that it may have instead}
        self.kept = {}
        self.doubtful = set()     # names that a failed step touched
        self.errors = []

    def __call__(self, steps):
        for number, step in enumerate(steps):
            if self.doubtful & step.names:
                continue
            try:
                step.action(self.mount)
            except OSError as error:
                self.errors.append((number, error.errno))
                self.doubtful |= step.names
                for key, value in step.changes.items():
                    self.perhaps.setdefault(key, []).append(value)
                if error.errno in DEAD:
                    break
                continue
            self.state.update(step.changes)
            self.kept.update(step.kept)
        if self.mount.descriptor is not None:
            try:
                os.close(self.mount.descriptor)
            except OSError as error:
                self.errors.append((-1, error.errno))
        return self

    def problem(self, records):
        """What is wrong with the database; None: nothing."""
        found = {key.decode(): pickle.loads(value) for key, value in records.items()}
        if 'dict' not in found and 'dict~' in found:
            found['dict'] = found.pop('dict~')  # a rename that time made real
        found.pop('dict~', None)
        found.pop(TRANSIENT, None)
        for key in {*found, *self.state, *self.perhaps}:
            possible = [self.state.get(key), *self.perhaps.get(key, [])]
            if key in self.perhaps and key not in self.state:
                possible.append('')  # it was made, and not written
            if found.get(key) not in possible:
                return '%r is %.60r and not %.200r' % (key, found.get(key), possible)
        return None
