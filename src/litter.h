/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What killed processes of ours left behind: files that were to get the name of another one (struct io_draft), and have one of
 * their own already.
 */
#ifndef SHELVEFS_LITTER_H
#define SHELVEFS_LITTER_H

#include <stdbool.h>

/*
 * Such files live for moments, with a name for the last of them only. One is litter after this many seconds without a change: the
 * clock of a file server may be another one.
 */
enum { LITTER_SECONDS = 600 };

/* What comes behind the directory in the name of such a file, as for printf() with an unsigned long long. */
#define LITTER_NAME ".shelvefs-%016llx"

/* Removes those beside `path`, a file, that belong to its owner or to us. No failure is worth telling. */
void litter_remove(const char *path);

#endif
