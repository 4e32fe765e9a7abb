/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the sources of the scanner share; nobody else includes this. expression_scan.c knows tokens, among them strings of
 * several literals; expression_string.c reads one literal.
 */
#ifndef SHELVEFS_EXPRESSION_SCANNER_H
#define SHELVEFS_EXPRESSION_SCANNER_H

#include "codecs/expression_scan.h"

/* 0 behind the end: no token starts with it. */
static inline uint8_t scanner_at(const struct scanner *scanner, size_t offset)
{
    return offset < scanner->text.size ? scanner->text.data[offset] : 0;
}

static inline bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* The size of a line's end, or 0. */
static inline size_t scanner_line_end(const struct scanner *scanner, size_t offset)
{
    if (scanner_at(scanner, offset) == '\r')
        return scanner_at(scanner, offset + 1) == '\n' ? 2 : 1;
    return scanner_at(scanner, offset) == '\n';
}

/* What stands before the opening quote. */
struct prefix {
    size_t size;
    bool raw, bytes, unicode, formatted;
};

/*
 * Reads the literal whose prefix starts at the scanner's offset and goes behind it. Its content is appended to scanner->joined
 * and `*borrowed` is NULL; or `*borrowed` is it, if it is a part of the text and the literal the `only` one so far.
 * 0, -EINVAL (the failure is set), -ENOMEM.
 */
int scanner_literal(struct scanner *scanner, const struct prefix *prefix, bool only, struct bytes *borrowed);

#endif
