/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a store is connected to an SQLite database at the moment.
 *
 * A read-only connection to a WAL database leaves a -wal and a -shm file behind, and can't be made where those can't
 * be. So while nobody writes (there is neither -wal nor -journal) a read-only store reads without SQLite's locks
 * (immutable=1), and has to look after each operation whether the file is still what it was.
 */
#ifndef SHELVEFS_STORE_SQLITE_CONNECTION_H
#define SHELVEFS_STORE_SQLITE_CONNECTION_H

#include "src/store/sqlite_file.h"

#include <sys/stat.h>

struct sqlite_connection {
    const char *path; /* borrowed, as patience */
    bool read_only;
    bool no_lock; /* rather than not at all */
    const struct patience *patience;

    struct sqlite_file *to; /* NULL: not connected */
    bool frozen;            /* opened as a file that never changes */
    bool peeks;             /* and that although somebody may write */
    struct stat file;       /* as it was before it was opened */
    bool misses_log;        /* the -wal beside it belongs to the file that had its name before */
    uint64_t openings;      /* so far */
};

/*
 * Opens the file, for the first time or instead of what was open, which stays after a failure if it still has the name. The
 * errors of sqlite_file_open(); -EBUSY without a sentence.
 */
int sqlite_connection_open(struct sqlite_connection *connection, struct failure *failure);
void sqlite_connection_close(struct sqlite_connection *connection);

/* Whether the name belongs to another file by now, or to none. */
bool sqlite_connection_has_moved(const struct sqlite_connection *connection);
/* Whether it has to be opened again: the name belongs to another file, or a frozen one may have changed. */
bool sqlite_connection_is_stale(const struct sqlite_connection *connection);
/* Whether the file is shorter than it says. */
bool sqlite_connection_is_cut(const struct sqlite_connection *connection);
bool sqlite_connection_has_wal(const struct sqlite_connection *connection);

#endif
