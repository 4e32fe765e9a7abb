/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/arena.h"

#include <errno.h>
#include <stdlib.h>

enum {
    FIRST_CHUNK = 4096,
    LARGEST_CHUNK = 1 << 20,
};

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* with this header */
};

void arena_init(struct arena *arena, size_t limit)
{
    *arena = (struct arena){.limit = limit};
}

void arena_start_in(struct arena *arena, void *room, size_t size)
{
    arena->next = room;
    arena->room = size;
}

void arena_start_at(struct arena *arena, struct arena *payer)
{
    *arena = (struct arena){.limit = payer->limit, .payer = payer};
}

void arena_release(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;
    struct arena *payer = arena->payer;

    while (chunk) {
        struct arena_chunk *next = chunk->next;

        free(chunk);
        chunk = next;
    }
    if (payer)
        payer->used -= arena->used;
    *arena = (struct arena){.limit = arena->limit, .payer = payer};
}

void *arena_fail(struct arena *arena, int code)
{
    if (!arena->status)
        arena->status = code;
    arena->room = 0;
    return NULL;
}

static bool charge(struct arena *arena, size_t size)
{
    if (size > arena_left(arena)) {
        arena_fail(arena, -EFBIG);
        return false;
    }
    arena->used += size;
    return true;
}

bool arena_charge(struct arena *arena, size_t size)
{
    if (!charge(arena, size))
        return false;
    if (!arena->payer || charge(arena->payer, size))
        return true;
    arena->used -= size;
    arena_fail(arena, -EFBIG);
    return false;
}

static size_t aligned(size_t size)
{
    return (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
}

/* Chunks double, so a small value costs one page and a large one few system calls. */
static bool arena_add_chunk(struct arena *arena, size_t want)
{
    size_t size = arena->chunks ? arena->chunks->size * 2 : FIRST_CHUNK;
    struct arena_chunk *chunk;

    if (size > LARGEST_CHUNK)
        size = LARGEST_CHUNK;
    if (size < want + sizeof *chunk)
        size = want + sizeof *chunk;
    /* Near the limit a smaller chunk may do. */
    if (size > arena_left(arena) && want + sizeof *chunk <= arena_left(arena))
        size = want + sizeof *chunk;
    if (!arena_charge(arena, size))
        return false;
    chunk = malloc(size);
    if (!chunk) {
        arena_fail(arena, -ENOMEM);
        return false;
    }
    *chunk = (struct arena_chunk){.next = arena->chunks, .size = size};
    arena->chunks = chunk;
    arena->next = (uint8_t *)(chunk + 1);
    arena->room = size - sizeof *chunk;
    return true;
}

void *arena_alloc_chunk(struct arena *arena, size_t want)
{
    if (arena->status)
        return NULL;
    if (!want || want > SIZE_MAX / 2)
        return arena_fail(arena, -ENOMEM);
    return arena_add_chunk(arena, want) ? arena_alloc(arena, want) : NULL;
}

void *arena_grow(struct arena *arena, void *piece, size_t old_size, size_t size)
{
    size_t have, more;
    void *copy;

    if (arena->status || size > SIZE_MAX / 2)
        return arena_fail(arena, -ENOMEM);
    have = aligned(old_size ? old_size : 1);
    if (piece && size <= have)
        return piece;
    more = aligned(size) - (piece ? have : 0);
    if (piece && (uint8_t *)piece + have == arena->next && more <= arena->room) {
        arena->next += more;
        arena->room -= more;
        return piece;
    }
    copy = arena_alloc(arena, size);
    if (copy && old_size)
        memcpy(copy, piece, old_size);
    return copy;
}

struct bytes arena_copy(struct arena *arena, struct bytes bytes)
{
    uint8_t *copy = arena_alloc(arena, bytes.size);

    if (!copy)
        return (struct bytes){NULL, 0};
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return bytes_of(copy, bytes.size);
}
