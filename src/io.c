/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

enum { READ_STEP = 1 << 16 };

int io_open(const char *path, int flags, mode_t mode)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int io_truncate(int fd, off_t size)
{
    int result;

    do
        result = ftruncate(fd, size);
    while (result && errno == EINTR);
    return result ? -errno : 0;
}

int io_read(int fd, void *data, size_t size, off_t offset, size_t *done)
{
    size_t got = 0;

    while (got < size) {
        ssize_t count = pread(fd, (uint8_t *)data + got, size - got, offset + (off_t)got);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        if (count == 0)
            break;
        got += (size_t)count;
    }
    *done = got;
    return 0;
}

int io_read_exactly(int fd, void *data, size_t size, off_t offset)
{
    size_t done = 0;
    int status = io_read(fd, data, size, offset, &done);

    return !status && done < size ? -EUCLEAN : status;
}

bool io_is_same_file(const struct stat *one, const struct stat *other)
{
    return one->st_ino == other->st_ino && one->st_dev == other->st_dev;
}

bool io_is_unchanged(const struct stat *a, const struct stat *b)
{
    return io_is_same_file(a, b) && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int io_write(int fd, struct bytes bytes, off_t offset)
{
    while (bytes.size) {
        ssize_t count = pwrite(fd, bytes.data, bytes.size, offset);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        bytes = bytes_part(bytes, (size_t)count, SIZE_MAX);
        offset += count;
    }
    return 0;
}

int io_read_all(int fd, struct buffer *out)
{
    size_t before = out->size, step = READ_STEP, got;
    struct stat stat;
    int status;

    /*
     * One byte more than the file has, so that a file of that size takes one call and one look at
     * its end.
     */
    if (!fstat(fd, &stat) && stat.st_size > 0 && stat.st_size < SSIZE_MAX)
        step = (size_t)stat.st_size + 1;
    do {
        uint8_t *room = buffer_extend(out, step);

        status = room ? io_read(fd, room, step, (off_t)(out->size - step - before), &got)
                      : buffer_status(out);
        if (status) {
            out->size = before;
            return status;
        }
        out->size -= step - got;
    } while (got == step);
    return 0;
}

int io_read_file(const char *path, struct buffer *out)
{
    struct stat stat;
    int fd, status = io_open_regular(path, O_RDONLY, &stat, &fd);

    if (status)
        return status;
    status = io_read_all(fd, out);
    close(fd);
    return status;
}

int io_open_regular(const char *path, int flags, struct stat *out, int *fd)
{
    struct stat stat;
    int file = io_open(path, flags | O_NONBLOCK | O_NOCTTY, 0);
    int status = 0;

    if (file < 0)
        return file;
    if (fstat(file, &stat))
        status = -errno;
    else if (!S_ISREG(stat.st_mode))
        status = S_ISDIR(stat.st_mode) ? -EISDIR : -ENOTSUP;
    if (status) {
        close(file);
        return status;
    }
    *out = stat;
    *fd = file;
    return 0;
}

static bool may_follow(const struct stat *link, const struct stat *file)
{
    if (!S_ISLNK(link->st_mode)) /* it may be one by now */
        return io_is_same_file(link, file);
    return link->st_uid == 0 || link->st_uid == geteuid() || link->st_uid == file->st_uid;
}

int io_open_companion(const char *path, int flags, struct stat *out, int *fd)
{
    struct stat link, file;
    int status = -EPERM, opened = -1;

    /* Twice, since it may just have been replaced. */
    for (int i = 0; i < 2 && status == -EPERM; i++) {
        if (lstat(path, &link))
            return -errno;
        status = io_open_regular(path, flags, &file, &opened);
        if (!status && !may_follow(&link, &file)) {
            close(opened);
            status = -EPERM;
        }
    }
    if (status)
        return status;
    *out = file;
    *fd = opened;
    return 0;
}
