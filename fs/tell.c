/* SPDX-License-Identifier: GPL-3.0-or-later */
#define FUSE_USE_VERSION 312

#include "fs/tell.h"

#include "fs/mount.h"

#include <fuse3/fuse_lowlevel.h>
#include <string.h>

/* Of a negative offset on there are no pages: attributes only. */
static const off_t NO_PAGES = -1;

void tell_outdated(struct mount *mount, uint64_t node, uint64_t parent, const char *name)
{
    bool frozen = store_read_only(mount->store);

    /* What fails (the kernel does not know it, or the mount is going away) is not cached either. */
    if (node)
        fuse_lowlevel_notify_inval_inode(mount->session, node, frozen ? NO_PAGES : 0, 0);
    if (name)
        fuse_lowlevel_notify_inval_entry(mount->session, parent, name, strlen(name));
}

void tell_all_outdated(struct mount *mount)
{
    struct buffer known = BUFFER_INIT;
    size_t offset = 0;

    /* What finds no memory is told the next time. */
    if (tree_known(mount->tree, &known))
        vigil_repeat(&mount->vigil);
    while (offset < known.size) {
        struct tree_known next;

        memcpy(&next, known.data + offset, sizeof next);
        offset += sizeof next;
        tell_outdated(mount, next.node, next.parent, next.size ? (const char *)known.data + offset : NULL);
        offset += next.size;
    }
    buffer_release(&known);
}

static bool push(void *context, uint64_t node, struct bytes text)
{
    struct mount *mount = context;
    struct fuse_bufvec pages = FUSE_BUFVEC_INIT(text.size);

    pages.buf[0].mem = (void *)(uintptr_t)text.data;
    return fuse_lowlevel_notify_store(mount->session, node, 0, &pages, 0) == 0;
}

size_t tell_text(struct mount *mount, uint64_t node)
{
    return tree_push(mount->tree, node, push, mount);
}
