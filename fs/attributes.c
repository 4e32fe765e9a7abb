/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/attributes.h"

#include <stdlib.h>

struct entry {
    struct chain_link link;
    struct attributes attributes;
    size_t size;
    uint8_t key[];
};

int attribute_table_init(struct attribute_table *table, const struct digest_key *key)
{
    table->hash_key = *key;
    return chains_init(&table->table);
}

void attribute_table_release(struct attribute_table *table)
{
    struct chain_link *link;

    while ((link = chains_any(&table->table))) {
        chains_remove(&table->table, link);
        free(CONTAINER_OF(link, struct entry, link));
    }
    chains_release(&table->table);
}

static uint64_t hash(const struct attribute_table *table, struct bytes key)
{
    return digest_bytes(&table->hash_key, key).words[0];
}

static struct entry *find(const struct attribute_table *table, struct bytes key)
{
    struct chain_link *link = chains_find(&table->table, hash(table, key));

    for (; link; link = chains_next(link)) {
        struct entry *entry = CONTAINER_OF(link, struct entry, link);

        if (bytes_equal(bytes_of(entry->key, entry->size), key))
            return entry;
    }
    return NULL;
}

const struct attributes *attributes_find(const struct attribute_table *table, struct bytes key)
{
    struct entry *entry = find(table, key);

    return entry ? &entry->attributes : NULL;
}

struct attributes *attributes_edit(struct attribute_table *table, struct bytes key)
{
    struct entry *entry = find(table, key);

    if (!entry) {
        entry = malloc(sizeof *entry + key.size);
        if (!entry)
            return NULL;
        *entry = (struct entry){.size = key.size};
        if (key.size)
            memcpy(entry->key, key.data, key.size);
        chains_add(&table->table, &entry->link, hash(table, key));
    }
    return &entry->attributes;
}

void attributes_drop(struct attribute_table *table, struct bytes key)
{
    struct entry *entry = find(table, key);

    if (!entry)
        return;
    chains_remove(&table->table, &entry->link);
    free(entry);
}

void attributes_merge(struct attributes *to, const struct attributes *from)
{
    to->set |= from->set;
    if (from->set & ATTRIBUTE_MODE)
        to->mode = from->mode;
    if (from->set & ATTRIBUTE_UID)
        to->uid = from->uid;
    if (from->set & ATTRIBUTE_GID)
        to->gid = from->gid;
    if (from->set & ATTRIBUTE_ATIME)
        to->atime = from->atime;
    if (from->set & ATTRIBUTE_MTIME)
        to->mtime = from->mtime;
    if (from->set & ATTRIBUTE_VALUE)
        to->value = from->value;
}
