# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is measured: directories with the same files, each made by another program. A peer is mounted anew for each run, so its caches are cold.

    with peer.mounted() as directory: ...
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 60  # seconds that a mount or an unmount may take


class Place:
    """Where a benchmark keeps its files and mounts."""

    def __init__(self, build, folder, disk=None):
        self.build = build
        self.folder = folder
        self.disk = disk  # a folder for databases, where it matters that they are files of a disk

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def mountpoint(self):
        path = self.path("mnt")
        os.makedirs(path, exist_ok=True)
        return path


@contextlib.contextmanager
def temporary(build, parent=None):
    """A Place in memory, so that no disk is measured, or in `parent`."""
    if not parent and os.access("/dev/shm", os.W_OK):
        parent = "/dev/shm"
    with tempfile.TemporaryDirectory(prefix="shelvefs-bench-", dir=parent) as folder:
        yield Place(os.path.abspath(build), folder)


@contextlib.contextmanager
def with_disk(build):
    """The same with a folder for databases on a filesystem of a disk, as they usually are: in memory, gdbm has no stamp."""
    with temporary(build) as place, tempfile.TemporaryDirectory(prefix="shelvefs-bench-", dir="/var/tmp") as disk:
        yield Place(place.build, place.folder, disk)


def until(condition, process, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("%s: ended or took too long (%s)" % (what, process.poll()))
        time.sleep(0.002)


class Mount:
    """A FUSE filesystem whose program stays in the foreground."""

    def __init__(self, place, who, command):
        self.place = place
        self.who = who
        self.command = command  # of the mountpoint
        self.process = None

    @contextlib.contextmanager
    def mounted(self):
        mountpoint = self.place.mountpoint()
        command = self.command(mountpoint)
        # If the benchmark is killed, the daemon unmounts.
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL)
        try:
            until(lambda: os.path.ismount(mountpoint), self.process, " ".join(command))
            yield mountpoint
        finally:
            self.stop(mountpoint)

    def cpu(self):
        """Seconds of processors so far."""
        with open("/proc/%d/stat" % self.process.pid) as file:
            words = file.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, name):
        """A line of its status, in kibibytes."""
        with open("/proc/%d/status" % self.process.pid) as file:
            return int(next(line for line in file if line.startswith(name)).split()[1])

    def stop(self, mountpoint):
        subprocess.run(["fusermount3", "-u", mountpoint], check=False)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()


def shelvefs(place, database, *options, who=None):
    words = [word for option in options for word in ("-o", option)]
    program = os.path.join(place.build, "shelvefs")
    engine = database.rsplit(".", 1)[1]
    return Mount(place, who or engine + "".join(" " + option for option in options),
                 lambda mountpoint: [program, "-f", *words, database, mountpoint])


def floor(place, database):
    """nullfs with the sizes that shelvefs shows of this database."""
    sizes = database + ".sizes"
    if not os.path.exists(sizes):
        with shelvefs(place, database, "ro").mounted() as directory, open(sizes, "w") as file:
            for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
                file.write("%d\n" % entry.stat().st_size)
    return discarding(place, sizes)


def discarding(place, sizes):
    """nullfs with these sizes."""
    program = os.path.join(place.build, "nullfs")
    return Mount(place, "floor", lambda mountpoint: [program, sizes, mountpoint])


def naive(place, database):
    return Mount(place, "naive fusepy",
                 lambda mountpoint: [sys.executable, os.path.join(HERE, "naive_mount.py"), database, mountpoint])


class Directory:
    """tmpfs: the files themselves, as a mount showed them."""

    who = "tmpfs"

    def __init__(self, place, database):
        self.path = place.path("tmpfs")
        with shelvefs(place, database, "ro").mounted() as directory:
            shutil.copytree(directory, self.path)

    @contextlib.contextmanager
    def mounted(self):
        yield self.path

    def cpu(self):
        return 0

    def remove(self):
        shutil.rmtree(self.path)
