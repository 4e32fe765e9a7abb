/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/io_draft.h"

#include "src/io.h"
#include "src/litter.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define FD_LINK "/proc/self/fd/%d"

enum { FD_LINK_SIZE = 32 };

/* An absolute path without symbolic links in its last step, also where nothing is there yet. */
static int resolve(const char *path, char **out)
{
    char *resolved = realpath(path, NULL);

    if (!resolved && errno == ENOENT)
        resolved = strdup(path);
    if (!resolved)
        return -errno;
    *out = resolved;
    return 0;
}

/* A new name beside `path`, short whatever the target's name is: that may be 255 bytes long. */
static int invent_name(const char *path, char **out)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -EIO;
    if (asprintf(out, "%.*s" LITTER_NAME, folder, path, (unsigned long long)number) < 0)
        return -ENOMEM;
    return 0;
}

static int open_unnamed(const char *path, mode_t mode, int *out)
{
    char *copy = strdup(path), link[FD_LINK_SIZE];
    int fd;

    if (!copy)
        return -ENOMEM;
    fd = io_open(dirname(copy), O_TMPFILE | O_RDWR, mode);
    free(copy);
    if (fd < 0)
        return -EOPNOTSUPP;
    snprintf(link, sizeof link, FD_LINK, fd);
    if (access(link, F_OK)) {
        close(fd);
        return -EOPNOTSUPP;
    }
    *out = fd;
    return 0;
}

static int open_named(const char *path, mode_t mode, char **name, int *out)
{
    int fd, status = invent_name(path, name);

    if (status)
        return status;
    fd = io_open(*name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    if (fd < 0) {
        free(*name);
        *name = NULL;
        return fd;
    }
    *out = fd;
    return 0;
}

int io_own_as(int fd, const struct stat *like)
{
    if (fchown(fd, like->st_uid, like->st_gid) && fchown(fd, (uid_t)-1, like->st_gid))
        errno = 0;
    return fchmod(fd, like->st_mode & 0777) ? -errno : 0;
}

/* draft->path is set. `like`: whose owner and mode it gets; NULL: as any new file. */
static int start_draft(struct io_draft *draft, const struct stat *like)
{
    mode_t mode = like ? 0600 : 0666;
    int status = open_unnamed(draft->path, mode, &draft->fd);

    if (status == -EOPNOTSUPP)
        status = open_named(draft->path, mode, &draft->temporary, &draft->fd);
    if (!status && like)
        status = io_own_as(draft->fd, like);
    if (status)
        io_draft_discard(draft);
    return status;
}

int io_draft_open(const char *path, struct io_draft *out)
{
    struct io_draft draft = {.fd = -1};
    struct stat old;
    int status = resolve(path, &draft.path);

    if (!status)
        status = start_draft(&draft, stat(draft.path, &old) ? NULL : &old);
    if (!status)
        *out = draft;
    return status;
}

int io_draft_new(const char *path, const struct stat *like, struct io_draft *out)
{
    struct io_draft draft = {.fd = -1, .path = strdup(path)};
    int status = draft.path ? start_draft(&draft, like) : -ENOMEM;

    if (!status)
        *out = draft;
    return status;
}

void io_draft_discard(struct io_draft *draft)
{
    if (draft->fd >= 0)
        close(draft->fd);
    if (draft->temporary)
        unlink(draft->temporary);
    free(draft->temporary);
    free(draft->path);
    *draft = (struct io_draft){.fd = -1};
}

static int link_draft(const struct io_draft *draft, const char *name)
{
    char link[FD_LINK_SIZE];

    snprintf(link, sizeof link, FD_LINK, draft->fd);
    return linkat(AT_FDCWD, link, AT_FDCWD, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

int io_draft_name(struct io_draft *draft)
{
    char *name;
    int status;

    if (draft->temporary)
        return 0;
    status = invent_name(draft->path, &name);
    if (status)
        return status;
    status = link_draft(draft, name);
    if (status)
        free(name);
    else
        draft->temporary = name;
    return status;
}

static int rename_without_replacing(const char *from, const char *to)
{
    if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* Filesystems that lack the flag (NFS) have hard links. */
    if (link(from, to))
        return -errno;
    unlink(from);
    return 0;
}

static int show_draft(struct io_draft *draft, enum io_publish how)
{
    int status;

    if (how == IO_CREATE && !draft->temporary)
        return link_draft(draft, draft->path);
    if (how == IO_CREATE)
        return rename_without_replacing(draft->temporary, draft->path);
    status = io_draft_name(draft);
    if (status)
        return status;
    return rename(draft->temporary, draft->path) ? -errno : 0;
}

static int open_directory_of(const char *path)
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return -ENAMETOOLONG;
    return io_open(dirname(copy), O_RDONLY | O_DIRECTORY, 0);
}

/* And closes it. EINVAL: a filesystem that has nothing to sync. */
static int sync_directory(int fd)
{
    int status = fsync(fd) && errno != EINVAL ? -errno : 0;

    close(fd);
    return status;
}

/* What may be short is taken before others see a change: a descriptor for the directory. */
int io_draft_publish(struct io_draft *draft, enum io_publish how)
{
    int directory, status = fsync(draft->fd) ? -errno : 0;

    if (!status && (directory = open_directory_of(draft->path)) < 0)
        status = directory;
    if (!status) {
        status = show_draft(draft, how);
        if (status) {
            close(directory);
        } else {
            free(draft->temporary);
            draft->temporary = NULL;
            status = sync_directory(directory);
        }
    }
    io_draft_discard(draft);
    return status;
}

static int exchange(const char *one, const char *other)
{
    if (!renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE))
        return 0;
    return errno == EINVAL || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

/* What has it now is not ours to remove. */
static void leave_temporary(struct io_draft *draft)
{
    free(draft->temporary);
    draft->temporary = NULL;
}

/*
 * `taken` had the name, and gets it back. Where what comes back for it is not what was put in its place, somebody has put a newer one there meanwhile,
 * which belongs there. After a failure, what is not ours stays where it is, also if somebody took the name away meanwhile.
 */
static int put_back(struct io_draft *draft, struct stat taken)
{
    struct stat placed, back;
    int status = fstat(draft->fd, &placed) ? -errno : 0;

    while (!status) {
        status = exchange(draft->temporary, draft->path);
        if (!status && lstat(draft->temporary, &back))
            status = -errno;
        if (!status && io_is_same_file(&back, &placed))
            return -ESTALE;
        placed = taken;
        taken = back;
    }
    leave_temporary(draft);
    return status == -ENOENT ? -ESTALE : status;
}

static int exchange_draft(struct io_draft *draft, io_expected *expected, const void *context,
                          const char *aside)
{
    struct stat taken;
    int status = exchange(draft->temporary, draft->path);

    if (status)
        return status == -ENOENT ? -ESTALE : status;
    if (lstat(draft->temporary, &taken)) {
        status = -errno;
        leave_temporary(draft);
        return status;
    }
    if (!expected(context, &taken))
        return put_back(draft, taken);
    if (!rename(draft->temporary, aside))
        leave_temporary(draft);
    return 0;
}

int io_draft_exchange(struct io_draft *draft, io_expected *expected, const void *context,
                      const char *aside)
{
    int directory = -1, status = fsync(draft->fd) ? -errno : io_draft_name(draft);

    if (!status && (directory = open_directory_of(draft->path)) < 0)
        status = directory;
    if (!status)
        status = exchange_draft(draft, expected, context, aside);
    if (!status)
        status = sync_directory(directory);
    else if (directory >= 0)
        close(directory);
    if (status != -EOPNOTSUPP)
        io_draft_discard(draft);
    return status;
}

int io_draft_create(struct io_draft *draft, int (*make)(const char *path))
{
    int status = io_draft_name(draft);

    if (!status)
        status = make(draft->temporary);
    if (!status)
        return io_draft_publish(draft, IO_CREATE);
    io_draft_discard(draft);
    return status;
}

int io_write_file(const char *path, struct bytes content, enum io_publish how)
{
    struct io_draft draft;
    int status = io_draft_open(path, &draft);

    if (status)
        return status;
    status = io_write(draft.fd, content, 0);
    if (status) {
        io_draft_discard(&draft);
        return status;
    }
    return io_draft_publish(&draft, how);
}

int io_sync_directory_of(const char *path)
{
    int directory = open_directory_of(path);

    return directory < 0 ? directory : sync_directory(directory);
}
