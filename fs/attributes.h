/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a database can't hold of a file: mode, owner, times, by key; and of the directories that folds.h makes of long keys.
 *
 * What was never set comes from the database file. Its mtime is a key's only if somebody else wrote it: our own
 * saves touch one key and must not make all others look new. So a key's mtime is entered, with a digest of the stored
 * bytes that it belongs to, as soon as it was shown to anybody.
 *
 * Keys are known by a digest, and those directories by one that no key has, so an entry has a fixed size: 16 bytes in memory, and what
 * alike.h keeps once for all that have the same; at most 78 in the sidecar. Of the value's digest that has room for 40 bits: of so many values
 * that another program changes, one in 10^12 would keep its time. Entries stand in ATTRIBUTE_PAGES sorted arrays; a page is what
 * is written to the sidecar at a time.
 */
#ifndef SHELVEFS_ATTRIBUTES_H
#define SHELVEFS_ATTRIBUTES_H

#include "fs/alike.h"
#include "src/bytes.h"
#include "src/digest.h"

#include <sys/stat.h>
#include <time.h>

enum {
    ATTRIBUTE_PAGES = 2048,
    ATTRIBUTES_MOST = 1 << 22, /* entries; the keys beyond have what the database file has */
};

enum attribute {
    ATTRIBUTE_MODE = 1 << 0,
    ATTRIBUTE_UID = 1 << 1,
    ATTRIBUTE_GID = 1 << 2,
    ATTRIBUTE_ATIME = 1 << 3,
    ATTRIBUTE_MTIME = 1 << 4,
    ATTRIBUTE_VALUE = 1 << 5,
    ATTRIBUTE_CTIME = 1 << 6,
    ATTRIBUTES_ALL = (1 << 7) - 1,
};

struct attributes {
    unsigned set; /* enum attribute: which of these hold */
    mode_t mode;  /* permission bits */
    uid_t uid;
    gid_t gid;
    struct timespec atime, mtime;
    struct digest value; /* of the stored bytes that `mtime` belongs to; see attributes_are_of() */
    struct timespec
        ctime; /* when one of these or the name was last changed; a later `mtime` counts as well */
};

/* Takes over from `from` what is set in it. */
void attributes_merge(struct attributes *to, const struct attributes *from);
/*
 * ATTRIBUTE_UID or ATTRIBUTE_GID: the owner or group is `from`'s. What is as the database's is not kept, and follows the
 * database.
 */
void attributes_own(struct attributes *attributes, enum attribute which, const struct stat *from,
                    const struct stat *database);
/* Whether they belong to these stored bytes: looks at what a table keeps of the digest. */
bool attributes_are_of(const struct attributes *attributes, struct digest value);
/*
 * As the sidecar has them: a byte that says what is set, then that, little-endian. attributes_unpack() takes them off the
 * start of `packed`; false: there are none, or they make no sense.
 */
void attributes_pack(const struct attributes *attributes, struct buffer *out);
bool attributes_unpack(struct bytes *packed, struct attributes *out);

struct attribute_entry;

struct attribute_page {
    struct attribute_entry *entries; /* sorted */
    uint32_t count, capacity;
    bool changed;    /* since it was packed */
    bool unmarkable; /* there was no memory for marks */
    bool *marks;     /* of each entry, between the first attributes_mark() and attributes_drop_unmarked(); else NULL */
};

/* Part of struct tree, guarded by its lock. */
struct attribute_table {
    struct attribute_page *pages;
    size_t count; /* of all entries */
    struct alikes alikes;
    struct digest_key hash_key;
};

int attribute_table_init(struct attribute_table *table, const struct digest_key *key);
void attribute_table_release(struct attribute_table *table);
/*
 * Moves all entries together. The table grew while other things were allocated between its pieces, and when those are free each
 * piece holds on to the memory around it. What finds no memory stays where it is.
 */
void attribute_table_gather(struct attribute_table *table);
/* false: nothing was set. */
bool attributes_find(const struct attribute_table *table, struct bytes key, struct attributes *out);
/* All that is set from now on. -ENOMEM; -EFBIG: more than ATTRIBUTES_MOST. */
int attributes_set(struct attribute_table *table, struct bytes key,
                   const struct attributes *attributes);
void attributes_drop(struct attribute_table *table, struct bytes key);
/* The same; what it had goes to `to`. */
void attributes_take(struct attribute_table *table, struct bytes key, struct attributes *to);
/* Drops the entries of all keys that were not marked since the last time. The table must not change between the two. */
void attributes_mark(struct attribute_table *table, struct bytes key);
void attributes_drop_unmarked(struct attribute_table *table);

/* The same by a digest that the table's secret made: of a fold (folds.h), or of a key that is needed more than once. */
struct digest attributes_digest(const struct attribute_table *table, struct bytes key);
bool attributes_find_digest(const struct attribute_table *table, struct digest digest,
                            struct attributes *out);
int attributes_set_digest(struct attribute_table *table, struct digest digest,
                          const struct attributes *attributes);
void attributes_drop_digest(struct attribute_table *table, struct digest digest);
void attributes_mark_digest(struct attribute_table *table, struct digest digest);

/* The first page from `from` on that was changed, or ATTRIBUTE_PAGES. */
unsigned attribute_page_changed(const struct attribute_table *table, unsigned from);
/* Appends the page, which counts as unchanged from now on. */
void attribute_page_pack(struct attribute_table *table, unsigned page, struct buffer *out);
/*
 * Fills a page that is empty. -EUCLEAN: it is no page of this number and key, and nothing was entered; -ENOMEM; -EFBIG: more
 * than ATTRIBUTES_MOST.
 */
int attribute_page_unpack(struct attribute_table *table, unsigned page, struct bytes packed);
/* Everything, or one page, is to be written again. */
void attribute_page_taint(struct attribute_table *table, unsigned page);
void attribute_table_taint(struct attribute_table *table);

#endif
