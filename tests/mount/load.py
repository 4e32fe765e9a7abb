# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that use a mount all at once, in several processes of several threads. Each knows what it may find.

A client's own keys are as it left them, to the byte. The shared ones are saved by whoever holds their lock, under a clock that
only goes up: a reader must find at least what was acknowledged before it opened the file, and never less than it has seen. The
common ones are saved, renamed and removed by all: they are whole, or not there.
"""

import os
import random
import threading
import time
import traceback

OWN, SHARED, COMMON = 8, 9, 6  # keys: of each client, and of all
SIZES = [0, 10, 40, 40, 500, 5000]


class Shared:
    """A key with a clock. `how` it is saved: 'replaced' by renaming, 'rewritten' in place, or 'removed' now and then."""

    def __init__(self, context, number):
        self.how = ['replaced', 'rewritten', 'removed'][number % 3]
        self.name = '%s %d' % (self.how, number)
        self.lock = context.Lock()
        self.clock = context.RawValue('Q', 0)
        self.acknowledged = context.RawValue('Q', 0)


class Board:
    """What the clients have in common. `steps` or `seconds`: how long each works."""

    def __init__(self, context, directory, clients, steps, seconds, seed):
        self.directory = str(directory)
        self.steps, self.seconds, self.seed = steps, seconds, seed
        self.shared = [Shared(context, number) for number in range(SHARED)]
        self.counts = context.RawArray('Q', clients)
        self.failed = context.RawValue('b', 0)
        self.start = time.monotonic()

    def progress(self):
        """From 0 to 1."""
        if self.seconds:
            return (time.monotonic() - self.start) / self.seconds
        return sum(self.counts) / len(self.counts) / self.steps


def text_of(client, clock, size):
    """Shown as it was written: a list in one line, or words."""
    if size <= 40:
        return '[%d, %d, \'%s\']\n' % (client, clock, 'x' * size)
    return 'client %d, clock %d: %s\n' % (client, clock, 'x' * size)


def clock_of(text):
    """Of a whole text; fails where a piece is missing."""
    if text[0] == '[':
        client, clock, filler = text[1:-2].split(', ')
        whole = text_of(int(client), int(clock), len(filler) - 2)
    else:
        head, filler = text[:-1].split(': ')
        client, clock = (part.split()[1] for part in head.split(', '))
        whole = text_of(int(client), int(clock), len(filler))
    assert text == whole, 'not whole: %r' % text[:100]
    return int(clock)


class Client(threading.Thread):
    def __init__(self, board, number):
        super().__init__(daemon=True)
        self.board = board
        self.number = number
        self.generator = random.Random(board.seed * 1000 + number)
        self.clock = 0
        self.texts = {}  # of its own keys
        self.seen = {}  # shared key -> the highest clock
        self.absent = 0
        self.slowest = 0.0, ''
        self.failure = None
        self.transient = 'sed%06d' % number

    def run(self):
        try:
            while not self.board.failed.value and not self.is_done():
                self.step()
                self.board.counts[self.number] += 1
        except Exception:  # noqa: BLE001 pylint: disable=broad-exception-caught
            self.failure = 'client %d, step %d: %s' % (self.number, self.board.counts[self.number], traceback.format_exc())
            self.board.failed.value = 1

    def is_done(self):
        if self.board.seconds:
            return self.board.progress() >= 1
        return self.board.counts[self.number] >= self.board.steps

    def step(self):
        kinds = {'save': 8, 'read': 8, 'look': 6, 'replace': 3, 'rename': 3, 'unlink': 2, 'list': 1,
                 'shared_save': 2, 'shared_read': 8, 'common_save': 2, 'common_read': 3, 'common_rename': 1, 'common_unlink': 1}
        kind, = self.generator.choices(list(kinds), list(kinds.values()))
        start = time.monotonic()
        getattr(self, 'do_' + kind)()
        self.slowest = max(self.slowest, (time.monotonic() - start, kind))

    # What all of them use

    def path(self, name):
        return '%s/%s' % (self.board.directory, name)

    def write(self, name, text, sync=False):
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            assert os.write(descriptor, text.encode()) == len(text)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, name, text):
        self.write(self.transient, text)
        os.rename(self.path(self.transient), self.path(name))

    def read(self, name):
        with open(self.path(name), encoding='utf-8') as file:
            return file.read()

    def new_text(self):
        self.clock += 1
        return text_of(self.number, self.clock, self.generator.choice(SIZES))

    # Its own keys

    def own(self):
        return 'own %d %d' % (self.number, self.generator.randrange(OWN))

    def do_save(self):
        name, text = self.own(), self.new_text()
        self.write(name, text, self.generator.random() < 0.1)
        self.texts[name] = text

    def do_replace(self):
        name, text = self.own(), self.new_text()
        self.replace(name, text)
        self.texts[name] = text

    def do_read(self):
        name = self.own()
        if name in self.texts:
            found = self.read(name)
            assert found == self.texts[name], '%s: %r is not %r' % (name, found[:100], self.texts[name][:100])
        else:
            self.check_absent(name)

    def do_look(self):
        name = self.own()
        if name in self.texts:
            assert os.stat(self.path(name)).st_size == len(self.texts[name]), name
        else:
            self.check_absent(name)

    def check_absent(self, name):
        assert not os.path.exists(self.path(name)), name + ' is there'

    def do_rename(self):
        source, target = self.own(), self.own()
        if source in self.texts:
            os.rename(self.path(source), self.path(target))
            self.texts[target] = self.texts.pop(source)

    def do_unlink(self):
        name = self.own()
        if name in self.texts:
            os.unlink(self.path(name))
            del self.texts[name]

    def do_list(self):
        names = os.listdir(self.board.directory)
        assert len(names) == len(set(names)), 'a name is listed twice'
        own = {name for name in names if name.startswith('own %d ' % self.number)}
        assert own == set(self.texts), own ^ set(self.texts)
        missing = {shared.name for shared in self.board.shared if shared.how != 'removed'} - set(names)
        assert not missing, missing

    # Everybody's

    def do_shared_save(self):
        shared = self.generator.choice(self.board.shared)
        with shared.lock:
            if shared.how == 'removed' and self.generator.random() < 0.3:
                try:
                    os.unlink(self.path(shared.name))
                except FileNotFoundError:
                    self.absent += 1
                return
            shared.clock.value += 1
            text = text_of(self.number, shared.clock.value, self.generator.choice(SIZES))
            if shared.how == 'replaced':
                self.replace(shared.name, text)
            else:
                self.write(shared.name, text)
            shared.acknowledged.value = shared.clock.value

    def do_shared_read(self):
        shared = self.generator.choice(self.board.shared)
        least = max(shared.acknowledged.value, self.seen.get(shared.name, 0))
        try:
            text = self.read(shared.name)
        except FileNotFoundError:
            assert shared.how == 'removed', shared.name
            self.absent += 1
            return
        if shared.how != 'replaced' and not text.endswith('\n'):
            return  # between open() and write() it is empty, as any file is
        clock = clock_of(text)
        assert clock >= least, '%s: %d after %d' % (shared.name, clock, least)
        self.seen[shared.name] = clock

    def common(self):
        return 'common %d' % self.generator.randrange(COMMON)

    def do_common_save(self):
        self.replace(self.common(), self.new_text())

    def do_common_read(self):
        try:
            clock_of(self.read(self.common()))
        except FileNotFoundError:
            self.absent += 1

    def do_common_rename(self):
        try:
            os.rename(self.path(self.common()), self.path(self.common()))
        except FileNotFoundError:
            self.absent += 1

    def do_common_unlink(self):
        try:
            os.unlink(self.path(self.common()))
        except FileNotFoundError:
            self.absent += 1


def serve(board, numbers, pipe):
    """One process: a thread for each of these clients. Sends (failure, texts, absent, slowest) of each when all have ended."""
    clients = [Client(board, number) for number in numbers]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    pipe.send([(client.failure, client.texts, client.absent, client.slowest) for client in clients])
    pipe.close()
