/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must be true of a database, whatever is in its files. */
#ifndef SHELVEFS_FUZZ_DATABASE_H
#define SHELVEFS_FUZZ_DATABASE_H

#include "src/bytes.h"

/* A private folder, made by the first call and removed at the end: every file in it is removed. */
const char *database_folder(void);
/* Without waiting for the disk, and as if written long ago: a store may wait for a file to settle. */
void database_write(const char *path, struct bytes content);
/*
 * It is refused, or can be listed, read and changed without a crash; and what could be read before the changes, and was not
 * meant by them, can be read afterwards.
 */
void database_check(const char *name, const char *engine);

#endif
