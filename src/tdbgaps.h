/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a crash leaves in a TDB: space that belongs to nothing.
 *
 * libtdb's recovery takes back what a killed commit wrote over, but not what it wrote past the end that the file had, nor
 * what it did to its recovery area outside of the transaction (lib/tdb/common/transaction.c: tdb_recovery_allocate() writes
 * the area's new place at once and frees the old one with the commit; tdb_transaction_recover() does not cut the file). No
 * value is in it, and all values are whole, but tdb_check() and tools that use it call such a file damaged.
 */
#ifndef SHELVEFS_TDBGAPS_H
#define SHELVEFS_TDBGAPS_H

#include "src/base.h"

/*
 * Enters all space that no chain, nor the free list, nor the header refers to in the free list. The caller has the lock on
 * all records. 1: there was some, 0: none. A process that is killed meanwhile leaves a file that this can be done to again. -EUCLEAN: the records that are
 * referred to make no sense, -ENOTSUP: the file is of the other byte order, or has locks in it; then nothing was changed.
 */
int tdbgaps_free(int fd);

#endif
