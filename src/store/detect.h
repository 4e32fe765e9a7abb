/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which database a name means, by content: what dbm.whichdb (CPython, Lib/dbm/__init__.py) finds, and what it
 * misses.
 *
 * Files are only looked at, and closed before an engine opens them: closing any descriptor of a
 * file drops all POSIX locks that the process has on it, so this must never run on a database that
 * is open in this process.
 */
#ifndef SHELVEFS_STORE_DETECT_H
#define SHELVEFS_STORE_DETECT_H

#include "src/bytes.h"
#include "src/failure.h"

struct format {
    const char
        *engine; /* "dumb", "gdbm", "ndbm", "sqlite" or "tdb", whether this build has it or not */
    const char *what; /* "a gdbm file" */
};

/*
 * Whether a file that starts so may be the index of a dumb database: it is empty, starts quoted, or
 * has a record.
 */
bool detect_dumb_index(struct bytes head);

struct detection {
    const struct format *format;
    char *path; /* of the file, or for dumb the base name; owned by whoever asked */
};
/*
 * Looks for NAME, NAME.db, NAME.dir with NAME.dat, NAME.pag, in this order, and takes the first
 * database (of the engine `wanted`, if not NULL). -ENOENT: nothing is there (no message);
 * -EMEDIUMTYPE: NAME is something else; another errno: a file could not be read.
 */
int detect_database(const char *name, const char *wanted, struct detection *out,
                    struct failure *failure);

#endif
