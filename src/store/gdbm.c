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
 *   anything is written, if it can save every record; the old one stays as NAME.~1~ or a higher number (gdbm_rescue.h).
 *   To read, it needs no recovery.
 * - Before the first change the tables of free space are compared with all that is in use (gdbm_space.h).
 * - Values are read by gdbm_file.c, which checks what it reads. What makes no sense is EIO; the rest stays readable, and
 *   nothing is written to a file that is known to be damaged.
 *
 * Not done: crash tolerance by snapshots (gdbm_failure_atomic): it needs a filesystem that shares blocks between files
 * (xfs, btrfs), two files beside the database, and a person who picks one of them after a crash. Files of another byte
 * order or of 32-bit systems are only named. Space of old values is used again as libgdbm does it; the file never shrinks.
 * With STORE_NO_LOCK a value may be read in the middle of its change.
 */
#include "src/io_draft.h"
#include "src/store/gdbm_plan.h"
#include "src/store/gdbm_rescue.h"
#include "src/store/gdbm_space.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

struct gdbm_store {
    struct inplace inplace;
    struct gdbm_file file;
    struct gdbm_plan plan;
    bool has_times;    /* see times_mappings() */
    bool has_leavings; /* a process was killed in gdbm_rescue_run() */
};

static struct gdbm_store *gdbm_of(struct inplace *inplace)
{
    return (struct gdbm_store *)inplace;
}

static int gdbm_look(struct inplace *inplace, struct failure *failure)
{
    return gdbm_file_read(&gdbm_of(inplace)->file, inplace->turn.fd, inplace->store.path, failure);
}

static bool gdbm_needs_writing(struct inplace *inplace)
{
    struct gdbm_store *g = gdbm_of(inplace);

    g->has_leavings = gdbm_rescue_is_left(inplace->store.path);
    return g->has_leavings || gdbm_file_is_interrupted(&g->file);
}

static int gdbm_check(struct inplace *inplace)
{
    int status = gdbm_space_check(&gdbm_of(inplace)->file);

    if (status == -EUCLEAN)
        inplace_damaged(inplace, "its records and its free space overlap");
    return status;
}

static int rescue(struct inplace *inplace)
{
    struct gdbm_rescue rescue;
    int status = gdbm_rescue_run(inplace->store.path, inplace->turn.fd, &rescue);

    /* Another file may have the name now. */
    turn_give(&inplace->turn);
    inplace->turn.met = false;
    if (status == -EUCLEAN)
        inplace_damaged(inplace, "a writer was killed, and gdbm_recover can't save every record");
    if (status == -EPERM)
        buffer_printf(&inplace->store.notes,
                      "a writer was killed, and %s can't be recovered before what is not ours is "
                      "moved away: .%s.shelvefs-rescue beside it\n",
                      inplace->store.path, basename(inplace->store.path));
    if (status)
        return status;
    buffer_printf(&inplace->store.notes,
                  "a writer was killed in the middle of an update: gdbm_recover saved all %zu "
                  "keys; the file as it was is %s now\n",
                  rescue.keys, rescue.backup);
    free(rescue.backup);
    return turn_write(&inplace->turn);
}

static int gdbm_prepare(struct inplace *inplace)
{
    struct gdbm_store *g = gdbm_of(inplace);

    if (g->has_leavings)
        gdbm_rescue_clear(inplace->store.path);
    g->has_leavings = false;
    return gdbm_file_is_interrupted(&g->file) ? rescue(inplace) : 0;
}

static int gdbm_fetch_value(struct inplace *inplace, struct bytes key, struct buffer *value)
{
    struct gdbm_file *file = &gdbm_of(inplace)->file;
    struct gdbm_record record;
    int status = gdbm_file_find(file, key, &record);

    return status || !value ? status : gdbm_file_value(file, &record, value);
}

static int gdbm_visit(struct inplace *inplace, struct walk *walk)
{
    return gdbm_file_visit(&gdbm_of(inplace)->file, walk);
}

static void gdbm_hurry(struct inplace *inplace)
{
    gdbm_file_hurry(&gdbm_of(inplace)->file);
}

static void gdbm_rest(struct inplace *inplace)
{
    gdbm_file_rest(&gdbm_of(inplace)->file);
}

static int gdbm_plan_change(struct inplace *inplace, const struct update *update,
                            struct changes *out)
{
    struct gdbm_store *g = gdbm_of(inplace);

    return gdbm_plan_update(&g->plan, &g->file, update, out);
}

static void gdbm_release(struct inplace *inplace)
{
    struct gdbm_store *g = gdbm_of(inplace);

    gdbm_file_release(&g->file);
    gdbm_plan_release(&g->plan);
}

/* Where the kernel doesn't watch what is written through a mapping, the file's times say nothing. */
static bool gdbm_has_stamp(struct inplace *inplace)
{
    return gdbm_of(inplace)->has_times;
}

static bool times_mappings(const char *path)
{
    struct statfs filesystem;

    return !statfs(path, &filesystem) && filesystem.f_type != TMPFS_MAGIC &&
           filesystem.f_type != RAMFS_MAGIC && filesystem.f_type != HUGETLBFS_MAGIC;
}

static const struct inplace_ops gdbm_ops = {
    .engine = &engine_gdbm,
    .look = gdbm_look,
    .needs_writing = gdbm_needs_writing,
    .prepare = gdbm_prepare,
    .check = gdbm_check,
    .fetch = gdbm_fetch_value,
    .visit = gdbm_visit,
    .hurry = gdbm_hurry,
    .rest = gdbm_rest,
    .plan = gdbm_plan_change,
    .release = gdbm_release,
    .has_stamp = gdbm_has_stamp,
};

/* --- opening and creating --- */

static int gdbm_engine_open(const char *path, const struct store_options *options,
                            struct store **out, struct failure *failure)
{
    struct gdbm_store *g = engine_new(sizeof *g, engine_gdbm.name, &inplace_store_ops, path,
                                      options->flags & STORE_READ_ONLY);
    int status;

    if (!g)
        return -ENOMEM;
    g->file = GDBM_FILE_INIT;
    g->plan = GDBM_PLAN_INIT;
    g->has_times = times_mappings(path);
    status = inplace_open(&g->inplace, &gdbm_ops, options, failure);
    if (!status)
        *out = &g->inplace.store;
    return status;
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
