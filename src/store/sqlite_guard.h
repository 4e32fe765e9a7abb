/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SQLite maps one file, the index of its log (NAME-shm). Whoever may write to the database may cut that one, and then each look at what
 * is gone is SIGBUS, which would end the mount. Here such a page is replaced by one of zeros that nobody else sees, so that SQLite goes
 * on; what it finds and does from then on is worth nothing, so each connection that there is commits nothing any more, and has to be
 * closed without being asked to put its log into the database.
 *
 * No other file is mapped whose end others could move.
 */
#ifndef SHELVEFS_STORE_SQLITE_GUARD_H
#define SHELVEFS_STORE_SQLITE_GUARD_H

/* From now on, in all of the process; once is enough. */
void sqlite_guard_start(void);
/* How often that has happened. */
unsigned sqlite_guard_hits(void);

#endif
