/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/patience.h"

#include <errno.h>
#include <sys/file.h>
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

int patience_lock(int fd, int how, unsigned seconds)
{
    struct patience patience;

    patience_start(&patience, seconds);
    while (flock(fd, how | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (!patience_wait(&patience))
            return -EBUSY;
    }
    return 0;
}
