/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files of a read-only mount never change.
 *
 * Nobody writes here, so the kernel may open and close files without asking (it is told that there is no OPEN), and keep their attributes and
 * pages for as long as it likes. What it knows of a node then has to stay true: a value that another program changed is another
 * file, as if it had been renamed to that name (content.c). The name leads to a new node; who had the old one open reads on in the old text, or gets
 * -ESTALE once that is gone, but never a piece of each. It is the same with reports, of which each look-up may find a new one.
 *
 * - A file that can't be shown has a size, or nobody would ask for its text and be told why.
 * - A large text is kept for who reads it piece by piece: from a read that leaves something until shortly after one that reaches the end, or
 *   until nobody asked for a while. Small ones are read at once.
 * - So a text can be pushed into the kernel's pages without a lock: there is no other for that node.
 */
#ifndef SHELVEFS_FROZEN_H
#define SHELVEFS_FROZEN_H

#include "fs/nodes.h"

enum { FROZEN_TROUBLED_SIZE = 1 };

/* Those who read large texts now. Part of struct tree, guarded by its lock. */
struct frozen_readers {
    struct list list;
};

void frozen_init(struct frozen_readers *readers);
void frozen_release(struct tree *tree);
/* What this node held is nobody's any more: the kernel had forgotten it before the value changed. Tree lock held; the caller has a pin. */
void frozen_thaw(struct tree *tree, const struct node *node);
/* Forgets who did not ask for a while. Takes the tree lock. */
void frozen_expire(struct tree *tree);

/*
 * Brings a NODE_REPORT up to date: `*node`, which is pinned, is the same one if its text is, or a new one, pinned, under this name. Takes the locks.
 */
int frozen_renew_report(struct tree *tree, struct place place, struct node **node);

#endif
