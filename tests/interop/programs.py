# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engines' own programs dump, as {key: value}, and databases that other programs make."""

import base64
import re
import subprocess
import tempfile


def run(*command, **options):
    return subprocess.run([word if isinstance(word, bytes) else str(word) for word in command], check=True,
                          stdout=subprocess.PIPE, **options).stdout


def unescape(text):
    return re.sub(rb"\\(\\|[0-9A-Fa-f]{2})", lambda match: b"\\" if match.group(1) == b"\\" else
                  bytes.fromhex(match.group(1).decode()), text)


def gdbm_dump(path):
    """gdbm_dump writes fields of base64, each after its length."""
    text = run("gdbm_dump", path).decode()
    fields = [base64.b64decode(body) for body in re.findall(r"^#:len=\d+\n((?:[A-Za-z0-9+/=]+\n)*)", text, re.MULTILINE)]
    return dict(zip(fields[::2], fields[1::2]))


def db_dump(path):
    """db_dump -p writes lines of printable characters and \\XX."""
    lines = run("db5.3_dump", "-p", path).split(b"HEADER=END\n", 1)[1].split(b"DATA=END\n")[0].splitlines()
    fields = [unescape(line[1:]) for line in lines]
    return dict(zip(fields[::2], fields[1::2]))


def tdbdump(path):
    """tdbdump shows printable bytes as themselves and all others as \\XX, a backslash among them."""
    found = re.findall(rb'^key\(\d+\) = "(.*)"\ndata\(\d+\) = "(.*)"$', run("tdbdump", path), re.MULTILINE)
    return {unescape(key): unescape(value) for key, value in found}


def sqlite_dump(path):
    found = re.findall(rb"INSERT INTO Dict VALUES\(X'([0-9a-f]*)',X'([0-9a-f]*)'\)", run("sqlite3", path, ".dump"))
    return {bytes.fromhex(key.decode()): bytes.fromhex(value.decode()) for key, value in found}


def make_man_index(folder):
    """mandb's index of two manual pages, foo and bar; returns its path and man-db's configuration."""
    pages, cache, config = folder / "man", folder / "cache", folder / "config"
    (pages / "man1").mkdir(parents=True)
    cache.mkdir()
    for name in ("foo", "bar"):
        (pages / "man1" / (name + ".1")).write_text(".TH X 1\n.SH NAME\n%s \\- does %s things\n" % (name, name))
    config.write_text("MANDATORY_MANPATH %s\nMANDB_MAP %s %s\n" % (pages, pages, cache))
    for place in (folder, *folder.parents):
        if place.owner() == "root" and str(place).startswith(tempfile.gettempdir()):
            place.chmod(0o755)  # mandb becomes the user man
    run("mandb", "-q", "-C", config, "-c", pages, stderr=subprocess.DEVNULL)
    (index,) = cache.glob("*.db")
    return index, config
