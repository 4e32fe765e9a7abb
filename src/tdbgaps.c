/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/tdbgaps.h"

#include "src/bytes.h"
#include "src/io.h"
#include "src/tdblayout.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RECOVERY_IDLE = 0,
    ALIGNMENT = 4,
    TAILER = 4, /* each record ends with its size */
};

struct range {
    uint64_t start, end;
};

struct gaps {
    int fd;
    uint64_t size; /* of the file */
    struct tdb_header header;
    struct buffer ranges; /* of struct range: what is referred to */
    bool found;
};

static int read_at(const struct gaps *gaps, uint64_t offset, void *out, size_t size)
{
    size_t done;
    int status = io_read(gaps->fd, out, size, (off_t)offset, &done);

    return !status && done < size ? -EUCLEAN : status;
}

static int add_range(struct gaps *gaps, uint64_t start, uint64_t end)
{
    struct range range = {start, end};

    buffer_add(&gaps->ranges, bytes_of(&range, sizeof range));
    return buffer_status(&gaps->ranges);
}

static uint64_t data_start(const struct gaps *gaps)
{
    return TDB_LAYOUT_FREE_LIST + ((uint64_t)gaps->header.hash_size + 1) * TDB_LAYOUT_HEAD;
}

static int read_header(struct gaps *gaps)
{
    struct stat stat;
    int status = read_at(gaps, 0, &gaps->header, sizeof gaps->header);

    if (!status && fstat(gaps->fd, &stat))
        status = -errno;
    if (status)
        return status;
    gaps->size = (uint64_t)stat.st_size;
    if (gaps->header.version != TDB_LAYOUT_VERSION || gaps->header.mutex_size)
        return -ENOTSUP;
    return data_start(gaps) > gaps->size || gaps->size > UINT32_MAX ? -EUCLEAN : 0;
}

/* The record that is referred to at `offset`. */
static int read_record(const struct gaps *gaps, uint64_t offset, struct tdb_record *record)
{
    uint32_t tailer;
    int status;

    if (offset < data_start(gaps) || offset % ALIGNMENT)
        return -EUCLEAN;
    status = read_at(gaps, offset, record, sizeof *record);
    if (status)
        return status;
    if (record->length < TAILER || record->length % ALIGNMENT)
        return -EUCLEAN;
    status = read_at(gaps, offset + sizeof *record + record->length - TAILER, &tailer, TAILER);
    if (status)
        return status;
    return tailer != sizeof *record + record->length ? -EUCLEAN : 0;
}

static int add_list(struct gaps *gaps, uint32_t offset, bool is_free)
{
    while (offset) {
        struct tdb_record record;
        int status = read_record(gaps, offset, &record);
        bool known;

        if (status)
            return status;
        /* In the free list: a writer without a transaction died while it deleted it. libtdb minds that. */
        known = record.magic == TDB_LAYOUT_USED || record.magic == (is_free ? TDB_LAYOUT_FREE : TDB_LAYOUT_DEAD);
        /* More of them than have room are a circle. */
        if (!known || gaps->ranges.size / sizeof(struct range) > gaps->size / sizeof record)
            return -EUCLEAN;
        status = add_range(gaps, offset, offset + sizeof record + record.length);
        if (status)
            return status;
        offset = record.next;
    }
    return 0;
}

static int add_lists(struct gaps *gaps)
{
    struct buffer heads = BUFFER_INIT;
    size_t count = (size_t)gaps->header.hash_size + 1;
    uint8_t *room = buffer_extend(&heads, count * TDB_LAYOUT_HEAD);
    int status = room ? read_at(gaps, TDB_LAYOUT_FREE_LIST, room, count * TDB_LAYOUT_HEAD) : buffer_status(&heads);

    for (size_t i = 0; !status && i < count; i++) {
        uint32_t head;

        memcpy(&head, heads.data + i * TDB_LAYOUT_HEAD, TDB_LAYOUT_HEAD);
        status = add_list(gaps, head, i == 0);
    }
    buffer_release(&heads);
    return status;
}

/* `*lost`: the header refers to no recovery area any more, but to where one was to be. */
static int add_recovery_area(struct gaps *gaps, bool *lost)
{
    uint64_t start = gaps->header.recovery_start;
    struct tdb_record record;

    *lost = false;
    if (!start)
        return 0;
    if (start < data_start(gaps))
        return -EUCLEAN;
    *lost = start + sizeof record > gaps->size || read_at(gaps, start, &record, sizeof record) ||
            record.magic != RECOVERY_IDLE || !record.length ||
            start + sizeof record + record.length > gaps->size;
    return *lost ? 0 : add_range(gaps, start, start + sizeof record + record.length);
}

static int compare_ranges(const void *one, const void *other)
{
    const struct range *a = one, *b = other;

    return a->start < b->start ? -1 : a->start > b->start;
}

/* Two writes: until the second one, nothing refers to it as before. */
static int free_gap(struct gaps *gaps, uint64_t start, uint64_t end)
{
    struct tdb_record record = {.length = (uint32_t)(end - start - sizeof record), .magic = TDB_LAYOUT_FREE};
    uint32_t tailer = (uint32_t)(end - start), head = (uint32_t)start;
    int status = read_at(gaps, TDB_LAYOUT_FREE_LIST, &record.next, TDB_LAYOUT_HEAD);

    if (!status)
        status = io_write(gaps->fd, bytes_of(&tailer, TAILER), (off_t)(end - TAILER));
    if (!status)
        status = io_write(gaps->fd, bytes_of(&record, sizeof record), (off_t)start);
    if (!status && fdatasync(gaps->fd))
        status = -errno;
    if (!status)
        status = io_write(gaps->fd, bytes_of(&head, TDB_LAYOUT_HEAD), TDB_LAYOUT_FREE_LIST);
    return status;
}

/* Calls free_gap() for all of them, or only says whether it can: no two ranges overlap, and each gap has room for a record. */
static int each_gap(struct gaps *gaps, bool change)
{
    const struct range *ranges = (const struct range *)gaps->ranges.data;
    size_t count = gaps->ranges.size / sizeof *ranges;
    uint64_t at = data_start(gaps);

    for (size_t i = 0; i <= count; i++) {
        uint64_t start = i < count ? ranges[i].start : gaps->size;
        int status = 0;

        if (start < at || (start > at && start - at < sizeof(struct tdb_record) + TAILER))
            return -EUCLEAN;
        gaps->found |= start > at;
        if (change && start > at)
            status = free_gap(gaps, at, start);
        if (status)
            return status;
        if (i < count)
            at = ranges[i].end;
    }
    return 0;
}

static int forget_recovery_area(struct gaps *gaps)
{
    static const uint32_t none;

    return io_write(gaps->fd, bytes_of(&none, sizeof none),
                    offsetof(struct tdb_header, recovery_start));
}

int tdbgaps_free(int fd)
{
    struct gaps gaps = {.fd = fd, .ranges = BUFFER_INIT};
    bool lost = false;
    int status = read_header(&gaps);

    if (!status)
        status = add_recovery_area(&gaps, &lost);
    if (!status)
        status = add_lists(&gaps);
    if (!status && gaps.ranges.size)
        qsort(gaps.ranges.data, gaps.ranges.size / sizeof(struct range), sizeof(struct range),
              compare_ranges);
    if (!status)
        status = each_gap(&gaps, false);
    if (!status && lost)
        status = forget_recovery_area(&gaps);
    if (!status && gaps.found)
        status = each_gap(&gaps, true);
    if (!status && (lost || gaps.found))
        status = fdatasync(fd) ? -errno : 1;
    buffer_release(&gaps.ranges);
    return status;
}
