/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The words of a listing: an instruction's argument, or what is on the stack, for people.
 *
 * Each appends a part of one line to `out`: printable UTF-8, and of what is long only the first bytes and its size. Errors
 * stick in the buffer.
 */
#ifndef SHELVEFS_PICKLE_WORDS_H
#define SHELVEFS_PICKLE_WORDS_H

#include "codecs/pickle_ops.h"
#include "src/value.h"

/* What the instruction holds behind its byte; nothing for one without argument. */
void words_add_argument(const struct pickle_op *op, struct buffer *out);
/* A VALUE_GLOBAL or VALUE_EXTENSION: "os.system", "extension code 300". */
void words_add_global(const struct value *global, struct buffer *out);
/* Any value: what a number, string or global is, and of others which kind. */
void words_add_value(const struct value *value, struct buffer *out);

#endif
