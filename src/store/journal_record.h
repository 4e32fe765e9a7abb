/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a journal consists of: a record for each update, a head and the ranges of `struct changes` behind it. A record
 * continues the one before if its number is the next one; whatever lies behind the last that does is left from before.
 */
#ifndef SHELVEFS_STORE_JOURNAL_RECORD_H
#define SHELVEFS_STORE_JOURNAL_RECORD_H

#include "src/bytes.h"
#include "src/digest.h"

#include <sys/stat.h>

#define JOURNAL_MAGIC UINT64_C(0x316c6e726a766c73) /* "slvjrnl1" */

struct record_head {
    uint64_t magic;
    uint64_t sequence;
    uint64_t inode; /* of the database: another file of its name is another one */
    uint64_t size_before, size_after;
    uint64_t size;    /* of the ranges that follow */
    uint64_t boot[2]; /* during which it was written */
    struct digest
        digest; /* of the ranges, keyed with that of the head before this field: finds torn records */
    int64_t
        applied; /* when the database was written, as its mtime in ns, or 0; it may not be on the disk */
};

struct digest record_digest(const struct record_head *head, struct bytes ranges);
int64_t record_mtime(const struct stat *stat);

/* The record at `*position` (0: the first), if there is a whole one that continues `*head`. Its digest isn't looked at. */
bool record_next(struct bytes content, size_t *position, struct record_head *head,
                 struct bytes *ranges);
/* The last one, and where it begins. False: there is none. */
bool record_last(struct bytes content, struct record_head *head, struct bytes *ranges,
                 size_t *start);
/* What of a file is records that were written to their end. */
struct bytes records_whole(struct bytes content);

#endif
