/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A private file in memory that stands for a database while its library changes it: as large, but with only those parts
 * that were copied or written. What differs there afterwards is the update.
 */
#ifndef SHELVEFS_STORE_SHADOW_H
#define SHELVEFS_STORE_SHADOW_H

#include "src/store/changes.h"

struct shadow {
    int fd; /* -1: not made yet */
    struct buffer part, other;
};

#define SHADOW_INIT ((struct shadow){.fd = -1, .part = BUFFER_INIT, .other = BUFFER_INIT})
void shadow_release(struct shadow *shadow);

/* Empties it, and gives it the size of a database. */
int shadow_start(struct shadow *shadow, off_t size);

/* Parts of a file: a buffer of these. */
struct extent {
    off_t from, to;
};
void extents_add(struct buffer *extents, off_t from, off_t to);
bool extents_get(const struct buffer *extents, size_t index, struct extent *out);

/* Copies from a file what it has of the extent; -EIO if it ends before `size`. */
int shadow_copy(struct shadow *shadow, int fd, off_t size, struct extent extent);
/* Appends the parts that were copied or written, in whole pages, in order. */
int shadow_extents(const struct shadow *shadow, struct buffer *out);
/* Whether the part at `offset` was copied or written. */
bool shadow_has(const struct shadow *shadow, off_t offset);
/* Fills `out` with what, in these parts, is different from the file `fd` of that size. */
int shadow_compare(struct shadow *shadow, int fd, off_t size, const struct buffer *extents,
                   struct changes *out);

#endif
