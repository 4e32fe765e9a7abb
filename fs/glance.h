/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A glance: many files of a directory looked at together, because a listing is about to tell their attributes.
 *
 * Alone, each look asks whether the database changed, locks it, and finds its way in it. A glance does so once for all, and the looks that
 * follow while it lasts take what it saw. It lasts for one page of a listing; somebody who looks or opens meanwhile asks the
 * store as ever.
 */
#ifndef SHELVEFS_GLANCE_H
#define SHELVEFS_GLANCE_H

#include "fs/nodes.h"

#include <sys/stat.h>

struct glance {
    struct tree *tree;
    uint64_t number;      /* of this glance, never 0 */
    struct stat database; /* tree_database() */
    struct buffer nodes;  /* struct node * each, pinned: what it saw stays in memory */
};

/* Looks at the next name again and again until it is NULL. */
typedef const char *glance_names(void *context);
/*
 * Files that can't be seen so, because there are none, are too large or being written, are left to a look of their own. Release it in any
 * case. -ENOMEM, or what keeps the store from being read.
 */
int glance_take(struct tree *tree, struct place place, glance_names *next, void *context,
                struct glance *out);
void glance_release(struct glance *glance);

/* Whether it saw the content of this file. Node lock held. NULL: there is no glance. */
static inline bool glance_covers(const struct glance *glance, const struct node *node)
{
    return glance && node->glance == glance->number;
}

#endif
