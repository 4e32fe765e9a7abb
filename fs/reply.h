/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replies to the kernel. Each function replies exactly once, with `status` if that is not 0.
 *
 * A reply that the kernel did not take (the client was killed meanwhile) gives back the references that it carried:
 * nobody else ever would.
 */
#ifndef SHELVEFS_REPLY_H
#define SHELVEFS_REPLY_H

#include "fs/tree.h"

struct fuse_entry_param;
struct fuse_req;
struct mount;

struct mount *request_mount(struct fuse_req *request);
struct tree *request_tree(struct fuse_req *request);

void reply_status(struct fuse_req *request, int status);
void reply_stat(struct fuse_req *request, int status, const struct stat *stat);
/* The node of `stat` has one reference, which the kernel gets. */
void reply_entry(struct fuse_req *request, int status, const struct stat *stat);
struct fuse_entry_param reply_entry_of(struct fuse_req *request, const struct stat *stat);
/* `room`: 0 asks for the size alone. */
void reply_attribute(struct fuse_req *request, int status, struct bytes value, size_t room);
/* As many names from `position` on as go into `size` bytes. */
void reply_page(struct fuse_req *request, uint64_t directory, struct tree_listing *listing, size_t size,
                off_t position, bool plus);

#endif
