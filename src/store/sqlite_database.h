/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The database that a store of dbm.sqlite3 has open: the connection to the file that has the name now, and whether that one is whole.
 *
 * - A database that fails the check at its opening, or in an operation, may be read as far as it goes, but not written, until its file
 *   is another one or was put right.
 * - A file that was replaced by another one is noticed before each operation, and opened instead, without the -wal of the old one
 *   (sqlite_log.h).
 *
 * Everything returns 0 or negative errno, and needs the store's mutex held.
 */
#ifndef SHELVEFS_STORE_SQLITE_DATABASE_H
#define SHELVEFS_STORE_SQLITE_DATABASE_H

#include "src/store/engine.h"
#include "src/store/sqlite_connection.h"

struct sqlite_database {
    struct store store;
    struct sqlite_connection connection;
    struct patience patience;
    unsigned lock_timeout; /* seconds */
    bool burst;            /* it was looked at a moment ago, and will be again */
    bool checked;          /* sqlite_database_look() could look */
    struct stat condemned; /* the file as it was when it was found to be damaged */
    unsigned hits;         /* of the guard, when the connection was made */
};

/* Connects, for the first time or anew. The errors of sqlite_connection_open(), each with a sentence. */
int sqlite_database_connect(struct sqlite_database *s, struct failure *failure);
/* Before each operation: starts its patience, and connects anew if need be. The database that is gone is no missing key: -EIO. */
int sqlite_database_refresh(struct sqlite_database *s);
/* Looks for damage. Fails if that can't be told now: then it has to be looked for before anything is written. */
int sqlite_database_look(struct sqlite_database *s);

/* Whether the connection is worth nothing any more: lost_pages.h. */
bool sqlite_database_was_hit(const struct sqlite_database *s);
/*
 * What a step showed is damage: ends all writing, which could reach values that are still whole. Returns -EIO, or -ESTALE if it
 * may have been a writer whom a frozen connection did not see.
 */
int sqlite_database_damaged(struct sqlite_database *s, const char *how);
/* What the status of a call of sqlite_file.h means for the operation: damage as above. */
int sqlite_database_status(struct sqlite_database *s, int status);

#endif
