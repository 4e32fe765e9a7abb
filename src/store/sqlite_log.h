/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log beside an SQLite database in WAL mode, NAME-wal, and its index, NAME-shm. They are found by the name of the database alone:
 * when another file takes that name, SQLite carries over to it whatever pages the log has of the old one.
 */
#ifndef SHELVEFS_STORE_SQLITE_LOG_H
#define SHELVEFS_STORE_SQLITE_LOG_H

#include "src/failure.h"

#include <sys/stat.h>

/*
 * Whether what is there under the names of log, index and journal may be used: root, the database's owner or we ourselves have made
 * it, and it has no other name. SQLite follows no symbolic links there, but would write to a file of somebody else that was linked
 * to such a name. -EPERM, and a sentence.
 */
int sqlite_log_check(const char *path, const struct stat *database, struct failure *failure);
/* Whether this process has the log open that is there now. */
bool sqlite_log_is_open(const char *path);
/*
 * Removes log and index, which nobody here may have open any more. -EBUSY: somebody uses the database that has the name now, and
 * them with it.
 */
int sqlite_log_remove(const char *path);

#endif
