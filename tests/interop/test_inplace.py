# SPDX-License-Identifier: GPL-3.0-or-later
"""gdbm and ndbm databases that the engines' own programs write, read and hold open.

STORETOOL names the program that drives a store (tests/unit/storetool.c).
"""
import itertools
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from programs import db_dump, gdbm_dump, make_man_index, run  # noqa: E402
from storetool import TOOL, Store  # noqa: E402
from test_stores import (GDBM_PYTHON, NDBM_PYTHON, needs_gdbm, needs_ndbm, oracle, puts,  # noqa: E402
                         sample)

HOLDER = ("import dbm.gnu, sys; db = dbm.gnu.open(sys.argv[1], sys.argv[2]); print('open', flush=True); input(); "
          "db[b'held'] = b'written by the holder' if sys.argv[2] == 'w' else db[b'a']")


def holder(path, flag):
    process = subprocess.Popen([GDBM_PYTHON, "-c", HOLDER, str(path), flag], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"open\n"
    return process


def second_store(first, *words):
    first.ask("sync")  # it is open by then
    return Store(*words)


def opening_fails(*words):
    done = subprocess.run([TOOL, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert done.returncode == 1
    return done.stdout.decode()


# --- gdbm ---

@needs_gdbm
def test_held_by_a_writer(tmp_path):
    """As celery beat holds its schedule all its life: closed to others, but -o ro,nolock looks at it."""
    path = tmp_path / "db"
    oracle("gdbm", GDBM_PYTHON, path, "c", puts({b"a": b"1"}))
    process = holder(path, "w")
    told = "error 16 %s is locked by process %d (" % (path, process.pid)
    assert told in opening_fails("auto", path) and "-o ro,nolock" in opening_fails("auto", path)
    assert "error 16" in opening_fails("-r", "auto", path)
    with Store("auto", path, "-r", "-n") as store:
        assert store.all() == {b"a": b"1"}
        process.communicate(b"\n", timeout=20)
        assert store.get(b"held") == b"written by the holder"


@needs_gdbm
def test_held_by_a_reader(tmp_path):
    path = tmp_path / "db"
    oracle("gdbm", GDBM_PYTHON, path, "c", puts({b"a": b"1"}))
    with Store("auto", path) as store:
        process = holder(path, "r")
        assert store.all() == {b"a": b"1"}
        with pytest.raises(OSError) as error:
            store.ask("put", b"b", b"2")
        assert error.value.errno == 16
        process.kill()
        process.communicate()
        store.ask("put", b"b", b"2")
        assert store.all() == {b"a": b"1", b"b": b"2"}


def interrupted(path, items):
    """A database as a killed writer left it; its bytes."""
    oracle("gdbm", GDBM_PYTHON, path, "c", puts(items))
    with open(path, "ab") as file:
        file.write(bytes(4096))
    return path.read_bytes()


@needs_gdbm
@pytest.mark.parametrize("read_only", [True, False])
def test_interrupted_writer(tmp_path, read_only):
    """A writer was killed after it made the file longer: Python finds the database empty, we find all."""
    path = tmp_path / "db"
    items = sample(4)
    broken = interrupted(path, items)
    with Store("auto", path, *["-r"] * read_only) as store:
        assert store.all() == items
        assert ("gdbm_recover saved all %d keys" % len(items) in store.notes()) != read_only
        if not read_only:
            store.ask("put", b"after", b"1")
    if read_only:
        assert path.read_bytes() == broken
    else:
        assert oracle("gdbm", GDBM_PYTHON, path) == {**items, b"after": b"1"}
        assert (tmp_path / "db.~1~").read_bytes() == broken


@needs_gdbm
def test_rescue_is_killed(tmp_path):
    """At each step: the database keeps its name all the time, and the next opening leaves nothing of it behind."""
    items = {b"key %d" % number: b"value" * number for number in range(20)}
    broken = interrupted(tmp_path / "broken", items)
    path = tmp_path / "here" / "db"
    path.parent.mkdir()
    # Of each system call its first, second ... one, until there is no such one.
    kills = 0
    for step in ("mkdir", "fchmod", "fsync", "link", "rename", "unlinkat", "rmdir"):
        for when in itertools.count(1):
            for name in os.listdir(path.parent):
                os.unlink(path.parent / name)
            path.write_bytes(broken)
            path.chmod(0o640)
            # A sanitizer can't look for leaks in what is traced.
            command = ["strace", "-f", "-o", os.devnull, "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", "trace=" + step, "-e",
                       "inject=%s:signal=KILL:when=%d" % (step, when), TOOL, "auto", str(path)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
            assert path.exists()
            if done.returncode != -signal.SIGKILL:
                assert done.returncode == 0
                break
            kills += 1
            with Store("auto", path) as store:
                assert store.all() == items
                store.ask("put", b"after", b"1")
            assert set(os.listdir(path.parent)) == {"db", "db.~1~"}
            assert oracle("gdbm", GDBM_PYTHON, path) == {**items, b"after": b"1"}
            assert (path.parent / "db.~1~").read_bytes() == broken and path.stat().st_mode & 0o777 == 0o640
        assert set(os.listdir(path.parent)) == {"db", "db.~1~"}
    assert kills >= 7


@needs_gdbm
def test_rescue_gives_up(tmp_path):
    """Where a bucket makes no sense gdbm_recover can't save all of it: nothing is changed, and nothing left behind."""
    path = tmp_path / "db"
    broken = bytearray(interrupted(path, sample(4)))
    directory, = struct.unpack_from("@q", broken, 8)
    bucket, = struct.unpack_from("@q", broken, directory)
    broken[bucket:bucket + 4] = b"\xff\xff\xff\x7f"  # how much free space it knows
    path.write_bytes(broken)
    assert "is damaged: look with -o ro" in opening_fails("auto", path)
    assert os.listdir(tmp_path) == ["db"] and path.read_bytes() == broken


@needs_gdbm
def test_rescue_directory_of_somebody_else(tmp_path):
    """A name that is taken by what is not ours is left alone."""
    path = tmp_path / "db"
    broken = interrupted(path, {b"a": b"1"})
    (tmp_path / ".db.shelvefs-rescue").write_text("not ours")
    assert "error 1 " in opening_fails("auto", path)
    assert path.read_bytes() == broken and (tmp_path / ".db.shelvefs-rescue").read_text() == "not ours"


@pytest.mark.parametrize("engine, suffix", [("gdbm", ""), ("ndbm", ".db")])
def test_restored_while_open(tmp_path, engine, suffix):
    """Nothing is written to a damaged file, until somebody has put it right."""
    path = tmp_path / "db"
    file = tmp_path / ("db" + suffix)
    items = {b"key %d" % number: b"value" for number in range(20)}
    with Store(engine, path, "-c") as store:
        for key, value in items.items():
            store.ask("put", key, value)
    whole = file.read_bytes()
    damaged = whole[:4096] + b"\xa5" * (len(whole) - 4096)
    with Store(engine, path) as store:
        store.ask("sync")  # it is open by then
        file.write_bytes(damaged)
        for _ in range(3):
            with pytest.raises(OSError) as error:
                store.ask("put", b"new", b"1")
            assert error.value.errno == 117
            with pytest.raises(OSError):
                store.all()
        assert "is damaged" in store.notes() and file.read_bytes() == damaged
        file.write_bytes(whole)
        assert store.all() == items
        store.ask("put", b"new", b"1")
        assert "looked at again" in store.notes()
    with Store(engine, path, "-r") as store:
        assert store.all() == {**items, b"new": b"1"}


def test_numsync(tmp_path):
    """gdbm's extended format, which Python's whichdb doesn't know."""
    path = tmp_path / "db"
    run("gdbmtool", "-n", "-x", path, "store", "a", "1")
    assert path.read_bytes()[:4] == b"\xd1\x9a\x57\x13"
    with Store("auto", path) as store:
        assert store.ask("engine") == ["gdbm"]
        assert store.all() == {b"a": b"1"}
        for number in range(500):
            store.ask("put", b"key %d" % number, b"v" * number)
        store.ask("del", b"a")
    assert gdbm_dump(path) == {b"key %d" % number: b"v" * number for number in range(500)}
    assert path.read_bytes()[:4] == b"\xd1\x9a\x57\x13"


def test_pag_pair(tmp_path):
    """What gdbm's emulation of ndbm makes: NAME.pag is a gdbm file, NAME.dir a stub that must stay."""
    stub = b"GDBM\0\0\0\1\0\0\0\x17\0\0\0\0"
    (tmp_path / "db.dir").write_bytes(stub)
    run("gdbmtool", "--newdb", tmp_path / "db.pag", "store", "a", "1")
    with Store("auto", tmp_path / "db") as store:
        assert store.ask("engine") == ["gdbm"]
        store.ask("put", b"b", b"2")
    assert gdbm_dump(tmp_path / "db.pag") == {b"a": b"1", b"b": b"2"}
    assert (tmp_path / "db.dir").read_bytes() == stub


@pytest.mark.parametrize("magic, what", [
    (b"\xcd\x9a\x57\x13", "a gdbm file of a 32-bit system"), (b"\xd0\x9a\x57\x13", "a gdbm file of a 32-bit system"),
    (b"\x13\x57\x9a\xcf", "with the other byte order"), (b"\x13\x57\x9a\xd1", "with the other byte order"),
    (b"\x13\x57\x9a\xce", "with the other byte order"),
])
def test_gdbm_of_other_machines(tmp_path, magic, what):
    path = tmp_path / "db"
    run("gdbmtool", "--newdb", path, "store", "a", "1")
    path.write_bytes(magic + path.read_bytes()[4:])
    message = opening_fails("auto", path)
    assert what in message and "gdbm_load" in message and message.startswith("error 124")


def test_gdbm_load_and_dump(tmp_path):
    items = {key: value for key, value in sample(5).items() if key and value}  # gdbm_load 1.23 refuses what is empty
    with Store("gdbm", tmp_path / "ours", "-c") as store:
        for key, value in items.items():
            store.ask("put", key, value)
    assert gdbm_dump(tmp_path / "ours") == items
    (tmp_path / "dump").write_bytes(run("gdbm_dump", tmp_path / "ours"))
    run("gdbm_load", tmp_path / "dump", tmp_path / "theirs")
    with Store("auto", tmp_path / "theirs") as store:
        assert store.all() == items
        for key in list(items)[::2]:
            store.ask("del", key)
        assert store.all() == dict(list(items.items())[1::2])
    assert gdbm_dump(tmp_path / "theirs") == dict(list(items.items())[1::2])


def free_tables(content):
    """Where the tables of free space are: that of the header first."""
    found, at = [], 40
    while at:
        found.append(at)
        _, _, at = struct.unpack_from("=iiq", content, at)
    return found


@needs_gdbm
def test_gdbm_with_a_long_chain_of_free_space(tmp_path):
    """More tables than a small database has. Blocks are small, so they are; and most of them are empty, so libgdbm has to take the next ones."""
    path = tmp_path / "db"
    generator = random.Random(1)
    items = {b"%d" % number: b"x" * generator.randrange(1, 300) for number in range(40000)}
    run("gdbmtool", "--newdb", tmp_path / "small", "store", "a", "1")
    (tmp_path / "dump").write_bytes(run("gdbm_dump", tmp_path / "small"))
    run("gdbm_load", "--block-size=512", tmp_path / "dump", path)
    gone = generator.sample(sorted(items), 20000)
    oracle("gdbm", GDBM_PYTHON, path, "w", puts(items) + [["del", key.hex()] for key in gone])
    items = {b"a": b"1", **{key: items[key] for key in items.keys() - set(gone)}}
    content = bytearray(path.read_bytes())
    tables = free_tables(content)
    assert len(tables) > 1000
    for at in tables[:1000]:
        struct.pack_into("=i", content, at + 4, 0)
    taken = 0
    for _ in range(20):
        path.write_bytes(content)
        expected = dict(items)
        with Store("gdbm", path) as store:
            for number in range(5):
                one, other = generator.sample(sorted(expected), 2)
                expected[one], expected[other] = expected[other], expected[one]
                store.ask("exchange", one, other)
                expected[b"new %d" % number] = generator.randbytes(generator.randrange(1000))
                store.ask("put", b"new %d" % number, expected[b"new %d" % number])
        taken += len(set(tables) - set(free_tables(path.read_bytes())))
        assert gdbm_dump(path) == expected
    assert taken >= 20


def test_gdbm_grows_and_shrinks(tmp_path):
    """Splits of buckets and of the directory, and the chain of tables of free space."""
    path = tmp_path / "db"
    with Store("gdbm", path, "-c") as store:
        for number in range(4000):
            store.ask("put", b"key %d" % number, b"%d" % number * (number % 40))
        for number in range(0, 4000, 2):
            store.ask("del", b"key %d" % number)
        for number in range(0, 4000, 4):
            store.ask("put", b"key %d" % number, b"again" * (number % 30))
    expected = {b"key %d" % number: b"%d" % number * (number % 40) for number in range(1, 4000, 2)}
    expected.update((b"key %d" % number, b"again" * (number % 30)) for number in range(0, 4000, 4))
    assert gdbm_dump(path) == expected
    assert b"needs recovery" not in run("gdbmtool", path, "status")


def test_man_db(tmp_path):
    """The index that man-db makes of manual pages: keys and values with NULs and tabs."""
    index, _ = make_man_index(tmp_path)
    with Store("auto", index, "-r") as store:
        found = store.all()
    assert found == gdbm_dump(index)
    assert any(key.rstrip(b"\0") == b"foo" for key in found) and any(b"does bar things" in value for value in found.values())


@needs_gdbm
def test_gdbm_stamp_sees_python(tmp_path):
    """libgdbm writes through a mapping: the file's time tells, except on tmpfs, where there is no stamp."""
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        path = os.path.join(folder, "db")
        with Store("gdbm", path, "-c") as store:
            store.ask("put", b"a", b"1")
            if run("stat", "-f", "-c", "%T", folder) == b"tmpfs\n":
                with pytest.raises(OSError) as error:
                    store.ask("stamp")
                assert error.value.errno == 95
                return
            for number in range(20):
                before = store.ask("stamp")
                oracle("gdbm", GDBM_PYTHON, path, "w", puts({b"a": b"%d" % (number % 10)}))
                assert store.ask("stamp") != before


# --- ndbm ---

def test_db_load_and_dump(tmp_path):
    items = sample(6)
    with Store("ndbm", tmp_path / "ours", "-c") as store:
        for key, value in items.items():
            store.ask("put", key, value)
    assert db_dump(tmp_path / "ours.db") == items
    run("db5.3_verify", tmp_path / "ours.db")
    run("db5.3_load", tmp_path / "theirs.db", input=run("db5.3_dump", tmp_path / "ours.db"))
    with Store("auto", tmp_path / "theirs") as store:
        assert store.ask("engine") == ["ndbm"]
        assert store.all() == items
        for key in list(items)[::2]:
            store.ask("del", key)
        assert store.all() == dict(list(items.items())[1::2])
    run("db5.3_verify", tmp_path / "theirs.db")
    # By its full name, too, which Python's whichdb doesn't know.
    with Store("auto", tmp_path / "theirs.db", "-r") as store:
        assert store.all() == db_dump(tmp_path / "theirs.db") == dict(list(items.items())[1::2])


def test_ndbm_grows_and_shrinks(tmp_path):
    """Splits of buckets, long chains, long items and pages that become free."""
    path = tmp_path / "db"
    with Store("ndbm", path, "-c") as store:
        for number in range(3000):
            store.ask("put", b"key %d" % number, b"%d" % number * (number % 40))
        for number in range(20):
            store.ask("put", b"long %d" % number * 1000, b"value" * 1000 * number)
        for number in range(0, 3000, 2):
            store.ask("del", b"key %d" % number)
        for number in range(0, 20, 2):
            store.ask("rename", b"long %d" % number * 1000, b"moved %d" % number)
    expected = {b"key %d" % number: b"%d" % number * (number % 40) for number in range(1, 3000, 2)}
    for number in range(20):
        expected[b"long %d" % number * 1000 if number % 2 else b"moved %d" % number] = b"value" * 1000 * number
    assert db_dump(tmp_path / "db.db") == expected
    run("db5.3_verify", tmp_path / "db.db")
    with Store("auto", path, "-r") as store:
        assert store.all() == expected


@pytest.mark.parametrize("order", ["1234", "4321"])
def test_ndbm_of_either_byte_order(tmp_path, order):
    path = tmp_path / "db.db"
    run("db5.3_load", "-c", "db_lorder=" + order, path, input=b"VERSION=3\nformat=print\ntype=hash\nHEADER=END\n"
        + b"".join(b" key %d\n %d\n" % (number, number) for number in range(500)) + b"DATA=END\n")
    with Store("auto", path) as store:
        assert store.all() == {b"key %d" % number: b"%d" % number for number in range(500)}
        store.ask("put", b"new", b"v" * 5000)
        store.ask("del", b"key 7")
    found = db_dump(path)
    assert found[b"new"] == b"v" * 5000 and b"key 7" not in found and len(found) == 500
    run("db5.3_verify", path)


@pytest.mark.parametrize("options, what", [
    (["-t", "btree"], "is a Berkeley DB btree file"), (["-c", "duplicates=1"], "with several values for a key"),
    (["-c", "chksum=1"], "checksums"),
])
def test_other_berkeley_files_are_named(tmp_path, options, what):
    path = tmp_path / "db.db"
    kind = b"btree" if "btree" in options else b"hash"
    run("db5.3_load", *options, path, input=b"VERSION=3\nformat=print\ntype=%s\nHEADER=END\n a\n 1\nDATA=END\n" % kind)
    message = opening_fails("auto", path)
    assert what in message and message.startswith("error 124")


@needs_ndbm
def test_two_of_ours_take_turns(tmp_path):
    """Nobody else looks at our lock on such a file, but we do."""
    path = tmp_path / "db"
    with Store("ndbm", path, "-c") as first, second_store(first, "ndbm", path) as second:
        for number in range(300):
            first.ask("put", b"first %d" % number, b"1" * number)
            second.ask("put", b"second %d" % number, b"2" * number)
            second.ask("rename", b"first %d" % number, b"moved %d" % number)
    expected = {b"moved %d" % number: b"1" * number for number in range(300)}
    expected.update((b"second %d" % number, b"2" * number) for number in range(300))
    assert oracle("ndbm", NDBM_PYTHON, path) == expected


@needs_gdbm
def test_python_and_two_of_ours_lose_nothing(tmp_path):
    """Three writers on one gdbm file at the same time."""
    path = tmp_path / "db"
    script = ("import dbm.gnu, errno, sys, time\n"
              "number = 0\n"
              "while number < 150:\n"
              "    try:\n"
              "        with dbm.gnu.open(sys.argv[1], 'w') as db: db[b'python %d' % number] = b'p' * number\n"
              "        number += 1\n"
              "    except dbm.gnu.error as error:\n"
              "        if error.args[0] != errno.EAGAIN: raise\n"
              "        time.sleep(0.001)\n")
    with Store("gdbm", path, "-c") as first, second_store(first, "gdbm", path) as second:
        python = subprocess.Popen([GDBM_PYTHON, "-c", script, str(path)])
        for number in range(300):
            first.ask("put", b"first %d" % number, b"1" * number)
            second.ask("put", b"second %d" % number, b"2" * number)
        assert python.wait(timeout=60) == 0
    expected = {b"python %d" % number: b"p" * number for number in range(150)}
    for number in range(300):
        expected[b"first %d" % number] = b"1" * number
        expected[b"second %d" % number] = b"2" * number
    assert oracle("gdbm", GDBM_PYTHON, path) == expected
