/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/attributes.h"

#include "codecs/cursor.h"

#include <errno.h>
#include <stdlib.h>

struct attribute_entry {
    struct digest key;
    struct attributes attributes;
    bool marked;
};

enum { NSEC_END = 1000000000, FIRST_CAPACITY = 4 };

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

/* --- the table --- */

int attribute_table_init(struct attribute_table *table, const struct digest_key *key)
{
    *table = (struct attribute_table){
        .pages = calloc(ATTRIBUTE_PAGES, sizeof *table->pages),
        .hash_key = *key,
    };
    return table->pages ? 0 : -ENOMEM;
}

void attribute_table_release(struct attribute_table *table)
{
    for (unsigned i = 0; table->pages && i < ATTRIBUTE_PAGES; i++)
        free(table->pages[i].entries);
    free(table->pages);
}

static unsigned page_of(struct digest key)
{
    return key.words[0] % ATTRIBUTE_PAGES;
}

static int compare(struct digest a, struct digest b)
{
    unsigned word = a.words[0] == b.words[0];

    return a.words[word] < b.words[word] ? -1 : a.words[word] > b.words[word];
}

/* Where the key's entry stands in the page, or would. */
static uint32_t position_of(const struct attribute_page *page, struct digest key)
{
    uint32_t low = 0, high = page->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (compare(page->entries[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct attribute_entry *find(const struct attribute_table *table, struct digest digest)
{
    const struct attribute_page *page = &table->pages[page_of(digest)];
    uint32_t at = position_of(page, digest);

    return at < page->count && digest_equal(page->entries[at].key, digest) ? &page->entries[at]
                                                                           : NULL;
}

const struct attributes *attributes_find_digest(const struct attribute_table *table,
                                                struct digest digest)
{
    const struct attribute_entry *entry = find(table, digest);

    return entry ? &entry->attributes : NULL;
}

const struct attributes *attributes_find(const struct attribute_table *table, struct bytes key)
{
    return attributes_find_digest(table, digest_bytes(&table->hash_key, key));
}

static bool grow(struct attribute_page *page)
{
    uint32_t capacity = page->capacity ? page->capacity * 2 : FIRST_CAPACITY;
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

/* NULL: no room. */
static struct attribute_entry *add(struct attribute_table *table, struct digest key)
{
    struct attribute_page *page = &table->pages[page_of(key)];
    uint32_t at = position_of(page, key);
    struct attribute_entry *entry;

    if (table->count >= ATTRIBUTES_MOST || !grow(page))
        return NULL;
    entry = &page->entries[at];
    memmove(entry + 1, entry, (page->count - at) * sizeof *entry);
    *entry = (struct attribute_entry){.key = key};
    page->count++;
    table->count++;
    return entry;
}

struct attributes *attributes_edit_digest(struct attribute_table *table, struct digest digest)
{
    struct attribute_entry *entry = find(table, digest);

    if (!entry)
        entry = add(table, digest);
    if (!entry)
        return NULL;
    table->pages[page_of(entry->key)].changed = true;
    return &entry->attributes;
}

struct attributes *attributes_edit(struct attribute_table *table, struct bytes key)
{
    return attributes_edit_digest(table, digest_bytes(&table->hash_key, key));
}

void attributes_drop_digest(struct attribute_table *table, struct digest digest)
{
    struct attribute_entry *entry = find(table, digest);
    struct attribute_page *page;

    if (!entry)
        return;
    page = &table->pages[page_of(entry->key)];
    page->count--;
    table->count--;
    memmove(entry, entry + 1, (size_t)(page->entries + page->count - entry) * sizeof *entry);
    page->changed = true;
}

void attributes_drop(struct attribute_table *table, struct bytes key)
{
    attributes_drop_digest(table, digest_bytes(&table->hash_key, key));
}

void attributes_take(struct attribute_table *table, struct bytes key, struct attributes *to)
{
    const struct attributes *entry = attributes_find(table, key);

    if (entry)
        attributes_merge(to, entry);
    attributes_drop(table, key);
}

void attributes_mark_digest(struct attribute_table *table, struct digest digest)
{
    struct attribute_entry *entry = find(table, digest);

    if (entry)
        entry->marked = true;
}

void attributes_mark(struct attribute_table *table, struct bytes key)
{
    attributes_mark_digest(table, digest_bytes(&table->hash_key, key));
}

static void drop_unmarked(struct attribute_page *page)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < page->count; i++) {
        if (!page->entries[i].marked)
            continue;
        page->entries[kept] = page->entries[i];
        page->entries[kept++].marked = false;
    }
    page->changed = page->changed || kept < page->count;
    page->count = kept;
}

void attributes_drop_unmarked(struct attribute_table *table)
{
    table->count = 0;
    for (unsigned i = 0; i < ATTRIBUTE_PAGES; i++) {
        drop_unmarked(&table->pages[i]);
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
        pack_digest(out, page->entries[i].key);
        attributes_pack(&page->entries[i].attributes, out);
    }
    page->changed = false;
}

/* Checks all of it, and with `table` enters it. */
static int take_page(struct attribute_table *table, unsigned number, struct bytes packed)
{
    struct cursor cursor = cursor_at(packed, 0);
    struct digest key = {{0}}, before;

    for (bool first = true; cursor_left(&cursor); first = false, before = key) {
        struct attributes attributes;
        struct attribute_entry *entry;

        key = take_digest(&cursor);
        take_attributes(&cursor, &attributes);
        if (cursor.failed || page_of(key) != number || (!first && compare(before, key) >= 0))
            return -EUCLEAN;
        entry = table ? add(table, key) : NULL;
        if (entry)
            entry->attributes = attributes;
        else if (table)
            return table->count >= ATTRIBUTES_MOST ? -EFBIG : -ENOMEM;
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
