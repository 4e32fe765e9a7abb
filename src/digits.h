/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decimal digits of machine integers, two at a time.
 */
#ifndef SHELVEFS_DIGITS_H
#define SHELVEFS_DIGITS_H

#include "src/base.h"

#include <string.h>

enum { DIGITS_MAX = 20 }; /* of a uint64_t */

/* Writes the digits of `number` so that they end before `end`, and returns where they start. */
static inline char *digits_before(char *end, uint64_t number)
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";

    while (number >= 100) {
        end -= 2;
        memcpy(end, pairs + 2 * (number % 100), 2);
        number /= 100;
    }
    if (number >= 10) {
        end -= 2;
        memcpy(end, pairs + 2 * number, 2);
    } else {
        *--end = (char)('0' + number);
    }
    return end;
}

#endif
