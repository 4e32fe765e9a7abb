# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do with a directory: each is timed from the start of the program to its end."""
import os
import resource
import shutil
import subprocess
import time

from measure import Taken

# {d}: the directory, {out}: a directory that does not exist yet, and is removed afterwards.
READING = {
    "ls -U": "ls -U {d} >/dev/null",
    "ls -l": "ls -l {d} >/dev/null",
    "find -size": "find {d} -type f -size +100k",
    "tar c": "tar cf - -C {d} . | wc -c >/dev/null",
    "grep -r": "! grep -r 'no such text' {d}",
    "rsync -a": "rsync -a {d}/ {out}/",
    "cp -r": "cp -r {d} {out}",
}


def children():
    """Seconds of processors that processes took which have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(command, directory, out):
    shell = command.format(d=directory, out=out)
    start, cpu = time.perf_counter(), children()
    done = subprocess.run(["/bin/sh", "-c", shell], stdin=subprocess.DEVNULL, check=False)
    taken = Taken(time.perf_counter() - start, children() - cpu)
    if done.returncode:
        raise SystemExit("%s: status %d" % (shell, done.returncode))
    if os.path.exists(out):
        shutil.rmtree(out)
    return taken


def cold(command, peer, out):
    """Right after mounting."""
    with peer.mounted() as directory:
        before = peer.cpu()
        taken = timed(command, directory, out)
        return Taken(taken.seconds, taken.cpu + peer.cpu() - before)
