/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Being ahead of who walks through a directory.
 *
 * A program that asks for one file after the other in the order of the listing, of the numbers or of the names is a walk (tar; find,
 * grep and cp; rsync). What it will ask for next is then known. Where it looks up names, the next files can be looked at
 * together, which is much less work than one by one (glance.h). Where it opens files that the kernel knows, their texts can be put into its page cache:
 * it is spared a request, and its wait for the other processor.
 *
 * The *roll* is what the last listing that began has told, up to AHEAD_MOST entries. Its orders are found out once a file of it is asked for, in the
 * notifier's thread.
 *
 * In a read-write mount each open() tells how far the walk is. In a read-only one (frozen.h) nothing does while all goes well: who is heard of has read a
 * file that was not pushed. Pushing then starts a few files further on, or the two would meet at each of them.
 *
 * At most a window of texts, and PUSHED bytes, are pushed beyond the last file that was heard of, none of them large, and LOOKS files are looked at
 * beyond the last that was looked up, so what a walk that ends has made for nothing is bounded. Without memory nobody is ahead of anybody.
 */
#ifndef SHELVEFS_AHEAD_H
#define SHELVEFS_AHEAD_H

#include "src/bytes.h"

enum {
    AHEAD_MOST = 1 << 20,
    AHEAD_OF_OPENS = 4096, /* windows */
    AHEAD_OF_READS = 16384,
};

struct ahead;

struct ahead_ops {
    /* Puts the text of that node into the kernel's cache, if it may be there. Returns its size, or 0. Called without locks held. */
    size_t (*push)(void *context, uint64_t node);
    /* ahead_step() has something to do. Called from any thread; may be more often than that. */
    void (*wake)(void *context);
};

/* `ops` is borrowed. `window`: so many texts at most. -ENOMEM. */
int ahead_new(const struct ahead_ops *ops, void *context, uint32_t window, struct ahead **out);
void ahead_free(struct ahead *ahead); /* NULL is allowed; no other call may be running */

/* A listing of this directory begins; it tells of this node. */
void ahead_begin(struct ahead *ahead, uint64_t directory);
void ahead_add(struct ahead *ahead, uint64_t node, const char *name);
/* A reader opens it, or reads it where opening is not told. */
void ahead_opened(struct ahead *ahead, uint64_t node);
/*
 * Its name was looked up in this directory. Appends the names (with their NULs) that will probably be looked up next, if any, and each once: the
 * caller is to look at them.
 */
void ahead_looked(struct ahead *ahead, uint64_t directory, uint64_t node, struct buffer *names);
/* From time to time: forgets what nobody walks through any more. */
void ahead_tick(struct ahead *ahead);

/* Does a piece of the work, of some milliseconds. Returns whether there is more. One thread at a time. */
bool ahead_step(struct ahead *ahead);

#endif
