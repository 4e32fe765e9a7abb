/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys in the order of their first insertion, found by hash: what an engine without an index of its
 * own keeps in memory.
 *
 * Entries stand in one array (40 bytes each) in order; a second array of 4-byte slots, open
 * addressing at a load of at most one half, finds them. The hash is keyed, so a hostile database
 * can't make it slow. With the key's own allocation that is under 100 bytes for a key of 20. The
 * table owns its keys; what `value` points to is the engine's. Pointers to entries are valid until
 * the next one is added only.
 */
#ifndef SHELVEFS_STORE_TABLE_H
#define SHELVEFS_STORE_TABLE_H

#include "src/digest.h"

struct table_entry {
    uint8_t *key; /* NULL: removed */
    uint32_t key_size;
    uint32_t hash : 31;
    uint32_t is_line : 1; /* not a key but a line that dumb keeps in its place: never found */
    union {
        int64_t offset;
        uint8_t *value;
    };
    int64_t size;
    int64_t line; /* dumb: where the key's only line can be made a comment; 0: it can't */
};

struct table {
    struct table_entry *entries;
    uint32_t *slots; /* index + 1 into entries; 0: free */
    uint32_t used;   /* entries in use, removed ones included */
    uint32_t capacity;
    uint32_t keys; /* living ones */
    struct digest_key secret;
};

/* Returns 0 or negative errno. */
int table_init(struct table *table);
void table_release(struct table *table);
/* NULL: absent. */
struct table_entry *table_find(struct table *table, struct bytes key);
/*
 * Adds a key that is absent, or a line; offset and size are zero. NULL: out of memory, or 2^31
 * entries.
 */
struct table_entry *table_add(struct table *table, struct bytes key);
/*
 * Both in one: for many in a row, which are mostly new. The entry that is there (`*added` is false) or a new one. `hash` is
 * table_hash(); who asks for that some time before lets the processor fetch what is looked at here meanwhile.
 */
struct table_entry *table_find_or_add(struct table *table, struct bytes key, uint32_t hash,
                                      bool *added);
uint32_t table_hash(const struct table *table, struct bytes key);
struct table_entry *table_add_line(struct table *table, struct bytes line);
void table_remove(struct table *table, struct table_entry *entry);
/*
 * The first living entry from `*position` (0: all) on, which is moved behind it; NULL at the end.
 */
struct table_entry *table_next(const struct table *table, uint32_t *position);

static inline struct bytes table_key(const struct table_entry *entry)
{
    return bytes_of(entry->key, entry->key_size);
}

#endif
