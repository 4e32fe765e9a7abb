/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a file holds: the text that was rendered or saved last, or the draft of the next one.
 *
 * A draft exists from the first change until it was saved (or dropped after it was refused), never longer: a save
 * turns it into the node's text, which all open handles then share. While there is a draft, every handle reads it.
 *
 * All functions: the node's lock is held by the caller.
 */
#ifndef SHELVEFS_CONTENT_H
#define SHELVEFS_CONTENT_H

#include "fs/nodes.h"

enum draft_state {
    DRAFT_EMPTIED,  /* by O_TRUNC or creation: shells close duplicates before they write */
    DRAFT_FLUSHED,  /* emptied, and one descriptor was closed since */
    DRAFT_WRITTEN,  /* has changes that were not tried to save */
    DRAFT_REFUSED,  /* could not be saved as it is now */
};

struct draft {
    struct text *text; /* nobody else has it yet, so it may change */
    struct text_id base; /* what it was made from */
    enum draft_state state;
    int refused; /* for DRAFT_REFUSED: negative errno */
    struct timespec mtime;
};

/*
 * Brings what is known of a NODE_KEY up to date: asks the store unless its stamp says that nothing changed.
 * `text` (may be NULL): gets a reference to the text, or NULL when the value can't be shown (node->trouble says
 * why). -ENOENT: no such key; other errors are the store's.
 */
int content_look(struct tree *tree, struct node *node, struct text **text);
/* The present text without asking the store: a reference, or NULL. */
struct text *content_text(struct tree *tree, struct node *node);
size_t content_size(struct tree *tree, struct node *node);

/* A draft that starts as `base` (NULL: empty), if there is none. */
int content_start_draft(struct tree *tree, struct node *node, struct text *base);
/* An empty draft, as O_TRUNC or creation makes it. */
int content_empty(struct tree *tree, struct node *node);
int content_write(struct tree *tree, struct node *node, size_t offset, struct bytes bytes);
int content_resize(struct tree *tree, struct node *node, size_t size);

enum commit {
    COMMIT_FLUSH,  /* one of perhaps several descriptors was closed */
    COMMIT_CLOSE,  /* the last writer goes */
    COMMIT_SETTLE, /* a transient must become a key now */
};
/*
 * Saves the draft, if there is something to save. A scratch file becomes a key here. Scratch at the name of a displaced
 * key needs tree->names as well: content_commit_needs_names().
 */
int content_commit(struct tree *tree, struct node *node, enum commit why);
bool content_commit_needs_names(struct tree *tree, struct node *node);
/* Takes the node's lock, and tree->names first where a commit needs it. Returns whether it did. */
bool content_lock_for_commit(struct tree *tree, struct node *node);
void content_unlock(struct tree *tree, struct node *node, bool names);

/* Stores `text` under `key` in one operation; on refusal nothing has changed and the text is kept. */
int content_save(struct tree *tree, struct node *node, struct bytes key, struct bytes text,
                 struct digest *digest);
/* The node's content is saved as `digest` under its name's key: it is a NODE_KEY from now on. */
void content_saved(struct tree *tree, struct node *node, struct digest digest);
/* The draft becomes the text, unsaved. */
void content_keep_draft(struct tree *tree, struct node *node);
void content_drop_draft(struct tree *tree, struct node *node);
/* What the file holds now, draft or text: valid while the lock is held. */
struct bytes content_bytes(struct tree *tree, struct node *node);

#endif
