/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pages of mapped files that are no longer there.
 *
 * Whoever may write to a file may cut it, and then each look at what is gone is SIGBUS, which would end the mount; so it is where a disk fails. Here such
 * a page is replaced by one of zeros that nobody else sees, and counted: who reads a mapped file looks at the count before and after, and
 * what was read in between is worth nothing if it has changed.
 *
 * Files are mapped in two places: by mapped.h, and by SQLite the index of its log (NAME-shm). SQLite goes on with the zeros; what it finds and does
 * from then on is worth nothing, so each connection that there is commits nothing any more, and has to be closed without being asked to put its log
 * into the database.
 *
 * SIGBUS is of the thread that it happens to: no thread that reads may block it.
 */
#ifndef SHELVEFS_LOST_PAGES_H
#define SHELVEFS_LOST_PAGES_H

/* From now on, in all of the process, unless it is so. */
void lost_pages_start(void);
/* How often that has happened. */
unsigned lost_pages_count(void);

#endif
