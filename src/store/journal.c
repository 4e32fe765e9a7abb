/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/journal.h"

#include "src/digest.h"
#include "src/io.h"
#include "src/store/shield.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define MAGIC UINT64_C(0x316c6e726a766c73) /* "slvjrnl1" */

enum { LARGEST = 1 << 30, CHECKPOINT_SIZE = 4 << 20, KEPT_SIZE = 1 << 20 };

struct record_head {
    uint64_t magic;
    uint64_t sequence;
    uint64_t inode; /* of the database: another file of its name is another one */
    uint64_t size_before, size_after;
    uint64_t size;    /* of the ranges that follow */
    uint64_t boot[2]; /* during which it was written */
    struct digest
        digest; /* of the ranges, keyed with that of the head before this field: finds torn records */
    int64_t
        applied; /* when the database was written, as its mtime in ns, or 0; it may not be on the disk */
};

static struct digest record_digest(const struct record_head *head, struct bytes ranges)
{
    static const struct digest_key unkeyed;
    struct digest digest =
        digest_bytes(&unkeyed, bytes_of(head, offsetof(struct record_head, digest)));
    struct digest_key key = {.words = {digest.words[0], digest.words[1]}};

    return digest_bytes(&key, ranges);
}

/* Zero when that can't be told: then each start counts as another. */
static void read_boot(uint64_t boot[2])
{
    struct buffer text = BUFFER_INIT;
    static const struct digest_key unkeyed;

    if (io_read_file("/proc/sys/kernel/random/boot_id", &text) == 0) {
        struct digest digest = digest_bytes(&unkeyed, buffer_bytes(&text));

        memcpy(boot, digest.words, sizeof digest.words);
    }
    buffer_release(&text);
}

int journal_init(struct journal *journal, const char *database)
{
    char *path = realpath(database, NULL);
    char *slash = path ? strrchr(path, '/') : NULL;
    int size;

    *journal = (struct journal){.fd = -1};
    if (!slash)
        return -errno;
    read_boot(journal->boot);
    size =
        asprintf(&journal->path, "%.*s/.%s.shelvefs-journal", (int)(slash - path), path, slash + 1);
    free(path);
    if (size < 0) {
        journal->path = NULL;
        return -ENOMEM;
    }
    return 0;
}

void journal_end(struct journal *journal, bool remove)
{
    if (journal->fd < 0)
        return;
    if (remove && !journal->end)
        unlink(journal->path);
    close(journal->fd);
    journal->fd = -1;
}

void journal_release(struct journal *journal)
{
    journal_end(journal, false);
    free(journal->path);
    journal->path = NULL;
}

/* A journal is empty when it doesn't begin with a record. */
static int has_record(int fd, bool *out)
{
    uint64_t magic = 0;
    size_t done;
    int status = io_read(fd, &magic, sizeof magic, 0, &done);

    if (!status)
        *out = magic == MAGIC;
    return status;
}

bool journal_is_pending(const struct journal *journal)
{
    int fd = open(journal->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool pending = false;

    if (fd < 0)
        return false;
    /* What can't be read now may be one. */
    if (has_record(fd, &pending))
        pending = true;
    close(fd);
    return pending;
}

/* --- the file --- */

/* Only root, the database's owner and we ourselves may have made it, and nobody may write it who may not write that. */
static int check_trust(int fd, const struct stat *database, struct stat *out)
{
    if (fstat(fd, out))
        return -errno;
    if (!S_ISREG(out->st_mode) || out->st_nlink != 1)
        return -EPERM;
    if (out->st_uid != 0 && out->st_uid != geteuid() && out->st_uid != database->st_uid)
        return -EPERM;
    return out->st_mode & ~database->st_mode & (S_IWGRP | S_IWOTH) ? -EPERM : 0;
}

static int make_file(const char *path, const struct stat *database, int *out)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int status = 0;

    if (fd < 0)
        return -errno;
    /* An owner who may not be given to a file is no reason to refuse the save. */
    if (fchown(fd, database->st_uid, database->st_gid) && fchown(fd, (uid_t)-1, database->st_gid))
        errno = 0;
    if (fchmod(fd, database->st_mode & 0666))
        status = -errno;
    if (!status)
        status = io_sync_directory_of(path);
    if (status) {
        unlink(path);
        close(fd);
        return status;
    }
    *out = fd;
    return 0;
}

static int open_file(const char *path, const struct stat *database, int *out)
{
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return make_file(path, database, out);
    if (fd < 0)
        return errno == ELOOP ? -EPERM : -errno;
    *out = fd;
    return 0;
}

/*
 * Its room is kept, and used again: to sync a file whose size is the same takes a fraction of the time. What is left of
 * older records doesn't continue the new ones.
 */
static int start_anew(struct journal *journal)
{
    static const uint64_t nothing;
    struct stat stat;
    int status = fstat(journal->fd, &stat) ? -errno : 0;

    if (!status && stat.st_size > KEPT_SIZE && ftruncate(journal->fd, 0))
        status = -errno;
    else if (!status && stat.st_size)
        status = io_write(journal->fd, bytes_of(&nothing, sizeof nothing), 0);
    if (!status &&
        getrandom(&journal->sequence, sizeof journal->sequence, 0) != sizeof journal->sequence)
        status = -EIO;
    if (!status)
        journal->end = 0;
    return status;
}

/* --- replaying --- */

static bool is_of_this_boot(const struct journal *journal, const struct record_head *head)
{
    return (journal->boot[0] || journal->boot[1]) &&
           memcmp(journal->boot, head->boot, sizeof head->boot) == 0;
}

/* The record at `*position`, if there is a whole one that continues the one before. Its digest isn't looked at. */
static bool next_record(struct bytes content, size_t *position, struct record_head *head,
                        struct bytes *ranges)
{
    struct bytes rest = bytes_part(content, *position, SIZE_MAX);
    uint64_t sequence = head->sequence + 1;
    bool first = *position == 0;

    if (rest.size < sizeof *head)
        return false;
    memcpy(head, rest.data, sizeof *head);
    if (head->magic != MAGIC || (!first && head->sequence != sequence) ||
        head->size > rest.size - sizeof *head)
        return false;
    *ranges = bytes_part(rest, sizeof *head, head->size);
    *position += sizeof *head + head->size;
    return true;
}

/* What of a file is records that were written to their end. */
static struct bytes whole_records(struct bytes content)
{
    struct record_head head = {0};
    struct bytes ranges;
    size_t position = 0, end = 0;

    while (next_record(content, &position, &head, &ranges) &&
           digest_equal(record_digest(&head, ranges), head.digest))
        end = position;
    return bytes_part(content, 0, end);
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

    while (next_record(content, &position, &head, &ranges)) {
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

    while (ours > 0 && next_record(content, &position, &head, &ranges)) {
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

    while (!status && next_record(content, &position, &head, &ranges)) {
        struct changes changes = {.ranges = {.data = (uint8_t *)ranges.data, .size = ranges.size},
                                  .size_before = head.size_before,
                                  .size_after = head.size_after};

        status = changes_apply(&changes, fd);
    }
    return !status && fdatasync(fd) ? -errno : status;
}

static int64_t mtime_of(const struct stat *stat)
{
    return stat->st_mtim.tv_sec * INT64_C(1000000000) + stat->st_mtim.tv_nsec;
}

/* The head of the last record, and where it begins. False: there is none. */
static bool last_record(struct bytes content, struct record_head *head, struct bytes *ranges,
                        size_t *start)
{
    struct record_head next = {0};
    struct bytes next_ranges;
    size_t position = 0, before = 0;
    bool found = false;

    for (; next_record(content, &position, &next, &next_ranges); before = position) {
        *head = next;
        *ranges = next_ranges;
        *start = before;
        found = true;
    }
    return found;
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

    if (!last_record(*content, &head, &ranges, &start) || head.applied ||
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

    return last_record(content, &head, &ranges, &start) && head.applied &&
           mtime_of(stat) > head.applied;
}

static int redo(int fd, const struct stat *stat, struct bytes content, enum journal_replay *out)
{
    int status = is_ours(fd, stat, content);

    if (status < 0)
        return status;
    *out = status ? JOURNAL_REPLAYED : JOURNAL_DROPPED;
    return status ? write_again(fd, content) : 0;
}

static int replay(struct journal *journal, int fd, const struct stat *stat,
                  enum journal_replay *out)
{
    struct buffer content;
    struct record_head head = {0};
    struct bytes rest, ranges;
    size_t position = 0;
    int status;

    buffer_init(&content, LARGEST);
    status = io_read_all(journal->fd, &content);
    rest = whole_records(buffer_bytes(&content));
    if (!status)
        status = forget_unbegun(journal, fd, stat, &rest);
    /* If not even the first record is whole, the database was not touched. */
    if (!status && next_record(rest, &position, &head, &ranges) && !has_moved_on(stat, rest))
        status = redo(fd, stat, rest, out);
    buffer_release(&content);
    return status;
}

int journal_begin(struct journal *journal, int fd, const struct stat *database,
                  enum journal_replay *out)
{
    enum journal_replay outcome = JOURNAL_CLEAN;
    bool pending = false;
    struct stat stat;
    int status;

    status = journal->fd < 0 ? open_file(journal->path, database, &journal->fd) : 0;
    if (status)
        return status;
    status = check_trust(journal->fd, database, &stat);
    if (!status)
        status = has_record(journal->fd, &pending);
    if (!status && pending)
        status = replay(journal, fd, database, &outcome);
    if (!status)
        status = start_anew(journal);
    if (!status && pending && fdatasync(journal->fd))
        status = -errno;
    if (status) {
        journal_end(journal, false);
        return status;
    }
    *out = outcome;
    return 0;
}

/* --- writing --- */

static int append(struct journal *journal, uint64_t inode, const struct changes *changes)
{
    struct record_head head = {
        .magic = MAGIC,
        .sequence = journal->sequence,
        .inode = inode,
        .size_before = changes->size_before,
        .size_after = changes->size_after,
        .size = changes->ranges.size,
        .boot = {journal->boot[0], journal->boot[1]},
    };
    int status;

    head.digest = record_digest(&head, buffer_bytes(&changes->ranges));
    status =
        io_write(journal->fd, buffer_bytes(&changes->ranges), journal->end + (off_t)sizeof head);
    /* The head last, so that a kill in between leaves nothing that must be judged by its digest. */
    if (!status)
        status = io_write(journal->fd, bytes_of(&head, sizeof head), journal->end);
    if (!status && fdatasync(journal->fd))
        status = -errno;
    return status;
}

struct application {
    const struct changes *changes;
    int fd;
};

static int apply(void *context)
{
    const struct application *application = context;

    return changes_apply(application->changes, application->fd);
}

static int mark_applied(struct journal *journal, int fd)
{
    struct stat stat;
    int64_t applied;

    if (fstat(fd, &stat))
        return -errno;
    applied = mtime_of(&stat);
    return io_write(journal->fd, bytes_of(&applied, sizeof applied),
                    journal->end + (off_t)offsetof(struct record_head, applied));
}

/* The record that could not be carried out must not be found by the next one who looks. */
static int take_back(struct journal *journal)
{
    return ftruncate(journal->fd, journal->end) || fdatasync(journal->fd) ? -errno : 0;
}

int journal_commit(struct journal *journal, int fd, const struct changes *changes)
{
    struct stat stat;
    int status = buffer_status(&changes->ranges);

    if (!status && fstat(fd, &stat))
        status = -errno;
    if (!status && journal->end > CHECKPOINT_SIZE)
        status = journal_checkpoint(journal, fd);
    if (status)
        return status;
    status = append(journal, stat.st_ino, changes);
    if (status) {
        take_back(journal);
        return status;
    }
    status = shield_run(apply, &(struct application){.changes = changes, .fd = fd});
    if (status)
        return changes_undo(changes, fd) || take_back(journal) ? -ESTALE : status;
    /* Can't fail: that place was written before. If it does, the record is taken for an unfinished one. */
    mark_applied(journal, fd);
    journal->sequence++;
    journal->end += (off_t)(sizeof(struct record_head) + changes->ranges.size);
    return 0;
}

int journal_checkpoint(struct journal *journal, int fd)
{
    int status;

    if (!journal->end)
        return 0;
    if (fdatasync(fd))
        return -errno;
    status = start_anew(journal);
    return !status && fdatasync(journal->fd) ? -errno : status;
}
