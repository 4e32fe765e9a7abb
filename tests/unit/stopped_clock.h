/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The clock of src/clock.h goes as told: for programs that are linked with --wrap=clock_gettime. */
#ifndef SHELVEFS_TESTS_STOPPED_CLOCK_H
#define SHELVEFS_TESTS_STOPPED_CLOCK_H

#include <stdint.h>
#include <time.h>

static int64_t passed_ms; /* since the program began */

int __real_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock != CLOCK_MONOTONIC_COARSE)
        return __real_clock_gettime(clock, out);
    *out = (struct timespec){.tv_sec = 1000 + passed_ms / 1000, .tv_nsec = passed_ms % 1000 * 1000000};
    return 0;
}

#endif
