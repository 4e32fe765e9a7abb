# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs benchmarks and prints their table: run.py BUILD [--small] [NAME...]. See scripts/bench."""
import glob
import importlib
import os
import platform
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from measure import print_table  # noqa: E402


def main(build, *arguments):
    small = "--small" in arguments
    known = sorted(os.path.basename(path)[len("bench_"):-len(".py")] for path in glob.glob(os.path.join(HERE, "bench_*.py")))
    names = [name for name in arguments if not name.startswith("-")] or known
    for name in names:
        if name not in known:
            raise SystemExit("no benchmark is named %s; there are: %s" % (name, ", ".join(known)))
    print("%s, %d processors, %s" % (platform.platform(), os.cpu_count(), "small" if small else "full size"))
    print_table(row for name in names for row in importlib.import_module("bench_" + name).rows(build, small))


main(*sys.argv[1:])
