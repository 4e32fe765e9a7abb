/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/dumb_line.h"

#include <inttypes.h>
#include <stdio.h>

enum { PAIR_SIZE = 64, SAFE_DIGITS = 18 };

/* What is left of the line: a parsed piece is taken off its start. */
struct scanner {
    struct bytes rest;
};

static int peek(const struct scanner *scanner)
{
    return scanner->rest.size ? scanner->rest.data[0] : -1;
}

static void skip(struct scanner *scanner, size_t count)
{
    scanner->rest = bytes_part(scanner->rest, count, SIZE_MAX);
}

static bool take(struct scanner *scanner, char byte)
{
    if (peek(scanner) != byte)
        return false;
    skip(scanner, 1);
    return true;
}

static void skip_blanks(struct scanner *scanner)
{
    while (peek(scanner) == ' ' || peek(scanner) == '\t' || peek(scanner) == '\f')
        skip(scanner, 1);
}

static bool take_token(struct scanner *scanner, char byte)
{
    skip_blanks(scanner);
    return take(scanner, byte);
}

/* What str.rstrip() takes off a Latin-1 line. */
static struct bytes strip_right(struct bytes line)
{
    static const char spaces[] = " \t\n\v\f\r\x1C\x1D\x1E\x1F\x85\xA0";

    while (line.size && memchr(spaces, line.data[line.size - 1], sizeof spaces - 1))
        line.size--;
    return line;
}

static int digit_value(int byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return 16;
}

/* From `least` to `most` digits of a code point up to U+00FF. */
static bool parse_code(struct scanner *scanner, int base, unsigned least, unsigned most,
                       uint8_t *out)
{
    unsigned code = 0, count = 0;

    for (; count < most && digit_value(peek(scanner)) < base; count++) {
        code = code * (unsigned)base + (unsigned)digit_value(peek(scanner));
        if (code > 0xFF)
            return false;
        skip(scanner, 1);
    }
    *out = (uint8_t)code;
    return count >= least;
}

/* After the backslash. */
static bool parse_escape(struct scanner *scanner, struct buffer *key)
{
    static const char names[] = "\\'\"abfnrtv", bytes[] = "\\'\"\a\b\f\n\r\t\v";
    int kind = peek(scanner);
    const char *simple = kind > 0 ? memchr(names, kind, sizeof names - 1) : NULL;
    uint8_t code;
    bool valid;

    if (kind >= '0' && kind <= '7') {
        valid = parse_code(scanner, 8, 1, 3, &code);
    } else if (kind == 'x' || kind == 'u' || kind == 'U') {
        unsigned digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;

        skip(scanner, 1);
        valid = parse_code(scanner, 16, digits, digits, &code);
    } else if (simple) {
        code = (uint8_t)bytes[simple - names];
        skip(scanner, 1);
        valid = true;
    } else {
        /* Python keeps the backslash of an escape that it doesn't know. */
        code = '\\';
        valid = kind > 0 && kind != 'N';
    }
    if (valid)
        buffer_add_byte(key, code);
    return valid;
}

static bool parse_string(struct scanner *scanner, struct buffer *key)
{
    int quote;

    if (peek(scanner) == 'u' || peek(scanner) == 'U')
        skip(scanner, 1);
    quote = peek(scanner);
    if (quote != '\'' && quote != '"')
        return false;
    skip(scanner, 1);
    while (peek(scanner) > 0 && peek(scanner) != quote) {
        if (take(scanner, '\\')) {
            if (!parse_escape(scanner, key))
                return false;
        } else {
            buffer_add_byte(key, (uint8_t)peek(scanner));
            skip(scanner, 1);
        }
    }
    return take(scanner, (char)quote);
}

static bool parse_key(struct scanner *scanner, struct buffer *key)
{
    do {
        if (!parse_string(scanner, key))
            return false;
        skip_blanks(scanner);
    } while (peek(scanner) != ',' && peek(scanner) >= 0);
    return true;
}

static int parse_base(struct scanner *scanner)
{
    int second = scanner->rest.size > 1 ? scanner->rest.data[1] | 0x20 : 0;
    int base = second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 10;

    if (peek(scanner) != '0' || base == 10)
        return 10;
    skip(scanner, 2);
    take(scanner, '_');
    return base;
}

static bool parse_digits(struct scanner *scanner, int base, int64_t *out)
{
    bool zero_first = base == 10 && peek(scanner) == '0';
    int64_t number = 0;

    if (digit_value(peek(scanner)) >= base)
        return false;
    do {
        int digit = digit_value(peek(scanner));

        if (digit >= base)
            return false;
        if (__builtin_mul_overflow(number, base, &number) ||
            __builtin_add_overflow(number, digit, &number))
            number = INT64_MAX;
        skip(scanner, 1);
    } while (take(scanner, '_') || digit_value(peek(scanner)) < base);
    /* 2.7 wrote longs with an L. */
    if (!take(scanner, 'L'))
        take(scanner, 'l');
    *out = number;
    return !zero_first || number == 0;
}

static bool parse_integer(struct scanner *scanner, int64_t *out)
{
    bool negative = false;
    int64_t number;

    skip_blanks(scanner);
    if (peek(scanner) == '-' || peek(scanner) == '+') {
        negative = peek(scanner) == '-';
        skip(scanner, 1);
        skip_blanks(scanner);
    }
    if (!parse_digits(scanner, parse_base(scanner), &number))
        return false;
    *out = negative ? -number : number;
    return true;
}

static bool parse_pair(struct scanner *scanner, int64_t *offset, int64_t *size)
{
    char close = ')';

    if (!take_token(scanner, '(')) {
        if (!take(scanner, '['))
            return false;
        close = ']';
    }
    if (!parse_integer(scanner, offset) || !take_token(scanner, ',') ||
        !parse_integer(scanner, size))
        return false;
    take_token(scanner, ',');
    return take_token(scanner, close);
}

enum dumb_line dumb_line_parse(struct bytes line, struct buffer *key, int64_t *offset,
                               int64_t *size)
{
    struct scanner scanner = {.rest = strip_right(line)};
    struct bytes whole = scanner.rest;
    int64_t at, length;

    if (!whole.size)
        return DUMB_BLANK;
    /* A NUL, also in a comment, is refused by every Python's compiler. */
    if (bytes_find_byte(whole, 0) < whole.size)
        return DUMB_UNKNOWN;
    skip_blanks(&scanner);
    if (!parse_key(&scanner, key) || !take_token(&scanner, ',') ||
        !parse_pair(&scanner, &at, &length))
        return DUMB_UNKNOWN;
    take_token(&scanner, ',');
    skip_blanks(&scanner);
    if (scanner.rest.size && peek(&scanner) != '#')
        return DUMB_UNKNOWN;
    *offset = at;
    *size = length;
    return DUMB_RECORD;
}

/* --- the usual line --- */

static bool plain_number(struct bytes text, size_t *position, int64_t *out)
{
    size_t start = *position, at = start;
    int64_t number = 0;

    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9' &&
           at - start < SAFE_DIGITS)
        number = number * 10 + (text.data[at++] - '0');
    if (at == start || (text.data[start] == '0' && at > start + 1))
        return false;
    *position = at;
    *out = number;
    return true;
}

static bool plain_words(struct bytes text, size_t *position, struct bytes words)
{
    size_t at = *position;

    if (words.size > text.size - at || memcmp(text.data + at, words.data, words.size) != 0)
        return false;
    *position += words.size;
    return true;
}

bool dumb_line_plain(struct bytes text, size_t *position, struct dumb_plain *out)
{
    size_t start = *position + 1, at = start;
    struct dumb_plain plain;

    if (start > text.size || text.data[start - 1] != '\'')
        return false;
    while (at < text.size && text.data[at] >= ' ' && text.data[at] != '\'' && text.data[at] != '\\')
        at++;
    plain.key = bytes_part(text, start, at - start);
    if (!plain_words(text, &at, BYTES("', (")) || !plain_number(text, &at, &plain.offset) ||
        !plain_words(text, &at, BYTES(", ")) || !plain_number(text, &at, &plain.size) ||
        !plain_words(text, &at, BYTES(")\n")))
        return false;
    *position = at;
    *out = plain;
    return true;
}

/* --- printing, and lines --- */

/* repr() of a Latin-1 character: not printable are the controls, 7F to A0 and the soft hyphen. */
static void print_character(uint8_t byte, char quote, struct buffer *out)
{
    if (byte == quote || byte == '\\')
        buffer_printf(out, "\\%c", byte);
    else if (byte == '\n')
        buffer_add_string(out, "\\n");
    else if (byte == '\r')
        buffer_add_string(out, "\\r");
    else if (byte == '\t')
        buffer_add_string(out, "\\t");
    else if (byte < 0x20 || (byte >= 0x7F && byte <= 0xA0) || byte == 0xAD)
        buffer_printf(out, "\\x%02x", byte);
    else
        buffer_add_byte(out, byte);
}

void dumb_line_print(struct bytes key, int64_t offset, int64_t size, struct buffer *out)
{
    bool has_single = bytes_find_byte(key, '\'') < key.size;
    bool has_double = bytes_find_byte(key, '"') < key.size;
    char pair[PAIR_SIZE];
    char quote = has_single && !has_double ? '"' : '\'';

    buffer_add_byte(out, (uint8_t)quote);
    for (size_t i = 0; i < key.size; i++)
        print_character(key.data[i], quote, out);
    /* Not buffer_printf(), which formats twice: this is most of what rewriting an index costs. */
    snprintf(pair, sizeof pair, "%c, (%" PRId64 ", %" PRId64 ")\n", quote, offset, size);
    buffer_add_string(out, pair);
}

bool dumb_line_next(struct bytes text, size_t *position, struct bytes *line, size_t *end)
{
    struct bytes rest = bytes_part(text, *position, SIZE_MAX);
    size_t length = bytes_find_byte(rest, '\n');
    size_t carriage = bytes_find_byte(bytes_part(rest, 0, length), '\r');

    if (!rest.size)
        return false;
    if (carriage < length) {
        *end = carriage + 1 == length && length < rest.size ? 2 : 1;
        length = carriage;
    } else {
        *end = length < rest.size;
    }
    *line = bytes_part(rest, 0, length);
    *position += length + *end;
    return true;
}
