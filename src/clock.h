/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time that only goes forwards, for "how long ago": nobody sets it, and it is cheap to ask for. */
#ifndef SHELVEFS_CLOCK_H
#define SHELVEFS_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since some moment, right to a few of them. */
static inline int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

#endif
