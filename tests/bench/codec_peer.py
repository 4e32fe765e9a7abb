# SPDX-License-Identifier: GPL-3.0-or-later
"""CPython's side of bench_codec.py: what a Python program would do with each value. Speaks as codec_peer.c does."""
import ast
import pickle
import sys
import time


def read_values(path):
    with open(path, "rb") as file:
        data = file.read()
    values, offset = [], 0
    while offset < len(data):
        size = int.from_bytes(data[offset:offset + 8], "little")
        values.append(data[offset + 8:offset + 8 + size])
        offset += 8 + size
    return values


def status_line(name):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1])


def decode(values, file):
    size = 0
    for value in values:
        text = repr(pickle.loads(value))
        size += len(text)
        if file:
            write(file, text.encode())
    return size


def encode(values, file):
    size = 0
    for text in values:
        value = pickle.dumps(ast.literal_eval(text), 4)
        size += len(value)
        if file:
            write(file, value)
    return size


def write(file, result):
    file.write(len(result).to_bytes(8, "little") + result)


def main():
    values = read_values(sys.argv[1])
    before = None
    for line in sys.stdin:
        work, _, path = line.strip().partition(" ")
        if work == "encode" and isinstance(values[0], bytes):
            values = [value.decode() for value in values]
        if before is None:
            before = status_line("VmRSS:")
        file = open(path, "wb") if path else None
        start = time.process_time()
        size = {"decode": decode, "encode": encode}[work](values, file)
        taken = time.process_time() - start
        if file:
            file.close()
        print("%.6f %d %d" % (taken, size, status_line("VmHWM:") - before), flush=True)


main()
