/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What one update changes in a file: ranges of bytes, as they were and as they will be. An engine whose library
 * writes in place collects them, and the journal makes them one step.
 */
#ifndef SHELVEFS_STORE_CHANGES_H
#define SHELVEFS_STORE_CHANGES_H

#include "src/bytes.h"

#include <sys/types.h>

struct changes {
    struct buffer ranges; /* as changes_next() reads them */
    uint64_t size_before; /* of the file */
    uint64_t size_after;
};

struct change {
    uint64_t offset;
    struct bytes before; /* shorter than `after` where the file ended */
    struct bytes after;  /* likewise where it will end */
};

#define CHANGES_INIT ((struct changes){.ranges = BUFFER_INIT})

void changes_clear(struct changes *changes);
void changes_release(struct changes *changes);
static inline bool changes_are_empty(const struct changes *changes)
{
    return !changes->ranges.size && changes->size_before == changes->size_after;
}

/* Adds what differs between the two, block by block. A failure shows in changes->ranges.status. */
void changes_compare(struct changes *changes, uint64_t offset, struct bytes before,
                     struct bytes after);

/*
 * Reads the range at `*position` (0: the first) of what `ranges` of another struct changes held, also if those bytes
 * come from a file: 1, 0 at the end, -EBADMSG if they make no sense.
 */
int changes_next(struct bytes ranges, size_t *position, struct change *out);

/*
 * Takes the room on the disk that changes_apply() and changes_undo() need, so that neither ends in the middle for want of it: also a page within the
 * file has none if it was never written. -ENOSPC and the like: nothing was changed. Where the filesystem can't do that, nothing happens.
 */
int changes_reserve(const struct changes *changes, int fd);
/*
 * -EUCLEAN: the file has another size by now. Who has no lock cut it, and writing behind its end would show zeros in place of
 * what is gone.
 */
int changes_check(const struct changes *changes, int fd);
/* Writes what the ranges were, or will be, and sets the file's size. */
int changes_apply(const struct changes *changes, int fd);
int changes_undo(const struct changes *changes, int fd);

#endif
