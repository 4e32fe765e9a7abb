/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that exist only here, as the sidecar has them: scratch files, symbolic links, refused texts.
 *
 * Each is a record "file/NUMBER" (16 hexadecimal digits, none given twice); a later one of the same name counts. node->record
 * is the number while the node has a record, and node->unkept says that the record is not what the file is now.
 *
 * Bounds: KEPT_MOST records, KEPT_BYTES each and KEPT_ALL_BYTES together, besides the refused texts, which control.h
 * bounds. Beyond them nothing is evicted: the file is not kept, which is logged, and lasts until the unmount.
 */
#ifndef SHELVEFS_KEPT_H
#define SHELVEFS_KEPT_H

#include "fs/attributes.h"
#include "fs/nodes.h"

enum {
    KEPT_MOST = 1000,
    KEPT_BYTES = 16 << 20,
    KEPT_ALL_BYTES = 64 << 20,
};

/* What a record says. Slices are parts of it. */
struct kept_file {
    enum node_kind kind; /* NODE_SCRATCH, NODE_SYMLINK or NODE_REJECTED */
    struct attributes attributes;
    enum directory_number home;
    struct bytes path;   /* of the fold: components, each with a '/' behind */
    struct bytes name;   /* fit for a directory entry */
    struct bytes reason; /* of NODE_REJECTED, why it could not be saved */
    struct bytes text;
};

void kept_pack(const struct kept_file *file, struct buffer *out);
/* false: the record makes no sense. */
bool kept_unpack(struct bytes packed, struct kept_file *out);

/* "file/NUMBER", and back: 0 if it is no such name. `room`: KEPT_NAME_SIZE bytes. */
enum { KEPT_NAME_SIZE = 32 };
struct bytes kept_name(char *room, uint64_t number);
uint64_t kept_number(struct bytes name);

/* What is read from the sidecar before there is a tree. */
struct kept_record {
    uint64_t number;
    struct buffer content;
};
struct kept_records {
    struct kept_record *records;
    size_t count;
    size_t bytes;
    uint64_t last; /* the largest number */
};
/* Copies it. -EFBIG: beyond the bounds; -ENOMEM. */
int kept_records_add(struct kept_records *records, uint64_t number, struct bytes content);
void kept_records_release(struct kept_records *records);
/*
 * Makes files of them, in a tree that is being made: all in a writable one, in another one only those that never become
 * keys. A text for a name that is a key by now joins the refused ones. `wrong`: how many made no sense. -ENOMEM: not all
 * of them are there.
 */
int kept_records_restore(struct kept_records *records, struct tree *tree, size_t *wrong);

/* Node lock held. Appends what is to be kept of the node, which exists only here. -EFBIG: too large. */
int kept_pack_node(struct tree *tree, struct node *node, struct buffer *out);

#endif
