# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the CPythons of this machine: the oracles that the tests compare with.

Run by hand, it prints what it found, one interpreter a line.
"""
import functools
import glob
import os
import re
import subprocess
import sys

# SHELVEFS_PYTHONS=few: of those between these only the tests' own, where not the oracle is tested but memory. Each of these began
# something: its kind of code object, or the newest protocol.
FEW = [(2, 7), (3, 6), (3, 8), (3, 13), sys.version_info[:2]]
PROBE = ("import sys, platform; "
         "print('%s %d %d %d' % ((platform.python_implementation(),) + tuple(sys.version_info[:3])))")


def _candidates():
    folders = os.environ.get("PATH", "").split(os.pathsep)
    folders += sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin")))
    folders += ["/usr/bin", "/usr/local/bin", "/opt/bin"] + sorted(glob.glob("/opt/*/bin"))
    for folder in folders:
        # Not pyenv's shims: they start whatever version the current directory asks for.
        if os.path.basename(os.path.normpath(folder)) == "shims" or not os.path.isdir(folder):
            continue
        for name in sorted(os.listdir(folder)):
            if re.fullmatch(r"python[23](\.\d+)?", name):
                yield os.path.join(folder, name)
    yield sys.executable


def _version(path):
    """The version tuple of the CPython at `path`, or None if it is none or does not run."""
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("PYTHON") and key != "VIRTUAL_ENV"}
    try:
        done = subprocess.run([path, "-c", PROBE], stdout=subprocess.PIPE, timeout=20, check=True,
                              stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)
    except (OSError, subprocess.SubprocessError):
        return None
    implementation, *numbers = done.stdout.decode("ascii", "replace").split()
    return tuple(map(int, numbers)) if implementation == "CPython" else None


@functools.lru_cache(maxsize=None)
def pythons():
    """[(version tuple, path)], oldest first, one interpreter a version, each of which has run."""
    found = {}
    tried = set()
    for path in _candidates():
        real = os.path.realpath(path)
        if real in tried:
            continue
        tried.add(real)
        version = _version(path)
        if version:
            found.setdefault(version, path)
    few = os.environ.get("SHELVEFS_PYTHONS") == "few"
    return sorted((version, path) for version, path in found.items() if not few or version[:2] in FEW)


def python(*version):
    """The path of the newest CPython whose version starts with `version`, or None: python(3, 8)."""
    matching = [path for known, path in pythons() if known[:len(version)] == version]
    return matching[-1] if matching else None


if __name__ == "__main__":
    for number, place in pythons():
        print("%d.%d.%d" % number, place)
