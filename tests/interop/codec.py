# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of values and texts, asked through the test program tests/unit/codectool.c."""
import os
import subprocess

TOOL = os.environ.get("CODECTOOL")


class Refused(Exception):
    """A save that was refused; its arguments are a negative errno and the reason."""


class Codec:
    """A running test program, for one dialect: show() stored bytes, save() a text, or save it over() what was shown last."""

    def __init__(self, codec="pickle", protocol=4, python2=0):
        self.dialect = "%s %d %d" % (codec, protocol, python2)
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        status = self.process.wait(20)
        self.process.stdout.close()
        assert status == 0 or error[0]

    def ask(self, kind, data):
        self.process.stdin.write(("%s %s %d\n" % (kind, self.dialect, len(data))).encode() + data)
        self.process.stdin.flush()
        status, size = map(int, self.process.stdout.readline().split())
        answer = self.process.stdout.read(size)
        if status:
            raise Refused(status, answer.decode())
        return answer

    def show(self, stored):
        return self.ask("show", stored)

    def save(self, text):
        return self.ask("save", text)

    def over(self, text):
        return self.ask("over", text)
