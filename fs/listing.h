/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory listing from within: snapshot.c takes it, listing.c reads it. */
#ifndef SHELVEFS_LISTING_H
#define SHELVEFS_LISTING_H

#include "fs/nodes.h"

/*
 * Entries that are ready before they are asked for, each with a reference to its node. Such an answer is older than its request, while the kernel
 * takes what it is told for newer than what it knew when it asked (Linux, fs/fuse: attr_version). So they are given only if nothing happened since it
 * was begun: no request was under way or came that changes something or tells attributes (tree_touch_begin()), no change by another program was seen
 * or shows in the store's stamp, and only a moment has passed.
 */
struct prepared {
    off_t position;        /* of the first one; 0: there are none */
    struct buffer entries; /* as listing.c has them */
    struct buffer names;   /* with their NULs */
    uint64_t touches;          /* the tree's, before they were looked at */
    int64_t ms;                /* clock_ms() then */
    struct store_stamp stamp;  /* likewise, if `stamped` */
    bool stamped;
};

struct tree_listing {
    struct tree *tree;
    struct list all;        /* in tree->listings; tree lock */
    struct node *directory; /* pinned */

    pthread_mutex_t lock;  /* of what follows; no other lock is taken while it is held */
    pthread_cond_t grown;  /* there are more names, or there will be none; or nobody looks ahead any more */
    struct buffer names;   /* per entry: a type byte (S_IFMT bits >> 12), the name, NUL */
    struct buffer offsets; /* size_t each: where an entry starts in `names` */
    bool complete;
    int status;     /* once it is: why there may be more names than these; told behind the last one */
    unsigned uses;  /* calls that go on after their answers */
    bool looking;   /* one of them looks ahead */
    bool read;      /* somebody may read them */
    struct prepared prepared;
    bool unprepared; /* what was prepared was of no use: that is not done again */
};

/* The lock is held, or it is complete. */
static inline size_t listing_count(const struct tree_listing *listing)
{
    return listing->offsets.size / sizeof(size_t);
}

/* What was prepared and not given is nobody's. No lock held. */
void listing_drop_prepared(struct tree_listing *listing);
/* A call that went on after its answer is over: frees the listing if nobody else has it. */
void listing_leave(struct tree_listing *listing);

#endif
