/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/tdbchains.h"

#include "src/tdbheader.h"

#include <errno.h>

enum { STRETCH = 1 << 14 }; /* chains and records that are visited at a time */

/* What a file is written with unless its programs ask for another one: of lib/tdb/common/hash.c, which does not export it. */
static uint32_t usual_hash(struct bytes key)
{
    uint32_t value = 0x238F13AFu * (uint32_t)key.size;

    for (size_t i = 0; i < key.size; i++)
        value += (uint32_t)key.data[i] << (i * 5 % 24);
    return 1103515243u * value + 12345;
}

/* The header says what its function makes of the name; nothing at all in files older than that. */
static tdbchains_hash *hash_of_header(const struct tdb_header *header, tdbchains_hash *jenkins)
{
    const struct bytes name = bytes_of(TDB_LAYOUT_NAME, sizeof TDB_LAYOUT_NAME);

    if (header->version != TDB_LAYOUT_VERSION || !header->hash_size)
        return NULL;
    if ((!header->hash_magic[0] && !header->hash_magic[1]) ||
        header->hash_magic[0] == usual_hash(name))
        return usual_hash;
    return header->hash_magic[0] == jenkins(name) ? jenkins : NULL;
}

void tdbchains_init(struct tdbchains *chains, const struct tdb_header *header,
                    tdbchains_hash *jenkins)
{
    *chains = (struct tdbchains){
        .mapped = MAPPED_INIT,
        .base = tdbheader_base(header),
        .count = header->hash_size,
        .hash = hash_of_header(header, jenkins),
    };
}

void tdbchains_hurry(struct tdbchains *chains, int fd, const struct stat *stat, off_t most)
{
    mapped_set(&chains->mapped, fd, stat);
    chains->way.at = 0;
    chains->size = stat->st_size > chains->base ? (uint64_t)(stat->st_size - chains->base) : 0;
    if (stat->st_size <= most)
        mapped_begin(&chains->mapped, stat->st_size, MAPPED_POSIX);
}

static int read_at(struct tdbchains *chains, uint64_t offset, void *out, size_t size)
{
    return mapped_read(&chains->mapped, out, size, chains->base + (off_t)offset);
}

static int begin(struct tdbchains *chains, uint32_t chain, struct tdbchains_way *way)
{
    *way = (struct tdbchains_way){.chain = chain};
    return read_at(chains, TDB_LAYOUT_FREE_LIST + ((uint64_t)chain + 1) * TDB_LAYOUT_HEAD,
                   &way->next, sizeof way->next);
}

static bool makes_sense(const struct tdbchains *chains, const struct tdbchains_way *way)
{
    const struct tdb_record *record = &way->record;

    return (record->magic == TDB_LAYOUT_USED || record->magic == TDB_LAYOUT_DEAD) &&
           (uint64_t)record->key_size + record->data_size <= record->length &&
           way->at + sizeof *record + record->length <= chains->size;
}

/* To the next record: 1, 0 at the end, negative if there is no sense in it. */
static int step(struct tdbchains *chains, struct tdbchains_way *way)
{
    int status;

    way->at = way->next;
    if (!way->at)
        return 0;
    if (way->at == way->mark)
        return -EUCLEAN;
    way->steps++;
    if ((way->steps & (way->steps - 1)) == 0)
        way->mark = way->at;
    status = read_at(chains, way->at, &way->record, sizeof way->record);
    if (status)
        return status;
    way->next = way->record.next;
    return makes_sense(chains, way) ? 1 : -EUCLEAN;
}

static int read_key(struct tdbchains *chains, const struct tdbchains_way *way, struct buffer *key)
{
    uint8_t *room;

    buffer_clear(key);
    room = buffer_extend(key, way->record.key_size);
    if (!room && way->record.key_size)
        return buffer_status(key);
    return read_at(chains, (uint64_t)way->at + sizeof way->record, room, way->record.key_size);
}

static int read_value(struct tdbchains *chains, const struct tdbchains_way *way, struct buffer *value)
{
    size_t before = value->size;
    uint8_t *room = buffer_extend(value, way->record.data_size);
    int status;

    if (!room && way->record.data_size)
        return buffer_status(value);
    status = read_at(chains, (uint64_t)way->at + sizeof way->record + way->record.key_size, room,
                     way->record.data_size);
    if (status)
        value->size = before;
    return status ? -EAGAIN : 0;
}

/* Goes on to the record of the key. 1: there it is, 0: the chain ends, or negative. */
static int search(struct tdbchains *chains, struct bytes key, uint32_t hash, struct tdbchains_way *way)
{
    const struct tdb_record *record = &way->record;
    struct buffer found = BUFFER_INIT;
    bool is_it = false;
    int status = 1;

    while (status > 0 && !is_it && (status = step(chains, way)) > 0) {
        if (record->magic != TDB_LAYOUT_USED || record->hash != hash || record->key_size != key.size)
            continue;
        status = read_key(chains, way, &found);
        is_it = !status && bytes_equal(buffer_bytes(&found), key);
        status = status ? status : 1;
    }
    buffer_release(&found);
    return status;
}

int tdbchains_find(struct tdbchains *chains, struct bytes key, struct buffer *value)
{
    struct tdbchains_way *way = &chains->way;
    uint32_t hash, chain;
    int found = 0;

    if (!chains->hash)
        return -EAGAIN;
    hash = chains->hash(key);
    chain = hash % chains->count;
    if (way->at && way->chain == chain)
        found = search(chains, key, hash, way);
    if (!found)
        found = begin(chains, chain, way);
    if (!found)
        found = search(chains, key, hash, way);
    if (found > 0)
        return read_value(chains, way, value);
    way->at = 0;
    return found ? -EAGAIN : -ENOENT;
}

/* A key that no search would find is not shown. */
static void show_key(struct tdbchains *chains, const struct tdbchains_way *way, struct tdbchains_walk *walk)
{
    struct bytes key = buffer_bytes(&walk->key);

    if (way->record.hash % chains->count != walk->chain || chains->hash(key) != way->record.hash)
        walk->damaged = true;
    else
        walk->stopped = !walk->visitor(walk->context, key);
}

static int visit_chain(struct tdbchains *chains, struct tdbchains_walk *walk, uint64_t *records)
{
    struct tdbchains_way way;
    int status = begin(chains, walk->chain, &way);

    while (!status && !walk->stopped && (status = step(chains, &way)) > 0) {
        bool used = way.record.magic == TDB_LAYOUT_USED;

        status = used ? read_key(chains, &way, &walk->key) : 0;
        if (used && !status)
            show_key(chains, &way, walk);
    }
    *records += way.steps;
    if (status && status != -ENOMEM)
        walk->damaged = true;
    return status == -ENOMEM ? status : 0;
}

int tdbchains_visit(struct tdbchains *chains, struct tdbchains_walk *walk)
{
    uint64_t records = 0;
    uint32_t first = walk->chain;
    int status = 0;

    while (!status && !walk->stopped && walk->chain < chains->count &&
           walk->chain - first + records < STRETCH) {
        status = visit_chain(chains, walk, &records);
        walk->chain++;
    }
    return status;
}
