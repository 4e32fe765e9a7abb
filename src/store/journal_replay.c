/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/journal_replay.h"

#include "src/io.h"
#include "src/store/journal_record.h"

#include <errno.h>
#include <unistd.h>

enum { LARGEST = 1 << 30 };

static bool is_of_this_boot(const struct journal *journal, const struct record_head *head)
{
    return (journal->boot[0] || journal->boot[1]) &&
           memcmp(journal->boot, head->boot, sizeof head->boot) == 0;
}

/* Room that a file grew by is zero until it is written. */
static bool is_as_found_or_left(const struct change *change, uint64_t index, uint8_t byte)
{
    if (index < change->after.size && change->after.data[index] == byte)
        return true;
    if (index < change->before.size)
        return change->before.data[index] == byte;
    return index < change->after.size && byte == 0;
}

struct question {
    uint64_t offset;
    uint8_t byte;
};

/* Whether some update of the journal made the byte what it is, or found it so. */
static bool is_known(struct bytes content, struct question question)
{
    struct record_head head = {0};
    struct bytes ranges;
    struct change change;
    size_t position = 0;

    while (record_next(content, &position, &head, &ranges)) {
        size_t at = 0;

        while (changes_next(ranges, &at, &change) > 0) {
            uint64_t index = question.offset - change.offset;

            if (question.offset >= change.offset &&
                is_as_found_or_left(&change, index, question.byte))
                return true;
        }
    }
    return false;
}

/* Whether the database is as the journal's updates found or left it, or between. */
static int range_is_ours(int fd, struct bytes content, const struct change *change)
{
    struct buffer now = BUFFER_INIT;
    size_t size =
        change->before.size > change->after.size ? change->before.size : change->after.size;
    uint8_t *room = buffer_extend(&now, size);
    size_t done = 0;
    int status =
        room || !size ? io_read(fd, room, size, (off_t)change->offset, &done) : buffer_status(&now);
    int ours = 1;

    for (size_t i = 0; !status && ours && i < done; i++) {
        struct question question = {.offset = change->offset + i, .byte = room[i]};

        if (!is_as_found_or_left(change, i, room[i]))
            ours = is_known(content, question);
    }
    buffer_release(&now);
    return status ? status : ours;
}

struct limits {
    uint64_t smallest, largest;
};

static void note_size(struct limits *limits, uint64_t size)
{
    limits->smallest = size < limits->smallest ? size : limits->smallest;
    limits->largest = size > limits->largest ? size : limits->largest;
}

static int is_ours(int fd, const struct stat *stat, struct bytes content)
{
    struct limits limits = {.smallest = UINT64_MAX};
    struct record_head head = {0};
    struct bytes ranges;
    struct change change;
    size_t position = 0;
    int ours = 1;

    while (ours > 0 && record_next(content, &position, &head, &ranges)) {
        size_t at = 0;
        int more = 1;

        if (head.inode != stat->st_ino)
            return 0;
        note_size(&limits, head.size_before);
        note_size(&limits, head.size_after);
        while (ours > 0 && (more = changes_next(ranges, &at, &change)) > 0)
            ours = range_is_ours(fd, content, &change);
        if (more < 0)
            return 0;
    }
    if (ours > 0 &&
        ((uint64_t)stat->st_size < limits.smallest || (uint64_t)stat->st_size > limits.largest))
        return 0;
    return ours;
}

/* 1: no byte of the update was written. */
static int is_untouched(int fd, const struct stat *stat, const struct record_head *head,
                        struct bytes ranges)
{
    struct buffer now = BUFFER_INIT;
    struct change change;
    size_t at = 0, done = 0;
    int same = (uint64_t)stat->st_size == head->size_before, status = 0;

    while (!status && same && changes_next(ranges, &at, &change) > 0) {
        uint8_t *room;

        buffer_clear(&now);
        room = buffer_extend(&now, change.before.size);
        if (room)
            status = io_read(fd, room, change.before.size, (off_t)change.offset, &done);
        else if (change.before.size)
            status = buffer_status(&now);
        same = bytes_equal(buffer_bytes(&now), change.before);
    }
    buffer_release(&now);
    return status ? status : same;
}

static int write_again(int fd, struct bytes content)
{
    struct record_head head = {0};
    struct bytes ranges;
    size_t position = 0;
    int status = 0;

    while (!status && record_next(content, &position, &head, &ranges)) {
        struct changes changes = {.ranges = {.data = (uint8_t *)ranges.data, .size = ranges.size},
                                  .size_before = head.size_before,
                                  .size_after = head.size_after};

        status = changes_apply(&changes, fd);
    }
    return !status && fdatasync(fd) ? -errno : status;
}

/*
 * Leaves out an update that was not begun: nobody was told that it is saved, and others may have seen that it isn't. After
 * a power cut that can't be told from one that was lost.
 */
static int forget_unbegun(const struct journal *journal, int fd, const struct stat *stat,
                          struct bytes *content)
{
    struct record_head head = {0};
    struct bytes ranges;
    size_t start = 0;
    int status;

    if (!record_last(*content, &head, &ranges, &start) || head.applied ||
        !is_of_this_boot(journal, &head))
        return 0;
    status = is_untouched(fd, stat, &head, ranges);
    if (status > 0)
        *content = bytes_part(*content, 0, start);
    return status < 0 ? status : 0;
}

/* What was written to the database after the last update was written by another program, which found that complete. */
static bool has_moved_on(const struct stat *stat, struct bytes content)
{
    struct record_head head = {0};
    struct bytes ranges;
    size_t start;

    return record_last(content, &head, &ranges, &start) && head.applied &&
           record_mtime(stat) > head.applied;
}

static int redo(int fd, const struct stat *stat, struct bytes content, enum journal_outcome *out)
{
    int status = is_ours(fd, stat, content);

    if (status < 0)
        return status;
    *out = status ? JOURNAL_REPLAYED : JOURNAL_DROPPED;
    return status ? write_again(fd, content) : 0;
}

int journal_replay(const struct journal *journal, int fd, const struct stat *stat,
                   enum journal_outcome *out)
{
    struct buffer content;
    struct record_head head = {0};
    struct bytes rest, ranges;
    size_t position = 0;
    int status;

    buffer_init(&content, LARGEST);
    status = io_read_all(journal->fd, &content);
    rest = records_whole(buffer_bytes(&content));
    if (!status)
        status = forget_unbegun(journal, fd, stat, &rest);
    /* If not even the first record is whole, the database was not touched. */
    if (!status && record_next(rest, &position, &head, &ranges) && !has_moved_on(stat, rest))
        status = redo(fd, stat, rest, out);
    buffer_release(&content);
    return status;
}
