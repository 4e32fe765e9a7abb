/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a hash file of Berkeley DB, with every number in it checked. Source: Berkeley DB 5.3, dbinc/db_page.h,
 * dbinc/hash.h, hash/hash_func.c and hash/hash_page.c.
 *
 * The file is pages. The first holds numbers about the whole. A bucket is a chain of pages of items, a key and its value
 * in turn; its first page follows from its number and from a table of how many pages had been taken by other things when
 * the number of buckets doubled. A long item is in pages of its own. Numbers are in the order of the machine that made
 * the file.
 *
 * What makes no sense is -EUCLEAN; a disk that fails, its own errno.
 *
 * Why not libdb: it trusts what it reads more than a file from elsewhere deserves. It does the writing.
 */
#ifndef SHELVEFS_STORE_BDB_FILE_H
#define SHELVEFS_STORE_BDB_FILE_H

#include "src/failure.h"
#include "src/store/walk.h"

#include <sys/types.h>

enum { BDB_SPARES = 32 };

struct bdb_file {
    int fd; /* borrowed */
    off_t size;
    bool swapped;
    uint32_t page_size;
    uint32_t pages; /* in the file */
    uint32_t last_page;
    uint32_t free_page; /* the first of a chain; 0: none */
    uint32_t max_bucket, high_mask, low_mask;
    uint32_t spares[BDB_SPARES];
    struct buffer page; /* the last one read of a bucket */
    struct buffer long_page;
};

#define BDB_FILE_INIT ((struct bdb_file){.fd = -1, .page = BUFFER_INIT, .long_page = BUFFER_INIT})
void bdb_file_release(struct bdb_file *file);

/* -EUCLEAN: the first page makes no sense; -EMEDIUMTYPE: a file that dbm.ndbm doesn't open. `name` is for messages. */
int bdb_file_read(struct bdb_file *file, int fd, const char *name, struct failure *failure);
/* Appends the value, unless that is NULL. -ENOENT: there is none; -EUCLEAN: what should tell that is damaged. */
int bdb_file_fetch(struct bdb_file *file, struct bytes key, struct buffer *value);

/* Every key that can be reached. 0, or -ENOMEM; the rest is in walk_verdict(). */
int bdb_file_visit(struct bdb_file *file, struct walk *walk);
/* Reads all of it, values and free pages too: -EUCLEAN if any of it is damaged. */
int bdb_file_check(struct bdb_file *file);

#endif
