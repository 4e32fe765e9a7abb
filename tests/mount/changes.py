# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of random changes through a mount, until that fails: what a crash interrupts."""

import os
import threading


class Changer(threading.Thread):
    """Saves, renames and removes keys until the mount is gone or fails.

    `history` has what was there after each change that was acknowledged, oldest first: {key: value}. The last fsync
    promised history[durable]. `next` is what the change that is under way, or failed, would have made of it.
    """

    def __init__(self, mount, state, generator):
        super().__init__(daemon=True)
        self.mount = mount
        self.history = [state]
        self.durable = 0
        self.next = state
        self.generator = generator

    @property
    def state(self):
        return self.history[-1]

    @property
    def count(self):
        return len(self.history) - 1

    def run(self):
        try:
            while True:
                if self.change():
                    self.history.append(self.next)
        except OSError:
            return

    def change(self):
        """Whether the change is still to be entered."""
        kind = self.generator.choice('sssfrd') if self.state else 's'
        key = 'key %d' % self.generator.randrange(30)
        if kind in 'sf':
            value = [self.generator.randrange(1 << 30), 'x' * self.generator.choice([0, 9, 500, 9000])]
            self.next = {**self.state, key: value}
            return self.save(key, '%r\n' % value, kind == 'f')
        known = self.generator.choice(sorted(self.state))
        value = self.state[known]
        self.next = {other: value for other, value in self.state.items() if other != known}
        if kind == 'r':
            self.next[key] = value
            os.rename(self.mount / known, self.mount / key)
        else:
            os.unlink(self.mount / known)
        return True

    def save(self, key, text, sync):
        descriptor = os.open(self.mount / key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(descriptor, text.encode())
            if sync:
                os.fsync(descriptor)
                # Promised, whatever becomes of close().
                self.history.append(self.next)
                self.durable = self.count
        finally:
            os.close(descriptor)
        return not sync

    def problem(self, records, promised):
        """What is wrong with what a power cut left, when history[promised] was durable; None if nothing is."""
        possible = [*self.history[promised:], self.next]
        for key in {*records, *self.history[promised]}:
            if all(state.get(key) != records.get(key) for state in possible):
                sights = [number for number, state in enumerate(self.history) if state.get(key) == records.get(key)]
                return '%r is as after changes %s; %d were made, %d promised' % (key, sights, self.count, promised)
        return None
