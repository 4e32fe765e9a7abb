/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel asks, as calls of the tree. The userdata is a struct mount. */
#ifndef SHELVEFS_OPERATIONS_H
#define SHELVEFS_OPERATIONS_H

#include "src/base.h"

struct fuse_lowlevel_ops;
struct mount;

extern const struct fuse_lowlevel_ops operations;

/*
 * Makes the kernel forget what it caches; see tree_options.invalidate. Never from inside a request, nor are the others.
 */
void operations_invalidate(struct mount *mount, uint64_t node, uint64_t parent, const char *name);
/* The same for the attributes and pages of all that it may know. */
void operations_invalidate_all(struct mount *mount);
/* Gives it the text of a file, if its pages may hold that. */
void operations_push(struct mount *mount, uint64_t node);

#endif
