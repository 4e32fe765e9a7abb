/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/changes.h"

#include "src/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4096 };

/* In front of each range, followed by the bytes before and after. */
struct range_head {
    uint64_t offset;
    uint64_t before, after; /* sizes */
};

void changes_clear(struct changes *changes)
{
    buffer_clear(&changes->ranges);
    changes->size_before = changes->size_after = 0;
}

void changes_release(struct changes *changes)
{
    buffer_release(&changes->ranges);
}

static void add_range(struct changes *changes, uint64_t offset, struct bytes before,
                      struct bytes after)
{
    struct range_head head = {.offset = offset, .before = before.size, .after = after.size};

    buffer_add(&changes->ranges, bytes_of(&head, sizeof head));
    buffer_add(&changes->ranges, before);
    buffer_add(&changes->ranges, after);
}

/* One block, less what is equal at its start and end. What one of them lacks is past the end of the file: different. */
static void compare_block(struct changes *changes, uint64_t offset, struct bytes before,
                          struct bytes after)
{
    size_t most = before.size > after.size ? before.size : after.size;
    size_t from = 0, to = most;

    if (bytes_equal(before, after))
        return;
    while (from < before.size && from < after.size && before.data[from] == after.data[from])
        from++;
    if (before.size == after.size) {
        while (to > from && before.data[to - 1] == after.data[to - 1])
            to--;
    }
    if (from < to)
        add_range(changes, offset + from, bytes_part(before, from, to - from),
                  bytes_part(after, from, to - from));
}

void changes_compare(struct changes *changes, uint64_t offset, struct bytes before,
                     struct bytes after)
{
    for (size_t at = 0; at < before.size || at < after.size; at += BLOCK)
        compare_block(changes, offset + at, bytes_part(before, at, BLOCK),
                      bytes_part(after, at, BLOCK));
}

int changes_next(struct bytes ranges, size_t *position, struct change *out)
{
    struct bytes rest = bytes_part(ranges, *position, SIZE_MAX);
    struct range_head head;

    if (!rest.size)
        return 0;
    if (rest.size < sizeof head)
        return -EBADMSG;
    memcpy(&head, rest.data, sizeof head);
    rest = bytes_part(rest, sizeof head, SIZE_MAX);
    if (head.before > rest.size || head.after > rest.size - head.before ||
        head.offset > INT64_MAX - head.before - head.after)
        return -EBADMSG;
    *out = (struct change){
        .offset = head.offset,
        .before = bytes_part(rest, 0, head.before),
        .after = bytes_part(rest, head.before, head.after),
    };
    *position += sizeof head + head.before + head.after;
    return 1;
}

static int write_ranges(const struct changes *changes, int fd, bool after)
{
    struct change change;
    size_t position = 0;
    int status;

    while ((status = changes_next(buffer_bytes(&changes->ranges), &position, &change)) > 0) {
        status = io_write(fd, after ? change.after : change.before, (off_t)change.offset);
        if (status)
            break;
    }
    return status;
}

/* First to grow: where room is short, this or a write fails before old bytes are touched. Last to shrink. */
static int write_all(const struct changes *changes, int fd, bool after)
{
    uint64_t size = after ? changes->size_after : changes->size_before;
    bool grows = after ? changes->size_after > changes->size_before
                       : changes->size_before > changes->size_after;
    int status = 0;

    if (grows)
        status = io_truncate(fd, (off_t)size);
    if (!status)
        status = write_ranges(changes, fd, after);
    if (!status && !grows && changes->size_after != changes->size_before)
        status = io_truncate(fd, (off_t)size);
    return status;
}

static int reserve(int fd, const struct change *change)
{
    size_t size = change->before.size > change->after.size ? change->before.size : change->after.size;
    int result;

    do
        result = size ? fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)change->offset, (off_t)size) : 0;
    while (result && errno == EINTR);
    return result ? -errno : 0;
}

int changes_reserve(const struct changes *changes, int fd)
{
    struct change change;
    size_t position = 0;
    int status;

    while ((status = changes_next(buffer_bytes(&changes->ranges), &position, &change)) > 0) {
        status = reserve(fd, &change);
        if (status)
            break;
    }
    return status == -EOPNOTSUPP || status == -ENOSYS ? 0 : status;
}

int changes_check(const struct changes *changes, int fd)
{
    struct stat stat;

    if (fstat(fd, &stat))
        return -errno;
    return (uint64_t)stat.st_size == changes->size_before ? 0 : -EUCLEAN;
}

int changes_apply(const struct changes *changes, int fd)
{
    return write_all(changes, fd, true);
}

int changes_undo(const struct changes *changes, int fd)
{
    return write_all(changes, fd, false);
}
