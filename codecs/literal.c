/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Identifiers are ASCII only. Python knows others, but normalises them (NFKC) while it parses, so
 * that two different names could be written alike; they are shown as strings instead.
 */
#include "codecs/literal.h"

#include "src/printable.h"
#include "src/utf8.h"

static const uint64_t ONES = UINT64_C(0x0101010101010101);
static const char HEX[] = "0123456789abcdef";

/* What a byte is inside of '...' or "...". */
enum byte_class {
    BYTE_PLAIN = 0,
    BYTE_SINGLE = 1 << 0,
    BYTE_DOUBLE = 1 << 1,
    BYTE_ESCAPED = 1 << 2, /* a backslash, and what is no printable ASCII */
};

static const uint8_t classes[256] = {
    [0x00 ... 0x1F] = BYTE_ESCAPED, ['"'] = BYTE_DOUBLE,           ['\''] = BYTE_SINGLE,
    ['\\'] = BYTE_ESCAPED,         [0x7F ... 0xFF] = BYTE_ESCAPED,
};

/* The high bits of the bytes that may be `byte`; of all above the lowest one that is. */
static inline uint64_t bytes_like(uint64_t word, uint8_t byte)
{
    uint64_t other = word ^ ONES * byte;

    return (other - ONES) & ~other;
}

/* Whether all eight bytes are plain. What it says of others is checked again. */
static inline bool is_plain_word(uint64_t word)
{
    uint64_t special = ((word - ONES * 0x20) & ~word) | (word + ONES) | word;

    special |= bytes_like(word, '\\') | bytes_like(word, '\'') | bytes_like(word, '"');
    return !(special & ONES << 7);
}

/* The classes that occur. */
static NEVER_INLINE unsigned find_classes(struct bytes content)
{
    unsigned found = 0;
    size_t i = 0;
    uint64_t word;

    while (i < content.size) {
        size_t end = content.size - i < sizeof word ? content.size : i + sizeof word;

        if (content.size >= sizeof word) {
            /* The last word may overlap the one before. */
            memcpy(&word, content.data + end - sizeof word, sizeof word);
            if (is_plain_word(word)) {
                i = end;
                continue;
            }
        }
        while (i < end)
            found |= classes[content.data[i++]];
    }
    return found;
}

static ALWAYS_INLINE unsigned classes_of(struct bytes content)
{
    if (content.size < sizeof(uint64_t) && (!content.size || is_plain_word(bytes_as_word(content))))
        return BYTE_PLAIN;
    return find_classes(content);
}

static uint8_t quote_for(unsigned found)
{
    return (found & (BYTE_SINGLE | BYTE_DOUBLE)) == BYTE_SINGLE ? '"' : '\'';
}

/* What stands behind the backslash: 'x' is a hexadecimal escape. */
static char escape_of(uint8_t byte)
{
    switch (byte) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return byte < 0x20 || byte >= 0x7F ? 'x' : (char)byte;
    }
}

static void add_escape(struct buffer *out, char escape, uint32_t point)
{
    unsigned digits = escape == 'x' ? 2 : escape == 'u' ? 4 : escape == 'U' ? 8 : 0;
    uint8_t *room = buffer_extend(out, 2 + digits);

    if (!room)
        return;
    *room++ = '\\';
    *room++ = (uint8_t)escape;
    while (digits--)
        *room++ = (uint8_t)HEX[point >> (4 * digits) & 0xF];
}

static size_t run_of_plain_bytes(struct bytes content, size_t offset, unsigned special)
{
    size_t end = offset;

    while (end < content.size && !(classes[content.data[end]] & special))
        end++;
    return end - offset;
}

/* At a byte of 80 or more: adds the character or its escape and returns its length. */
static size_t add_character(struct bytes content, size_t offset, struct buffer *out)
{
    struct utf8_point character = utf8_decode(content, offset, UTF8_SURROGATES);

    if (!character.length) {
        /*
         * The decoder lets no such text through; showing the byte is better than an endless loop.
         */
        add_escape(out, 'x', content.data[offset]);
        return 1;
    }
    if (printable(character.point))
        buffer_add(out, bytes_part(content, offset, character.length));
    else
        add_escape(out,
                   character.point < 0x100     ? 'x'
                   : character.point < 0x10000 ? 'u'
                                               : 'U',
                   character.point);
    return character.length;
}

static void print_escaped(struct bytes content, bool text, unsigned special, struct buffer *out)
{
    for (size_t offset = 0; offset < content.size;) {
        size_t run = run_of_plain_bytes(content, offset, special);

        buffer_add(out, bytes_part(content, offset, run));
        offset += run;
        if (offset == content.size)
            break;
        if (text && content.data[offset] >= 0x80) {
            offset += add_character(content, offset, out);
            continue;
        }
        add_escape(out, escape_of(content.data[offset]), content.data[offset]);
        offset++;
    }
}

static size_t print_quoted(struct bytes content, uint8_t quote, struct buffer *out)
{
    uint8_t *room = buffer_extend(out, content.size + 2);

    if (!room)
        return 0;
    room[0] = room[content.size + 1] = quote;
    if (content.size)
        memcpy(room + 1, content.data, content.size);
    return content.size + 2;
}

/* Of content that is not plain: apart, as most content is. */
static NEVER_INLINE size_t print_special(struct bytes content, bool text, unsigned found, struct buffer *out)
{
    size_t start = out->size;
    uint8_t quote = quote_for(found);
    unsigned special = BYTE_ESCAPED | (quote == '"' ? BYTE_DOUBLE : BYTE_SINGLE);

    if (!(found & special))
        return print_quoted(content, quote, out);
    buffer_add_byte(out, quote);
    print_escaped(content, text, special, out);
    buffer_add_byte(out, quote);
    return utf8_count(bytes_part(buffer_bytes(out), start, SIZE_MAX));
}

static ALWAYS_INLINE size_t print_literal(struct bytes content, bool text, struct buffer *out)
{
    unsigned found = classes_of(content);

    return found ? print_special(content, text, found, out) : print_quoted(content, '\'', out);
}

size_t literal_print_text(struct bytes content, struct buffer *out)
{
    return print_literal(content, true, out);
}

size_t literal_print_bytes(struct bytes content, struct buffer *out)
{
    return print_literal(content, false, out);
}

/* The quotes are only known at the end: ' costs one more where there is a " too. */
size_t literal_bytes_fitting(struct bytes content, size_t width, size_t *used)
{
    size_t columns = 2, singles = 0, doubles = 0, count = 0;

    *used = columns;
    for (; count < content.size; count++) {
        uint8_t byte = content.data[count];

        if (classes[byte] & BYTE_ESCAPED)
            columns += escape_of(byte) == 'x' ? 4 : 2;
        else
            columns++;
        singles += byte == '\'';
        doubles += byte == '"';
        if (columns + (doubles ? singles : 0) > width && count)
            break;
        *used = columns + (doubles ? singles : 0);
    }
    return count;
}

static bool is_name_byte(uint8_t byte, bool first)
{
    return byte == '_' || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
           (!first && byte >= '0' && byte <= '9');
}

bool literal_is_identifier(struct bytes text)
{
    static const char *const keywords[] = {
        "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
        "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
        "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
        "or",    "pass",     "raise", "return", "try",  "while",  "with",   "yield",
    };

    if (!text.size)
        return false;
    for (size_t i = 0; i < text.size; i++)
        if (!is_name_byte(text.data[i], i == 0))
            return false;
    for (size_t i = 0; i < ARRAY_SIZE(keywords); i++)
        if (bytes_equal(text, bytes_of_string(keywords[i])))
            return false;
    return true;
}
