/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel asks, as calls of the tree. The userdata is a struct mount. */
#ifndef SHELVEFS_OPERATIONS_H
#define SHELVEFS_OPERATIONS_H

struct fuse_lowlevel_ops;

extern const struct fuse_lowlevel_ops operations;

#endif
