/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * String literals as CPython's repr() writes them, and the words of Python that are no names.
 *
 * The quote is ' unless the content has ' and no ". A backslash, the quote, \n, \r and \t have
 * their short escapes; other characters that are not printable (src/printable.h) are \xHH, \uHHHH
 * or \UHHHHHHHH. In byte strings all but printable ASCII is \xHH (CPython, unicode_repr and
 * PyBytes_Repr).
 */
#ifndef SHELVEFS_LITERAL_H
#define SHELVEFS_LITERAL_H

#include "src/bytes.h"

/* Appends the literal with quotes and no prefix, and returns its columns. `content` is UTF-8 with surrogates. */
size_t literal_print_text(struct bytes content, struct buffer *out);
/* The same for any bytes. */
size_t literal_print_bytes(struct bytes content, struct buffer *out);
/*
 * How many of the first bytes of `content` a bytes literal of at most `width` columns holds,
 * quotes included (at least one, unless it is empty), and how wide it is.
 */
size_t literal_bytes_fitting(struct bytes content, size_t width, size_t *used);

/* ASCII letters, digits and underscores, not a digit first, and no keyword of Python 3. */
bool literal_is_identifier(struct bytes text);

#endif
