/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * UTF-8, strict and as CPython's "surrogatepass" writes it.
 *
 * Python's str may hold lone surrogates; pickle and marshal store those as three-byte sequences ED A0..BF xx
 * (CPython, Objects/unicodeobject.c, error handler "surrogatepass"). Everything else that RFC 3629 forbids
 * (overlong forms, beyond U+10FFFF, stray continuation bytes) is invalid in both.
 */
#ifndef SHELVEFS_UTF8_H
#define SHELVEFS_UTF8_H

#include "src/bytes.h"

enum utf8_surrogates { UTF8_STRICT, UTF8_SURROGATES };

/* The code point at `offset` and its length in bytes (1 to 4), or length 0 where it is invalid. */
struct utf8_point {
    uint32_t point;
    unsigned length;
};
struct utf8_point utf8_decode(struct bytes text, size_t offset, enum utf8_surrogates surrogates);
/* The offset of the first invalid byte, or text.size. */
size_t utf8_find_invalid(struct bytes text, enum utf8_surrogates surrogates);
static inline bool utf8_valid(struct bytes text, enum utf8_surrogates surrogates)
{
    return bytes_are_ascii(text) || utf8_find_invalid(text, surrogates) == text.size;
}
/* The number of code points in valid UTF-8, eight bytes at a time: the bytes that don't continue one. */
static inline size_t utf8_count(struct bytes text)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t offset = 0, continuing = 0;
    uint64_t word;

    for (; text.size - offset >= sizeof word; offset += sizeof word) {
        memcpy(&word, text.data + offset, sizeof word);
        continuing += ((word >> 7 & ~word >> 6 & ones) * ones) >> 56;
    }
    for (; offset < text.size; offset++)
        continuing += (text.data[offset] & 0xC0) == 0x80;
    return text.size - continuing;
}
/*
 * Whether a code point may not reach a terminal bare: C0 and C1 controls, DEL, and the characters that reorder
 * text (bidirectional marks, embeddings, overrides and isolates; Unicode TR 36).
 */
bool utf8_is_control(uint32_t point);
/* Writes `point` (below 0x110000, surrogates allowed) and returns its length. */
unsigned utf8_encode(uint32_t point, uint8_t out[4]);
void utf8_add(struct buffer *buffer, uint32_t point);

#endif
