/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Floating-point numbers as Python's repr() writes them: the shortest decimal that reads back to
 * the same binary64, exponent form below 1e-4 and from 1e16, at least two exponent digits, else
 * with ".0". Independent of the process's locale.
 */
#ifndef SHELVEFS_FLOATTEXT_H
#define SHELVEFS_FLOATTEXT_H

#include "src/bytes.h"

enum { FLOATTEXT_MAX = 32 };

/*
 * Writes repr(float) of a finite number, or "inf", "-inf", "nan", NUL-terminated; returns its
 * length.
 */
size_t floattext_print(uint64_t bits, char out[FLOATTEXT_MAX]);
/*
 * Parses all of `text` as float(text) does for plain ASCII forms: digits, point, exponent, sign,
 * "inf", "nan", "infinity"; no blanks, underscores or hexadecimal. False if it is none. 1e999 is
 * infinity.
 */
bool floattext_parse(struct bytes text, uint64_t *bits);

#endif
