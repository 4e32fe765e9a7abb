/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A line on a terminal that says how far something is, once it has taken a second. On anything else: nothing. */
#ifndef SHELVEFS_PROGRESS_H
#define SHELVEFS_PROGRESS_H

#include "src/store.h"

struct progress {
    struct store_progress sink; /* for the store; its context is this structure, which must stay where it is */
    int fd;                     /* -1: no terminal */
    int64_t due_ns;             /* when the line is written next */
    bool shown;
};

void progress_init(struct progress *progress, int fd);
/* Wipes the line away. */
void progress_end(struct progress *progress);

#endif
