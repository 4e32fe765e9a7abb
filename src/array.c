/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/array.h"

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

void array_free(void *at, const void *first)
{
    if (at != first)
        free(at);
}
