/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * GNU dbm, through libgdbm.
 *
 * - libgdbm locks the whole file while it is open (flock: many readers or one writer), and Python's dbm.gnu gives up at
 *   once when it meets that lock. So the file is locked in turns (turn.h), never between operations that are some
 *   milliseconds apart, and we wait for others up to `lock_timeout`.
 * - libgdbm plans each change on a copy in memory, and the journal carries it out in one step (gdbm_plan.h, journal.h):
 *   libgdbm's own updates leave a broken file when the process is killed in the middle. Renaming a key is one change.
 *   Each change waits for the disk once, because a power cut between pages of the database would do the same.
 * - A file that another program's crash left in the middle of an update is noticed by its header at the beginning of
 *   each turn. libgdbm refuses it, and Python then finds it empty. gdbm_recover() makes a new file of it before
 *   anything is written, if it can save every record, and keeps the old one as NAME.~1~ (or a higher number).
 *   To read, it needs no recovery.
 * - Values are read by gdbm_file.c, which checks what it reads. What makes no sense is EIO; the rest stays readable, and
 *   nothing is written to a file that is known to be damaged.
 *
 * Not done: crash tolerance by snapshots (gdbm_failure_atomic): it needs a filesystem that shares blocks between files
 * (xfs, btrfs), two files beside the database, and a person who picks one of them after a crash. Files of another byte
 * order or of 32-bit systems are only named. Space of old values is used again as libgdbm does it; the file never shrinks.
 * With STORE_NO_LOCK a value may be read in the middle of its change.
 */
#include "src/io.h"
#include "src/store/gdbm_file.h"
#include "src/store/gdbm_plan.h"
#include "src/store/turn.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { UNLOCKED_TRIES = 5 };

struct gdbm_store {
    struct store store;
    struct turn turn;
    struct gdbm_file file;
    struct gdbm_plan plan;
    struct changes changes;
    bool has_times; /* see times_mappings() */
};

static struct gdbm_store *gdbm_of(struct store *store)
{
    return (struct gdbm_store *)store;
}

/* --- turns --- */

static int read_header(struct gdbm_store *g, struct failure *failure)
{
    if (g->turn.changed_hands) {
        int status = gdbm_file_read(&g->file, g->turn.fd, g->store.path, failure);

        if (status)
            return status;
        g->turn.changed_hands = false;
    }
    return 0;
}

static int begin_reading(struct gdbm_store *g, struct failure *failure)
{
    int status = turn_read(&g->turn);

    return status ? status : read_header(g, failure);
}

static int rescue(struct gdbm_store *g)
{
    struct gdbm_rescue rescue;
    int status = gdbm_plan_rescue(g->store.path, g->turn.fd, &rescue);

    if (status == -EUCLEAN)
        engine_damaged(&g->store, "a writer was killed, and gdbm_recover can't save every record");
    if (status)
        return status;
    buffer_printf(&g->store.notes,
                  "a writer was killed in the middle of an update: gdbm_recover saved all %zu "
                  "keys; the file as it was "
                  "is %s now\n",
                  rescue.keys, rescue.backup ? rescue.backup : "gone");
    free(rescue.backup);
    /* Another file has the name now. */
    turn_give(&g->turn);
    status = turn_write(&g->turn);
    return status ? status : read_header(g, NULL);
}

static int begin_writing(struct gdbm_store *g)
{
    int status = turn_write(&g->turn);

    if (!status)
        status = read_header(g, NULL);
    if (!status && gdbm_file_is_interrupted(&g->file))
        status = rescue(g);
    return status;
}

/* --- operations --- */

static int find(struct gdbm_store *g, struct bytes key, struct gdbm_record *record)
{
    int status = gdbm_file_find(&g->file, key, record);

    if (status == -EIO && !g->turn.no_lock)
        engine_damaged(&g->store, "a bucket of its hash table makes no sense");
    return status;
}

static int look_up(struct gdbm_store *g, struct bytes key, struct buffer *value)
{
    struct gdbm_record record;
    int status = begin_reading(g, NULL);

    if (!status)
        status = find(g, key, &record);
    if (!status && value)
        status = gdbm_file_value(&g->file, &record, value);
    turn_done(&g->turn);
    return status;
}

/* Without a lock, what makes no sense may be a change that is under way. */
static int look_up_patiently(struct gdbm_store *g, struct bytes key, struct buffer *value)
{
    struct patience patience;
    int status = look_up(g, key, value);

    patience_start(&patience, 1);
    for (int i = 0; g->turn.no_lock && (status == -EIO || status == -EUCLEAN) && i < UNLOCKED_TRIES;
         i++) {
        patience_wait(&patience);
        status = look_up(g, key, value);
    }
    return status;
}

static int gdbm_engine_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    return look_up_patiently(gdbm_of(store), key, value);
}

static int gdbm_engine_exists(struct store *store, struct bytes key)
{
    int status = look_up_patiently(gdbm_of(store), key, NULL);

    if (status == -ENOENT)
        return 0;
    return status ? status : 1;
}

/* 1: it is there, 0: it is not. */
static int is_there(struct gdbm_store *g, struct bytes key)
{
    struct gdbm_record record;
    int status = find(g, key, &record);

    if (status == -ENOENT)
        return 0;
    return status ? status : 1;
}

static int carry_out(struct gdbm_store *g, const struct gdbm_update *update)
{
    int status = gdbm_plan_update(&g->plan, &g->file, update, &g->changes);

    if (status == -EUCLEAN)
        engine_damaged(&g->store, "libgdbm refuses to change it");
    if (!status)
        status = turn_commit(&g->turn, &g->changes);
    /* The header is another one now, also if writing failed. */
    g->turn.changed_hands = true;
    if (g->changes.ranges.capacity > 1 << 20)
        changes_release(&g->changes);
    return status;
}

static int store_in_turn(struct gdbm_store *g, struct bytes key, struct bytes value,
                         enum store_mode mode)
{
    struct gdbm_update update = {{{key, &value}}, 1};
    int status = mode == STORE_INSERT ? is_there(g, key) : 0;

    if (status)
        return status > 0 ? -EEXIST : status;
    return carry_out(g, &update);
}

static int gdbm_engine_store(struct store *store, struct bytes key, struct bytes value,
                             enum store_mode mode)
{
    struct gdbm_store *g = gdbm_of(store);
    int status = begin_writing(g);

    if (!status)
        status = store_in_turn(g, key, value, mode);
    turn_done(&g->turn);
    return status;
}

static int gdbm_engine_remove(struct store *store, struct bytes key)
{
    struct gdbm_store *g = gdbm_of(store);
    struct gdbm_update update = {{{key, NULL}}, 1};
    int status = begin_writing(g);

    if (!status)
        status = is_there(g, key);
    if (status > 0)
        status = carry_out(g, &update);
    else if (!status)
        status = -ENOENT;
    turn_done(&g->turn);
    return status;
}

static int read_value(struct gdbm_store *g, struct bytes key, struct buffer *value)
{
    struct gdbm_record record;
    int status = find(g, key, &record);

    return status ? status : gdbm_file_value(&g->file, &record, value);
}

static int rename_in_turn(struct gdbm_store *g, struct bytes from, struct bytes to,
                          enum store_mode mode, struct buffer *value)
{
    int status = read_value(g, from, value);
    struct bytes moved = buffer_bytes(value);
    struct gdbm_update update = {{{to, &moved}, {from, NULL}}, 2};

    if (!status && mode == STORE_INSERT)
        status = is_there(g, to);
    if (status)
        return status > 0 ? -EEXIST : status;
    return carry_out(g, &update);
}

static int exchange_in_turn(struct gdbm_store *g, struct bytes one, struct bytes other,
                            struct buffer *value)
{
    struct buffer second = BUFFER_INIT;
    struct bytes of_one, of_other;
    struct gdbm_update update = {{{one, &of_other}, {other, &of_one}}, 2};
    int status = read_value(g, one, value);

    if (!status)
        status = read_value(g, other, &second);
    of_one = buffer_bytes(value);
    of_other = buffer_bytes(&second);
    if (!status)
        status = carry_out(g, &update);
    buffer_release(&second);
    return status;
}

static int gdbm_engine_rename(struct store *store, struct bytes from, struct bytes to,
                              enum store_mode mode)
{
    struct gdbm_store *g = gdbm_of(store);
    struct buffer value = BUFFER_INIT;
    int status = begin_writing(g);

    if (!status && mode == STORE_EXCHANGE)
        status = exchange_in_turn(g, from, to, &value);
    else if (!status)
        status = rename_in_turn(g, from, to, mode, &value);
    buffer_release(&value);
    turn_done(&g->turn);
    return status;
}

static int gdbm_engine_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct gdbm_store *g = gdbm_of(store);
    size_t damaged = 0;
    int status = begin_reading(g, NULL);

    if (!status)
        status = gdbm_file_visit(&g->file, visitor, context, &damaged);
    if (damaged && !g->turn.no_lock)
        engine_damaged(&g->store, "some of its keys can't be reached");
    turn_done(&g->turn);
    return status;
}

static int gdbm_engine_sync(struct store *store)
{
    struct gdbm_store *g = gdbm_of(store);

    return g->store.read_only ? 0 : turn_sync(&g->turn);
}

/* Where the kernel doesn't watch what is written through a mapping, the file's times say nothing. */
static bool times_mappings(const char *path)
{
    struct statfs filesystem;

    return !statfs(path, &filesystem) && filesystem.f_type != TMPFS_MAGIC &&
           filesystem.f_type != RAMFS_MAGIC && filesystem.f_type != HUGETLBFS_MAGIC;
}

static int gdbm_engine_stamp(struct store *store, struct store_stamp *out)
{
    struct gdbm_store *g = gdbm_of(store);

    return g->has_times ? turn_stamp(&g->turn, out) : -ENOTSUP;
}

static void release(struct gdbm_store *g)
{
    gdbm_file_release(&g->file);
    gdbm_plan_release(&g->plan);
    changes_release(&g->changes);
}

static int gdbm_engine_close(struct store *store)
{
    struct gdbm_store *g = gdbm_of(store);
    int status = turn_release(&g->turn);

    release(g);
    return status;
}

static const struct store_ops gdbm_ops = {
    .close = gdbm_engine_close,
    .fetch = gdbm_engine_fetch,
    .exists = gdbm_engine_exists,
    .store = gdbm_engine_store,
    .remove = gdbm_engine_remove,
    .rename = gdbm_engine_rename,
    .visit = gdbm_engine_visit,
    .sync = gdbm_engine_sync,
    .stamp = gdbm_engine_stamp,
};

/* --- opening and creating --- */

static int explain(struct gdbm_store *g, int status, struct failure *failure)
{
    const char *path = g->store.path;

    if (status == -EBUSY)
        return failure_set(
            failure, status, 0,
            "another program has %s open: wait until it ends, or look with -o ro,nolock", path);
    if (status == -EACCES && !g->store.read_only)
        return failure_set(failure, status, 0, "%s may not be written to: mount it read-only",
                           path);
    if (status == -EUCLEAN && failure && !failure->code)
        return failure_set(failure, status, 0,
                           "a writer of %s was killed, and gdbm_recover can't save every record: "
                           "look with -o ro, and "
                           "save what is left with gdbm_dump",
                           path);
    return status;
}

static int start(struct gdbm_store *g, struct failure *failure)
{
    int status;

    pthread_mutex_lock(&g->store.mutex);
    status = begin_reading(g, failure);
    /* To read, nothing has to be recovered. */
    if (!status && !g->store.read_only && access(g->store.path, W_OK))
        status = -errno;
    if (!status && !g->store.read_only && gdbm_file_is_interrupted(&g->file))
        status = begin_writing(g);
    turn_done(&g->turn);
    pthread_mutex_unlock(&g->store.mutex);
    return status ? explain(g, status, failure) : 0;
}

static int gdbm_engine_open(const char *path, const struct store_options *options,
                            struct store **out, struct failure *failure)
{
    struct gdbm_store *g =
        engine_new(sizeof *g, engine_gdbm.name, &gdbm_ops, path, options->flags & STORE_READ_ONLY);
    int status;

    if (!g)
        return -ENOMEM;
    g->file = GDBM_FILE_INIT;
    g->plan = GDBM_PLAN_INIT;
    g->changes = CHANGES_INIT;
    g->has_times = times_mappings(path);
    status = turn_init(&g->turn, &g->store, options);
    if (!status) {
        status = start(g, failure);
        if (status)
            turn_release(&g->turn);
    }
    if (status) {
        release(g);
        engine_free(&g->store);
        return status;
    }
    *out = &g->store;
    return 0;
}

static int gdbm_engine_create(const char *path, struct failure *failure)
{
    struct io_draft draft;
    int status = io_draft_open(path, &draft);

    if (status)
        return status;
    status = gdbm_plan_create(draft.fd);
    if (status) {
        io_draft_discard(&draft);
        return status;
    }
    return io_draft_publish(&draft, IO_CREATE);
}

const struct engine engine_gdbm = {
    .name = "gdbm",
    .open = gdbm_engine_open,
    .create = gdbm_engine_create,
};
