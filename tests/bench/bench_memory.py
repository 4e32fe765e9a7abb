# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon holds: after mounting, after everything was listed and forgotten again, and while it serves one large value."""
import os
import subprocess
import time

import data
import peers
from measure import Most, Row

RECORDS, SMALL = 1000000, 500
MIB = 1024  # kibibytes
MOUNTED = {"gdbm": 16 * MIB, "tdb": 16 * MIB, "sqlite": 16 * MIB}
DUMB_BYTES = 120  # a key
LEFT = 32 * MIB
LARGE, SMALL_LARGE = 1 << 30, 1 << 20
OF_LARGE = 2.2


def mounted_most(engine, count):
    return MOUNTED.get(engine, 4 * MIB + count * DUMB_BYTES // 1024)


def forget_inodes():
    """Whether the kernel could be made to."""
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("2\n")
    except OSError:
        return False
    return True


def listed(place, engine, path, count, small):
    peer = peers.shelvefs(place, path)
    start = time.perf_counter()
    with peer.mounted() as directory:
        before = peer.memory("VmRSS:")
        yield Row("memory of %d keys" % count, engine, [time.perf_counter() - start], memory=before, goals=(Most(mounted_most(engine, count)),))
        start = time.perf_counter()
        subprocess.run(["ls", "-lR", directory], stdout=subprocess.DEVNULL, check=True)
        taken = time.perf_counter() - start
        yield Row("and after ls -lR", engine, [taken], memory=peer.memory("VmRSS:"))
        if not small and forget_inodes():
            # The kernel tells of what it forgot when it comes to it.
            deadline = time.monotonic() + 20
            while peer.memory("VmRSS:") > before + LEFT and time.monotonic() < deadline:
                time.sleep(0.1)
            yield Row("and when it is forgotten", engine, [taken], memory=peer.memory("VmRSS:"), goals=(Most(before + LEFT),))


def large(place, size):
    path = data.write(place.folder, "large", "dumb", data.Blobs(1, size))
    peer = peers.shelvefs(place, path, "max_value=%d" % (2 * size))
    with peer.mounted() as directory:
        start = time.perf_counter()
        subprocess.run(["cat", os.path.join(directory, data.key(0).decode())], stdout=subprocess.DEVNULL, check=True)
        taken = time.perf_counter() - start
        most = OF_LARGE * size / 1024 + 16 * MIB
        yield Row("one value of %d MiB" % (size >> 20), "dumb", [taken], size, peer.memory("VmHWM:"), (Most(most),))


def rows(build, small):
    count = SMALL if small else RECORDS
    records = data.Records(count)
    for engine in data.engines(small):
        with peers.temporary(build) as place:
            yield from listed(place, engine, data.write(place.folder, "all", engine, records), count, small)
    with peers.temporary(build) as place:
        yield from large(place, SMALL_LARGE if small else LARGE)
