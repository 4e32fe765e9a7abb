/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/dumb_values.h"

#include "src/io.h"
#include "src/io_draft.h"
#include "src/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

enum { BLOCK_SIZE = 512 };

int dumb_values_open(struct dumb_values *values, const char *path, bool read_only,
                     unsigned lock_timeout)
{
    struct stat stat;
    int fd, status = io_open_regular(path, read_only ? O_RDONLY : O_RDWR, &stat, &fd);

    if (status)
        return status;
    if (!read_only)
        status = patience_lock(fd, LOCK_EX, lock_timeout);
    if (status) {
        close(fd);
        return status;
    }
    dumb_values_release(values);
    values->fd = fd;
    values->file = stat;
    values->size = stat.st_size;
    return 0;
}

void dumb_values_release(struct dumb_values *values)
{
    if (values->fd >= 0)
        close(values->fd);
    values->fd = -1;
}

bool dumb_values_were_cut(struct dumb_values *values, const struct stat *now)
{
    bool cut = now->st_size < values->size;

    values->size = now->st_size;
    return cut;
}

int64_t dumb_values_size(const struct dumb_values *values)
{
    struct stat stat;

    return fstat(values->fd, &stat) ? -errno : stat.st_size;
}

int dumb_values_read(const struct dumb_values *values, int64_t offset, int64_t size,
                     struct buffer *value)
{
    size_t before = value->size;
    int64_t limit = dumb_values_size(values);
    uint8_t *room;
    int status;

    if (offset < 0 || size < 0)
        return -EIO;
    if (!size)
        return 0;
    if (limit < 0)
        return (int)limit;
    if (size > limit || offset > limit - size)
        return -EIO;
    room = buffer_extend(value, (size_t)size);
    if (!room)
        return buffer_status(value);
    status = io_read_exactly(values->fd, room, (size_t)size, offset);
    if (status)
        value->size = before;
    return status == -EUCLEAN ? -EIO : status;
}

int dumb_values_append(struct dumb_values *values, struct bytes value, int64_t *offset)
{
    int64_t end = dumb_values_size(values), at;
    int status;

    if (end < 0)
        return (int)end;
    if (end < values->size)
        return -ESTALE;
    at = (end + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
    values->dirty = true;
    status = io_write(values->fd, value, at);
    if (!status)
        *offset = at;
    return status;
}

int dumb_values_sync(struct dumb_values *values)
{
    if (!values->dirty)
        return 0;
    if (fdatasync(values->fd))
        return -errno;
    values->dirty = false;
    return 0;
}

int dumb_values_create(const char *path, struct failure *failure)
{
    struct stat stat;
    int fd, status = io_write_file(path, (struct bytes){NULL, 0}, IO_CREATE);

    if (status != -EEXIST)
        return status;
    status = io_open_regular(path, O_RDONLY, &stat, &fd);
    if (status)
        return status;
    close(fd);
    if (stat.st_size)
        return failure_set(
            failure, -EUCLEAN, 0,
            "%s has values, but its index is missing: restore it, or move that file away", path);
    return 0;
}
