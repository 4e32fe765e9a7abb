/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading ahead for who walks through a directory.
 *
 * A program that opens one file after the other in the order of the listing, of the numbers or of the names is a walk (tar; find,
 * grep and cp; rsync). What it will open next is then known, and can be put into the kernel's page cache before it asks: it
 * is spared a request, and its wait for the other processor.
 *
 * Only nodes that the kernel knows can be pushed, so the *roll* is what a listing has told it, up to AHEAD_MOST entries: the last listing
 * that began. The order of a roll is found out when a file of it is opened, in the notifier's thread.
 *
 * At most WINDOW texts are pushed beyond the one that was opened last, none of them large, so what a walk that ends has made for
 * nothing is bounded. Without memory nothing is pushed.
 */
#ifndef SHELVEFS_AHEAD_H
#define SHELVEFS_AHEAD_H

#include "src/base.h"

enum { AHEAD_MOST = 1 << 17 };

struct ahead;

struct ahead_ops {
    /* Puts the text of that node into the kernel's cache, if it may be there. Called without locks held. */
    void (*push)(void *context, uint64_t node);
    /* ahead_step() has something to do. Called from any thread; may be more often than that. */
    void (*wake)(void *context);
};

/* `ops` is borrowed. -ENOMEM. */
int ahead_new(const struct ahead_ops *ops, void *context, struct ahead **out);
void ahead_free(struct ahead *ahead); /* NULL is allowed; no other call may be running */

/* A listing begins; it tells the kernel of this node. */
void ahead_begin(struct ahead *ahead);
void ahead_add(struct ahead *ahead, uint64_t node, const char *name);
/* A reader opens it. */
void ahead_opened(struct ahead *ahead, uint64_t node);

/* Does a piece of the work, of some milliseconds. Returns whether there is more. One thread at a time. */
bool ahead_step(struct ahead *ahead);

#endif
