# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that somebody writes instead of mounting: dump.py out|in DATABASE DIRECTORY, one file with the repr() of each value."""
import ast
import os
import shelve
import sys

direction, database, directory = sys.argv[1:]
if direction == "out":
    with shelve.open(database, "r") as shelf:
        for key in shelf:
            with open(os.path.join(directory, key), "w") as file:
                file.write(repr(shelf[key]) + "\n")
else:
    with shelve.open(database, "n") as shelf:
        for key in os.listdir(directory):
            with open(os.path.join(directory, key)) as file:
                shelf[key] = ast.literal_eval(file.read())
