/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An intrusive hash table: members embed a link, the table owns nothing but its buckets.
 *
 * The table compares hashes only; the caller walks the members of one hash and compares what they mean. Adding
 * cannot fail: when the table can't grow, its chains get longer. It shrinks when it has become much emptier.
 */
#ifndef SHELVEFS_CHAINS_H
#define SHELVEFS_CHAINS_H

#include "src/base.h"

struct chain_link {
    struct chain_link *next;
    uint64_t hash;
};

struct chains {
    struct chain_link **buckets;
    size_t mask; /* number of buckets, a power of two, less one */
    size_t count;
    size_t
        empty; /* so many buckets at the start are known to be empty: a table is emptied in linear time */
};

/* Returns 0 or -ENOMEM; a zeroed one may be released. */
int chains_init(struct chains *chains);
/* Frees the buckets. Members are the caller's, see chains_any(). */
void chains_release(struct chains *chains);
void chains_add(struct chains *chains, struct chain_link *link, uint64_t hash);
/* `link` must be a member. The other members' order may change. */
void chains_remove(struct chains *chains, struct chain_link *link);
/* The first member of this hash, or NULL. */
struct chain_link *chains_find(const struct chains *chains, uint64_t hash);
/* The next member of the same hash, or NULL. */
struct chain_link *chains_next(const struct chain_link *link);
/* All members, in no order; the table must not change meanwhile. */
void chains_visit(const struct chains *chains,
                  void (*visit)(void *context, struct chain_link *link), void *context);
/* Any member, or NULL when the table is empty: for taking it apart. */
struct chain_link *chains_any(struct chains *chains);

#endif
