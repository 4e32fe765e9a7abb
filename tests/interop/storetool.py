# SPDX-License-Identifier: GPL-3.0-or-later
"""A store in a process of its own: STORETOOL names the program that drives it (tests/unit/storetool.c)."""

import os
import subprocess

TOOL = os.environ["STORETOOL"]


def unhex(word):
    return b"" if word == "-" else bytes.fromhex(word)


class Store:
    """A store in a process of its own."""

    def __init__(self, engine, path, *options):
        self.process = subprocess.Popen([TOOL, *options, engine, str(path)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(timeout=20) == 0 or exception[0]

    @staticmethod
    def line(words):
        return " ".join(word if isinstance(word, str) else word.hex() or "-" for word in words) + "\n"

    def ask(self, *words):
        """The words of the answer; an OSError if it is an error."""
        self.process.stdin.write(self.line(words).encode())
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().split()
        if not answer or answer[0] != "ok":
            raise OSError(int(answer[1]) if answer else 0, " ".join(answer[2:]))
        return answer[1:]

    def get(self, key):
        return unhex(self.ask("get", key)[0])

    def all(self):
        return {unhex(key): self.get(unhex(key)) for key in self.ask("list")}

    def notes(self):
        return unhex(self.ask("notes")[0]).decode()
