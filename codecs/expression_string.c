/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A string literal: its quotes, and what stands between them. */
#include "codecs/expression_scanner.h"

#include "src/utf8.h"

static unsigned hexadecimal(const struct scanner *scanner, size_t offset, unsigned count,
                            uint32_t *point)
{
    unsigned digits = 0;

    for (*point = 0; digits < count; digits++) {
        uint8_t byte = scanner_at(scanner, offset + digits), lower = byte | 0x20;

        if (is_digit(byte))
            *point = *point << 4 | (uint32_t)(byte - '0');
        else if (lower >= 'a' && lower <= 'f')
            *point = *point << 4 | (uint32_t)(lower - 'a' + 10);
        else
            break;
    }
    return digits;
}

static void add_point(struct scanner *scanner, uint32_t point, bool bytes)
{
    if (bytes)
        buffer_add_byte(&scanner->joined, (uint8_t)point);
    else
        utf8_add(&scanner->joined, point);
}

static int unescape_hexadecimal(struct scanner *scanner, bool bytes, uint8_t letter)
{
    unsigned count = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
    uint32_t point;

    if (hexadecimal(scanner, scanner->offset + 2, count, &point) < count)
        return scanner_fail(scanner, scanner->offset, "expected %u hexadecimal digits after \\%c",
                            count, letter);
    if (point > 0x10FFFF)
        return scanner_fail(scanner, scanner->offset, "no character has a number above 10ffff");
    add_point(scanner, point, bytes);
    scanner->offset += 2 + count;
    return 0;
}

static int unescape_octal(struct scanner *scanner, bool bytes)
{
    uint32_t point = 0;
    unsigned digits = 0;

    for (; digits < 3; digits++) {
        uint8_t byte = scanner_at(scanner, scanner->offset + 1 + digits);

        if (byte < '0' || byte > '7')
            break;
        point = point * 8 + (uint32_t)(byte - '0');
    }
    if (bytes && point > 0xFF)
        return scanner_fail(scanner, scanner->offset, "a byte is at most \\377");
    add_point(scanner, point, bytes);
    scanner->offset += 1 + digits;
    return 0;
}

/* The escape at the backslash that is next. */
static int unescape(struct scanner *scanner, bool bytes)
{
    static const char letters[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    uint8_t letter = scanner_at(scanner, scanner->offset + 1);
    size_t end = scanner_line_end(scanner, scanner->offset + 1);

    if (end) {
        scanner->offset += 1 + end;
        return 0;
    }
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (letter == (uint8_t)letters[i]) {
            buffer_add_byte(&scanner->joined, (uint8_t)letters[i + 1]);
            scanner->offset += 2;
            return 0;
        }
    if (letter >= '0' && letter <= '7')
        return unescape_octal(scanner, bytes);
    if (letter == 'x' || (!bytes && (letter == 'u' || letter == 'U')))
        return unescape_hexadecimal(scanner, bytes, letter);
    if (letter == 'N' && !bytes)
        return scanner_fail(scanner, scanner->offset, "write \\u or \\U instead of \\N{...}");
    /* What is no escape stands for itself, as in Python. */
    buffer_add_byte(&scanner->joined, '\\');
    scanner->offset++;
    return 0;
}

struct literal {
    struct prefix prefix;
    size_t start;
    uint8_t quote;
    bool triple;
};

static bool is_closing(const struct scanner *scanner, const struct literal *literal)
{
    size_t offset = scanner->offset;

    return scanner_at(scanner, offset) == literal->quote &&
           (!literal->triple || (scanner_at(scanner, offset + 1) == literal->quote &&
                                 scanner_at(scanner, offset + 2) == literal->quote));
}

static int unclosed(struct scanner *scanner, const struct literal *literal)
{
    return scanner_fail(scanner, literal->start, "the string that starts here has no closing %s%c",
                        literal->triple ? "triple " : "", literal->quote);
}

/* The longest run that stands for itself. */
static size_t plain_run(const struct scanner *scanner, const struct literal *literal)
{
    size_t offset = scanner->offset;

    while (offset < scanner->text.size) {
        uint8_t byte = scanner->text.data[offset];

        if (byte == '\\' || byte == literal->quote || byte == '\n' || byte == '\r' || byte == 0 ||
            (byte >= 0x80 && literal->prefix.bytes))
            break;
        offset++;
    }
    return offset - scanner->offset;
}

/* What ends a plain run, unless it is the closing quote. */
static int scan_special(struct scanner *scanner, const struct literal *literal)
{
    uint8_t byte = scanner_at(scanner, scanner->offset);
    size_t end = scanner_line_end(scanner, scanner->offset);

    if (byte == 0 && scanner->offset < scanner->text.size)
        return scanner_fail(scanner, scanner->offset, "a NUL must be written as \\x00");
    if (byte >= 0x80)
        return scanner_fail(scanner, scanner->offset,
                            "bytes beyond ASCII must be written as \\x..");
    if (!byte || (end && !literal->triple))
        return unclosed(scanner, literal);
    if (byte == '\\' && !literal->prefix.raw)
        return unescape(scanner, literal->prefix.bytes);
    if (byte == '\\') {
        /* Raw: a quote behind it doesn't close, and both stay. */
        buffer_add_byte(&scanner->joined, byte);
        scanner->offset++;
        byte = scanner_at(scanner, scanner->offset);
        end = scanner_line_end(scanner, scanner->offset);
        if (!byte || (byte != literal->quote && byte != '\\' && !end))
            return 0;
    }
    buffer_add_byte(&scanner->joined, end ? '\n' : byte);
    scanner->offset += end ? end : 1;
    return 0;
}

/* Behind the opening quote; the content is a part of the text if nothing needs to be changed. */
static int scan_content(struct scanner *scanner, const struct literal *literal, bool only,
                        struct bytes *borrowed)
{
    *borrowed = bytes_part(scanner->text, scanner->offset, plain_run(scanner, literal));
    scanner->offset += borrowed->size;
    if (only && is_closing(scanner, literal))
        return 0;
    buffer_add(&scanner->joined, *borrowed);
    *borrowed = (struct bytes){NULL, 0};
    while (!is_closing(scanner, literal)) {
        struct bytes run = bytes_part(scanner->text, scanner->offset, plain_run(scanner, literal));
        int status = 0;

        buffer_add(&scanner->joined, run);
        scanner->offset += run.size;
        if (!is_closing(scanner, literal))
            status = scan_special(scanner, literal);
        if (status)
            return status;
    }
    return buffer_status(&scanner->joined);
}

int scanner_literal(struct scanner *scanner, const struct prefix *prefix, bool only,
                    struct bytes *borrowed)
{
    struct literal literal = {.prefix = *prefix, .start = scanner->offset};
    int status;

    if (prefix->formatted)
        return scanner_fail(scanner, scanner->offset, "f-strings would have to be evaluated");
    scanner->offset += prefix->size;
    literal.quote = scanner_at(scanner, scanner->offset);
    literal.triple = scanner_at(scanner, scanner->offset + 1) == literal.quote &&
                     scanner_at(scanner, scanner->offset + 2) == literal.quote;
    scanner->offset += literal.triple ? 3 : 1;
    status = scan_content(scanner, &literal, only, borrowed);
    scanner->offset += literal.triple ? 3 : 1;
    return status;
}
