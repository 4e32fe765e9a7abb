/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Integers of any size as pickle stores them: two's complement, little-endian, minimal (no bytes
 * for 0), and as text: decimal up to 4300 digits, which is what CPython reads, hexadecimal beyond.
 */
#ifndef SHELVEFS_BIGINT_H
#define SHELVEFS_BIGINT_H

#include "src/bytes.h"

enum { BIGINT_DECIMAL_DIGITS = 4300 };

/* The bytes without redundant sign bytes (a part of `bytes`). */
struct bytes bigint_minimal(struct bytes bytes);
/* Whether it fits int64_t, and then its value. */
bool bigint_to_int64(struct bytes bytes, int64_t *integer);
/* Appends the 0 to 8 minimal bytes of `integer`. */
void bigint_from_int64(int64_t integer, struct buffer *out);

/* Appends the minimal bytes of -bytes. */
void bigint_negate(struct bytes bytes, struct buffer *out);

/* Appends decimal, or 0x... / -0x... beyond BIGINT_DECIMAL_DIGITS digits. */
void bigint_print(struct bytes bytes, struct buffer *text);
/* Appends decimal however long, quadratic: for pickle protocols 0 and 1 only. */
void bigint_print_decimal(struct bytes bytes, struct buffer *text);
/*
 * Parses digits in base 2, 8, 10 or 16 (no sign, prefix or underscores) and appends the minimal
 * bytes of the number, negated if asked. -EINVAL: not digits, or more than 4300 decimal ones;
 * -ENOMEM.
 */
int bigint_parse(struct bytes digits, unsigned base, bool negative, struct buffer *out);

#endif
