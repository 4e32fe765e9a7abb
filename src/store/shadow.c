/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/shadow.h"

#include "src/io.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP = 1 << 16 };

void shadow_release(struct shadow *shadow)
{
    if (shadow->fd >= 0)
        close(shadow->fd);
    shadow->fd = -1;
    buffer_release(&shadow->part);
    buffer_release(&shadow->other);
}

int shadow_start(struct shadow *shadow, off_t size)
{
    if (shadow->fd < 0)
        shadow->fd = memfd_create("shelvefs", MFD_CLOEXEC);
    if (shadow->fd < 0)
        return -errno;
    int status = io_truncate(shadow->fd, 0);

    return status ? status : io_truncate(shadow->fd, size);
}

void extents_add(struct buffer *extents, off_t from, off_t to)
{
    struct extent extent = {.from = from, .to = to};

    buffer_add(extents, bytes_of(&extent, sizeof extent));
}

bool extents_get(const struct buffer *extents, size_t index, struct extent *out)
{
    if (index >= extents->size / sizeof *out)
        return false;
    memcpy(out, extents->data + index * sizeof *out, sizeof *out);
    return true;
}

static off_t smaller(off_t a, off_t b)
{
    return a < b ? a : b;
}

static int read_part(struct buffer *part, int fd, off_t from, off_t to)
{
    size_t done = 0;
    int status;

    buffer_clear(part);
    buffer_resize(part, from < to ? (size_t)smaller(to - from, STEP) : 0);
    status = buffer_status(part);
    if (!status)
        status = io_read(fd, part->data, part->size, from, &done);
    part->size = done;
    return status;
}

int shadow_copy(struct shadow *shadow, int fd, off_t size, struct extent extent)
{
    off_t to = smaller(extent.to, size);
    int status = 0;

    for (off_t at = extent.from; !status && at < to; at += (off_t)shadow->part.size) {
        status = read_part(&shadow->part, fd, at, to);
        if (!status && !shadow->part.size)
            status = -EIO;
        if (!status)
            status = io_write(shadow->fd, buffer_bytes(&shadow->part), at);
    }
    return status;
}

int shadow_extents(const struct shadow *shadow, struct buffer *out)
{
    off_t from, to = 0;

    while ((from = lseek(shadow->fd, to, SEEK_DATA)) >= 0) {
        to = lseek(shadow->fd, from, SEEK_HOLE);
        if (to < 0)
            return -errno;
        extents_add(out, from, to);
    }
    return errno == ENXIO ? buffer_status(out) : -errno;
}

bool shadow_has(const struct shadow *shadow, off_t offset)
{
    return lseek(shadow->fd, offset, SEEK_DATA) == offset;
}

static int compare_extent(struct shadow *shadow, int fd, off_t size, struct extent extent,
                          struct changes *out)
{
    struct buffer *now = &shadow->part, *before = &shadow->other;
    int status = 0;

    for (off_t at = extent.from; !status && at < extent.to; at += (off_t)now->size) {
        status = read_part(now, shadow->fd, at, extent.to);
        if (!status && !now->size)
            break;
        if (!status)
            status = read_part(before, fd, at, smaller(at + (off_t)now->size, size));
        if (!status)
            changes_compare(out, (uint64_t)at, buffer_bytes(before), buffer_bytes(now));
    }
    return status;
}

int shadow_compare(struct shadow *shadow, int fd, off_t size, const struct buffer *extents,
                   struct changes *out)
{
    struct extent extent;
    struct stat stat;
    int status = fstat(shadow->fd, &stat) ? -errno : 0;

    changes_clear(out);
    out->size_before = (uint64_t)size;
    out->size_after = (uint64_t)stat.st_size;
    for (size_t i = 0; !status && extents_get(extents, i, &extent); i++)
        status = compare_extent(shadow, fd, size, extent, out);
    /* What is cut off has to be known, to take that back. */
    for (off_t at = stat.st_size; !status && at < size; at += (off_t)shadow->other.size) {
        status = read_part(&shadow->other, fd, at, size);
        if (!status && !shadow->other.size)
            break;
        if (!status)
            changes_compare(out, (uint64_t)at, buffer_bytes(&shadow->other),
                            (struct bytes){NULL, 0});
    }
    return status ? status : buffer_status(&out->ranges);
}
