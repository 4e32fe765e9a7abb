/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 16 };

void *array_double(void *at, const void *first, size_t *capacity, size_t size)
{
    size_t more = *capacity < LEAST / 2 ? LEAST : *capacity * 2;
    void *larger;

    if (more > SIZE_MAX / 2 / size)
        return NULL;
    larger = realloc(at == first ? NULL : at, more * size);
    if (!larger)
        return NULL;
    if (at == first && *capacity)
        memcpy(larger, at, *capacity * size);
    *capacity = more;
    return larger;
}

void *array_double_in(struct arena *arena, void *at, const void *first, size_t *capacity, size_t size)
{
    size_t before = at == first ? 0 : *capacity * size, after = *capacity * 2 * size;
    void *larger;

    if (*capacity < LEAST / 2)
        after = LEAST * size;
    /* Both may be there for a moment. */
    if (!arena_charge(arena, after))
        return NULL;
    larger = array_double(at, first, capacity, size);
    arena_discharge(arena, larger ? before : after);
    if (!larger)
        arena_fail(arena, -ENOMEM);
    return larger;
}

void *array_new_in(struct arena *arena, size_t capacity, size_t size)
{
    void *array;

    if (!arena_charge(arena, capacity * size))
        return NULL;
    array = calloc(capacity, size);
    if (array)
        return array;
    arena_discharge(arena, capacity * size);
    return arena_fail(arena, -ENOMEM);
}

void array_free(void *at, const void *first)
{
    if (at != first)
        free(at);
}

void array_free_in(struct arena *arena, void *at, const void *first, size_t capacity, size_t size)
{
    if (at != first)
        arena_discharge(arena, capacity * size);
    array_free(at, first);
}
