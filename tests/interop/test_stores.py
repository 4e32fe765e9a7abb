# SPDX-License-Identifier: GPL-3.0-or-later
"""Stores against the Pythons that write the same databases: dbm.dumb of every CPython, dbm.sqlite3, and python3-tdb.

STORETOOL names the program that drives a store (tests/unit/storetool.c). SHELVEFS_KILLS is how often each kill
test kills; SHELVEFS_SEED makes a run repeatable.
"""
import ast
import json
import os
import random
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pythons import pythons  # noqa: E402
from storetool import TOOL, Store  # noqa: E402

KILLS = int(os.environ.get("SHELVEFS_KILLS", "60"))
SEED = int(os.environ.get("SHELVEFS_SEED", "0")) or random.randrange(1, 1 << 30)

# Runs in every Python: JSON commands on standard input, hexadecimal keys and values.
DBM_ORACLE = r'''
import binascii, errno, importlib, json, sys, time
path, flag, name = sys.argv[1:4]
try:
    dbm = importlib.import_module('dbm.' + name)
except ImportError:
    import dumbdbm as dbm
h = lambda b: binascii.hexlify(b).decode("ascii")
u = lambda s: binascii.unhexlify(s.encode("ascii"))


def open_patiently(flag):
    """dbm.gnu gives up at once when somebody has the lock, as a store does for some milliseconds."""
    for _ in range(1000):
        try:
            return dbm.open(path, flag)
        except dbm.error as error:
            if error.args[0] != errno.EAGAIN:
                raise
            time.sleep(0.005)
    return dbm.open(path, flag)


def read(key):
    """dbm.ndbm takes an empty value for none if it is the first that it reads: libdb then has no memory to point to."""
    try:
        return db[key]
    except KeyError:
        if name != "ndbm":
            raise
        return b""


db = open_patiently(flag)
for command in json.load(sys.stdin):
    if command[0] == "put":
        db[u(command[1])] = u(command[2])
    elif command[0] == "del":
        del db[u(command[1])]
if flag != "r":
    db.close()
    db = open_patiently("r")
print(json.dumps(sorted((h(k), h(read(k))) for k in db.keys())))
'''
TDB_ORACLE = r'''
import binascii, json, os, sys, tdb
path, flag = sys.argv[1:3]
h = lambda b: binascii.hexlify(b).decode("ascii")
u = binascii.unhexlify
db = tdb.open(path, 0, 0, os.O_RDWR | (os.O_CREAT if flag == "c" else 0), 0o600)
for command in json.load(sys.stdin):
    if command[0] == "put":
        db.store(u(command[1]), u(command[2]))
    elif command[0] == "del":
        db.delete(u(command[1]))
print(json.dumps(sorted((h(k), h(db.get(k))) for k in db.keys())))
'''

DUMB_PYTHONS = [item for item in pythons()
                if item[0][:2] in ((2, 7), (3, 6), (3, 8), (3, 11), (3, 13))]
NEWEST = pythons()[-1][1]


def has_module(path, name):
    return subprocess.run([path, "-c", "import " + name], stderr=subprocess.DEVNULL).returncode == 0


def is_berkeley(path):
    done = subprocess.run([path, "-c", "import dbm.ndbm; print(dbm.ndbm.library)"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return done.stdout == b"Berkeley DB\n"


TDB_PYTHON = next((path for _, path in pythons() if has_module(path, "tdb")), None)
SQLITE_PYTHON = next((path for _, path in reversed(pythons()) if has_module(path, "dbm.sqlite3")), None)
GDBM_PYTHON = next((path for _, path in reversed(pythons()) if has_module(path, "dbm.gnu")), None)
needs_gdbm = pytest.mark.skipif(GDBM_PYTHON is None, reason="no Python with dbm.gnu")
NDBM_PYTHON = next((path for _, path in reversed(pythons()) if is_berkeley(path)), None)
needs_ndbm = pytest.mark.skipif(NDBM_PYTHON is None, reason="no Python with dbm.ndbm of Berkeley DB")
needs_tdb = pytest.mark.skipif(TDB_PYTHON is None, reason="no Python with the tdb module")
needs_sqlite = pytest.mark.skipif(SQLITE_PYTHON is None, reason="no Python with dbm.sqlite3 (3.13 and later)")
ORACLES = [pytest.param(("dumb", path), id="dumb-%d.%d.%d" % version)
           for version, path in DUMB_PYTHONS]
ORACLES.append(pytest.param(("tdb", TDB_PYTHON), id="tdb", marks=needs_tdb))
ORACLES.append(pytest.param(("sqlite", SQLITE_PYTHON), id="sqlite", marks=needs_sqlite))
ORACLES.append(pytest.param(("gdbm", GDBM_PYTHON), id="gdbm", marks=needs_gdbm))
ORACLES.append(pytest.param(("ndbm", NDBM_PYTHON), id="ndbm", marks=needs_ndbm))
ENGINES = ["dumb", pytest.param("gdbm", marks=needs_gdbm), pytest.param("ndbm", marks=needs_ndbm), pytest.param("sqlite", marks=needs_sqlite), pytest.param("tdb", marks=needs_tdb)]


def oracle(engine, python, path, flag="r", commands=()):
    """What that Python makes of the database after `commands`: {key: value}."""
    script = TDB_ORACLE if engine == "tdb" else DBM_ORACLE
    arguments = [str(path), flag, {"gdbm": "gnu", "sqlite": "sqlite3"}.get(engine, engine)]
    done = subprocess.run([python, "-c", script, *arguments],
                          input=json.dumps(commands).encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return {bytes.fromhex(key): bytes.fromhex(value) for key, value in json.loads(done.stdout)}


def oracle_of(engine):
    return {"dumb": NEWEST, "gdbm": GDBM_PYTHON, "ndbm": NDBM_PYTHON, "sqlite": SQLITE_PYTHON, "tdb": TDB_PYTHON}[engine]


def puts(items):
    return [["put", key.hex(), value.hex()] for key, value in items.items()]


def sample(seed):
    """Keys and values of every kind that a database may hold."""
    generator = random.Random(seed)
    items = {b"": b"empty key", b"empty": b"", b"\0": b"\0\0", b"it's": b"1", b'say "x"': b"2",
             b"'\"": b"3", b"back\\slash": b"4", b"new\nline\r": b"5", "é€".encode(): b"6",
             b"# not a comment": b"7", b" blank ": b"8", b"large": bytes(100000), b"k" * 3000: b"9"}
    for byte in range(256):
        items[bytes([byte, 0x6B])] = bytes([byte]) * (byte * 7)
    for _ in range(100):
        key = bytes(generator.randrange(256) for _ in range(generator.randrange(1, 40)))
        items[key] = generator.randbytes(generator.randrange(2000))
    return items


@pytest.mark.parametrize("who", ORACLES)
def test_python_writes_we_read(who, tmp_path):
    engine, python = who
    items = sample(1)
    path = tmp_path / "db"
    assert oracle(engine, python, path, "c", puts(items)) == items
    with Store("auto", path, "-r") as store:
        assert store.ask("engine") == [engine]
        assert store.all() == items
        assert store.notes() == ""


@pytest.mark.parametrize("who", ORACLES)
def test_we_write_python_reads(who, tmp_path):
    engine, python = who
    items = sample(2)
    path = tmp_path / "db"
    with Store(engine, path, "-c") as store:
        for key, value in items.items():
            store.ask("put", key, b"to be replaced")
            store.ask("put", key, value)
        store.ask("put", b"gone", b"x")
        store.ask("del", b"gone")
        store.ask("rename", b"large", b"\xe9larger")
        items[b"\xe9larger"] = items.pop(b"large")
        # While it is open here, too.
        assert oracle(engine, python, path) == items
    assert oracle(engine, python, path) == items


@pytest.mark.parametrize("who", ORACLES)
def test_both_write_in_turns(who, tmp_path):
    engine, python = who
    path = tmp_path / "db"
    with Store(engine, path, "-c") as store:
        expected = {}
        for turn in range(6):
            ours, theirs = {b"ours %d" % turn: b"1" * turn, b"both": b"o%d" % turn}, {
                b"theirs %d" % turn: b"2" * turn, b"both": b"t%d" % turn}
            for key, value in ours.items():
                store.ask("put", key, value)
            expected.update(ours)
            expected.update(theirs)
            commands = puts(theirs)
            if turn > 2:
                commands.append(["del", (b"ours %d" % (turn - 2)).hex()])
                del expected[b"ours %d" % (turn - 2)]
            assert oracle(engine, python, path, "w", commands) == expected
            assert store.all() == expected
            store.ask("rename", b"both", b"moved")
            store.ask("rename", b"moved", b"both")


def test_dumb_index_is_what_python_writes(tmp_path):
    """The same keys in the same order give the same bytes, in both files."""
    items = sample(3)
    oracle("dumb", NEWEST, tmp_path / "theirs", "c", puts(items))
    with Store("dumb", tmp_path / "ours", "-c") as store:
        for key, value in items.items():
            store.ask("put", key, value)
    for suffix in (".dir", ".dat"):
        assert (tmp_path / ("ours" + suffix)).read_bytes() == (tmp_path / ("theirs" + suffix)).read_bytes()


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_dumb_grammar_agrees_with_python(tmp_path):
    """Of random lines, what we take for a record is the very record that Python takes it for."""
    generator = random.Random(SEED)
    strings = ["'%s'", '"%s"', "u'%s'", "'x' '%s'", "b'%s'", "r'%s'", " '%s'", "('%s'"]
    escapes = ["\\x41", "\\101", "\\u00e9", "\\u20ac", "\\n", "\\q", "\\'", "\\N{BULLET}", "\xe9", "#", " ", "\\7", "\\x4"]
    pairs = ["(%d, 4)", "[%d, 4]", "( %d,4 , )", "(+%d, 0x4)", "(%d, 0b100) # note", "(%d, 04)", "(%d, 4.0)", "(%d, 4) ,"]
    lines = ["'first', (0, 4)"]
    for number in range(1, 400):
        body = "k%d" % number + "".join(generator.choice(escapes) for _ in range(generator.randrange(3)))
        lines.append(generator.choice(strings) % body + ", " + generator.choice(pairs) % (number * 4))
    values = b"".join(b"%04d" % number for number in range(400))
    expected = {}
    for line in lines:
        try:
            key, (offset, size) = ast.literal_eval(line.lstrip())
            expected[key.encode("latin-1")] = values[offset:offset + size]
        except (SyntaxError, ValueError, TypeError, AttributeError):
            pass
    (tmp_path / "db.dir").write_text("\n".join(lines) + "\n", encoding="latin-1")
    (tmp_path / "db.dat").write_bytes(values)
    with Store("dumb", tmp_path / "db", "-r") as store:
        ours = store.all()
    assert ours.items() <= expected.items(), "seed %d" % SEED
    # Raw strings and a bracket around the key are what we leave to Python.
    assert len(ours) > len(expected) * 0.7


def test_dumb_keeps_a_useful_backup(tmp_path):
    path = tmp_path / "db"
    with Store("dumb", path, "-c") as store:
        store.ask("put", b"a", b"1")
        store.ask("put", b"b", b"2")
        store.ask("del", b"a")
    assert (tmp_path / "db.bak").read_text() == "'a', (0, 1)\n'b', (512, 1)\n"
    assert (tmp_path / "db.dir").read_text() == "'b', (512, 1)\n"
    assert sorted(os.listdir(tmp_path)) == ["db.bak", "db.dat", "db.dir"]


@pytest.mark.parametrize("read_only", [True, False])
def test_dumb_recovers_from_the_backup(tmp_path, read_only):
    """What a crash in CPython's _commit leaves: .bak and .dat, no .dir."""
    path = tmp_path / "db"
    items = {b"a": b"1", b"b": b"2"}
    oracle("dumb", NEWEST, path, "c", puts(items))
    os.rename(tmp_path / "db.dir", tmp_path / "db.bak")
    with Store("auto", path, *["-r"] * read_only) as store:
        assert store.all() == items
        assert "from the .bak file" in store.notes()
    assert (tmp_path / "db.dir").exists() != read_only
    assert (tmp_path / "db.bak").exists()
    if not read_only:
        assert oracle("dumb", NEWEST, path) == items


@pytest.mark.parametrize("damage, kept", [
    (b"'c', (1024, ", False), (b"'c'", False), (b"\0\0\0\0", False), (b"\n", False), (b"  \n\n", False),
    (b"b'c', (1024, 1)\n", True), (b"nonsense\n", True), (b"'\\u20ac', (0, 1)\n", True),
])
def test_dumb_repairs_or_keeps(tmp_path, damage, kept):
    """Python opens none of these; we do, and lose nothing that meant something."""
    path = tmp_path / "db"
    items = {b"a": b"1", b"b": b"2"}
    oracle("dumb", NEWEST, path, "c", puts(items))
    index = tmp_path / "db.dir"
    with open(index, "ab") as file:
        file.write(damage)
    with pytest.raises(AssertionError):
        oracle("dumb", NEWEST, path)
    before = index.read_bytes()
    with Store("auto", path, "-r") as store:
        assert store.all() == items
        assert store.notes() != ""
    assert index.read_bytes() == before
    with Store("auto", path) as store:
        assert store.all() == items
        store.ask("put", b"new", b"3")
        store.ask("put", b"gone", b"3")
        store.ask("del", b"gone")
        assert store.all() == {**items, b"new": b"3"}
    text = index.read_bytes()
    whole = b"'a', (0, 1)\n'b', (512, 1)\n'new', (1024, 1)#'gone', (1536, 1)\n"
    assert (damage in text) if kept else text == whole
    if not kept:
        assert oracle("dumb", NEWEST, path) == {**items, b"new": b"3"}


def test_dumb_second_writer_is_refused(tmp_path):
    path = tmp_path / "db"
    with Store("dumb", path, "-c") as first:
        first.ask("put", b"a", b"1")
        second = subprocess.run([TOOL, "dumb", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert second.returncode == 1 and b"error 16 %s.dat is locked by process %d (storetool)" % (
            os.fsencode(path), first.process.pid) in second.stdout
        with Store("dumb", path, "-r") as reader:
            assert reader.all() == {b"a": b"1"}
            first.ask("put", b"a", b"2")
            assert reader.get(b"a") == b"2"


@pytest.mark.parametrize("version, python", [pytest.param(*item, id="%d.%d.%d" % item[0]) for item in DUMB_PYTHONS])
def test_dumb_removes_by_a_comment(tmp_path, version, python):
    """Every Python reads the index of which keys were removed, whichever, and whatever their names are."""
    generator = random.Random(SEED)
    path = tmp_path / "db"
    items = sample(4)
    items[b"# hash"] = items[b"'quote"] = b"odd"
    with Store("dumb", path, "-c") as store:
        for key, value in items.items():
            store.ask("put", key, value)
        first = next(iter(items))
        for key in generator.sample(sorted(set(items) - {first}), 150):
            store.ask("del", key)
            del items[key]
        assert store.all() == items
        for key in generator.sample(sorted(items), 5):
            store.ask("put", key, b"new")
            store.ask("put", key + b"+", b"added")
            items[key], items[key + b"+"] = b"new", b"added"
        assert oracle("dumb", python, path) == items, "seed %d" % SEED
        rest = sorted(items)
        for key in rest:
            store.ask("del", key)
            del items[key]
            if len(items) % 60 == 0:
                assert oracle("dumb", python, path) == items, "seed %d" % SEED
        assert store.all() == {}
    # Not a line is left of what is gone.
    assert len((tmp_path / "db.dir").read_bytes()) < 20000


def test_dumb_never_shows_a_lost_value_again(tmp_path):
    """A value that was cut off with the end of the file is gone: what is written later is not it."""
    path = tmp_path / "db"
    with Store("dumb", path, "-c") as store:
        store.ask("put", b"a", b"1")
        store.ask("put", b"lost", b"x" * 700)
    os.truncate(tmp_path / "db.dat", 1)
    with Store("dumb", path) as store:
        with pytest.raises(OSError) as error:
            store.get(b"lost")
        assert error.value.errno == 5
        items = {b"a": b"1"}
        for number in range(5):
            items[b"new %d" % number] = b"y" * 700
            store.ask("put", b"new %d" % number, b"y" * 700)
        assert store.all() == items
    assert oracle("dumb", NEWEST, path) == items
    assert b"#'lost', (512, 700)\n" in (tmp_path / "db.dir").read_bytes()


def test_dumb_value_never_shrinks_under_a_reader(tmp_path):
    """A Python that read the index earlier still reads the whole old value."""
    path = tmp_path / "db"
    script = ("import sys, dbm.dumb; db = dbm.dumb.open(sys.argv[1], 'r'); print('open', flush=True); "
              "input(); print(db[b'k'].decode())")
    with Store("dumb", path, "-c") as store:
        store.ask("put", b"k", b"A" * 600)
        reader = subprocess.Popen([NEWEST, "-c", script, str(path)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        assert reader.stdout.readline() == b"open\n"
        store.ask("put", b"k", b"B")
        assert reader.communicate(b"\n", timeout=20)[0] == b"A" * 600 + b"\n"


def test_dumb_compacts_its_index(tmp_path):
    path = tmp_path / "db"
    with Store("dumb", path, "-c") as store:
        for i in range(1000):
            store.ask("put", b"k%d" % (i % 3), b"%d" % i)
    assert len((tmp_path / "db.dir").read_text().splitlines()) < 200
    assert oracle("dumb", NEWEST, path) == {b"k0": b"999", b"k1": b"997", b"k2": b"998"}


def test_dumb_unwritten_value_does_not_hide_the_old_one(tmp_path):
    """What a power cut may leave: the line of a save is there, its value is not."""
    path = tmp_path / "db"
    with Store("dumb", path, "-c") as store:
        store.ask("put", b"k", b"old")
        store.ask("put", b"k", b"new")
    os.truncate(tmp_path / "db.dat", 512)
    with Store("dumb", path) as store:
        assert store.get(b"k") == b"old"
        assert "never reached the disk: 1" in store.notes()
    assert oracle("dumb", NEWEST, path) == {b"k": b"old"}


@needs_tdb
def test_tdb_waits_for_a_transaction(tmp_path):
    path = tmp_path / "db.tdb"
    script = ("import sys, os, tdb; db = tdb.open(sys.argv[1], 0, 0, os.O_RDWR); db.transaction_start(); "
              "db.store(b'a', b'python'); print('started', flush=True); input(); db.transaction_commit()")
    with Store("auto", path, "-c") as store:
        store.ask("put", b"a", b"1")
        other = subprocess.Popen([TDB_PYTHON, "-c", script, str(path)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        assert other.stdout.readline() == b"started\n"
        # Readers see what was there before, and don't wait.
        assert store.all() == {b"a": b"1"}
        with pytest.raises(OSError) as error:
            store.ask("put", b"a", b"2")
        assert error.value.errno == 16
        other.communicate(b"\n", timeout=20)
        assert store.get(b"a") == b"python"
        store.ask("put", b"a", b"3")
        assert store.get(b"a") == b"3"


# --- kill -9 ---

def invent_changes(generator, state):
    """Commands, and what each of them changes: {key: value, or None if it is gone}."""
    commands, changes = [], []
    for _ in range(60):
        kind = generator.choice("pppprd") if state else "p"
        if kind == "p":
            key = b"key %d" % generator.randrange(40)
            value = generator.randbytes(generator.choice([0, 10, 600, 5000]))
            commands.append(("put", key, value))
            change = {key: value}
        elif kind == "r":
            key, target = generator.choice(sorted(state)), b"moved %d" % generator.randrange(10)
            commands.append(("rename", key, target))
            change = {key: None, target: state[key]}
        else:
            key = generator.choice(sorted(state))
            commands.append(("del", key))
            change = {key: None}
        changes.append(change)
        state = apply(state, change)
    return commands, changes


def run_until_killed(engine, path, commands, generator):
    """Kills some hundred microseconds after a random answer. Returns how many answers came."""
    with tempfile.TemporaryFile() as script:
        script.write("".join(Store.line(words) for words in commands).encode())
        script.seek(0)
        process = subprocess.Popen([TOOL, "-c", engine, str(path)], stdin=script, stdout=subprocess.PIPE)
    answers = 0
    for _ in range(generator.randrange(len(commands))):
        assert process.stdout.readline() == b"ok\n"
        answers += 1
    time.sleep(generator.random() * 0.0005)
    process.kill()
    answers += process.stdout.read().count(b"ok\n")
    process.stdout.close()
    process.wait()
    return answers


def apply(state, change):
    state = {**state, **change}
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize("engine", ENGINES)
def test_kill(engine, tmp_path):
    """After any kill, Python opens it and finds all that was acknowledged, and at most one change more."""
    generator = random.Random(SEED)
    path = tmp_path / "db"
    state = {}
    cut_short = 0
    for kill in range(KILLS):
        commands, changes = invent_changes(generator, state)
        answers = run_until_killed(engine, path, commands, generator)
        for change in changes[:answers]:
            state = apply(state, change)
        allowed = [state] + [apply(state, change) for change in changes[answers:answers + 1]]
        cut_short += 0 < answers < len(commands)
        where = "seed %d, kill %d" % (SEED, kill)
        # Python first, now and then: before we could repair anything.
        if (kill % 4 == 0 or kill == KILLS - 1) and answers:
            assert oracle(engine, oracle_of(engine), path) in allowed, where
        with Store(engine, path, "-c") as again:
            state = again.all()
        assert state in allowed, where
    assert cut_short >= KILLS // 5, "nearly all kills came too late or too early to mean anything"
    print("%s: %d kills, %d of them in the middle, seed %d" % (engine, KILLS, cut_short, SEED))


@pytest.mark.parametrize("engine", ENGINES)
def test_costs(engine, tmp_path, capsys):
    """Not a limit, a figure: what a put costs here and in Python, in the same run."""
    script = {"dumb": "import dbm.dumb; db = dbm.dumb.open(path, 'c'); put = db.__setitem__",
              "gdbm": "import dbm.gnu; db = dbm.gnu.open(path, 'c'); put = db.__setitem__",
              "sqlite": "import dbm.sqlite3; db = dbm.sqlite3.open(path, 'c'); put = db.__setitem__",
              "ndbm": "import dbm.ndbm; db = dbm.ndbm.open(path, 'c'); put = db.__setitem__",
              "tdb": "import tdb, os; db = tdb.open(path, 10007, 0, os.O_RDWR | os.O_CREAT, 0o600); put = db.store"}
    timed = ("import sys, time; path = sys.argv[1]; %s; start = time.perf_counter()\n"
             "for i in range(1000): put(b'bench %%d' %% i, b'v' * 100)\n"
             "print(int((time.perf_counter() - start) * 1e6))" % script[engine])
    done = subprocess.run([oracle_of(engine), "-c", timed, str(tmp_path / "theirs")], check=True,
                          stdout=subprocess.PIPE)
    with Store(engine, tmp_path / "ours", "-c") as store:
        fresh, again = (int(store.ask("bench", "1000", "100", "0")[0]) for _ in range(2))
        synced = int(store.ask("bench", "100", "100", "1")[0])
    with capsys.disabled():
        print("\n%s: us per put: new key %.1f, replaced %.1f, with sync %.1f; Python without sync %.1f"
              % (engine, fresh / 1e3, again / 1e3, synced / 1e3, int(done.stdout) / 1e3))
    assert fresh > 0 and synced > 0
