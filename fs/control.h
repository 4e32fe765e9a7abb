/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * .shelvefs/: what a mount says about itself. `status` and `errors` are written when they are opened; `rejected/` keeps
 * the newest texts that could not be saved.
 */
#ifndef SHELVEFS_CONTROL_H
#define SHELVEFS_CONTROL_H

#include "src/bytes.h"
#include "src/failure.h"

#include <time.h>

struct fold;
struct node;
struct tree;

enum {
    ERRORS_KEPT = 100,
    REJECTED_KEPT = 100,
    REJECTED_BYTES = 64 << 20,
};

struct refusal {
    struct timespec when;
    char *text; /* "NAME: reason" */
};

/* Part of struct tree, guarded by its lock. */
struct control {
    struct refusal errors[ERRORS_KEPT]; /* a ring: entry i of the mount is at i % ERRORS_KEPT */
    size_t refused;                     /* entries so far */
};

void control_release(struct control *control);
/* Makes the nodes of `status` and `errors`. */
int control_add_reports(struct tree *tree);
/* Node lock held: `text` could not be saved as this file. Tells it everywhere; keeps the text. */
void control_refuse(struct tree *tree, struct node *node, struct bytes text,
                    const struct failure *failure);
/*
 * Node lock held: the store answered `code` when this key was to be removed or renamed. Where another program has the
 * database locked, tells which, with what did not happen: "not removed". Returns `code`.
 */
int control_blocked(struct tree *tree, const struct node *node, const char *what, int code);
/* Node and tree lock held: it was saved after all. What was refused under its name before is settled. */
void control_mended(struct tree *tree, const struct node *node);
/* Tree lock held. Why the last save of this file was refused, until one succeeds or its text is removed; or NULL. */
const char *control_reason(struct tree *tree, const struct node *node);
/* Tree lock held. Whether there is a refused text in this fold or below it: rejected/ has the same directories. */
bool control_has_rejected(const struct tree *tree, const struct fold *fold);
/* The present text of a NODE_REPORT. */
int control_report(struct tree *tree, struct node *node, struct buffer *out);

#endif
