/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/journal.h"

#include "src/io.h"
#include "src/io_draft.h"
#include "src/store/journal_record.h"
#include "src/store/journal_replay.h"
#include "src/store/shield.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { CHECKPOINT_SIZE = 4 << 20, KEPT_SIZE = 1 << 20 };

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
    journal->unsettled = false;
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
        *out = magic == JOURNAL_MAGIC;
    return status;
}

bool journal_is_pending(const struct journal *journal)
{
    int fd = io_open(journal->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    bool pending = false;

    /* What can't be read now may be one. */
    if (fd < 0)
        return fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -EIO;
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
    int fd = io_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    int status = 0;

    if (fd < 0)
        return fd;
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
    int fd = io_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);

    if (fd == -ENOENT)
        return make_file(path, database, out);
    if (fd < 0)
        return fd == -ELOOP || fd == -EISDIR ? -EPERM : fd;
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

    if (!status && stat.st_size > KEPT_SIZE)
        status = io_truncate(journal->fd, 0);
    else if (!status && stat.st_size)
        status = io_write(journal->fd, bytes_of(&nothing, sizeof nothing), 0);
    if (!status &&
        getrandom(&journal->sequence, sizeof journal->sequence, 0) != sizeof journal->sequence)
        status = -EIO;
    if (!status)
        journal->end = 0;
    return status;
}

int journal_begin(struct journal *journal, int fd, const struct stat *database,
                  enum journal_outcome *out)
{
    enum journal_outcome outcome = JOURNAL_CLEAN;
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
        status = journal_replay(journal, fd, database, &outcome);
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
        .magic = JOURNAL_MAGIC,
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
    if (!status)
        journal->unsettled = false;
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
    applied = record_mtime(&stat);
    return io_write(journal->fd, bytes_of(&applied, sizeof applied),
                    journal->end + (off_t)offsetof(struct record_head, applied));
}

/* The record that could not be carried out must not be found by the next one who looks. */
static int take_back(struct journal *journal)
{
    int status = io_truncate(journal->fd, journal->end);

    return status ? status : fdatasync(journal->fd) ? -errno : 0;
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
    if (!status)
        status = changes_check(changes, fd);
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
    if (!status)
        journal->unsettled = true;
    return status;
}

int journal_settle(struct journal *journal)
{
    if (journal->unsettled && fdatasync(journal->fd))
        return -errno;
    journal->unsettled = false;
    return 0;
}
