/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Completing the updates in a journal that a crash interrupted, unless another program went on from there, or they were
 * not begun. The part of journal.c that reads what may be torn or out of date.
 */
#ifndef SHELVEFS_STORE_JOURNAL_REPLAY_H
#define SHELVEFS_STORE_JOURNAL_REPLAY_H

#include "src/store/journal.h"

/* `fd` is the database, `stat` what it is. What was written again is on the disk then. */
int journal_replay(const struct journal *journal, int fd, const struct stat *stat,
                   enum journal_outcome *out);

#endif
