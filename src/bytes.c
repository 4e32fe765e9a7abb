/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/bytes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEAST_CAPACITY = 64 };

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;

    if (order)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

bool bytes_start_with(struct bytes b, struct bytes prefix)
{
    return b.size >= prefix.size && bytes_equal(bytes_of(b.data, prefix.size), prefix);
}

bool bytes_end_with(struct bytes b, struct bytes suffix)
{
    return b.size >= suffix.size &&
           bytes_equal(bytes_part(b, b.size - suffix.size, suffix.size), suffix);
}

size_t bytes_find_byte(struct bytes b, uint8_t byte)
{
    const uint8_t *found = b.size ? memchr(b.data, byte, b.size) : NULL;

    return found ? (size_t)(found - b.data) : b.size;
}

void buffer_init(struct buffer *buffer, size_t limit)
{
    *buffer = (struct buffer){.limit = limit};
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){.limit = buffer->limit};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->status = 0;
}

/* Doubles. Also gives a buffer of nothing its memory: an offset from NULL is undefined. */
static bool buffer_reserve(struct buffer *buffer, size_t more)
{
    size_t want, capacity;
    uint8_t *data;

    if (buffer->status)
        return false;
    /* The limit may have been lowered. */
    if (buffer->size > buffer->limit || more > buffer->limit - buffer->size) {
        buffer->status = -EFBIG;
        return false;
    }
    want = buffer->size + more;
    if (buffer->data && want <= buffer->capacity)
        return true;
    capacity = buffer->capacity < SIZE_MAX / 2 ? buffer->capacity * 2 : SIZE_MAX;
    if (capacity < want)
        capacity = want;
    if (capacity < LEAST_CAPACITY)
        capacity = LEAST_CAPACITY;
    if (capacity > buffer->limit)
        capacity = buffer->limit;
    data = realloc(buffer->data, capacity ? capacity : 1);
    if (!data) {
        buffer->status = -ENOMEM;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void buffer_expect(struct buffer *buffer, size_t more)
{
    if (!buffer->status && buffer->size <= buffer->limit && more <= buffer->limit - buffer->size)
        buffer_reserve(buffer, more);
}

uint8_t *buffer_grow(struct buffer *buffer, size_t size)
{
    uint8_t *room;

    if (!buffer_reserve(buffer, size))
        return NULL;
    room = buffer->data + buffer->size;
    buffer->size += size;
    return room;
}

void buffer_resize(struct buffer *buffer, size_t size)
{
    size_t more = size > buffer->size ? size - buffer->size : 0;
    uint8_t *room;

    if (buffer->status)
        return;
    if (!more) {
        buffer->size = size;
        return;
    }
    room = buffer_extend(buffer, more);
    if (room)
        memset(room, 0, more);
}

void buffer_vprintf(struct buffer *buffer, const char *format, va_list arguments)
{
    va_list again;
    int size;

    va_copy(again, arguments);
    size = vsnprintf(NULL, 0, format, arguments);
    /* One byte more than the text, for vsnprintf's NUL, which is then given back. */
    if (size >= 0) {
        uint8_t *room = buffer_extend(buffer, (size_t)size + 1);

        if (room) {
            vsnprintf((char *)room, (size_t)size + 1, format, again);
            buffer->size--;
        }
    }
    va_end(again);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    buffer_vprintf(buffer, format, arguments);
    va_end(arguments);
}

void buffer_take(struct buffer *to, struct buffer *from)
{
    size_t limit = from->limit;

    free(to->data);
    *to = *from;
    buffer_init(from, limit);
}

bool bytes_have_word(const char *words, struct bytes word)
{
    while (*words) {
        size_t length = strcspn(words, " ");

        if (bytes_equal(bytes_of(words, length), word))
            return true;
        words += length + (words[length] == ' ');
    }
    return false;
}
