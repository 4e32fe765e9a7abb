/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The engine of the unit tests: a table in memory. It leaves renaming to store.c, to exercise that, and only exchanges
 * keys by itself.
 */
#include "src/store/engine.h"
#include "src/store/table.h"

#include <errno.h>
#include <stdlib.h>

struct memory {
    struct store store;
    struct table table;
    uint64_t changes;
};

static struct memory *memory_of(struct store *store)
{
    return (struct memory *)store;
}

static int memory_close(struct store *store)
{
    struct memory *memory = memory_of(store);
    struct table_entry *entry;
    uint32_t position = 0;

    while ((entry = table_next(&memory->table, &position)))
        free(entry->value);
    table_release(&memory->table);
    return 0;
}

static int memory_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    struct table_entry *entry = table_find(&memory_of(store)->table, key);

    if (!entry)
        return -ENOENT;
    buffer_add(value, bytes_of(entry->value, (size_t)entry->size));
    return buffer_status(value);
}

static int memory_exists(struct store *store, struct bytes key)
{
    return table_find(&memory_of(store)->table, key) != NULL;
}

static int memory_store(struct store *store, struct bytes key, struct bytes value,
                        enum store_mode mode)
{
    struct memory *memory = memory_of(store);
    struct table_entry *entry = table_find(&memory->table, key);
    uint8_t *copy;

    if (entry && mode == STORE_INSERT)
        return -EEXIST;
    copy = malloc(value.size ? value.size : 1);
    if (!copy)
        return -ENOMEM;
    if (value.size)
        memcpy(copy, value.data, value.size);
    if (!entry)
        entry = table_add(&memory->table, key);
    if (!entry) {
        free(copy);
        return -ENOMEM;
    }
    free(entry->value);
    entry->value = copy;
    entry->size = (int64_t)value.size;
    memory->changes++;
    return 0;
}

static int memory_remove(struct store *store, struct bytes key)
{
    struct memory *memory = memory_of(store);
    struct table_entry *entry = table_find(&memory->table, key);

    if (!entry)
        return -ENOENT;
    free(entry->value);
    table_remove(&memory->table, entry);
    memory->changes++;
    return 0;
}

/* Only what copying can't do. */
static int memory_rename(struct store *store, struct bytes from, struct bytes to,
                         enum store_mode mode)
{
    struct memory *memory = memory_of(store);
    struct table_entry *one = table_find(&memory->table, from), *other;
    void *value;
    int64_t size;

    if (mode != STORE_EXCHANGE)
        return -ENOTSUP;
    other = table_find(&memory->table, to);
    if (!one || !other)
        return -ENOENT;
    value = one->value;
    size = one->size;
    one->value = other->value;
    one->size = other->size;
    other->value = value;
    other->size = size;
    memory->changes++;
    return 0;
}

static int memory_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct table_entry *entry;
    uint32_t position = 0;

    while ((entry = table_next(&memory_of(store)->table, &position))) {
        if (!visitor(context, table_key(entry)))
            break;
    }
    return 0;
}

static int memory_stamp(struct store *store, struct store_stamp *out)
{
    *out = (struct store_stamp){.words = {memory_of(store)->changes}};
    return 0;
}

static const struct store_ops memory_ops = {
    .close = memory_close,
    .fetch = memory_fetch,
    .exists = memory_exists,
    .store = memory_store,
    .remove = memory_remove,
    .rename = memory_rename,
    .visit = memory_visit,
    .stamp = memory_stamp,
};

struct store *store_new_memory(void)
{
    struct memory *memory = engine_new(sizeof *memory, "memory", &memory_ops, "memory", false);

    if (memory && table_init(&memory->table)) {
        engine_free(&memory->store);
        return NULL;
    }
    return memory ? &memory->store : NULL;
}
