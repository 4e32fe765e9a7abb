/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/alike.h"

#include "fs/attributes.h"

#include <stdlib.h>

enum { WORDS = 8, FIRST_PLACES = 16 };

struct alike {
    struct chain_link by_words;
    uint32_t number, uses;
    uint64_t words[WORDS]; /* equal ones, equal attributes: what is not set is 0 */
};

static uint64_t two(uint32_t low, uint32_t high)
{
    return low | (uint64_t)high << 32;
}

static void put_time(uint64_t *words, struct timespec time)
{
    words[0] = (uint64_t)time.tv_sec;
    words[1] = (uint64_t)time.tv_nsec;
}

static struct timespec time_at(const uint64_t *words)
{
    return (struct timespec){.tv_sec = (time_t)words[0], .tv_nsec = (long)words[1]};
}

static void put_words(const struct attributes *from, uint64_t *words)
{
    const unsigned set = from->set;

    memset(words, 0, WORDS * sizeof *words);
    words[0] = two(set, set & ATTRIBUTE_MODE ? from->mode : 0);
    words[1] = two(set & ATTRIBUTE_UID ? from->uid : 0, set & ATTRIBUTE_GID ? from->gid : 0);
    if (set & ATTRIBUTE_ATIME)
        put_time(words + 2, from->atime);
    if (set & ATTRIBUTE_MTIME)
        put_time(words + 4, from->mtime);
    if (set & ATTRIBUTE_CTIME)
        put_time(words + 6, from->ctime);
}

void alikes_get(const struct alikes *alikes, uint32_t number, struct attributes *out)
{
    const uint64_t *words = alikes->places[number].alike->words;

    *out = (struct attributes){
        .set = (unsigned)words[0],
        .mode = (mode_t)(words[0] >> 32),
        .uid = (uid_t)words[1],
        .gid = (gid_t)(words[1] >> 32),
        .atime = time_at(words + 2),
        .mtime = time_at(words + 4),
        .ctime = time_at(words + 6),
    };
}

int alikes_init(struct alikes *alikes, const struct digest_key *key)
{
    *alikes = (struct alikes){.hash_key = *key};
    return chains_init(&alikes->all);
}

void alikes_release(struct alikes *alikes)
{
    struct chain_link *link;

    while (alikes->all.buckets && (link = chains_any(&alikes->all))) {
        chains_remove(&alikes->all, link);
        free(CONTAINER_OF(link, struct alike, by_words));
    }
    chains_release(&alikes->all);
    free(alikes->places);
    alikes->places = NULL;
}

/* --- numbers --- */

static bool grow(struct alikes *alikes)
{
    uint32_t capacity = alikes->capacity ? alikes->capacity * 2 : FIRST_PLACES;
    union alike_place *places;

    if (alikes->used < alikes->capacity)
        return true;
    if (capacity > ALIKE_LAST + 1)
        return false;
    places = realloc(alikes->places, capacity * sizeof *places);
    if (!places)
        return false;
    alikes->places = places;
    alikes->capacity = capacity;
    if (!alikes->used)
        alikes->used = 1;
    return true;
}

static bool number(struct alikes *alikes, struct alike *alike)
{
    if (alikes->free) {
        alike->number = alikes->free;
        alikes->free = alikes->places[alike->number].next;
    } else if (grow(alikes)) {
        alike->number = alikes->used++;
    } else {
        return false;
    }
    alikes->places[alike->number].alike = alike;
    return true;
}

static void unnumber(struct alikes *alikes, uint32_t number)
{
    alikes->places[number].next = alikes->free;
    alikes->free = number;
}

/* --- use --- */

static bool has_words(const struct alike *alike, const uint64_t *words)
{
    return memcmp(alike->words, words, sizeof alike->words) == 0;
}

static struct alike *find(const struct alikes *alikes, uint64_t hash, const uint64_t *words)
{
    struct chain_link *link = chains_find(&alikes->all, hash);

    for (; link; link = chains_next(link)) {
        struct alike *alike = CONTAINER_OF(link, struct alike, by_words);

        if (has_words(alike, words))
            return alike;
    }
    return NULL;
}

static struct alike *find_or_add(struct alikes *alikes, const uint64_t *words)
{
    const struct bytes all = bytes_of(words, WORDS * sizeof *words);
    uint64_t hash = digest_bytes(&alikes->hash_key, all).words[0];
    struct alike *alike = find(alikes, hash, words);

    if (alike)
        return alike;
    alike = malloc(sizeof *alike);
    if (!alike || !number(alikes, alike)) {
        free(alike);
        return NULL;
    }
    alike->uses = 0;
    memcpy(alike->words, words, sizeof alike->words);
    chains_add(&alikes->all, &alike->by_words, hash);
    return alike;
}

uint32_t alikes_use(struct alikes *alikes, const struct attributes *attributes)
{
    struct alike *alike = alikes->last ? alikes->places[alikes->last].alike : NULL;
    uint64_t words[WORDS];

    put_words(attributes, words);
    if (!alike || !has_words(alike, words))
        alike = find_or_add(alikes, words);
    if (!alike)
        return 0;
    alike->uses++;
    alikes->last = alike->number;
    return alike->number;
}

void alikes_unuse(struct alikes *alikes, uint32_t number)
{
    struct alike *alike = alikes->places[number].alike;

    if (--alike->uses)
        return;
    if (alikes->last == number)
        alikes->last = 0;
    chains_remove(&alikes->all, &alike->by_words);
    unnumber(alikes, number);
    free(alike);
}
