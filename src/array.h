/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Arrays that grow by doubling and start in room that their owner has, so that small work allocates nothing.
 *
 * `first` is that room, or NULL; while the array is in it the owner must not be moved. The owner keeps pointer, count and
 * capacity under its own names.
 */
#ifndef SHELVEFS_ARRAY_H
#define SHELVEFS_ARRAY_H

#include "src/arena.h"

/*
 * The array `at` of `capacity` elements of `size` bytes, all of which are kept, in room for twice as many (at least 16). NULL: no
 * memory; then nothing has changed.
 */
MUST_CHECK void *array_double(void *at, const void *first, size_t *capacity, size_t size);
void array_free(void *at, const void *first);

/* The same for one whose memory counts against an arena's limit: then that fails, too. */
MUST_CHECK void *array_double_in(struct arena *arena, void *at, const void *first, size_t *capacity,
                                 size_t size);
/* A zeroed one of `capacity` elements, for a table that is filled anew when it grows. NULL: the arena has failed. */
MUST_CHECK void *array_new_in(struct arena *arena, size_t capacity, size_t size);
void array_free_in(struct arena *arena, void *at, const void *first, size_t capacity, size_t size);

#endif
