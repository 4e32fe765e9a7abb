/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The shortest decimal that reads back to the same binary64, and of those the one closest to it: what repr() shows.
 *
 * Reading rounds to nearest, ties to even, so an interval's ends belong to it when the significand is even. The method is
 * Raffaello Giulietti's ("The Schubfach way to render doubles", 2020): of the multiples of two neighbouring powers of ten, at most
 * one of the coarser ones and two of the finer ones can lie in the rounding interval, and one multiplication by a
 * tabulated 128-bit power of ten, rounded to odd, is enough to place the interval's ends among them.
 */
#ifndef SHELVEFS_SHORTEST_H
#define SHELVEFS_SHORTEST_H

#include "src/base.h"

/* digits * 10^exponent; the digits may end with zeros. */
struct shortest {
    uint64_t digits;
    int exponent;
};

/* `bits`: a finite binary64 that is not zero; the sign is ignored. */
struct shortest shortest_decimal(uint64_t bits);

#endif
