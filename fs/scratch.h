/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Scratch files: what tools create on the way to a save, kept out of the database.
 *
 * A newly created file is a NODE_SCRATCH. Its name's shape says what becomes of it. It becomes a key by its first
 * commit with a text (commit.h), by a rename onto a key's name, or when its time has come.
 */
#ifndef SHELVEFS_SCRATCH_H
#define SHELVEFS_SCRATCH_H

#include "fs/folds.h"

struct node;
struct tree;

enum scratch_shape {
    SHAPE_PLAIN,     /* an ordinary name: scratch only while it is new and empty */
    SHAPE_TRANSIENT, /* a tool's temporary file: becomes a key when it stays */
    SHAPE_COMPANION, /* an editor's own file: never becomes a key by itself */
};

/* Of a name in a directory, see below; `fold`: NULL in a view's own one. */
enum scratch_shape scratch_shape(const struct fold *fold, const char *name);
/*
 * Whether a tool makes a directory of this name to put finished files in before it renames them, as `rsync --delay-updates`
 * does: a fold that no key leads to. What is in it is a companion, whatever its name.
 */
bool scratch_is_directory(const char *name);
/* names held: 0 if such a directory may be made there, -EPERM, -EEXIST: there is a key of its name. */
int scratch_may_make_directory(struct tree *tree, struct place place, const char *name);

/* names and node lock held: the file goes, and what is displaced behind it (displaced.h). */
int scratch_remove(struct tree *tree, struct node *node);
/* The same when another file has got its name: can't fail. */
void scratch_replaced(struct tree *tree, struct node *node);

/* Tree and node lock held. Time may turn this file into a key: it was closed, renamed or changed. */
void scratch_queue(struct tree *tree, struct node *node);
/* No lock held. Makes keys of what is due; `all`: of all that wait. Returns the first failure. */
int scratch_settle(struct tree *tree, bool all);
/* Seconds until something is due, at least 1. */
unsigned scratch_wait(struct tree *tree);

/* Time that never goes back, and the seconds until `since` is transient_seconds ago (0: it is). */
struct timespec scratch_clock(void);
unsigned scratch_wait_for(const struct tree *tree, struct timespec since);

#endif
