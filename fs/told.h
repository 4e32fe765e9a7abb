/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What size the kernel believes a file to have.
 *
 * It has one size for all who have the file open, and takes it from every answer that has attributes. What is read
 * through its pages ends there, or is filled up with zeros (Linux, fs/fuse: fuse_change_attributes(),
 * fuse_cache_read_iter()). So that nobody sees a piece of a text while another program changes the value:
 *
 * - a text goes through the pages only if it is as long as the kernel believes, and no other program changed it just now
 *   (of two answers that are under way at once the kernel may take either one), else the handle bypasses them;
 * - who reads through the pages keeps that size for a moment, whatever the value has become: stat() is late by so much;
 * - who is slower than that gets -ESTALE instead of a piece.
 *
 * All functions: the node's lock is held by the caller.
 */
#ifndef SHELVEFS_TOLD_H
#define SHELVEFS_TOLD_H

#include "src/base.h"

struct node;
struct tree_handle;

/* Part of struct node. */
struct told {
    size_t size;
    int64_t change_ms; /* when another program's change was last seen (monotonic); 0: never */
};

/* What to answer about a file of that size. */
size_t told_answer(struct node *node, size_t size);
/* The kernel itself changed it: by a write that ended there, by a truncation. */
void told_written(struct node *node, size_t end);
void told_emptied(struct node *node);
/* Another program changed the value. */
void told_changed(struct node *node);
/* A text of this size may go through the pages. */
bool told_fits(struct node *node, size_t size);
/* A handle reads its text now, or will: -ESTALE if the kernel would show a piece of it. */
int told_read(struct tree_handle *handle);

#endif
