/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/turn.h"

#include "src/io.h"
#include "src/store/presence.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000 * 1000, TRIES = 100 };

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

int turn_init(struct turn *turn, struct store *store, const struct store_options *options)
{
    pthread_condattr_t attributes;
    int status;

    *turn = (struct turn){
        .store = store,
        .lock_timeout = options->lock_timeout,
        .no_lock = options->flags & STORE_NO_LOCK,
        .fd = -1,
    };
    status = journal_init(&turn->journal, store->path);
    if (status)
        return status;
    if (pthread_condattr_init(&attributes))
        goto no_memory;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    status = pthread_cond_init(&turn->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    if (status == 0)
        return 0;
no_memory:
    journal_release(&turn->journal);
    return -ENOMEM;
}

/* --- the end of a turn --- */

static void close_file(struct turn *turn)
{
    if (turn->fd >= 0)
        close(turn->fd);
    turn->fd = -1;
    turn->kind = TURN_NONE;
}

static int end_turn(struct turn *turn, bool last)
{
    int status = 0;

    if (turn->kind == TURN_WRITE) {
        status = journal_checkpoint(&turn->journal, turn->fd);
        if (!status)
            status = journal_settle(&turn->journal);
        if (status && !turn->failure)
            turn->failure = status;
        journal_end(&turn->journal, last);
    }
    close_file(turn);
    return status;
}

int turn_give(struct turn *turn)
{
    return end_turn(turn, false);
}

void turn_done(struct turn *turn)
{
    if (turn->kind == TURN_READ)
        close_file(turn);
    else if (turn->kind == TURN_WRITE)
        turn->used_ns = now_ns(CLOCK_MONOTONIC);
}

static int64_t end_of_turn(const struct turn *turn)
{
    int64_t idle = turn->used_ns + TURN_IDLE_MS * (int64_t)NS_PER_MS;
    int64_t most = turn->began_ns + TURN_MOST_MS * (int64_t)NS_PER_MS;

    return idle < most ? idle : most;
}

static void *give_up_turns(void *argument)
{
    struct turn *turn = argument;
    struct store *store = turn->store;

    pthread_mutex_lock(&store->mutex);
    while (!turn->stops) {
        if (turn->kind != TURN_WRITE) {
            pthread_cond_wait(&turn->wake, &store->mutex);
        } else if (now_ns(CLOCK_MONOTONIC) >= end_of_turn(turn)) {
            turn_give(turn);
        } else {
            struct timespec until = timespec_of(end_of_turn(turn));

            pthread_cond_timedwait(&turn->wake, &store->mutex, &until);
        }
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

int turn_release(struct turn *turn)
{
    int status;

    pthread_mutex_lock(&turn->store->mutex);
    turn->stops = true;
    pthread_cond_signal(&turn->wake);
    pthread_mutex_unlock(&turn->store->mutex);
    if (turn->has_thread)
        pthread_join(turn->thread, NULL);
    /* Only who has the file to himself may remove the journal; if somebody else has it, they will. */
    if (turn->kind != TURN_WRITE && turn->has_thread) {
        turn->lock_timeout = 0;
        turn_write(turn);
    }
    status = end_turn(turn, true);
    status = turn->failure ? turn->failure : status;
    pthread_cond_destroy(&turn->wake);
    journal_release(&turn->journal);
    return status;
}

/* --- its beginning --- */

/* -ESTALE: the name belongs to another file by now. */
static int check_name(struct turn *turn)
{
    struct stat named;

    if (fstat(turn->fd, &turn->stat) || stat(turn->store->path, &named))
        return -errno;
    return io_is_same_file(&named, &turn->stat) ? 0 : -ESTALE;
}

static int open_locked(struct turn *turn, enum turn_kind kind)
{
    int flags = kind == TURN_WRITE ? O_RDWR : O_RDONLY;
    int status = io_open_regular(turn->store->path, flags, &turn->stat, &turn->fd);

    if (!status && !turn->no_lock)
        status =
            patience_lock(turn->fd, kind == TURN_WRITE ? LOCK_EX : LOCK_SH, turn->lock_timeout);
    if (!status)
        status = check_name(turn);
    if (status)
        close_file(turn);
    else
        turn->kind = kind;
    return status;
}

static void note_file(struct turn *turn)
{
    if (turn->met && !io_is_same_file(&turn->stat, &turn->latest))
        turn->replaced = true;
    turn->met = true;
    turn->latest = turn->stat;
}

/* What is no file any more is no missing key. */
static int begin_turn(struct turn *turn, enum turn_kind kind)
{
    int status = -ESTALE;

    for (int i = 0; status == -ESTALE && i < TRIES; i++)
        status = open_locked(turn, kind);
    turn->changed_hands = true;
    if (!status)
        note_file(turn);
    else
        presence_lost(turn->store, status);
    if (status == -ENOENT || status == -EISDIR || status == -ENOTSUP)
        return -EIO;
    return status == -ESTALE ? -EBUSY : status;
}

static void pause_for_others(struct turn *turn)
{
    struct timespec until = timespec_of(turn->pause_until_ns);

    if (now_ns(CLOCK_MONOTONIC) < turn->pause_until_ns)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void start_thread(struct turn *turn)
{
    if (!turn->has_thread)
        turn->has_thread = pthread_create(&turn->thread, NULL, give_up_turns, turn) == 0;
    if (turn->has_thread)
        pthread_cond_signal(&turn->wake);
    else
        turn->began_ns = 0; /* over with the next operation, whatever else comes */
}

static int begin_journal(struct turn *turn)
{
    enum journal_outcome outcome = JOURNAL_CLEAN;
    struct buffer *notes = &turn->store->notes;
    int status = journal_begin(&turn->journal, turn->fd, &turn->stat, &outcome);

    if (outcome == JOURNAL_REPLAYED && fstat(turn->fd, &turn->stat))
        status = -errno;
    if (outcome == JOURNAL_REPLAYED)
        buffer_add_string(notes, "completed a change that a crash had interrupted\n");
    if (outcome == JOURNAL_DROPPED)
        buffer_add_string(notes, "dropped a change that a crash had interrupted: the database was "
                                 "changed by another program since\n");
    if (status != -EACCES && status != -EPERM && status != -EROFS)
        return status;
    if (!turn->unprotected)
        buffer_printf(notes,
                      "a crash during a save may damage the database: %s can't be made: %s\n",
                      turn->journal.path, strerror(-status));
    turn->unprotected = true;
    return 0;
}

int turn_write(struct turn *turn)
{
    int status;

    if (turn->kind == TURN_WRITE && presence_has_moved(turn->store->path, &turn->stat)) {
        status = turn_give(turn);
        if (status)
            return status;
    }
    if (turn->kind == TURN_WRITE &&
        now_ns(CLOCK_MONOTONIC) >= turn->began_ns + TURN_MOST_MS * (int64_t)NS_PER_MS) {
        status = turn_give(turn);
        if (status)
            return status;
        turn->pause_until_ns = now_ns(CLOCK_MONOTONIC) + TURN_PAUSE_MS * (int64_t)NS_PER_MS;
    }
    if (turn->kind == TURN_WRITE)
        return 0;
    if (turn->kind == TURN_READ)
        close_file(turn);
    pause_for_others(turn);
    status = begin_turn(turn, TURN_WRITE);
    if (!status)
        status = begin_journal(turn);
    if (status) {
        close_file(turn);
        return status;
    }
    turn->began_ns = turn->used_ns = now_ns(CLOCK_MONOTONIC);
    start_thread(turn);
    return 0;
}

int turn_read(struct turn *turn)
{
    if (turn->kind != TURN_NONE)
        return 0;
    if (!turn->store->read_only && journal_is_pending(&turn->journal))
        return turn_write(turn);
    return begin_turn(turn, TURN_READ);
}

/* --- within it --- */

int turn_commit(struct turn *turn, const struct changes *changes)
{
    int status = buffer_status(&changes->ranges);

    if (status || changes_are_empty(changes))
        return status;
    status = changes_reserve(changes, turn->fd);
    if (status)
        return status;
    if (turn->journal.fd >= 0)
        status = journal_commit(&turn->journal, turn->fd, changes);
    else if ((status = changes_check(changes, turn->fd)) == 0 &&
             (status = changes_apply(changes, turn->fd)) != 0)
        changes_undo(changes, turn->fd);
    if (!status)
        turn->stat.st_size = (off_t)changes->size_after;
    if (status == -ESTALE) {
        /* The journal has it: the next turn completes it. */
        journal_end(&turn->journal, false);
        close_file(turn);
        return -EIO;
    }
    if (!status && presence_has_moved(turn->store->path, &turn->stat)) {
        status = turn_give(turn);
        return status ? status : -ESTALE;
    }
    return status;
}

int turn_sync(struct turn *turn)
{
    int status = turn->failure;

    turn->failure = 0;
    if (turn->kind != TURN_WRITE)
        return status;
    if (turn->journal.fd >= 0)
        return journal_checkpoint(&turn->journal, turn->fd);
    return fdatasync(turn->fd) ? -errno : status;
}

int turn_stamp(struct turn *turn, struct store_stamp *out)
{
    enum {
        COARSE_MS = 20
    }; /* two writes within a tick of the kernel's clock may leave the same time */
    struct stat now;
    int64_t mtime, ctime, age;

    if (turn->kind == TURN_WRITE ? fstat(turn->fd, &now) : stat(turn->store->path, &now))
        return -errno;
    mtime = now.st_mtim.tv_sec * INT64_C(1000000000) + now.st_mtim.tv_nsec;
    ctime = now.st_ctim.tv_sec * INT64_C(1000000000) + now.st_ctim.tv_nsec;
    age = now_ns(CLOCK_REALTIME) - (ctime > mtime ? ctime : mtime);
    if (age < COARSE_MS * (int64_t)NS_PER_MS)
        turn->stamps++;
    *out = (struct store_stamp){.words = {now.st_ino, now.st_dev, (uint64_t)now.st_size,
                                          (uint64_t)mtime, (uint64_t)ctime, turn->stamps}};
    return 0;
}
