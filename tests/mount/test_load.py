# SPDX-License-Identifier: GPL-3.0-or-later
"""Many clients at once (load.py), and what that costs.

SHELVEFS_CLIENTS of them make SHELVEFS_STEPS steps each, or as many as they can in SHELVEFS_SECONDS: 64 and 600 at length.
"""

import ast
import collections
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import pickle
import random

import load
from mounting import eventually

CLIENTS = int(os.environ.get('SHELVEFS_CLIENTS', '8'))
STEPS = int(os.environ.get('SHELVEFS_STEPS', '100'))
SECONDS = int(os.environ.get('SHELVEFS_SECONDS', '0'))
SEED = int(os.environ.get('SHELVEFS_SEED', '0')) or random.randrange(1, 1 << 30)
THREADS = 4  # of a process at least
SANITIZED = 'ASAN_OPTIONS' in os.environ or 'TSAN_OPTIONS' in os.environ
CONTEXT = multiprocessing.get_context('fork')

Sample = collections.namedtuple('Sample', 'kibibytes descriptors threads')


def sample(process):
    folder = pathlib.Path('/proc/%d' % process)
    status = dict(line.split(':', 1) for line in (folder / 'status').read_text(encoding='utf-8').splitlines())
    return Sample(int(status['VmRSS'].split()[0]), len(os.listdir(folder / 'fd')), int(status['Threads']))


def start_clients(board):
    """The processes, and the ends of the pipes on which they tell."""
    count = max(2, min(8, CLIENTS // THREADS))
    processes, pipes = [], []
    for number in range(count):
        ours, theirs = CONTEXT.Pipe(duplex=False)
        processes.append(CONTEXT.Process(target=load.serve, args=(board, range(number, CLIENTS, count), theirs), daemon=True))
        processes[-1].start()
        theirs.close()
        pipes.append(ours)
    return processes, pipes


def watch(board, pipes, process):
    """Until all have told: what they told, and what the daemon had at a quarter and in the middle."""
    told, samples = [], []
    while pipes:
        for pipe in multiprocessing.connection.wait(pipes, 0.1):
            told += pipe.recv()
            pipes.remove(pipe)
        if len(samples) < 2 and board.progress() >= (len(samples) + 1) / 4:
            samples.append(sample(process))
    return told, samples


def prepare(board, mount):
    for shared in board.shared:
        mount.save(shared.name, load.text_of(0, 0, 10))


def meant(text):
    return ast.literal_eval(text) if text[0] == '[' else text[:-1]


def test_many_clients(new_database, mounter, capfd):
    database = new_database().create()
    mount = mounter(database)
    board = load.Board(CONTEXT, mount.directory, CLIENTS, STEPS, SECONDS, SEED)
    prepare(board, mount)
    first = sample(mount.process.pid)
    processes, pipes = start_clients(board)
    try:
        told, samples = watch(board, pipes, mount.process.pid)
    finally:
        board.failed.value = 1
        for process in processes:
            process.join(60)
    failures = [failure for failure, *_ in told if failure]
    assert not failures, 'SHELVEFS_SEED=%d\n%s' % (SEED, '\n'.join(failures))
    assert mount.process.poll() is None
    # What was open is closed, some of it when nobody has asked for a while.
    eventually(lambda: sample(mount.process.pid).descriptors <= first.descriptors + 2)
    last = sample(mount.process.pid)
    report = '%d clients, %d steps, %d times absent, slowest %.2f s (%s), seed %d; KiB, descriptors, threads: %s' % (
        CLIENTS, sum(board.counts), sum(absent for _, _, absent, _ in told), *max(slowest for *_, slowest in told), SEED,
        '; '.join('%d %d %d' % found for found in (first, *samples, last)))
    with capfd.disabled():
        print('\n%s: %s' % (database.engine, report))
    if SECONDS and not SANITIZED:  # which keep what was freed
        assert last.kibibytes < samples[-1].kibibytes * 1.2 + 4096
    assert mount.stop() == []
    check_database(database, told)


def check_database(database, told):
    """Another program finds what the clients saved, and nothing else."""
    expected = {name: meant(text) for _, texts, *_ in told for name, text in texts.items()}
    found = {key.decode(): pickle.loads(value) for key, value in database.records().items()}
    assert {name: value for name, value in found.items() if name.startswith('own ')} == expected
    strange = [name for name in found if not name.startswith(('own ', 'common ', 'replaced ', 'rewritten ', 'removed '))]
    assert not strange, strange
    database.verify()
