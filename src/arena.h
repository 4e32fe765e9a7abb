/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory of one document: allocated piece by piece, freed at once.
 *
 * Allocation failure sticks (arena_status), so a decoder may check where it is convenient; a NULL result
 * must still not be dereferenced. Pieces are aligned for any object and are not zeroed.
 */
#ifndef SHELVEFS_ARENA_H
#define SHELVEFS_ARENA_H

#include "src/bytes.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    uint8_t *next;              /* free room in the newest chunk */
    size_t room;
    size_t used;  /* bytes taken from the system, all chunks */
    size_t limit; /* most bytes to take; SIZE_MAX: no limit */
    int status;   /* 0, -ENOMEM or -EFBIG (limit); sticky */
};

void arena_init(struct arena *arena, size_t limit);
void arena_release(struct arena *arena);
/* NULL after a failure; `size` may be 0. */
void *arena_alloc(struct arena *arena, size_t size);
/*
 * Grows a piece from `old_size` to `size` bytes, in place when it is the newest piece, else by copying (the
 * old room is then wasted until release: grow geometrically). `piece` may be NULL when old_size is 0.
 */
void *arena_grow(struct arena *arena, void *piece, size_t old_size, size_t size);
/* A copy that lives as long as the arena; size 0 and data NULL on failure. */
struct bytes arena_copy(struct arena *arena, struct bytes bytes);
static inline int arena_status(const struct arena *arena)
{
    return arena->status;
}

#endif
