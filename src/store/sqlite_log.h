/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The log beside an SQLite database in WAL mode, NAME-wal, and its index, NAME-shm. They are found by the name of the database alone:
 * when another file takes that name, SQLite carries over to it whatever pages the log has of the old one.
 */
#ifndef SHELVEFS_STORE_SQLITE_LOG_H
#define SHELVEFS_STORE_SQLITE_LOG_H

#include "src/base.h"

/* Whether this process has the log open that is there now. */
bool sqlite_log_is_open(const char *path);
/*
 * Removes log and index, which nobody here may have open any more. -EBUSY: somebody uses the database that has the name now, and
 * them with it.
 */
int sqlite_log_remove(const char *path);

#endif
