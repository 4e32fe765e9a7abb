/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decimal digits of machine integers: eight at a time, of which the pairs don't wait for one another.
 */
#ifndef SHELVEFS_DIGITS_H
#define SHELVEFS_DIGITS_H

#include "src/base.h"

#include <string.h>

enum { DIGITS_MAX = 20 }; /* of a uint64_t */

/* The two digits of a number below 100. */
static inline void digits_put_pair(char *at, uint32_t number)
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";

    memcpy(at, pairs + 2 * number, 2);
}

/* Writes the digits of `number` so that they end before `end`, and returns where they start. */
static inline char *digits_before(char *end, uint64_t number)
{
    const uint32_t eight = 100000000, four = 10000;
    uint32_t rest;

    for (; number >= eight; number /= eight) {
        uint32_t low = (uint32_t)(number % eight), high = low / four;

        low %= four;
        end -= 8;
        digits_put_pair(end, high / 100);
        digits_put_pair(end + 2, high % 100);
        digits_put_pair(end + 4, low / 100);
        digits_put_pair(end + 6, low % 100);
    }
    for (rest = (uint32_t)number; rest >= 100; rest /= 100) {
        end -= 2;
        digits_put_pair(end, rest % 100);
    }
    if (rest >= 10) {
        end -= 2;
        digits_put_pair(end, rest);
    } else {
        *--end = (char)('0' + rest);
    }
    return end;
}

#endif
