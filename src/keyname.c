/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why this is a bijection: unescaping takes every "%XX" for one byte and leaves everything else,
 * and add_escaped() never writes a '%' of the key so that two digits follow it, so unescaping
 * undoes encoding. Names that unescape to a key but are not what it encodes to ("%41", "%2f", ".")
 * are refused by encoding the result again and comparing: whatever the rules are, no name can be an
 * alias.
 */
#include "src/keyname.h"

#include "src/utf8.h"

#include <errno.h>

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return -1;
}

static bool two_digits_follow(struct bytes text, size_t offset)
{
    return text.size - offset > 2 && hex_digit(text.data[offset + 1]) >= 0 &&
           hex_digit(text.data[offset + 2]) >= 0;
}

static void add_escape(struct buffer *name, uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";

    buffer_add_byte(name, '%');
    buffer_add_byte(name, (uint8_t)digits[byte >> 4]);
    buffer_add_byte(name, (uint8_t)digits[byte & 15]);
}

static bool percent_is_escaped(struct bytes key, size_t offset)
{
    return two_digits_follow(key, offset) ||
           bytes_equal(bytes_part(key, offset, SIZE_MAX), BYTES("%+"));
}

/* Adds the byte or the character at `offset` and returns its length. */
static unsigned add_escaped(struct buffer *name, struct bytes key, size_t offset)
{
    uint8_t byte = key.data[offset];
    unsigned length = 1;

    if (byte >= 0x80)
        length = utf8_decode(key, offset, UTF8_STRICT).length;
    if (!length || byte < 0x20 || byte == 0x7F || byte == '/' ||
        (byte == '%' && percent_is_escaped(key, offset))) {
        add_escape(name, byte);
        return 1;
    }
    buffer_add(name, bytes_of(key.data + offset, length));
    return length;
}

/* Keys whose own bytes would be a name that means something else. */
static const struct {
    struct bytes key, name;
} reserved[] = {
    {BYTES(""), BYTES("%")},
    {BYTES("%"), BYTES("%25")},
    {BYTES("."), BYTES("%2E")},
    {BYTES(".."), BYTES("%2E.")},
    {BYTES(".shelvefs"), BYTES("%2Eshelvefs")},
};

static void add_name(struct buffer *name, struct bytes key)
{
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (bytes_equal(key, reserved[i].key)) {
            buffer_add(name, reserved[i].name);
            return;
        }
    }
    for (size_t offset = 0; offset < key.size && !buffer_status(name);)
        offset += add_escaped(name, key, offset);
}

int keyname_encode(struct bytes key, struct buffer *name)
{
    size_t start = name->size;

    /* A name is never shorter than its key. */
    if (key.size > KEYNAME_MAX)
        return -ENAMETOOLONG;
    add_name(name, key);
    if (buffer_status(name) == 0 && name->size - start > KEYNAME_MAX) {
        buffer_resize(name, start);
        return -ENAMETOOLONG;
    }
    return buffer_status(name);
}

static void add_unescaped(struct buffer *key, struct bytes name)
{
    if (bytes_equal(name, BYTES("%")))
        return;
    for (size_t offset = 0; offset < name.size; offset++) {
        uint8_t byte = name.data[offset];

        if (byte == '%' && two_digits_follow(name, offset)) {
            byte =
                (uint8_t)(hex_digit(name.data[offset + 1]) << 4 | hex_digit(name.data[offset + 2]));
            offset += 2;
        }
        buffer_add_byte(key, byte);
    }
}

int keyname_decode(struct bytes name, struct buffer *key)
{
    size_t start = key->size;
    struct buffer again = BUFFER_INIT;
    int status;

    if (name.size == 0 || name.size > KEYNAME_MAX)
        return -ENOENT;
    add_unescaped(key, name);
    status = buffer_status(key);
    if (status == 0)
        status = keyname_encode(bytes_part(buffer_bytes(key), start, SIZE_MAX), &again);
    if (status == -ENAMETOOLONG || (status == 0 && !bytes_equal(buffer_bytes(&again), name)))
        status = -ENOENT;
    if (status == -ENOENT)
        buffer_resize(key, start);
    buffer_release(&again);
    return status;
}
