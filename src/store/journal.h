/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes updates of a file that is written in place all or nothing, whatever kills the writer.
 *
 * Each update is first appended to the journal, a file beside the database, with the bytes as they are and as they
 * will be; when that is on the disk, the database is written. Whoever finds a journal that is not empty, and has the
 * database to itself, writes the updates again. After checkpoints the journal is empty.
 *
 * - Other programs know nothing of journals. One that opened the database after a crash may have changed it: then a
 *   byte in a range of the journal is neither what it was nor what it was to become, and the journal is dropped, or it
 *   would undo what that program did.
 * - The journal is `.NAME.shelvefs-journal`, in the directory of the database (its symbolic links followed). It is not
 *   the sidecar because the sidecar may be anywhere or missing, has locks and crashes of its own, and its library
 *   would have to work before the database can be trusted. It gets owner and mode of the database, and is not taken
 *   from anybody else: whoever could write it could write the database.
 * - Numbers are in the order of this machine; a journal doesn't travel.
 *
 * All calls need the database locked against every other writer, except journal_is_pending().
 */
#ifndef SHELVEFS_STORE_JOURNAL_H
#define SHELVEFS_STORE_JOURNAL_H

#include "src/store/changes.h"

#include <sys/stat.h>

struct journal {
    char *path;
    int fd;            /* -1: not open */
    uint64_t boot[2];  /* of the system */
    uint64_t sequence; /* of the next record */
    off_t end;         /* of what was appended */
    bool unsettled;    /* that it was emptied need not be on the disk yet */
};

/* `database` is its path. */
int journal_init(struct journal *journal, const char *database);
void journal_release(struct journal *journal);

/* Whether there may be updates that a crash interrupted. */
bool journal_is_pending(const struct journal *journal);

enum journal_outcome {
    JOURNAL_CLEAN,    /* there was nothing to do */
    JOURNAL_REPLAYED, /* an interrupted update is complete now */
    JOURNAL_DROPPED,  /* somebody else has changed the database since the crash */
};
/*
 * Opens or makes the journal, and completes what a crash interrupted. `fd` is the database, `stat` what it is. -EPERM:
 * that file is not ours to trust.
 */
int journal_begin(struct journal *journal, int fd, const struct stat *stat,
                  enum journal_outcome *out);
/*
 * One update, durable when this returns: either all of it or, on failure, nothing of it. -ESTALE: a failed update
 * could not be taken back either; the next journal_begin() completes it.
 */
int journal_commit(struct journal *journal, int fd, const struct changes *changes);
/*
 * Waits until the database itself is on the disk, and empties the journal. A power cut may undo the latter until journal_settle() or the next commit:
 * then what is in the database is written to it again, which changes nothing while nobody else may write there.
 */
int journal_checkpoint(struct journal *journal, int fd);
/* Waits until the disk has that the journal was emptied, if it was: others are about to get the database. */
int journal_settle(struct journal *journal);
/* Closes the journal: the database is about to be unlocked. An empty one that is no longer needed is removed. */
void journal_end(struct journal *journal, bool remove);

#endif
