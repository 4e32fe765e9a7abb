/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Scratch files: what tools create on the way to a save, kept out of the database (design: Scratch files).
 *
 * A newly created file is a NODE_SCRATCH. Its name's shape says what becomes of it; a scratch file that becomes a
 * key does so by content_commit() (first text), by a rename onto a key's name, or when its time has come.
 *
 * A key that was renamed to a companion's name is *displaced*: the node under the new name is scratch with the key's
 * text, the value stays in the store under its own key, which is hidden in the mount, until a new file is saved
 * under that name (the value is then replaced in one step), or time is up (the rename is then carried out).
 */
#ifndef SHELVEFS_SCRATCH_H
#define SHELVEFS_SCRATCH_H

#include "src/bytes.h"
#include "src/list.h"

#include <time.h>

struct node;
struct node_name;
struct tree;

enum scratch_shape {
    SHAPE_PLAIN,     /* an ordinary name: scratch only while it is new and empty */
    SHAPE_TRANSIENT, /* a tool's temporary file: becomes a key when it stays */
    SHAPE_COMPANION, /* an editor's own file: never becomes a key by itself */
};

enum scratch_shape scratch_shape(const char *name);

/* A key whose value waits in the store for what replaces it. */
struct displaced {
    struct list list;
    struct node *companion; /* pinned: under which name the mount shows it */
    struct timespec since;  /* monotonic */
    uint64_t edition;       /* of the companion's text as it was displaced: another one was written since */
    struct bytes key;       /* its own copy, after this structure */
};

/* Part of struct tree, guarded by its lock. */
struct scratch {
    struct list due;       /* transients that nobody has open, by the time of their last close */
    struct list displaced; /* oldest first; changes only with tree->names held too */
};

void scratch_init(struct scratch *scratch);
/* Forgets what is displaced, when the tree is freed. */
void scratch_release(struct tree *tree);

/* Tree lock held. */
struct displaced *scratch_find_displaced(const struct scratch *scratch, struct bytes key);
struct displaced *scratch_displaced_as(const struct scratch *scratch, const struct node *companion);
/* Tree lock held. The key's value is not waiting any more. NULL is allowed. */
void scratch_end_displaced(struct tree *tree, struct displaced *displaced);

/* Tree and node lock held. Whether time may turn this file into a key, after its last close or a change. */
void scratch_queue(struct tree *tree, struct node *node);

/*
 * names and node lock held: `node`, a NODE_KEY, is about to get the companion's name `name`; the caller renames it.
 * `onto_key`: there is a key of that name, which gets the value at once.
 */
int scratch_displace(struct tree *tree, struct node *node, struct node_name *name, bool onto_key);
/* names and node lock held: whether the companion's text is another one than the displaced key's. */
bool scratch_rewritten(struct tree *tree, const struct node *node, const struct displaced *displaced);
/* names held: its text was saved elsewhere. If the value can't be removed, it appears under its old name again. */
void scratch_drop_displaced(struct tree *tree, struct displaced *displaced);
/*
 * names and node lock held: the scratch file goes. A displaced value behind it goes too, or comes back if a new file
 * stands at its name that was never saved.
 */
int scratch_remove(struct tree *tree, struct node *node);
/* The same when another file has got its name: can't fail. */
void scratch_replaced(struct tree *tree, struct node *node);

/* Makes keys of what is due; `all`: of all that wait. Returns the first failure. */
int scratch_settle(struct tree *tree, bool all);
/* Seconds until something is due, at least 1. */
unsigned scratch_wait(struct tree *tree);

#endif
