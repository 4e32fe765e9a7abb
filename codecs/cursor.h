/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one bounds-checked reader of stored bytes.
 *
 * Every length is compared as `want <= size - position`, which can't wrap. The first read that the input can't
 * satisfy sticks: later reads give zeros and empty slices, so that a run of reads needs one check. Slices borrow
 * from the input.
 */
#ifndef SHELVEFS_CURSOR_H
#define SHELVEFS_CURSOR_H

#include "src/bytes.h"

#include <endian.h>

struct cursor {
    struct bytes input;
    size_t position;
    bool failed; /* a read went past the end; sticky */
};

static inline struct cursor cursor_at(struct bytes input, size_t position)
{
    return (struct cursor){.input = input, .position = position};
}

static inline size_t cursor_left(const struct cursor *cursor)
{
    return cursor->input.size - cursor->position;
}

/* `size` is 64 bits wide because formats store such lengths, also where size_t is narrower. */
static inline struct bytes cursor_take(struct cursor *cursor, uint64_t size)
{
    struct bytes taken;

    if (cursor->failed || size > cursor_left(cursor)) {
        cursor->failed = true;
        return (struct bytes){NULL, 0};
    }
    taken = bytes_of(cursor->input.data + cursor->position, (size_t)size);
    cursor->position += (size_t)size;
    return taken;
}

static inline uint8_t cursor_byte(struct cursor *cursor)
{
    struct bytes taken = cursor_take(cursor, 1);

    return taken.size ? taken.data[0] : 0;
}

/* An unsigned little-endian integer of `size` (at most 8) bytes. */
static inline uint64_t cursor_little(struct cursor *cursor, unsigned size)
{
    struct bytes taken = cursor_take(cursor, size);
    uint64_t number = 0;

    if (taken.size)
        memcpy(&number, taken.data, size);
    return le64toh(number);
}

/* An unsigned big-endian integer of `size` (at most 8) bytes. */
static inline uint64_t cursor_big(struct cursor *cursor, unsigned size)
{
    struct bytes taken = cursor_take(cursor, size);
    uint64_t number = 0;

    if (taken.size)
        memcpy((uint8_t *)&number + sizeof number - size, taken.data, size);
    return be64toh(number);
}

/* The bytes before the next '\n', which is skipped. A line without an end is a failed read. */
static inline struct bytes cursor_line(struct cursor *cursor)
{
    struct bytes left = bytes_of(cursor->input.data + cursor->position, cursor_left(cursor));
    size_t size = bytes_find_byte(left, '\n');
    struct bytes line = cursor_take(cursor, (uint64_t)size + 1);

    return line.size ? bytes_of(line.data, size) : line;
}

#endif
