# SPDX-License-Identifier: GPL-3.0-or-later
"""How much can be measured in a quarter of an hour: what a request of FUSE costs differs tenfold among machines, virtual ones above all."""
import functools
import statistics

import commands
import peers

SAMPLE = 2000  # files


@functools.lru_cache(maxsize=None)
def seconds_a_file(build):
    """Of a `find -size` over the floor, which looks up each file: the best that any peer could do."""
    with peers.temporary(build) as place:
        sizes = place.path("sample.sizes")
        with open(sizes, "w") as file:
            file.write("200\n" * SAMPLE)
        floor = peers.discarding(place, sizes)
        return statistics.median(commands.cold(commands.READING["find -size"], floor, place.path("out")).seconds for _ in range(3)) / SAMPLE


def affordable(build, most, seconds, passes):
    """So many files, in thousands and at most `most`, that as many passes as those of find over them take that time."""
    count = int(seconds / (passes * seconds_a_file(build)))
    return max(1000, min(most, count // 1000 * 1000))
