/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/tell.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

int tell_open(int session)
{
    uint32_t of = (uint32_t)session;
    int channel = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (channel < 0)
        return session;
    if (ioctl(channel, FUSE_DEV_IOC_CLONE, &of)) {
        close(channel);
        return session;
    }
    return channel;
}

void tell_close(int channel, int session)
{
    if (channel != session)
        close(channel);
}

/* The header, and up to two parts. */
static bool tell(int channel, enum fuse_notify_code what, struct bytes head, struct bytes body)
{
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof header + head.size + body.size),
        .error = (int32_t)what,
    };
    struct iovec parts[] = {
        {&header, sizeof header},
        {(void *)(uintptr_t)head.data, head.size},
        {(void *)(uintptr_t)body.data, body.size},
    };

    return writev(channel, parts, ARRAY_SIZE(parts)) == (ssize_t)header.len;
}

void tell_inode(int channel, uint64_t node)
{
    /* All of its pages, and its attributes. */
    struct fuse_notify_inval_inode_out message = {.ino = node};

    tell(channel, FUSE_NOTIFY_INVAL_INODE, bytes_of(&message, sizeof message), bytes_of("", 0));
}

void tell_entry(int channel, uint64_t parent, const char *name)
{
    struct fuse_notify_inval_entry_out message = {.parent = parent,
                                                  .namelen = (uint32_t)strlen(name)};

    /* With its NUL, which is not counted. */
    tell(channel, FUSE_NOTIFY_INVAL_ENTRY, bytes_of(&message, sizeof message),
         bytes_of(name, strlen(name) + 1));
}

bool tell_text(int channel, uint64_t node, struct bytes text)
{
    struct fuse_notify_store_out message = {.nodeid = node, .size = (uint32_t)text.size};

    return text.size <= UINT32_MAX / 2 &&
           tell(channel, FUSE_NOTIFY_STORE, bytes_of(&message, sizeof message), text);
}
