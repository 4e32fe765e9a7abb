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
    size_t room; /* 0 after a failure */
    size_t used;  /* bytes taken from the system: all chunks, and what was charged */
    size_t limit; /* most bytes to take; SIZE_MAX: no limit */
    struct arena *payer; /* what this one takes counts there, too; or NULL */
    int status;   /* 0, -ENOMEM or -EFBIG (limit); sticky */
};

void arena_init(struct arena *arena, size_t limit);
/*
 * Begins an empty arena in `size` bytes of the caller's, aligned like any object, which must outlive the pieces. They do not count
 * as taken.
 */
void arena_start_in(struct arena *arena, void *room, size_t size);
/* Begins an empty arena whose memory counts against the limit of `payer`, which must outlive it. */
void arena_start_at(struct arena *arena, struct arena *payer);
/* The arena is then empty and takes only memory of its own; it keeps its limit and its payer. */
void arena_release(struct arena *arena);
/* Makes it fail from now on, with the first code that it is given. NULL. */
void *arena_fail(struct arena *arena, int code);
enum { ARENA_ALIGNMENT = 8 };
/* arena_alloc() of aligned `want` bytes where the newest chunk has no room for them, or after a failure. */
void *arena_alloc_chunk(struct arena *arena, size_t want);
/*
 * Counts `size` bytes as taken that somebody else has from the system for the same work, until they are given back. False, and the
 * arena fails, if that exceeds the limit.
 */
bool arena_charge(struct arena *arena, size_t size);
static inline void arena_discharge(struct arena *arena, size_t size)
{
    arena->used -= size;
    if (arena->payer)
        arena->payer->used -= size;
}
/* What may still be taken. */
static inline size_t arena_left(const struct arena *arena)
{
    return arena->limit - arena->used;
}

/* NULL after a failure; `size` may be 0. */
static inline void *arena_alloc(struct arena *arena, size_t size)
{
    size_t want = (size + !size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    void *piece = arena->next;

    /* Too large a size wraps to 0. */
    if (!want || want > arena->room)
        return arena_alloc_chunk(arena, want);
    arena->next += want;
    arena->room -= want;
    return piece;
}
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
