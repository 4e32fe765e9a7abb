/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open files. tree.h has the operations. */
#ifndef SHELVEFS_FILES_H
#define SHELVEFS_FILES_H

#include "fs/nodes.h"
#include "fs/tree.h"

struct tree_handle {
    struct tree *tree;
    struct node *node;        /* pinned */
    struct tree_handle *next; /* of the same node; node lock */
    struct list all;          /* in tree->handles; tree lock */
    struct text *
        text; /* what it opened or what was saved since; NULL while it only knows the draft; node lock */
    bool writable;
    bool append;
    bool paged;      /* constant: it reads through the kernel's pages */
    int64_t read_ms; /* node lock: when it was opened or read from (told.h) */
};

/* Node lock held. A handle in the node's list; the node gets a pin. Takes ownership of `text` on success. */
int handle_new(struct tree *tree, struct node *node, int flags, struct text *text,
               enum tree_cache cache, struct tree_handle **out);
/* Frees what is still open at the end of the mount. */
void handles_free(struct node *node);

/* Unmounting, no other call is running. Saves what was written and never flushed. Returns the first failure. */
int files_finish(struct tree *tree);
/* Frees the handles that were never released. */
void files_abandon(struct tree *tree);

#endif
