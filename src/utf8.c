/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/utf8.h"

static const struct utf8_point INVALID = {0, 0};

static bool continuation(struct bytes text, size_t offset, unsigned count)
{
    if (count > text.size - offset)
        return false;
    for (unsigned i = 0; i < count; i++)
        if ((text.data[offset + i] & 0xC0) != 0x80)
            return false;
    return true;
}

struct utf8_point utf8_decode(struct bytes text, size_t offset, enum utf8_surrogates surrogates)
{
    const uint8_t *at = text.data + offset;
    uint8_t lead = at[0];
    uint32_t point;

    if (lead < 0x80)
        return (struct utf8_point){lead, 1};
    if (lead < 0xC2 || lead > 0xF4)
        return INVALID;
    if (lead < 0xE0) {
        if (!continuation(text, offset + 1, 1))
            return INVALID;
        return (struct utf8_point){(lead & 0x1Fu) << 6 | (at[1] & 0x3Fu), 2};
    }
    if (lead < 0xF0) {
        if (!continuation(text, offset + 1, 2))
            return INVALID;
        point = (lead & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
        if (point < 0x800 || (surrogates == UTF8_STRICT && point >= 0xD800 && point < 0xE000))
            return INVALID;
        return (struct utf8_point){point, 3};
    }
    if (!continuation(text, offset + 1, 3))
        return INVALID;
    point = (lead & 0x07u) << 18 | (at[1] & 0x3Fu) << 12 | (at[2] & 0x3Fu) << 6 | (at[3] & 0x3Fu);
    if (point < 0x10000 || point > 0x10FFFF)
        return INVALID;
    return (struct utf8_point){point, 4};
}

/* Most text is ASCII: eight bytes at a time while no high bit is set. */
static size_t skip_ascii(struct bytes text, size_t offset)
{
    uint64_t word;

    while (text.size - offset >= sizeof word) {
        memcpy(&word, text.data + offset, sizeof word);
        if (word & 0x8080808080808080u)
            break;
        offset += sizeof word;
    }
    while (offset < text.size && text.data[offset] < 0x80)
        offset++;
    return offset;
}

size_t utf8_find_invalid(struct bytes text, enum utf8_surrogates surrogates)
{
    size_t offset = 0;

    while ((offset = skip_ascii(text, offset)) < text.size) {
        struct utf8_point point = utf8_decode(text, offset, surrogates);

        if (!point.length)
            return offset;
        offset += point.length;
    }
    return offset;
}

bool utf8_is_control(uint32_t point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x61C ||
           (point >= 0x200E && point <= 0x200F) || (point >= 0x202A && point <= 0x202E) ||
           (point >= 0x2066 && point <= 0x2069);
}

unsigned utf8_encode(uint32_t point, uint8_t out[4])
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xC0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xE0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (point & 0x3F));
    return 4;
}

void utf8_add(struct buffer *buffer, uint32_t point)
{
    uint8_t out[4];
    unsigned length = utf8_encode(point, out);

    buffer_add(buffer, bytes_of(out, length));
}
