/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 312

#include "fs/tell.h"

#include "fs/mount.h"

#include <fuse3/fuse_lowlevel.h>
#include <string.h>

void tell_outdated(struct mount *mount, uint64_t node, uint64_t parent, const char *name)
{
    /* What fails (the kernel does not know it, or the mount is going away) is not cached either. */
    if (node)
        fuse_lowlevel_notify_inval_inode(mount->session, node, 0, 0);
    if (name)
        fuse_lowlevel_notify_inval_entry(mount->session, parent, name, strlen(name));
}

void tell_all_outdated(struct mount *mount)
{
    struct buffer nodes = BUFFER_INIT;
    uint64_t node;

    /* What finds no memory is told the next time. */
    if (tree_known(mount->tree, &nodes))
        vigil_repeat(&mount->vigil);
    for (size_t offset = 0; offset < nodes.size; offset += sizeof node) {
        memcpy(&node, nodes.data + offset, sizeof node);
        tell_outdated(mount, node, 0, NULL);
    }
    buffer_release(&nodes);
}

static bool push(void *context, uint64_t node, struct bytes text)
{
    struct mount *mount = context;
    struct fuse_bufvec pages = FUSE_BUFVEC_INIT(text.size);

    pages.buf[0].mem = (void *)(uintptr_t)text.data;
    return fuse_lowlevel_notify_store(mount->session, node, 0, &pages, 0) == 0;
}

void tell_text(struct mount *mount, uint64_t node)
{
    tree_push(mount->tree, node, push, mount);
}
