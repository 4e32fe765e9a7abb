/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What lies in a gdbm file, for those who read it: gdbm_file.c and gdbm_space.c. The structures are as gdbmdefs.h of
 * gdbm 1.23 has them: the compiler gives them the layout that libgdbm's have.
 */
#ifndef SHELVEFS_STORE_GDBM_LAYOUT_H
#define SHELVEFS_STORE_GDBM_LAYOUT_H

#include "src/store/gdbm_file.h"

enum { KEY_START = 4, BUCKET_FREE = 6 };

struct free_element {
    int size;
    off_t offset;
};

struct free_table {
    int size;  /* elements that there is room for */
    int count; /* that are used */
    off_t next;
    struct free_element elements[1];
};

struct header {
    int magic;
    int block_size;
    off_t directory;
    int directory_size;
    int directory_bits;
    int bucket_size;
    int bucket_elements;
    off_t next_block;
    union {
        struct free_table table;
        struct {
            unsigned numbers[8]; /* how often it was synced, and room for more */
            struct free_table table;
        } extended;
    } free;
};

struct element {
    int hash; /* -1: unused */
    char key_start[KEY_START];
    off_t offset;
    int key_size;
    int value_size;
};

struct bucket {
    int free_count;
    struct free_element free[BUCKET_FREE];
    int bits; /* of the hash that its keys have in common */
    int count;
    struct element elements[1];
};

/* Reads the bucket at this offset into file->bucket, and tells in file->bucket_damaged whether it makes sense. */
int gdbm_file_bucket(struct gdbm_file *file, off_t at);

#endif
