/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Slices and buffers.
 *
 * `struct bytes` is borrowed: it never frees, and is valid for as long as what it points into.
 * `struct buffer` is owned: whoever initialised it releases it.
 *
 * A buffer's first failure sticks: after it, adding does nothing, so that a long run of additions needs
 * one check, at its end, with buffer_status().
 */
#ifndef SHELVEFS_BYTES_H
#define SHELVEFS_BYTES_H

#include "src/base.h"

#include <stdarg.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* may be NULL only when size is 0 */
    size_t size;
};

/* The bytes of a string literal, without its NUL. */
#define BYTES(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

static inline struct bytes bytes_of_string(const char *string)
{
    return bytes_of(string, strlen(string));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
/* As memcmp does, the shorter first: <0, 0 or >0. */
int bytes_compare(struct bytes a, struct bytes b);
bool bytes_start_with(struct bytes b, struct bytes prefix);
bool bytes_end_with(struct bytes b, struct bytes suffix);
/* Whether `word` is one of `words`, which are separated by single blanks. */
bool bytes_have_word(const char *words, struct bytes word);
/* The part from `from` (clamped) of at most `size` bytes. */
static inline struct bytes bytes_part(struct bytes b, size_t from, size_t size)
{
    if (from >= b.size)
        return (struct bytes){NULL, 0};
    return bytes_of(b.data + from, size < b.size - from ? size : b.size - from);
}
/* The first occurrence's offset, or b.size. */
size_t bytes_find_byte(struct bytes b, uint8_t byte);

/* All bytes of a slice of 1 to 7 in one word, in any order and some of them repeatedly: to ask whether all of them are of some kind. */
static inline uint64_t bytes_as_word(struct bytes b)
{
    uint32_t first, last;

    if (b.size < sizeof first)
        return (b.data[0] * UINT64_C(0x0101010101010101) & ~UINT64_C(0xFFFF00)) |
               (uint64_t)b.data[b.size / 2] << 8 | (uint64_t)b.data[b.size - 1] << 16;
    memcpy(&first, b.data, sizeof first);
    memcpy(&last, b.data + b.size - sizeof last, sizeof last);
    return (uint64_t)first << 32 | last;
}

/* Whether all bytes are below 0x80: eight at a time, the last ones perhaps twice. */
static inline bool bytes_are_ascii(struct bytes b)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t word, all = 0;
    size_t i;

    if (b.size < sizeof word)
        return !b.size || !(bytes_as_word(b) & high);
    for (i = 0; b.size - i > sizeof word && !(all & high); i += sizeof word) {
        memcpy(&word, b.data + i, sizeof word);
        all |= word;
    }
    memcpy(&word, b.data + b.size - sizeof word, sizeof word);
    return !((all | word) & high);
}

struct buffer {
    uint8_t *data;
    size_t size;
    size_t capacity; /* what it has room for, even where the limit is lowered */
    size_t limit; /* most bytes that it gets room for; SIZE_MAX: no limit */
    int status;   /* 0, -ENOMEM or -EFBIG (limit); sticky */
};

#define BUFFER_INIT ((struct buffer){.limit = SIZE_MAX})

void buffer_init(struct buffer *buffer, size_t limit);
void buffer_release(struct buffer *buffer);
/* Empties it, keeps its memory and limit, clears a failure. */
void buffer_clear(struct buffer *buffer);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_vprintf(struct buffer *buffer, const char *format, va_list arguments) PRINTF_LIKE(2, 0);
/* buffer_extend() where there is no room yet. */
uint8_t *buffer_grow(struct buffer *buffer, size_t size);
/* `size` more bytes to be written by the caller; NULL once it failed. */
static inline uint8_t *buffer_extend(struct buffer *buffer, size_t size)
{
    /* Never when data is NULL: then there is no capacity. */
    if (size < buffer->capacity - buffer->size && !buffer->status) {
        buffer->size += size;
        return buffer->data + buffer->size - size;
    }
    return buffer_grow(buffer, size);
}
/* Makes room for about `more` bytes if there may be so many: they will be added. */
void buffer_expect(struct buffer *buffer, size_t more);
static inline void buffer_add(struct buffer *buffer, struct bytes bytes)
{
    uint8_t *room = bytes.size ? buffer_extend(buffer, bytes.size) : NULL;

    if (room)
        memcpy(room, bytes.data, bytes.size);
}
static inline void buffer_add_byte(struct buffer *buffer, uint8_t byte)
{
    uint8_t *room = buffer_extend(buffer, 1);

    if (room)
        *room = byte;
}
static inline void buffer_add_string(struct buffer *buffer, const char *string)
{
    buffer_add(buffer, bytes_of_string(string));
}
/* Sets the size; what is new is zero. */
void buffer_resize(struct buffer *buffer, size_t size);
static inline int buffer_status(const struct buffer *buffer)
{
    return buffer->status;
}
static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){buffer->data, buffer->size};
}
/* Moves what `from` owns into `to` (whose memory is freed); `from` is left empty. */
void buffer_take(struct buffer *to, struct buffer *from);

#endif
