/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/patience.h"

#include <time.h>

static int64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void patience_start(struct patience *patience, unsigned seconds)
{
    patience->deadline_ns = monotonic_ns() + seconds * INT64_C(1000000000);
}

bool patience_wait(const struct patience *patience)
{
    static const struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};

    if (monotonic_ns() >= patience->deadline_ns)
        return false;
    nanosleep(&pause, NULL);
    return true;
}
