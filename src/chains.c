/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/chains.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 64, SPARSE = 8 };

int chains_init(struct chains *chains)
{
    struct chain_link **buckets = calloc(FIRST_BUCKETS, sizeof *buckets);

    if (!buckets)
        return -ENOMEM;
    *chains = (struct chains){.buckets = buckets, .mask = FIRST_BUCKETS - 1};
    return 0;
}

void chains_release(struct chains *chains)
{
    free(chains->buckets);
    *chains = (struct chains){0};
}

/* Without memory it stays as it is. */
static void chains_resize(struct chains *chains, size_t size)
{
    struct chain_link **buckets = calloc(size, sizeof *buckets);

    if (!buckets)
        return;
    for (size_t i = 0; i <= chains->mask; i++) {
        struct chain_link *link = chains->buckets[i];

        while (link) {
            struct chain_link *next = link->next;
            struct chain_link **bucket = &buckets[link->hash & (size - 1)];

            link->next = *bucket;
            *bucket = link;
            link = next;
        }
    }
    free(chains->buckets);
    chains->buckets = buckets;
    chains->mask = size - 1;
    chains->empty = 0;
}

void chains_add(struct chains *chains, struct chain_link *link, uint64_t hash)
{
    struct chain_link **bucket;

    if (chains->count > chains->mask)
        chains_resize(chains, (chains->mask + 1) * 2);
    if (chains->empty > (hash & chains->mask))
        chains->empty = hash & chains->mask;
    bucket = &chains->buckets[hash & chains->mask];
    *link = (struct chain_link){.next = *bucket, .hash = hash};
    *bucket = link;
    chains->count++;
}

void chains_remove(struct chains *chains, struct chain_link *link)
{
    struct chain_link **at = &chains->buckets[link->hash & chains->mask];

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    chains->count--;
    if (chains->mask >= FIRST_BUCKETS && chains->count < chains->mask / SPARSE)
        chains_resize(chains, (chains->mask + 1) / 2);
}

static struct chain_link *same_hash(struct chain_link *link, uint64_t hash)
{
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

struct chain_link *chains_find(const struct chains *chains, uint64_t hash)
{
    return same_hash(chains->buckets[hash & chains->mask], hash);
}

struct chain_link *chains_next(const struct chain_link *link)
{
    return same_hash(link->next, link->hash);
}

void chains_visit(const struct chains *chains,
                  void (*visit)(void *context, struct chain_link *link), void *context)
{
    for (size_t i = 0; i <= chains->mask; i++) {
        for (struct chain_link *link = chains->buckets[i]; link; link = link->next)
            visit(context, link);
    }
}

struct chain_link *chains_any(struct chains *chains)
{
    if (!chains->count)
        return NULL;
    while (!chains->buckets[chains->empty])
        chains->empty++;
    return chains->buckets[chains->empty];
}
