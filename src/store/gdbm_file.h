/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a gdbm file: libgdbm's own format, with every number in it checked. Source: gdbm 1.23, src/gdbmdefs.h,
 * gdbmconst.h, gdbmopen.c, bucket.c, findkey.c and hash.c.
 *
 * A header names a directory, an array of 2^bits offsets of buckets, indexed with the top bits of a 31-bit hash of the
 * key. A bucket is a hash table of its own whose elements point to a key with its value behind it. Neighbouring
 * entries of the directory may share a bucket. All numbers are in the order and size of the machine that wrote them.
 *
 * What makes no sense is -EUCLEAN; a disk that fails, its own errno.
 *
 * Why not libgdbm: it trusts what it reads more than a file from elsewhere deserves, and keeps copies of it that are
 * out of date after each of our updates. It does the writing (gdbm_plan.h).
 */
#ifndef SHELVEFS_STORE_GDBM_FILE_H
#define SHELVEFS_STORE_GDBM_FILE_H

#include "src/failure.h"
#include "src/mapped.h"
#include "src/store/walk.h"

#include <sys/types.h>

struct gdbm_file {
    int fd; /* borrowed */
    struct mapped mapped; /* the same file */
    off_t size;
    off_t block_size; /* of the header, with the table of free space that fills it */
    off_t directory;
    off_t directory_size;
    int directory_bits;
    off_t bucket_size;
    int bucket_elements;
    off_t next_block;     /* where the file ends, as far as libgdbm knows */
    off_t free_table;     /* the table of free space in the header */
    off_t free_block;     /* more tables of free space; 0: none */
    off_t free_size;      /* of each of those */
    struct buffer bucket; /* the last one read */
    off_t bucket_at;      /* 0: none */
    off_t bucket_entry;   /* of the directory, that led there */
    bool bucket_damaged;  /* as a whole, or some of its elements */
};

#define GDBM_FILE_INIT ((struct gdbm_file){.fd = -1, .mapped = MAPPED_INIT, .bucket = BUFFER_INIT})
void gdbm_file_release(struct gdbm_file *file);

/*
 * Reads the header. -EUCLEAN: it makes no sense; -EMEDIUMTYPE: another machine's. `name` is for the messages.
 */
int gdbm_file_read(struct gdbm_file *file, int fd, const char *name, struct failure *failure);
/* Whether a writer was killed in the middle: libgdbm refuses such a file until gdbm_recover(). */
bool gdbm_file_is_interrupted(const struct gdbm_file *file);

struct gdbm_record {
    off_t offset; /* of the key; the value follows */
    size_t key_size, value_size;
};
/* -ENOENT: there is none; -EUCLEAN: what should tell that is damaged. */
int gdbm_file_find(struct gdbm_file *file, struct bytes key, struct gdbm_record *out);
/* Appends the value. -EUCLEAN: the file ends before. */
int gdbm_file_value(struct gdbm_file *file, const struct gdbm_record *record, struct buffer *value);

/*
 * Many records are going to be read, so the file is mapped, unless it is very large: until gdbm_file_rest(), or until it is read anew. That changes
 * nothing but how long it takes.
 */
void gdbm_file_hurry(struct gdbm_file *file);
void gdbm_file_rest(struct gdbm_file *file);

/* Every key that can be reached. 0, or -ENOMEM; the rest is in walk_verdict(). */
int gdbm_file_visit(struct gdbm_file *file, struct walk *walk);

/*
 * Calls `range` for all that libgdbm reads before it changes the record of `key`, but for further tables of free space: header, directory, the
 * key's bucket, the records there that may be the key's. And for the place where it will probably write a record of `room` bytes (0: none), which
 * depends on what else it does. Returns the first failure of `range`, or -EUCLEAN.
 */
typedef int gdbm_range(void *context, off_t offset, off_t size);
int gdbm_file_ranges(struct gdbm_file *file, struct bytes key, size_t room, gdbm_range *range,
                     void *context);
/* The same for the first `count` of the further tables of free space. `*next` is the one after them; 0: there is none. */
int gdbm_file_free_ranges(struct gdbm_file *file, unsigned count, gdbm_range *range, void *context,
                          off_t *next);
/* 1: this is one of the further tables of free space; 0: it is not; or what keeps that from being known. */
int gdbm_file_has_free_table(struct gdbm_file *file, off_t table);

#endif
