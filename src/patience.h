/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waiting for another process that holds a lock. */
#ifndef SHELVEFS_PATIENCE_H
#define SHELVEFS_PATIENCE_H

#include "src/base.h"

struct patience {
    int64_t deadline_ns; /* CLOCK_MONOTONIC */
};

void patience_start(struct patience *patience, unsigned seconds);
/* Sleeps a little and returns true, or false when the time is over. */
bool patience_wait(const struct patience *patience);
/* flock() that waits at most so long: `how` is LOCK_SH or LOCK_EX. -EBUSY: another open file has the lock. */
int patience_lock(int fd, int how, unsigned seconds);

#endif
