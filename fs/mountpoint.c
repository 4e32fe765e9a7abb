/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

static int cannot_reach(const char *given, int code, struct failure *failure)
{
    switch (code) {
    case -ENOENT:
        return failure_set(failure, code, 0, "no directory %s to mount on; make it: mkdir %s",
                           given, given);
    case -ENOTCONN:
    case -ECONNABORTED: /* the same, a moment earlier */
        return failure_set(failure, code, 0,
                           "%s is left over from a mount that ended; unmount it: fusermount3 -u %s",
                           given, given);
    default:
        return failure_set(failure, code, 0, "cannot mount on %s: %s", given, strerror(-code));
    }
}

/* Something may be mounted over other filesystems; over a FUSE mount it is a command that was given twice. */
static bool is_fuse_mount(const char *path)
{
    struct statx info;
    struct statfs filesystem;

    if (statx(AT_FDCWD, path, 0, STATX_TYPE, &info) || statfs(path, &filesystem))
        return false;
    return info.stx_attributes & info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT &&
           filesystem.f_type == FUSE_SUPER_MAGIC;
}

int mountpoint_resolve(const char *given, char **path, struct failure *failure)
{
    struct stat stat_buffer;
    char *absolute;

    if (strncmp(given, "/dev/fd/", strlen("/dev/fd/")) == 0) {
        *path = strdup(given);
        return *path ? 0 : -ENOMEM;
    }
    if (stat(given, &stat_buffer))
        return cannot_reach(given, -errno, failure);
    if (!S_ISDIR(stat_buffer.st_mode))
        return failure_set(failure, -ENOTDIR, 0, "%s is no directory; a mount needs one", given);
    if (is_fuse_mount(given))
        return failure_set(
            failure, -EBUSY, 0,
            "%s is in use, a filesystem is mounted there; unmount it: fusermount3 -u %s", given,
            given);
    absolute = realpath(given, NULL);
    if (!absolute)
        return cannot_reach(given, -errno, failure);
    *path = absolute;
    return 0;
}

int mountpoint_check_beside(const char *mountpoint, const char *database, struct failure *failure)
{
    char absolute[PATH_MAX];
    size_t size = strlen(mountpoint);

    if (!realpath(database, absolute))
        return failure_set(failure, -errno, 0, "cannot find %s: %s", database, strerror(errno));
    if (strncmp(absolute, mountpoint, size) != 0 || (absolute[size] != '/' && size > 1))
        return 0;
    return failure_set(
        failure, -EINVAL, 0,
        "the database lies inside %s and would be covered; mount on another directory", mountpoint);
}

dev_t mountpoint_device(const char *mountpoint)
{
    struct statx info;

    if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &info) ||
        !S_ISDIR(info.stx_mode))
        return 0;
    return makedev(info.stx_dev_major, info.stx_dev_minor);
}
