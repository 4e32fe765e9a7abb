/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether the parts of a gdbm file lie side by side.
 *
 * libgdbm puts a new record where its tables say that space is free, and enters there what an old record took. It asks
 * nobody: if a damaged number makes free space overlap a record, or a record its neighbour, the next save destroys what
 * could be read until then. Nothing in the format tells but the whole: header, directory, buckets, records, tables of
 * free space and free space itself, each an extent of the file.
 */
#ifndef SHELVEFS_STORE_GDBM_SPACE_H
#define SHELVEFS_STORE_GDBM_SPACE_H

#include "src/store/gdbm_file.h"

/*
 * Reads all buckets, no records: 24 bytes a key, as much memory, about 0.2 s a million keys. -EUCLEAN: something overlaps or lies outside the
 * file.
 */
int gdbm_space_check(struct gdbm_file *file);

#endif
