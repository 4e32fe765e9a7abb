/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/printable.h"

static const struct {
    uint32_t first, last;
} escaped[] = {
#include "src/printable_table.inc"
};

bool printable(uint32_t point)
{
    size_t low = 0, high = ARRAY_SIZE(escaped);

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (point > escaped[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low == ARRAY_SIZE(escaped) ? point <= 0x10FFFF : point < escaped[low].first;
}
