/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a TDB's header tells, and the recovery area that it leads to: read without libtdb, which does not say all of it. */
#ifndef SHELVEFS_TDBHEADER_H
#define SHELVEFS_TDBHEADER_H

#include "src/tdblayout.h"

#include <sys/types.h>

/* -EUCLEAN: the file is shorter. */
int tdbheader_read(int fd, struct tdb_header *out);
/* From where offsets count: 0, but in a file with mutexes. libtdb has compared their size with that of this system's. */
off_t tdbheader_base(const struct tdb_header *header);
/* Whether they may be of one file: but for where the recovery area is, and how often something was changed. */
bool tdbheader_is_alike(const struct tdb_header *one, const struct tdb_header *other);
/*
 * Whether the mark of a recovery record stands, or nobody can tell: whoever locks the file next will undo that commit. libtdb may have been
 * unable to take the mark back, and does not mind.
 */
bool tdbheader_is_pending(int fd, off_t base);
/* tdb_check() does not mind a recovery area that was cut off, but the next transaction would spoil the file: -EUCLEAN. */
int tdbheader_check_recovery(int fd, off_t base);

#endif
