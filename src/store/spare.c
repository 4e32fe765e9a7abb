/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/spare.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16 };

/* A piece has its size in front of it. What was given back is not given out again: that is not for long. */
static _Thread_local struct {
    uint8_t *room;
    size_t size, used;
} spare;

int spare_begin(size_t size)
{
    spare.room = calloc(1, size);
    spare.size = size;
    spare.used = 0;
    return spare.room ? 0 : -ENOMEM;
}

void spare_end(void)
{
    free(spare.room);
    spare.room = NULL;
    spare.size = 0;
}

static bool is_spare(const void *memory)
{
    const uint8_t *at = memory;

    return spare.room && at >= spare.room && at < spare.room + spare.size;
}

static void *take(size_t size)
{
    size_t left = spare.size - spare.used, want;
    uint8_t *piece;

    if (!spare.room || size > left || left - size < 2 * ALIGNMENT)
        return NULL;
    want = ALIGNMENT + (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    piece = spare.room + spare.used + ALIGNMENT;
    memcpy(piece - ALIGNMENT, &size, sizeof size);
    spare.used += want;
    return piece;
}

/* Cleared: libdb writes pages of which it has filled only a part, and what was in this memory before is not for the database. */
void *spare_malloc(size_t size)
{
    void *memory = calloc(1, size);

    return memory ? memory : take(size);
}

static size_t size_of(void *memory)
{
    size_t size;

    if (!is_spare(memory))
        return malloc_usable_size(memory);
    memcpy(&size, (uint8_t *)memory - ALIGNMENT, sizeof size);
    return size;
}

void *spare_realloc(void *memory, size_t size)
{
    void *grown = is_spare(memory) ? NULL : realloc(memory, size);
    size_t before;

    if (grown)
        return grown;
    grown = take(size);
    if (!grown || !memory)
        return grown;
    before = size_of(memory);
    memcpy(grown, memory, before < size ? before : size);
    spare_free(memory);
    return grown;
}

void spare_free(void *memory)
{
    if (!is_spare(memory))
        free(memory);
}
