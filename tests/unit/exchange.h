/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the tools that tests/interop drives get requests and answer: a length of 4 bytes, little-endian, before bytes;
 * or, where a request is a line of words, by a line, too.
 */
#ifndef SHELVEFS_EXCHANGE_H
#define SHELVEFS_EXCHANGE_H

#include "src/bytes.h"
#include "src/failure.h"

#include <stdio.h>

/* The next bytes from standard input; false at its end. */
static inline bool exchange_read(struct buffer *out)
{
    uint8_t size[4];

    buffer_clear(out);
    if (fread(size, 1, sizeof size, stdin) != sizeof size)
        return false;
    buffer_resize(out, size[0] | size[1] << 8 | size[2] << 16 | (size_t)size[3] << 24);
    return !buffer_status(out) && fread(out->data, 1, out->size, stdin) == out->size;
}

static inline void exchange_answer(char status, struct bytes bytes)
{
    const uint8_t header[] = {(uint8_t)status, (uint8_t)bytes.size, (uint8_t)(bytes.size >> 8),
                              (uint8_t)(bytes.size >> 16), (uint8_t)(bytes.size >> 24)};

    fwrite(header, 1, sizeof header, stdout);
    if (bytes.size)
        fwrite(bytes.data, 1, bytes.size, stdout);
    fflush(stdout);
}

/* A line "STATUS SIZE", then what was made, or the failure's message if STATUS is not 0. */
static inline void exchange_tell(int status, struct bytes made, const struct failure *failure)
{
    struct bytes told = status ? bytes_of_string(failure->message) : made;

    printf("%d %zu\n", status, told.size);
    if (told.size)
        fwrite(told.data, 1, told.size, stdout);
    fflush(stdout);
}

#endif
