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
    DRAFT_EMPTIED, /* by O_TRUNC or creation: shells close duplicates before they write */
    DRAFT_FLUSHED, /* emptied, and one descriptor was closed since */
    DRAFT_WRITTEN, /* has changes that were not tried to save */
    DRAFT_REFUSED, /* could not be saved as it is now */
};

struct draft {
    struct text *text;   /* nobody else has it yet, so it may change */
    struct text_id base; /* what it was made from */
    enum draft_state state;
    int refused; /* for DRAFT_REFUSED: negative errno */
    struct timespec mtime;
};

/*
 * Brings what is known of a NODE_KEY up to date: asks the store unless its stamp says that nothing changed.
 * `text` (may be NULL): gets a reference to the text, or NULL when the value can't be shown (node->trouble says
 * why). -ENOENT: no such key, or the value is another file now (node->replaced: frozen.h); other errors are the store's.
 */
int content_look(struct tree *tree, struct node *node, struct text **text);
/*
 * The same with what was fetched just now: the stored bytes, the store's stamp before that (NULL: it has none), and what
 * tree_database() said.
 */
void content_glance(struct tree *tree, struct node *node, struct bytes stored,
                    const struct store_stamp *stamp, const struct stat *database);
/* The present text without asking the store: a reference, or NULL. */
struct text *content_text(struct tree *tree, struct node *node);
size_t content_size(struct tree *tree, struct node *node);

/* A draft that starts as `base` (NULL: empty), if there is none. */
int content_start_draft(struct tree *tree, struct node *node, struct text *base);
/* An empty draft, as O_TRUNC or creation makes it. */
int content_empty(struct tree *tree, struct node *node);
int content_write(struct tree *tree, struct node *node, size_t offset, struct bytes bytes);
int content_resize(struct tree *tree, struct node *node, size_t size);

/* The draft becomes the text, which all open handles read from now on. */
void content_share_draft(struct tree *tree, struct node *node);
/* The same for a file that is no key, or has no name any more: nothing is saved. */
void content_keep_draft(struct tree *tree, struct node *node);
void content_drop_draft(struct tree *tree, struct node *node);
/* What the file holds now, draft or text: valid while the lock is held. */
struct bytes content_bytes(struct tree *tree, struct node *node);

#endif
