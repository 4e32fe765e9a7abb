# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount that somebody writes in a dozen lines: naive_mount.py DATABASE MOUNTPOINT, in the foreground."""
import errno
import shelve
import sys

import fusepy as fuse


class Shelf(fuse.Operations):
    def __init__(self, path):
        self.shelf = shelve.open(path, "r")

    def text(self, path):
        try:
            return (repr(self.shelf[path[1:]]) + "\n").encode()
        except KeyError:
            raise fuse.FuseOSError(errno.ENOENT) from None

    def getattr(self, path, fh=None):
        if path == "/":
            return {"st_mode": 0o40755, "st_nlink": 2}
        return {"st_mode": 0o100444, "st_nlink": 1, "st_size": len(self.text(path))}

    def readdir(self, path, fh):
        return [".", ".."] + list(self.shelf)

    def read(self, path, size, offset, fh):
        return self.text(path)[offset:offset + size]


fuse.FUSE(Shelf(sys.argv[1]), sys.argv[2], foreground=True, nothreads=True)
