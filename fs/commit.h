/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Saving: one change of the store, or none and a text that is kept.
 */
#ifndef SHELVEFS_COMMIT_H
#define SHELVEFS_COMMIT_H

#include "fs/content.h"

enum commit {
    COMMIT_FLUSH,  /* one of perhaps several descriptors was closed */
    COMMIT_CLOSE,  /* the last writer goes */
    COMMIT_SETTLE, /* fsync, or time is up: a transient must become a key now */
};

/*
 * Node lock held (and tree->names, see commit_lock()). Saves the draft, if there is something to save; a scratch file may
 * become a key. After a refusal the draft stays, and the same errno is the answer until it is written again.
 */
int commit_node(struct tree *tree, struct node *node, enum commit why);

/*
 * Takes the node's lock, and before it tree->names where a commit needs it: at the name of a displaced key.
 * Returns whether it took that too, for commit_unlock().
 */
bool commit_lock(struct tree *tree, struct node *node);
void commit_unlock(struct tree *tree, struct node *node, bool names);

/*
 * Node lock held. Stores `text` under `key`, which need not be the node's, in one operation, by the rules for what replaces
 * the value of `like`: as a rule the same key; NULL: it is a new one, as far as is known. On refusal nothing has changed, the
 * reason was told and the text was kept.
 */
int commit_text(struct tree *tree, struct node *node, struct bytes key, const struct bytes *like,
                struct bytes text, struct digest *digest);
/* Node lock held (names, if its name is a displaced key's). Its content is stored under its name's key. */
void commit_done(struct tree *tree, struct node *node, struct digest digest);

#endif
