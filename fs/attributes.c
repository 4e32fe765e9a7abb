/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/attributes.h"

#include "codecs/cursor.h"
#include "fs/alike.h"

#include <errno.h>
#include <stdlib.h>

enum { NSEC_END = 1000000000, LEAST_ROOM = 4, VALUE_BITS = 64 - ALIKE_BITS };

/* There may be millions. Of the digests, a part is enough: they are keyed hashes. */
struct attribute_entry {
    uint64_t key;
    uint64_t value : VALUE_BITS; /* if ATTRIBUTE_VALUE is set */
    uint64_t others : ALIKE_BITS;
};

static uint64_t value_part(struct digest value)
{
    return value.words[0] & ((UINT64_C(1) << VALUE_BITS) - 1);
}

/* --- one file's --- */

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
    if (from->set & ATTRIBUTE_CTIME)
        to->ctime = from->ctime;
}

void attributes_own(struct attributes *attributes, enum attribute which, const struct stat *from,
                    const struct stat *database)
{
    bool same = which == ATTRIBUTE_UID ? from->st_uid == database->st_uid
                                       : from->st_gid == database->st_gid;

    attributes->set &= ~(unsigned)which;
    if (same)
        return;
    attributes->set |= which;
    if (which == ATTRIBUTE_UID)
        attributes->uid = from->st_uid;
    else
        attributes->gid = from->st_gid;
}

static void pack_number(struct buffer *out, uint64_t number, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        buffer_add_byte(out, (uint8_t)(number >> 8 * i));
}

static void pack_time(struct buffer *out, struct timespec time)
{
    pack_number(out, (uint64_t)time.tv_sec, 8);
    pack_number(out, (uint64_t)time.tv_nsec, 4);
}

static void pack_digest(struct buffer *out, struct digest digest)
{
    pack_number(out, digest.words[0], 8);
    pack_number(out, digest.words[1], 8);
}

static struct timespec take_time(struct cursor *cursor)
{
    struct timespec time = {.tv_sec = (time_t)cursor_little(cursor, 8)};

    time.tv_nsec = (long)cursor_little(cursor, 4);
    if (time.tv_nsec >= NSEC_END)
        cursor->failed = true;
    return time;
}

static struct digest take_digest(struct cursor *cursor)
{
    struct digest digest = {{cursor_little(cursor, 8)}};

    digest.words[1] = cursor_little(cursor, 8);
    return digest;
}

void attributes_pack(const struct attributes *attributes, struct buffer *out)
{
    buffer_add_byte(out, (uint8_t)attributes->set);
    if (attributes->set & ATTRIBUTE_MODE)
        pack_number(out, attributes->mode, 2);
    if (attributes->set & ATTRIBUTE_UID)
        pack_number(out, attributes->uid, 4);
    if (attributes->set & ATTRIBUTE_GID)
        pack_number(out, attributes->gid, 4);
    if (attributes->set & ATTRIBUTE_ATIME)
        pack_time(out, attributes->atime);
    if (attributes->set & ATTRIBUTE_MTIME)
        pack_time(out, attributes->mtime);
    if (attributes->set & ATTRIBUTE_VALUE)
        pack_digest(out, attributes->value);
    if (attributes->set & ATTRIBUTE_CTIME)
        pack_time(out, attributes->ctime);
}

static void take_attributes(struct cursor *cursor, struct attributes *out)
{
    *out = (struct attributes){.set = cursor_byte(cursor)};
    if (out->set & ATTRIBUTE_MODE)
        out->mode = (mode_t)cursor_little(cursor, 2);
    if (out->set & ATTRIBUTE_UID)
        out->uid = (uid_t)cursor_little(cursor, 4);
    if (out->set & ATTRIBUTE_GID)
        out->gid = (gid_t)cursor_little(cursor, 4);
    if (out->set & ATTRIBUTE_ATIME)
        out->atime = take_time(cursor);
    if (out->set & ATTRIBUTE_MTIME)
        out->mtime = take_time(cursor);
    if (out->set & ATTRIBUTE_VALUE)
        out->value = take_digest(cursor);
    if (out->set & ATTRIBUTE_CTIME)
        out->ctime = take_time(cursor);
    if (out->set & ~(unsigned)ATTRIBUTES_ALL || out->mode & ~(mode_t)0777)
        cursor->failed = true;
}

bool attributes_unpack(struct bytes *packed, struct attributes *out)
{
    struct cursor cursor = cursor_at(*packed, 0);
    struct attributes taken;

    take_attributes(&cursor, &taken);
    if (cursor.failed)
        return false;
    *packed = bytes_part(*packed, cursor.position, SIZE_MAX);
    *out = taken;
    return true;
}

bool attributes_are_of(const struct attributes *attributes, struct digest value)
{
    return attributes->set & ATTRIBUTE_VALUE && value_part(attributes->value) == value_part(value);
}

/* --- the table --- */

int attribute_table_init(struct attribute_table *table, const struct digest_key *key)
{
    *table = (struct attribute_table){
        .pages = calloc(ATTRIBUTE_PAGES, sizeof *table->pages),
        .hash_key = *key,
    };
    return table->pages ? alikes_init(&table->alikes, key) : -ENOMEM;
}

void attribute_table_release(struct attribute_table *table)
{
    for (unsigned i = 0; table->pages && i < ATTRIBUTE_PAGES; i++) {
        free(table->pages[i].entries);
        free(table->pages[i].marks);
    }
    free(table->pages);
    alikes_release(&table->alikes);
    *table = (struct attribute_table){.pages = NULL};
}

void attribute_table_gather(struct attribute_table *table)
{
    struct attribute_entry **moved = calloc(ATTRIBUTE_PAGES, sizeof *moved);

    if (!moved)
        return;
    /* All of them before the first one is freed, whose room would be used again. */
    for (unsigned i = 0; i < ATTRIBUTE_PAGES; i++) {
        if (table->pages[i].count)
            moved[i] = malloc(table->pages[i].count * sizeof **moved);
    }
    for (unsigned i = 0; i < ATTRIBUTE_PAGES; i++) {
        struct attribute_page *page = &table->pages[i];

        if (!moved[i])
            continue;
        memcpy(moved[i], page->entries, page->count * sizeof **moved);
        free(page->entries);
        page->entries = moved[i];
        page->capacity = page->count;
    }
    free(moved);
}

static unsigned page_of(uint64_t key)
{
    return key % ATTRIBUTE_PAGES;
}

static uint32_t halve(const struct attribute_page *page, uint64_t key, uint32_t low, uint32_t high)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (page->entries[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/*
 * Where the key's entry stands in the page, or would. Keys are hashes, which spread evenly, so it is close to where it should be; if not,
 * because somebody made them so, it is found by steps of double the size.
 */
static uint32_t position_of(const struct attribute_page *page, uint64_t key)
{
    uint32_t guess = (uint32_t)((key >> 32) * page->count >> 32), low = guess, high = guess;

    for (uint32_t step = 1; low > 0 && page->entries[low - 1].key >= key; step *= 2) {
        high = low - 1;
        low = low > step ? low - step : 0;
    }
    for (uint32_t step = 1; high < page->count && page->entries[high].key < key; step *= 2) {
        low = high + 1;
        high = page->count - high > step ? high + step : page->count;
    }
    return halve(page, key, low, high);
}

static struct attribute_entry *find(const struct attribute_table *table, struct digest digest)
{
    const uint64_t key = digest.words[0];
    const struct attribute_page *page = &table->pages[page_of(key)];
    uint32_t at = position_of(page, key);

    return at < page->count && page->entries[at].key == key ? &page->entries[at] : NULL;
}

static void get(const struct attribute_table *table, const struct attribute_entry *entry,
                struct attributes *out)
{
    alikes_get(&table->alikes, entry->others, out);
    if (out->set & ATTRIBUTE_VALUE)
        out->value.words[0] = entry->value;
}

bool attributes_find_digest(const struct attribute_table *table, struct digest digest,
                            struct attributes *out)
{
    const struct attribute_entry *entry = find(table, digest);

    if (entry)
        get(table, entry, out);
    return entry;
}

struct digest attributes_digest(const struct attribute_table *table, struct bytes key)
{
    return digest_bytes(&table->hash_key, key);
}

bool attributes_find(const struct attribute_table *table, struct bytes key, struct attributes *out)
{
    return attributes_find_digest(table, attributes_digest(table, key), out);
}

/* By an eighth: of a large table, little stands empty. */
static bool grow(struct attribute_page *page)
{
    uint32_t capacity = page->capacity + page->capacity / 8 + LEAST_ROOM;
    struct attribute_entry *entries;

    if (page->count < page->capacity)
        return true;
    entries = realloc(page->entries, capacity * sizeof *entries);
    if (!entries)
        return false;
    page->entries = entries;
    page->capacity = capacity;
    return true;
}

/* A new entry, which has nothing set yet. */
static int add(struct attribute_table *table, uint64_t key, struct attribute_entry **out)
{
    struct attribute_page *page = &table->pages[page_of(key)];
    uint32_t at = position_of(page, key);
    struct attribute_entry *entry;

    if (table->count >= ATTRIBUTES_MOST)
        return -EFBIG;
    if (!grow(page))
        return -ENOMEM;
    entry = &page->entries[at];
    memmove(entry + 1, entry, (page->count - at) * sizeof *entry);
    *entry = (struct attribute_entry){.key = key};
    page->count++;
    table->count++;
    *out = entry;
    return 0;
}

/* Changes or makes the entry; the page does not count as changed. */
static int enter(struct attribute_table *table, struct digest digest,
                 const struct attributes *attributes)
{
    struct attribute_entry *entry = find(table, digest);
    uint32_t others = alikes_use(&table->alikes, attributes);
    int code = others ? 0 : -ENOMEM;

    if (code == 0 && !entry)
        code = add(table, digest.words[0], &entry);
    if (code) {
        if (others)
            alikes_unuse(&table->alikes, others);
        return code;
    }
    if (entry->others)
        alikes_unuse(&table->alikes, entry->others);
    entry->others = others;
    entry->value = value_part(attributes->value);
    return 0;
}

int attributes_set_digest(struct attribute_table *table, struct digest digest,
                          const struct attributes *attributes)
{
    int code = enter(table, digest, attributes);

    if (code == 0)
        table->pages[page_of(digest.words[0])].changed = true;
    return code;
}

int attributes_set(struct attribute_table *table, struct bytes key,
                   const struct attributes *attributes)
{
    return attributes_set_digest(table, attributes_digest(table, key), attributes);
}

void attributes_drop_digest(struct attribute_table *table, struct digest digest)
{
    struct attribute_entry *entry = find(table, digest);
    struct attribute_page *page;

    if (!entry)
        return;
    page = &table->pages[page_of(entry->key)];
    alikes_unuse(&table->alikes, entry->others);
    page->count--;
    table->count--;
    memmove(entry, entry + 1, (size_t)(page->entries + page->count - entry) * sizeof *entry);
    page->changed = true;
}

void attributes_drop(struct attribute_table *table, struct bytes key)
{
    attributes_drop_digest(table, attributes_digest(table, key));
}

void attributes_take(struct attribute_table *table, struct bytes key, struct attributes *to)
{
    struct attributes found;

    if (attributes_find(table, key, &found))
        attributes_merge(to, &found);
    attributes_drop(table, key);
}

/* Without memory for marks, all of the page stays. */
void attributes_mark_digest(struct attribute_table *table, struct digest digest)
{
    struct attribute_entry *entry = find(table, digest);
    struct attribute_page *page = &table->pages[page_of(digest.words[0])];

    if (!entry || page->unmarkable)
        return;
    if (!page->marks)
        page->marks = calloc(page->count, sizeof *page->marks);
    if (page->marks)
        page->marks[entry - page->entries] = true;
    else
        page->unmarkable = true;
}

void attributes_mark(struct attribute_table *table, struct bytes key)
{
    attributes_mark_digest(table, attributes_digest(table, key));
}

static void drop_unmarked(struct attribute_table *table, struct attribute_page *page)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < page->count; i++) {
        if (page->unmarkable || (page->marks && page->marks[i]))
            page->entries[kept++] = page->entries[i];
        else
            alikes_unuse(&table->alikes, page->entries[i].others);
    }
    page->changed = page->changed || kept < page->count;
    page->count = kept;
    free(page->marks);
    page->marks = NULL;
    page->unmarkable = false;
}

void attributes_drop_unmarked(struct attribute_table *table)
{
    table->count = 0;
    for (unsigned i = 0; i < ATTRIBUTE_PAGES; i++) {
        drop_unmarked(table, &table->pages[i]);
        table->count += table->pages[i].count;
    }
}

/* --- pages --- */

unsigned attribute_page_changed(const struct attribute_table *table, unsigned from)
{
    while (from < ATTRIBUTE_PAGES && !table->pages[from].changed)
        from++;
    return from;
}

void attribute_page_pack(struct attribute_table *table, unsigned number, struct buffer *out)
{
    struct attribute_page *page = &table->pages[number];

    for (uint32_t i = 0; i < page->count; i++) {
        struct attributes attributes;

        get(table, &page->entries[i], &attributes);
        pack_digest(out, (struct digest){{page->entries[i].key}});
        attributes_pack(&attributes, out);
    }
    page->changed = false;
}

/* Checks all of it, and with `table` enters it. */
static int take_page(struct attribute_table *table, unsigned number, struct bytes packed)
{
    struct cursor cursor = cursor_at(packed, 0);
    struct digest key = {{0}}, before = key;

    for (bool first = true; cursor_left(&cursor); first = false, before = key) {
        struct attributes attributes;
        int code = 0;

        key = take_digest(&cursor);
        take_attributes(&cursor, &attributes);
        if (cursor.failed || page_of(key.words[0]) != number ||
            (!first && before.words[0] >= key.words[0]))
            return -EUCLEAN;
        if (table)
            code = enter(table, key, &attributes);
        if (code)
            return code;
    }
    return 0;
}

int attribute_page_unpack(struct attribute_table *table, unsigned number, struct bytes packed)
{
    int code = take_page(NULL, number, packed);

    return code ? code : take_page(table, number, packed);
}

void attribute_page_taint(struct attribute_table *table, unsigned page)
{
    table->pages[page].changed = true;
}

void attribute_table_taint(struct attribute_table *table)
{
    for (unsigned i = 0; i < ATTRIBUTE_PAGES; i++)
        table->pages[i].changed = table->pages[i].changed || table->pages[i].count;
}
