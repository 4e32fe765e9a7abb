/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a database can't hold of a file: mode, owner, times, by key, for as long as the mount lasts.
 *
 * What was never set comes from the database file. Its mtime is a key's only if somebody else wrote it: our own
 * saves touch one key and must not make all others look new.
 */
#ifndef SHELVEFS_ATTRIBUTES_H
#define SHELVEFS_ATTRIBUTES_H

#include "src/bytes.h"
#include "src/digest.h"
#include "src/chains.h"

#include <sys/stat.h>
#include <time.h>

enum attribute {
    ATTRIBUTE_MODE = 1 << 0,
    ATTRIBUTE_UID = 1 << 1,
    ATTRIBUTE_GID = 1 << 2,
    ATTRIBUTE_ATIME = 1 << 3,
    ATTRIBUTE_MTIME = 1 << 4,
    ATTRIBUTE_VALUE = 1 << 5,
};

struct attributes {
    unsigned set; /* enum attribute: which of these hold */
    mode_t mode;  /* permission bits */
    uid_t uid;
    gid_t gid;
    struct timespec atime, mtime;
    struct digest value; /* of the stored bytes that `mtime` belongs to */
};

/* Part of struct tree, guarded by its lock. */
struct attribute_table {
    struct chains table;
    struct digest_key hash_key;
};

int attribute_table_init(struct attribute_table *table, const struct digest_key *key);
void attribute_table_release(struct attribute_table *table);
/* NULL: nothing was set. Valid until the next change of the table. */
const struct attributes *attributes_find(const struct attribute_table *table, struct bytes key);
/* The entry of this key, made if need be; NULL: out of memory. */
struct attributes *attributes_edit(struct attribute_table *table, struct bytes key);
void attributes_drop(struct attribute_table *table, struct bytes key);

/* Takes over from `from` what is set in it. */
void attributes_merge(struct attributes *to, const struct attributes *from);

#endif
