/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text arguments of protocol 0, read as CPython's Modules/_pickle.c reads them, which is not how
 * pickle.py does: INT by strtol() with base 0, so "010" is 8 and "+1" is True; a NUL ends a number.
 *
 * All return NULL, or the constant sentence that says what is wrong. `scratch` is working memory whose status the
 * caller checks: after a failed allocation the result is meaningless.
 */
#ifndef SHELVEFS_PICKLE_TEXT_H
#define SHELVEFS_PICKLE_TEXT_H

#include "src/bytes.h"

struct pickle_integer {
    bool boolean; /* INT's two-character lines of value 0 and 1 */
    bool big;     /* .bytes (in scratch) instead of .integer */
    int64_t integer;
    struct bytes bytes; /* two's complement, little-endian, minimal */
};

const char *pickle_text_int(struct bytes line, struct buffer *scratch, struct pickle_integer *out);
const char *pickle_text_long(struct bytes line, struct buffer *scratch, struct pickle_integer *out);
const char *pickle_text_float(struct bytes line, uint64_t *bits);
/* A memo index of GET and PUT. */
const char *pickle_text_index(struct bytes line, uint64_t *index);
/* STRING: `scratch` gets the 8-bit string of a quoted line. */
const char *pickle_text_string(struct bytes line, struct buffer *scratch);
/* UNICODE: `scratch` gets the UTF-8 (with surrogates) of a raw-unicode-escape line. */
const char *pickle_text_unicode(struct bytes line, struct buffer *scratch);

#endif
