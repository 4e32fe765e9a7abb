/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One line of the index (NAME.dir) of a dbm.dumb database: 'key', (offset, size)
 *
 * CPython (Lib/dbm/dumb.py) writes "%r, %r\n" of the key, decoded as Latin-1, and the pair; it
 * reads text in Latin-1 with universal newlines and gives each line, right-stripped, to
 * ast.literal_eval(). We read what either Python can have written and what a person would write by
 * hand: str literals with either quote, a prefix u, every escape but \N{}, adjacent literals; a
 * tuple or list; signs, 0x, 0o, 0b and underscores; blanks and a comment. Not read, and so kept as
 * unknown: raw and triple-quoted strings, parentheses around the line, arithmetic. A key with a
 * character beyond U+00FF or a bytes literal makes CPython give up, so it is unknown too. Numbers
 * beyond int64_t become the nearest that is.
 */
#ifndef SHELVEFS_STORE_DUMB_LINE_H
#define SHELVEFS_STORE_DUMB_LINE_H

#include "src/bytes.h"

enum dumb_line {
    DUMB_RECORD,
    DUMB_BLANK,   /* CPython refuses an index with such a line; it says nothing */
    DUMB_UNKNOWN, /* the key buffer may hold a part of a key */
};

/*
 * `line` without its line end. The key is appended. The status of `key` must be looked at
 * afterwards.
 */
enum dumb_line dumb_line_parse(struct bytes line, struct buffer *key, int64_t *offset,
                               int64_t *size);
/* A record as Python writes it, of a key without escapes. */
struct dumb_plain {
    struct bytes key; /* in the text */
    int64_t offset, size;
};
/*
 * The line at `*position`, which is moved behind its "\n", if it is such a one: most are, and this is much quicker than
 * dumb_line_next() and dumb_line_parse(), which make the same of it. False: ask those.
 */
bool dumb_line_plain(struct bytes text, size_t *position, struct dumb_plain *out);
/* Appends the line as Python 3 would, newline included. */
void dumb_line_print(struct bytes key, int64_t offset, int64_t size, struct buffer *out);
/*
 * The line at `*position`, which is moved behind its end (\n, \r or \r\n); `*end` is how many bytes
 * of `*line` that end has: 0 if the file stops before it. False: there is none.
 */
bool dumb_line_next(struct bytes text, size_t *position, struct bytes *line, size_t *end);

#endif
