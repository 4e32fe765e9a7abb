/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why this is a bijection: unescaping takes every "%XX" of the flat name for one byte and leaves everything else,
 * and add_escaped() never writes a '%' of the key so that two digits follow it, so unescaping
 * undoes encoding. Folding only inserts what unfolding takes out. Paths that lead to a key but are not what it
 * encodes to ("%41", "%2f", ".", a piece cut too early) are refused by encoding the key again and comparing:
 * whatever the rules are, no path can be an alias.
 *
 * Encoding goes from left to right and looks at most three bytes ahead. So the path from the start of a piece on
 * depends on nothing before it, which is why one directory's name is context enough for the next.
 */
#include "src/keyname.h"

#include "src/utf8.h"

#include <errno.h>

/* Of a directory; and, with KEYNAME_NUL_HIDDEN, of a key that has no NUL to hide. */
static const struct bytes fold_suffix = BYTES("%+");
static const struct bytes exact_suffix = BYTES("%-");

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

/* Whether the '%' at `offset` would begin what means something else. */
static bool percent_is_escaped(enum keyname_style style, struct bytes key, size_t offset)
{
    struct bytes rest = bytes_part(key, offset, SIZE_MAX);

    return two_digits_follow(key, offset) || bytes_equal(rest, fold_suffix) ||
           (style == KEYNAME_NUL_HIDDEN && bytes_equal(rest, exact_suffix));
}

/* Adds the byte or the character at `offset` and returns its length. */
static unsigned add_escaped(enum keyname_style style, struct buffer *name, struct bytes key,
                            size_t offset)
{
    uint8_t byte = key.data[offset];
    unsigned length = 1;

    if (byte >= 0x80)
        length = utf8_decode(key, offset, UTF8_STRICT).length;
    if (!length || byte < 0x20 || byte == 0x7F || byte == '/' ||
        (byte == '%' && percent_is_escaped(style, key, offset))) {
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

static void add_escaped_key(enum keyname_style style, struct buffer *name, struct bytes key)
{
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (bytes_equal(key, reserved[i].key)) {
            buffer_add(name, reserved[i].name);
            return;
        }
    }
    for (size_t offset = 0; offset < key.size && !buffer_status(name);)
        offset += add_escaped(style, name, key, offset);
}

static void add_flat_name(enum keyname_style style, struct buffer *name, struct bytes key)
{
    if (style == KEYNAME_EXACT) {
        add_escaped_key(style, name, key);
    } else if (bytes_end_with(key, BYTES("\0"))) {
        add_escaped_key(style, name, bytes_part(key, 0, key.size - 1));
    } else {
        add_escaped_key(style, name, key);
        buffer_add(name, exact_suffix);
    }
}

/* --- folding --- */

/* The length of what must not be cut: an escape, a character, the last suffix. */
static size_t unit_size(enum keyname_style style, struct bytes flat, size_t offset)
{
    uint8_t byte = flat.data[offset];

    if (byte == '%' && two_digits_follow(flat, offset))
        return 3;
    if (style == KEYNAME_NUL_HIDDEN &&
        bytes_equal(bytes_part(flat, offset, SIZE_MAX), exact_suffix))
        return exact_suffix.size;
    return byte < 0x80 ? 1 : utf8_decode(flat, offset, UTF8_STRICT).length;
}

/* Where the piece that starts at `start` ends. */
static size_t piece_end(enum keyname_style style, struct bytes flat, size_t start)
{
    size_t end = start;

    while (end < flat.size) {
        size_t size = unit_size(style, flat, end);

        if (end + size - start > KEYNAME_PIECE_MAX)
            break;
        end += size;
    }
    return end;
}

static void add_folded(enum keyname_style style, struct buffer *path, struct bytes flat)
{
    size_t start = 0, end;

    while ((end = piece_end(style, flat, start)) < flat.size) {
        buffer_add(path, bytes_part(flat, start, end - start));
        buffer_add(path, fold_suffix);
        buffer_add_byte(path, '/');
        start = end;
    }
    flat = bytes_part(flat, start, SIZE_MAX);
    if (bytes_equal(flat, BYTES(".")) || bytes_equal(flat, BYTES("..")))
        add_escaped_key(style, path, flat);
    else
        buffer_add(path, flat);
}

int keyname_encode(enum keyname_style style, struct bytes key, struct buffer *path)
{
    struct buffer flat = BUFFER_INIT;
    size_t start = path->size;

    add_flat_name(style, path, key);
    if (buffer_status(path) || path->size - start <= KEYNAME_MAX)
        return buffer_status(path);
    buffer_add(&flat, bytes_part(buffer_bytes(path), start, SIZE_MAX));
    buffer_resize(path, start);
    if (buffer_status(&flat))
        path->status = buffer_status(&flat);
    else
        add_folded(style, path, buffer_bytes(&flat));
    buffer_release(&flat);
    return buffer_status(path);
}

/* The flat name, if the path is canonical. */
static void add_unfolded(struct buffer *flat, struct bytes path)
{
    for (;;) {
        size_t slash = bytes_find_byte(path, '/');
        struct bytes piece = bytes_part(path, 0, slash);

        if (slash == path.size) {
            buffer_add(flat, piece);
            return;
        }
        if (bytes_end_with(piece, fold_suffix))
            piece.size -= fold_suffix.size;
        buffer_add(flat, piece);
        path = bytes_part(path, slash + 1, SIZE_MAX);
    }
}

static void add_unescaped(struct buffer *key, struct bytes flat)
{
    if (bytes_equal(flat, BYTES("%")))
        return;
    for (size_t offset = 0; offset < flat.size; offset++) {
        uint8_t byte = flat.data[offset];

        if (byte == '%' && two_digits_follow(flat, offset)) {
            byte =
                (uint8_t)(hex_digit(flat.data[offset + 1]) << 4 | hex_digit(flat.data[offset + 2]));
            offset += 2;
        }
        buffer_add_byte(key, byte);
    }
}

/* The key of the path if it is canonical, else anything. */
static void add_key(enum keyname_style style, struct buffer *key, struct bytes flat)
{
    if (style == KEYNAME_EXACT) {
        add_unescaped(key, flat);
    } else if (bytes_end_with(flat, exact_suffix)) {
        add_unescaped(key, bytes_part(flat, 0, flat.size - exact_suffix.size));
    } else {
        add_unescaped(key, flat);
        buffer_add_byte(key, '\0');
    }
}

int keyname_decode(enum keyname_style style, struct bytes path, struct buffer *key)
{
    size_t start = key->size;
    struct buffer flat = BUFFER_INIT, again = BUFFER_INIT;
    int status;

    add_unfolded(&flat, path);
    status = buffer_status(&flat);
    if (status == 0) {
        add_key(style, key, buffer_bytes(&flat));
        status = buffer_status(key);
    }
    if (status == 0)
        status = keyname_encode(style, bytes_part(buffer_bytes(key), start, SIZE_MAX), &again);
    if (status == 0 && !bytes_equal(buffer_bytes(&again), path))
        status = -ENOENT;
    if (status == -ENOENT)
        buffer_resize(key, start);
    buffer_release(&flat);
    buffer_release(&again);
    return status;
}

bool keyname_may_fold(size_t key_size)
{
    return key_size > (KEYNAME_MAX - exact_suffix.size) / 3;
}

bool keyname_is_fold(struct bytes name)
{
    return bytes_end_with(name, fold_suffix);
}

/* Whether the key of `path` (directories, each with its '/') and these bytes after it has a path that starts so. */
static int leads_on(enum keyname_style style, struct bytes path, struct bytes rest)
{
    struct buffer flat = BUFFER_INIT, key = BUFFER_INIT, again = BUFFER_INIT;
    int status;

    add_unfolded(&flat, path);
    add_unescaped(&key, buffer_bytes(&flat));
    buffer_add(&key, rest);
    if (style == KEYNAME_NUL_HIDDEN)
        buffer_add_byte(&key, '\0');
    status = buffer_status(&flat) ? buffer_status(&flat) : buffer_status(&key);
    if (status == 0)
        status = keyname_encode(style, buffer_bytes(&key), &again);
    if (status == 0)
        status = bytes_start_with(buffer_bytes(&again), path);
    buffer_release(&flat);
    buffer_release(&key);
    buffer_release(&again);
    return status;
}

/*
 * What may come behind a directory: a character of four bytes ends every piece that can end there, unless its own end
 * is an escaped '%', which is so only before two digits, before a digit that completes one in the piece, or before
 * the "+" or "-" that ends the key.
 */
int keyname_can_fold(enum keyname_style style, struct bytes parent, struct bytes name)
{
    static const struct bytes rests[] = {
        BYTES("\xf0\x90\x8d\x88\xf0\x90\x8d\x88"),
        BYTES("00\xf0\x90\x8d\x88\xf0\x90\x8d\x88"),
        BYTES("+"),
        BYTES("-"),
    };
    struct buffer path = BUFFER_INIT;
    int status;

    if (!keyname_is_fold(name) || name.size > KEYNAME_MAX)
        return 0;
    if (parent.size) {
        buffer_add(&path, parent);
        buffer_add_byte(&path, '/');
    }
    buffer_add(&path, name);
    buffer_add_byte(&path, '/');
    status = buffer_status(&path);
    for (size_t i = 0; i < ARRAY_SIZE(rests) && status == 0; i++)
        status = leads_on(style, buffer_bytes(&path), rests[i]);
    buffer_release(&path);
    return status;
}
