/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Displaced keys: a key that was renamed to a companion's name, as vim makes its backup.
 *
 * The node has the new name and is scratch with the key's text. The value stays in the store under its own key, which is
 * hidden in the mount, until a new file is saved under that name: one store operation replaces the value, and no
 * other process ever saw the key missing. If none comes in transient_seconds, the rename is carried out.
 *
 * Where a key of the companion's name exists, that key gets the value at once and the node stays a key; only
 * the removal of the old key is put off.
 *
 * All views share the keys: what is displaced through one of them may be saved anew through another. A companion's name is never
 * that of a displaced key: what waits there is carried out before.
 *
 * Displaced keys begin and end with tree->names held; the list is also guarded by tree->lock.
 */
#ifndef SHELVEFS_DISPLACED_H
#define SHELVEFS_DISPLACED_H

#include "fs/nodes.h"

struct displaced {
    struct list list;
    struct node *companion; /* pinned: under which name the mount shows it */
    struct timespec since;  /* scratch_clock() */
    uint64_t edition; /* of its text then: with another one, the companion was written since */
    struct bytes key; /* lives behind this structure */
};

/* Tree lock held. NULL: none. */
struct displaced *displaced_find(const struct tree *tree, struct bytes key);
struct displaced *displaced_as(const struct tree *tree, const struct node *companion);
/* names and tree lock held. The key's value is not waiting any more. NULL is allowed. */
void displaced_end(struct tree *tree, struct displaced *displaced);
/* The same for all of this key, which has got another value: the companions keep their texts. */
void displaced_replaced(struct tree *tree, struct bytes key);

/*
 * names and node lock held: `node`, a NODE_KEY, is about to get the companion's name `name`; the caller renames it.
 * `onto_key`: there is a key of that name.
 */
int displaced_begin(struct tree *tree, struct node *node, struct node_name *name, bool onto_key);
/* names and node lock held: whether the companion's text is another one than the displaced key's. */
bool displaced_rewritten(struct tree *tree, const struct node *node,
                         const struct displaced *displaced);
/* names held: the text was saved elsewhere. A value that can't be removed appears under its old name again. */
void displaced_drop(struct tree *tree, struct displaced *displaced);
/* names and the companion's lock held: does what was put off, and is over unless the store refuses it. */
int displaced_carry_out(struct tree *tree, struct displaced *displaced);
/* names and the locks of both nodes (NULL: none) held: makes room at a companion's name that `node` is about to get. */
int displaced_make_room(struct tree *tree, const struct node *node, const struct node *target,
                        const struct node_name *name);
/*
 * names and node lock held: the companion goes. The value goes with it; but if a new file that was never saved stands at
 * its name, it is the only one, and appears there again.
 */
int displaced_end_with(struct tree *tree, struct node *companion);

/* No lock held. Carries out the renames whose time has come; `all`: all. Returns the first failure. */
int displaced_settle(struct tree *tree, bool all);
/* Tree lock held. Seconds until there is something to do. */
unsigned displaced_wait(const struct tree *tree);
/* Forgets all, when the tree is freed. */
void displaced_release(struct tree *tree);

#endif
