/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What lies in a TDB, for those who read it without libtdb. The format is that of lib/tdb/common/tdb_private.h; all words are of the machine
 * that wrote the file.
 *
 * A header, the head of the free list, then that of each chain. Every offset counts from the header, but in a file with mutexes, which stand
 * before all that has an offset. A record is a struct, its key, its value, and room; its last word tells how long it is.
 */
#ifndef SHELVEFS_TDBLAYOUT_H
#define SHELVEFS_TDBLAYOUT_H

#include "src/base.h"

#define TDB_LAYOUT_NAME "TDB file\n" /* what a file begins with */

enum {
    TDB_LAYOUT_VERSION = 0x26011967 + 6,
    TDB_LAYOUT_USED = 0x26011999,
    TDB_LAYOUT_HEAD = 4,        /* bytes: an offset, 0 is the end of the chain */
    TDB_LAYOUT_FREE_LIST = 168, /* its head */
};
static const uint32_t TDB_LAYOUT_FREE = ~(uint32_t)TDB_LAYOUT_USED, TDB_LAYOUT_DEAD = 0xFEE1DEAD;

struct tdb_header {
    char name[32];
    uint32_t version, hash_size, rwlocks, recovery_start, sequence, hash_magic[2], features,
        mutex_size;
};

struct tdb_record {
    uint32_t next, length, key_size, data_size, hash, magic;
};

#endif
