/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Taking turns at a file that other programs use too, and that has one lock for all of it (flock).
 *
 * Whoever meets such a lock fails at once (libgdbm), so turns are short: one to read lasts for one operation. One to
 * write is kept a moment, because what it begins and ends with (locking, waiting for the disk) costs more than the
 * updates, and is given up by a thread when nothing came for TURN_IDLE_MS, or by the next operation after TURN_MOST_MS
 * whatever came; then others get TURN_PAUSE_MS to go first. Updates go through a journal (journal.h).
 *
 * The file is opened anew for each turn, so one that was replaced by another is noticed; within a turn to write, before and
 * after each update.
 *
 * Every call needs the store's mutex held; the thread takes it too.
 */
#ifndef SHELVEFS_STORE_TURN_H
#define SHELVEFS_STORE_TURN_H

#include "src/store/engine.h"
#include "src/store/journal.h"

#include <sys/stat.h>

enum { TURN_IDLE_MS = 5, TURN_MOST_MS = 50, TURN_PAUSE_MS = 3 };

enum turn_kind { TURN_NONE, TURN_READ, TURN_WRITE };

struct turn {
    struct store *store;   /* whose path it is, and which takes the notes */
    unsigned lock_timeout; /* seconds */
    bool no_lock;

    enum turn_kind kind;
    int fd;             /* -1: none */
    struct stat stat;   /* when the turn began; the size counts on */
    bool changed_hands; /* since the flag was cleared, another turn began */
    bool met;           /* there was a turn; `latest` is its file */
    bool replaced;      /* since the flag was cleared, a turn had another file than the one before */
    struct stat latest;

    struct journal journal;
    bool unprotected; /* there can be no journal: said once */
    int failure;      /* of the last checkpoint, until a sync reports it */

    pthread_t thread;
    bool has_thread, stops;
    pthread_cond_t wake;
    int64_t began_ns, used_ns;
    int64_t pause_until_ns;
    uint64_t stamps; /* that can't be told from the next ones by time */
};

int turn_init(struct turn *turn, struct store *store, const struct store_options *options);
/*
 * Gives up the turn and stops the thread. The first errno of what could not be written. The mutex must not be held: this
 * is for ops->close, when nobody else uses the store.
 */
int turn_release(struct turn *turn);

/*
 * Begins a turn unless it lasts. -EBUSY: another process held the lock all the time; -EIO: the file is gone. An update
 * that a crash interrupted is completed first, if this store may write.
 */
int turn_read(struct turn *turn);
int turn_write(struct turn *turn);
/* The operation is over. */
void turn_done(struct turn *turn);
/*
 * One update, all or nothing. Only in a turn to write. -ESTALE: the file has lost its name by now, so what was written to it is
 * nowhere; the turn is over, and the next one has the other file.
 */
int turn_commit(struct turn *turn, const struct changes *changes);
/* What was committed is on the disk, in the database itself. */
int turn_sync(struct turn *turn);
/* Gives a turn up at once. */
int turn_give(struct turn *turn);

/*
 * What stat() says of the file tells whether anyone wrote to it. libgdbm maps the file, and the first write to a page
 * after it was mapped changes the time; it unmaps it before it unlocks it, so none comes later.
 */
int turn_stamp(struct turn *turn, struct store_stamp *out);

#endif
