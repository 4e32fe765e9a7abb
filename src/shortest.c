/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/shortest.h"

enum {
    FRACTION_BITS = 52,
    EXPONENT_BIAS = 1075, /* of the significand as an integer */
    LOWEST_POWER = -292,
    HIGHEST_POWER = 324,
};

/* The upper 128 bits of 10^n, rounded up, from n = LOWEST_POWER on. */
static const struct power {
    uint64_t high, low;
} powers[] = {
#include "src/shortest_table.inc"
};

_Static_assert(ARRAY_SIZE(powers) == HIGHEST_POWER - LOWEST_POWER + 1, "one entry a power");

/* floor(log10(2^n)), or floor(log10(3/4 * 2^n)), for the exponents of a binary64. */
static int log10_of_power2(int n, bool three_quarters)
{
    return (n * 1262611 - (three_quarters ? 524031 : 0)) >> 22;
}

/* floor(log2(10^n)), likewise. */
static int log2_of_power10(int n)
{
    return (n * 1741647) >> 19;
}

/* power * factor / 2^128, rounded to odd: what is cut off is only seen as a lowest bit of 1. */
static uint64_t multiply(struct power power, uint64_t factor)
{
    unsigned __int128 low = (unsigned __int128)power.low * factor;
    unsigned __int128 product = (unsigned __int128)power.high * factor + (uint64_t)(low >> 64);

    return (uint64_t)(product >> 64) | ((uint64_t)product > 1);
}

struct shortest shortest_decimal(uint64_t bits)
{
    uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
    int biased = (int)(bits >> FRACTION_BITS & 0x7FF);
    uint64_t significand = biased ? fraction | UINT64_C(1) << FRACTION_BITS : fraction;
    int exponent = (biased ? biased : 1) - EXPONENT_BIAS;
    bool odd = significand & 1;
    /* At a power of two the gap below is half of the gap above. */
    bool near_below = fraction == 0 && biased > 1;
    int scale = log10_of_power2(exponent, near_below);
    unsigned shift = (unsigned)(exponent + log2_of_power10(-scale) + 1);
    struct power power = powers[-scale - LOWEST_POWER];
    /* The number and the ends of its rounding interval, in quarters of 10^scale. */
    uint64_t middle = multiply(power, significand * 4 << shift);
    uint64_t lower = multiply(power, (significand * 4 - 2 + near_below) << shift) + odd;
    uint64_t upper = multiply(power, (significand * 4 + 2) << shift) - odd;
    uint64_t fine = middle / 4, coarse = fine / 10;

    if (fine >= 10) {
        bool below = lower <= 40 * coarse, above = 40 * coarse + 40 <= upper;

        if (below != above)
            return (struct shortest){coarse + above, scale + 1};
    }
    if ((lower <= 4 * fine) != (4 * fine + 4 <= upper))
        return (struct shortest){fine + (4 * fine + 4 <= upper), scale};
    /* Both are inside, or none: the closer one, of two equally close ones the even one. */
    return (struct shortest){fine + (middle > 4 * fine + 2 || (middle == 4 * fine + 2 && (fine & 1))), scale};
}
