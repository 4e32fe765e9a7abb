# SPDX-License-Identifier: GPL-3.0-or-later
"""What every benchmark here shares: peers that run in turns, and the table that scripts/bench prints.

A benchmark is a file bench_NAME.py with a function `rows(build, small)`, which yields the rows of its table. `build` is the directory of an
optimised build, `small` asks for a run that only shows that it works.
"""
import collections
import statistics
import subprocess

RUNS = 5

# What was measured, by whom; seconds of each run; bytes; kibibytes of memory at most; what is to be reached; seconds of
# processors in each run, of all that took part (0: not known), which other users of the machine change less.
Row = collections.namedtuple("Row", "what who seconds size memory goals cpu", defaults=(0, 0, (), (0,)))
Taken = collections.namedtuple("Taken", "seconds cpu")


def median(numbers):
    return statistics.median(numbers)


class Goal:
    """How a time relates to that of `base`, another one that was measured for the same, or to a number of seconds."""

    def __init__(self, base, ratio, faster=False):
        self.base = base
        self.ratio = ratio
        self.faster = faster  # at least `ratio` times as fast, else at most `ratio` times as long

    def judge(self, row, rows):
        """`rows`: those of the same measurement so far."""
        if not isinstance(self.base, str):
            return self.compared(median(row.seconds), self.base, "%g s" % self.base)
        base = rows[self.base]
        text = self.compared(median(row.seconds), median(base.seconds), self.base)
        cpu = median(row.cpu), median(base.cpu)
        return text + (" (cpu %.2f)" % self.ratio_of(*cpu) if all(cpu) else "")

    def ratio_of(self, taken, base):
        return base / taken if self.faster else taken / base

    def compared(self, taken, base, name):
        reached = self.ratio_of(taken, base)
        missed = reached < self.ratio if self.faster else reached > self.ratio
        return "%.2f%s %s%s" % (reached, "x as fast as" if self.faster else "x", name, ", not %.3g" % self.ratio if missed else "")


class Most:
    """At most so many kibibytes."""

    def __init__(self, memory):
        self.memory = memory

    def judge(self, row, rows):
        return "%.2fx %.1f MiB%s" % (row.memory / self.memory, self.memory / 1024, ", not 1" if row.memory > self.memory else "")


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
        goals = () if peer is peers[0] else (Goal(peers[0].who, target, faster=True),)
        yield Row(what, peer.who, peer.seconds, peer.size, peer.memory, goals)


def interleaved(what, works, runs=RUNS):
    """`works`: (who, function, goals) each; the function does it once and returns what that has taken."""
    taken = [[] for _ in works]
    for _ in range(runs):
        for results, (_, work, _) in zip(taken, works):
            results.append(work())
    for results, (who, _, goals) in zip(taken, works):
        yield Row(what, who, [result.seconds for result in results], goals=goals, cpu=[result.cpu for result in results])


def print_table(rows):
    """Prints rows as they come."""
    form = "%-32s %-14s %9s %9s %8s %8s %9s  %-44s %s"
    print(form % ("what", "who", "median s", "cpu s", "MB out", "MB/s", "peak MiB", "ratio", "runs, s"))
    known = collections.defaultdict(dict)
    for row in rows:
        taken = median(row.seconds)
        known[row.what][row.who] = row
        print(form % (row.what, row.who, "%.4f" % taken, "%.3f" % median(row.cpu) if any(row.cpu) else "",
                      "%.1f" % (row.size / 1e6) if row.size else "",
                      "%.1f" % (row.size / 1e6 / taken) if row.size and taken else "",
                      "%.1f" % (row.memory / 1024) if row.memory else "",
                      ", ".join(goal.judge(row, known[row.what]) for goal in row.goals),
                      " ".join("%.4f" % seconds for seconds in row.seconds)), flush=True)
