/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/table.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 64 };

int table_init(struct table *table)
{
    struct table_link **buckets = calloc(FIRST_BUCKETS, sizeof *buckets);

    if (!buckets)
        return -ENOMEM;
    *table = (struct table){.buckets = buckets, .mask = FIRST_BUCKETS - 1};
    return 0;
}

void table_release(struct table *table)
{
    free(table->buckets);
    *table = (struct table){0};
}

static void table_grow(struct table *table)
{
    size_t size = (table->mask + 1) * 2;
    struct table_link **buckets = calloc(size, sizeof *buckets);

    if (!buckets)
        return;
    for (size_t i = 0; i <= table->mask; i++) {
        struct table_link *link = table->buckets[i];

        while (link) {
            struct table_link *next = link->next;
            struct table_link **bucket = &buckets[link->hash & (size - 1)];

            link->next = *bucket;
            *bucket = link;
            link = next;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->mask = size - 1;
}

void table_add(struct table *table, struct table_link *link, uint64_t hash)
{
    struct table_link **bucket;

    if (table->count > table->mask)
        table_grow(table);
    bucket = &table->buckets[hash & table->mask];
    *link = (struct table_link){.next = *bucket, .hash = hash};
    *bucket = link;
    table->count++;
}

void table_remove(struct table *table, struct table_link *link)
{
    struct table_link **at = &table->buckets[link->hash & table->mask];

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    table->count--;
}

static struct table_link *same_hash(struct table_link *link, uint64_t hash)
{
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

struct table_link *table_find(const struct table *table, uint64_t hash)
{
    return same_hash(table->buckets[hash & table->mask], hash);
}

struct table_link *table_next(const struct table_link *link)
{
    return same_hash(link->next, link->hash);
}

struct table_link *table_any(const struct table *table)
{
    for (size_t i = 0; table->count && i <= table->mask; i++) {
        if (table->buckets[i])
            return table->buckets[i];
    }
    return NULL;
}
