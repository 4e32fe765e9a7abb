/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An intrusive hash table: members embed a link, the table owns nothing but its buckets.
 *
 * The table compares hashes only; the caller walks the members of one hash and compares what they mean. Adding
 * cannot fail: when the table can't grow, its chains get longer.
 */
#ifndef SHELVEFS_TABLE_H
#define SHELVEFS_TABLE_H

#include "src/base.h"

struct table_link {
    struct table_link *next;
    uint64_t hash;
};

struct table {
    struct table_link **buckets;
    size_t mask; /* number of buckets, a power of two, less one */
    size_t count;
};

/* Returns 0 or -ENOMEM; a zeroed table may be released. */
int table_init(struct table *table);
/* Frees the buckets. Members are the caller's, see table_any(). */
void table_release(struct table *table);
void table_add(struct table *table, struct table_link *link, uint64_t hash);
/* `link` must be a member. */
void table_remove(struct table *table, struct table_link *link);
/* The first member of this hash, or NULL. */
struct table_link *table_find(const struct table *table, uint64_t hash);
/* The next member of the same hash, or NULL. */
struct table_link *table_next(const struct table_link *link);
/* Any member, or NULL when the table is empty: for taking it apart. */
struct table_link *table_any(const struct table *table);

#endif
