/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file that was looked up last and is not there.
 *
 * The kernel looks a name up right before it asks for a file to be made of it, within the same system call, so the answer to
 * the first is good enough for the second: the store need not be asked again. It counts once, for a moment, and only as long as
 * this mount has changed nothing in the store. What another program stores meanwhile the first save finds, as it finds what comes
 * right after the file was made.
 *
 * All functions take the tree lock.
 */
#ifndef SHELVEFS_ABSENCE_H
#define SHELVEFS_ABSENCE_H

#include "fs/folds.h"

#include <stdint.h>

struct tree;

/* Part of struct tree. */
struct absence {
    int64_t ms;       /* clock_ms() of the answer; 0: none */
    uint64_t file;    /* node_hash() of place and name */
    uint64_t changes; /* tree->changes before the store was asked */
};

void absence_note(struct tree *tree, struct place place, const char *name, uint64_t changes);
/* Whether the name is known to lead to no key. */
bool absence_take(struct tree *tree, struct place place, const char *name);

#endif
