# SPDX-License-Identifier: GPL-3.0-or-later
"""What every benchmark here shares: peers that run in turns, and the table that scripts/bench prints.

A benchmark is a file bench_NAME.py with a function `rows(build, small)`, which yields the rows of its table. `build` is the directory of an
optimised build, `small` asks for a run that only shows that it works.
"""
import collections
import statistics
import subprocess

RUNS = 5

# What was measured, by whom; seconds of each run; bytes; kibibytes of memory at most; how many times as fast it should be.
Row = collections.namedtuple("Row", "what who seconds size memory target")


class Peer:
    """A process that answers each request, a line, by the line 'SECONDS BYTES MEMORY'."""

    def __init__(self, who, command):
        self.who = who
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds = []
        self.size = self.memory = 0

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if len(answer) != 3:
            raise SystemExit("%s ended in '%s' with status %s" % (self.who, request, self.process.wait()))
        self.size, self.memory = int(answer[1]), int(answer[2])
        return float(answer[0])

    def close(self):
        self.process.stdin.close()
        if self.process.wait():
            raise SystemExit("%s ended with status %d" % (self.who, self.process.returncode))


def in_turns(what, peers, request, target, runs=RUNS):
    """Runs `request` in each peer, one after the other, `runs` times. The first peer is the one that is compared with."""
    for _ in range(runs):
        for peer in peers:
            peer.seconds.append(peer.ask(request))
    for peer in peers:
        yield Row(what, peer.who, peer.seconds, peer.size, peer.memory, None if peer is peers[0] else target)


def print_table(rows):
    """Prints rows as they come; a row with a target is compared with the last one that had none."""
    form = "%-34s %-14s %10s %9s %9s %9s %7s  %s"
    print(form % ("what", "who", "median s", "MB out", "MB/s", "peak MiB", "ratio", "runs, s"))
    base = None
    for row in rows:
        median = statistics.median(row.seconds)
        if row.target is None:
            base = median
        ratio = "" if row.target is None else "%.2fx" % (base / median)
        missed = row.target is not None and base / median < row.target
        print(form % (row.what, row.who, "%.4f" % median, "%.1f" % (row.size / 1e6),
                      "%.1f" % (row.size / 1e6 / median if median else 0), "%.1f" % (row.memory / 1024), ratio,
                      " ".join("%.4f" % taken for taken in row.seconds)
                      + (" (target %gx)" % row.target if missed else "")), flush=True)
