/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A glance: many files of a directory looked at together, because their attributes are about to be told.
 *
 * Alone, each look asks whether the database changed, locks it, and finds its way in it. A glance does so once for all. What it saw holds
 * for a moment, much shorter than the kernel may keep attributes anyway: whoever only asks for attributes meanwhile gets them without a look.
 * Who opens a file asks the store as ever.
 */
#ifndef SHELVEFS_GLANCE_H
#define SHELVEFS_GLANCE_H

#include "fs/nodes.h"

#include <sys/stat.h>

enum { GLANCE_MS = 100 }; /* that holds what was seen */

struct glance {
    struct tree *tree;
    struct buffer nodes; /* struct node * each, pinned: what it saw stays in memory */
};

/* Those that are over, and what they saw may still be asked for. Part of struct tree, guarded by its lock. */
struct glances {
    struct glance parked[4];
    unsigned next;        /* the oldest of them */
    int64_t parked_ms;    /* when the last one was */
    struct stat database; /* tree_database() at the last one's time */
};

/* Looks at the next name again and again until it is NULL. */
typedef const char *glance_names(void *context);
/*
 * Files that can't be seen so, because there are none, are too large or being written, are left to a look of their own; what was seen a moment
 * ago is not looked at again. Release or park it in any case. -ENOMEM, or what keeps the store from being read.
 */
int glance_take(struct tree *tree, struct place place, glance_names *next, void *context,
                struct glance *out);
void glance_release(struct glance *glance);

/* What it saw stays in memory until others were parked, or until glances_expire() finds that nobody can ask for it any more. */
void glance_park(struct glance *glance);
void glances_expire(struct tree *tree);
void glances_release(struct tree *tree);

/* Whether what a glance saw of this file still holds. Node lock held, or the tree's. */
bool glance_holds(const struct tree *tree, const struct node *node);

#endif
