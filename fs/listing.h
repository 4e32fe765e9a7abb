/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A directory listing from within: snapshot.c takes it, listing.c reads it. */
#ifndef SHELVEFS_LISTING_H
#define SHELVEFS_LISTING_H

#include "fs/nodes.h"

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
};

/* The lock is held, or it is complete. */
static inline size_t listing_count(const struct tree_listing *listing)
{
    return listing->offsets.size / sizeof(size_t);
}

/* A call that went on after its answer is over: frees the listing if nobody else has it. */
void listing_leave(struct tree_listing *listing);

#endif
