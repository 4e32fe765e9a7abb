/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/table.h"

#include <stdlib.h>

enum { HASH_MASK = 0x7FFFFFFF, FIRST_CAPACITY = 16, MOST_ENTRIES = 1 << 30 };

int table_init(struct table *table)
{
    struct digest_key secret;
    int status = digest_key_random(&secret);

    *table = (struct table){.secret = secret};
    return status;
}

void table_release(struct table *table)
{
    for (uint32_t i = 0; i < table->used; i++)
        free(table->entries[i].key);
    free(table->entries);
    free(table->slots);
    *table = (struct table){.secret = table->secret};
}

static inline uint32_t slot_mask(const struct table *table)
{
    return table->capacity * 2 - 1;
}

uint32_t table_hash(const struct table *table, struct bytes key)
{
    uint32_t hash = (uint32_t)digest_bytes(&table->secret, key).words[0] & HASH_MASK;

    if (table->slots)
        __builtin_prefetch(&table->slots[hash & slot_mask(table)]);
    return hash;
}

static void table_occupy(struct table *table, uint32_t index)
{
    uint32_t at = table->entries[index].hash & slot_mask(table);

    while (table->slots[at])
        at = (at + 1) & slot_mask(table);
    table->slots[at] = index + 1;
}

/* Drops removed entries; their slots go with the rebuild that follows. */
static void table_compact(struct table *table)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < table->used; i++) {
        if (table->entries[i].key)
            table->entries[kept++] = table->entries[i];
    }
    table->used = kept;
}

static bool table_make_room(struct table *table)
{
    struct table_entry *entries;
    uint32_t *slots;
    uint32_t capacity = table->capacity;

    if (table->used < table->capacity)
        return true;
    table_compact(table);
    if (table->used >= capacity / 2)
        capacity = capacity ? capacity * 2 : FIRST_CAPACITY;
    slots = capacity <= MOST_ENTRIES ? calloc((size_t)capacity * 2, sizeof *slots) : NULL;
    entries = slots ? realloc(table->entries, capacity * sizeof *entries) : NULL;
    if (entries) {
        free(table->slots);
        table->slots = slots;
        table->entries = entries;
        table->capacity = capacity;
    } else {
        /* The old slots still point at where entries were before compaction: build them anew. */
        free(slots);
        if (table->slots)
            memset(table->slots, 0, (size_t)table->capacity * 2 * sizeof *slots);
    }
    for (uint32_t i = 0; i < table->used; i++) {
        if (!table->entries[i].is_line)
            table_occupy(table, i);
    }
    return entries != NULL;
}

static struct table_entry *table_find_hashed(struct table *table, struct bytes key, uint32_t hash)
{
    uint32_t at = hash & slot_mask(table);

    for (; table->capacity && table->slots[at]; at = (at + 1) & slot_mask(table)) {
        struct table_entry *entry = &table->entries[table->slots[at] - 1];

        if (entry->key && entry->hash == hash && bytes_equal(table_key(entry), key))
            return entry;
    }
    return NULL;
}

struct table_entry *table_find(struct table *table, struct bytes key)
{
    return table_find_hashed(table, key, table_hash(table, key));
}

/* A new entry at the end, in no slot. */
static struct table_entry *table_append(struct table *table, struct bytes text)
{
    struct table_entry *entry;
    uint8_t *copy;

    if (text.size > UINT32_MAX || !table_make_room(table))
        return NULL;
    copy = malloc(text.size ? text.size : 1);
    if (!copy)
        return NULL;
    if (text.size)
        memcpy(copy, text.data, text.size);
    entry = &table->entries[table->used];
    *entry = (struct table_entry){.key = copy, .key_size = (uint32_t)text.size};
    table->used++;
    return entry;
}

static struct table_entry *table_add_hashed(struct table *table, struct bytes key, uint32_t hash)
{
    struct table_entry *entry = table_append(table, key);

    if (entry) {
        entry->hash = hash & HASH_MASK;
        table_occupy(table, table->used - 1);
        table->keys++;
    }
    return entry;
}

struct table_entry *table_add(struct table *table, struct bytes key)
{
    return table_add_hashed(table, key, table_hash(table, key));
}

struct table_entry *table_find_or_add(struct table *table, struct bytes key, uint32_t hash,
                                      bool *added)
{
    struct table_entry *entry = table_find_hashed(table, key, hash);

    *added = !entry;
    return entry ? entry : table_add_hashed(table, key, hash);
}

struct table_entry *table_add_line(struct table *table, struct bytes line)
{
    struct table_entry *entry = table_append(table, line);

    if (entry)
        entry->is_line = true;
    return entry;
}

void table_remove(struct table *table, struct table_entry *entry)
{
    free(entry->key);
    entry->key = NULL;
    if (!entry->is_line)
        table->keys--;
}

struct table_entry *table_next(const struct table *table, uint32_t *position)
{
    while (*position < table->used) {
        struct table_entry *entry = &table->entries[(*position)++];

        if (entry->key)
            return entry;
    }
    return NULL;
}
