/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Samba's trivial database, through libtdb (tdbfile.h).
 *
 * - Each change is a transaction, and waits for the disk: libtdb's recovery record is on the disk before anything is
 *   touched in place, so a power cut leaves the old or the new state. TDB_NOSYNC would save about 1,000 us a change, but
 *   let the kernel write the pages in any order, and a power cut then damages values that were safe long before.
 * - Writers wait for another process's transaction, but only `lock_timeout` seconds; readers never
 *   wait for one, only for the short lock of a commit.
 *
 * - Before each operation a look at the name and the header tells whether the file is still the one that is open; after
 *   each change, too, which is made again in the other file then.
 *
 * - Keys, and values of which many are wanted, are read by tdbchains.c: libtdb has no cheap walk over keys alone (tdb_nextkey takes 10 us a
 *   key), and asks the kernel four times for each value.
 *
 * Not done: there is no stamp. Writers that map the file don't update its time reliably, and sequence numbers are an option of each writer.
 */
#include "src/io.h"
#include "src/io_draft.h"
#include "src/locks.h"
#include "src/store/presence.h"
#include "src/tdbfile.h"

#include <errno.h>

/*
 * Chains of a new file: 40 kB, and short chains up to some 100,000 keys. tdb's default of 131
 * is six times slower at 15,000.
 */
enum { NEW_HASH_SIZE = 10007 };

enum { TRIES = 5 }; /* of a change, in one file after the other */

struct tdb_store {
    struct store store;
    struct tdbfile *file;  /* NULL: none could be opened the last time */
    struct stat known;     /* the latest that was open */
    struct stat condemned; /* as it was when it was found to be damaged */
    bool burst;            /* it was looked at a moment ago */
    unsigned flags;        /* enum tdbfile_flags */
    unsigned lock_timeout; /* seconds */
};

static struct tdb_store *tdb_of(struct store *store)
{
    return (struct tdb_store *)store;
}

/* --- the file --- */

/* A lock that lasts is no reason not to open it: whoever has it mends nothing, and harms nothing. */
static int mend(struct tdb_store *t)
{
    int status = tdbfile_mend(t->file, 0);

    if (status == -EUCLEAN) {
        engine_damaged(&t->store, "its chains, free list or records make no sense");
        t->condemned = t->known;
        return 0;
    }
    if (status > 0)
        buffer_add_string(&t->store.notes, "a writer was killed in the middle of an update, which "
                                           "was taken back: space that it left is free again\n");
    return status < 0 ? status : 0;
}

/* Instead of what was open, which stays after a failure if it is another file. */
static int open_again(struct tdb_store *t, const struct stat *named)
{
    struct tdbfile *opened;
    int status;

    /* libtdb opens no file twice. */
    if (t->file && io_is_same_file(named, &t->known)) {
        tdbfile_close(t->file);
        t->file = NULL;
    }
    if (!S_ISREG(named->st_mode))
        return -EMEDIUMTYPE;
    status = tdbfile_open(t->store.path, t->flags, &opened);
    if (status)
        return status;
    tdbfile_close(t->file);
    t->file = opened;
    status = tdbfile_stat(opened, &t->known);
    if (t->store.damaged) {
        t->store.damaged = false;
        buffer_clear(&t->store.notes);
    }
    if (!status && !(t->flags & (TDBFILE_READ_ONLY | TDBFILE_NO_LOCK)))
        status = mend(t);
    return status;
}

static bool is_current(const struct tdb_store *t, const struct stat *named)
{
    if (!t->file || !io_is_same_file(named, &t->known) || tdbfile_was_overwritten(t->file, named))
        return false;
    /* Somebody may have put it right. */
    return !t->store.damaged || io_is_unchanged(&t->condemned, named);
}

/* Before each operation. The database that is gone is no missing key: -EIO. */
static int refresh(struct tdb_store *t)
{
    struct stat named, before = t->known;
    int status = stat(t->store.path, &named) ? -errno : 0;

    if (!status && is_current(t, &named)) {
        if (t->store.lost)
            presence_found(&t->store, false);
        return 0;
    }
    if (!status)
        status = open_again(t, &named);
    if (!status) {
        presence_found(&t->store, !io_is_same_file(&before, &t->known));
        return 0;
    }
    presence_lost(&t->store, status);
    return status == -ENOENT || status == -EUCLEAN || status == -EMEDIUMTYPE ? -EIO : status;
}

/* --- looking --- */

static int tdb_engine_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    struct tdb_store *t = tdb_of(store);
    int status = t->burst ? 0 : refresh(t);

    return status ? status : tdbfile_fetch(t->file, key, value);
}

static int tdb_engine_exists(struct store *store, struct bytes key)
{
    struct tdb_store *t = tdb_of(store);
    int status = refresh(t);

    return status ? status : tdbfile_exists(t->file, key);
}

static int tdb_engine_burst(struct store *store, bool begins)
{
    struct tdb_store *t = tdb_of(store);
    int status = begins ? refresh(t) : 0;

    if (!status)
        status = tdbfile_hold(t->file, begins);
    t->burst = begins && !status;
    return status;
}

static void tdb_engine_rest(struct store *store)
{
    struct tdb_store *t = tdb_of(store);

    if (t->file)
        tdbfile_rest(t->file);
}

static int tdb_engine_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct tdb_store *t = tdb_of(store);
    int status = refresh(t);

    return status ? status : tdbfile_visit_keys(t->file, visitor, context);
}

/* --- changing --- */

/* One of store.h's changes. */
struct change {
    int (*make)(struct tdbfile *file, const struct change *change);
    struct bytes key, other; /* the other key, or the value */
    enum store_mode mode;
};

static int put(struct tdbfile *file, const struct change *change)
{
    return tdbfile_put(file, change->key, change->other, change->mode == STORE_INSERT);
}

static int drop(struct tdbfile *file, const struct change *change)
{
    return tdbfile_remove(file, change->key);
}

static int move(struct tdbfile *file, const struct change *change)
{
    struct buffer value = BUFFER_INIT;
    int status = tdbfile_fetch(file, change->key, &value);

    if (!status)
        status = tdbfile_put(file, change->other, buffer_bytes(&value),
                             change->mode == STORE_INSERT);
    if (!status)
        status = tdbfile_remove(file, change->key);
    buffer_release(&value);
    return status;
}

static int exchange(struct tdbfile *file, const struct change *change)
{
    struct buffer of_one = BUFFER_INIT, of_other = BUFFER_INIT;
    int status = tdbfile_fetch(file, change->key, &of_one);

    if (!status)
        status = tdbfile_fetch(file, change->other, &of_other);
    if (!status)
        status = tdbfile_put(file, change->key, buffer_bytes(&of_other), false);
    if (!status)
        status = tdbfile_put(file, change->other, buffer_bytes(&of_one), false);
    buffer_release(&of_one);
    buffer_release(&of_other);
    return status;
}

static int change_once(struct tdb_store *t, const struct change *change)
{
    int status = refresh(t);

    if (!status && t->store.damaged)
        status = -EUCLEAN;
    if (!status)
        status = tdbfile_begin(t->file, t->lock_timeout);
    return status ? status : tdbfile_end(t->file, change->make(t->file, change));
}

/* What was saved in a file that had lost its name is nowhere. */
static int make(struct store *store, const struct change *change)
{
    struct tdb_store *t = tdb_of(store);
    int status = change_once(t, change);

    for (int i = 1; !status && presence_has_moved(store->path, &t->known); i++)
        status = i < TRIES ? change_once(t, change) : -EBUSY;
    return status;
}

static int tdb_engine_store(struct store *store, struct bytes key, struct bytes value,
                            enum store_mode mode)
{
    struct change change = {put, key, value, mode};

    if (key.size > TDBFILE_LARGEST || value.size > TDBFILE_LARGEST - key.size)
        return -EFBIG;
    return make(store, &change);
}

static int tdb_engine_remove(struct store *store, struct bytes key)
{
    struct change change = {.make = drop, .key = key};

    return make(store, &change);
}

static int tdb_engine_rename(struct store *store, struct bytes from, struct bytes to,
                             enum store_mode mode)
{
    struct change change = {mode == STORE_EXCHANGE ? exchange : move, from, to, mode};

    return make(store, &change);
}

static int tdb_engine_close(struct store *store)
{
    return tdbfile_close(tdb_of(store)->file);
}

static const struct store_ops tdb_ops = {
    .close = tdb_engine_close,
    .fetch = tdb_engine_fetch,
    .exists = tdb_engine_exists,
    .burst = tdb_engine_burst,
    .rest = tdb_engine_rest,
    .store = tdb_engine_store,
    .remove = tdb_engine_remove,
    .rename = tdb_engine_rename,
    .visit = tdb_engine_visit,
};

static int explain_open(const char *path, int status, bool read_only, struct failure *failure)
{
    switch (status) {
    case -EUCLEAN:
        if (!read_only && tdbfile_has_mutexes(path))
            return failure_set(
                failure, status, 0,
                "%s is locked by mutexes that only its own programs can share: mount it with -o ro",
                path);
        return failure_set(
            failure, status, 0,
            read_only
                ? "%s is a damaged tdb file, or one whose writer crashed: mount it read-write once"
                : "%s is a damaged tdb file: truncated, or its header makes no sense",
            path);
    case -EBUSY:
        return failure_set(failure, status, 0, "%s is already open in this process", path);
    default:
        return failure_set(failure, status, 0, "can't open %s: %s", path, strerror(-status));
    }
}

static int tdb_engine_open(const char *path, const struct store_options *options,
                           struct store **out, struct failure *failure)
{
    bool read_only = options->flags & STORE_READ_ONLY;
    struct tdb_store *t = engine_new(sizeof *t, engine_tdb.name, &tdb_ops, path, read_only);
    struct stat named;
    int status;

    if (!t)
        return -ENOMEM;
    t->lock_timeout = options->lock_timeout;
    t->flags = (read_only ? TDBFILE_READ_ONLY : 0) |
               (options->flags & STORE_NO_LOCK ? TDBFILE_NO_LOCK : 0);
    status = stat(path, &named) ? -errno : open_again(t, &named);
    if (status) {
        tdbfile_close(t->file);
        engine_free(&t->store);
        return explain_open(path, status, read_only, failure);
    }
    *out = &t->store;
    return 0;
}

static int make_file(const char *path)
{
    return tdbfile_make(path, NEW_HASH_SIZE);
}

static int tdb_engine_create(const char *path, struct failure *failure)
{
    struct io_draft draft;
    int status = io_draft_open(path, &draft);

    return status ? status : io_draft_create(&draft, make_file);
}

static int tdb_engine_check(struct store *store, const struct store_progress *progress,
                            struct buffer *findings)
{
    struct tdb_store *t = tdb_of(store);
    int status = refresh(t);

    if (!status)
        status = tdbfile_check(t->file);
    if (status != -EUCLEAN)
        return status;
    buffer_add_string(findings, "the file's chains, free list or records make no sense\n");
    return 0;
}

/* Whoever uses a file that is cleared when nobody does, keeps one byte locked (tdb, common/tdb_private.h: ACTIVE_LOCK). */
static bool tdb_lock_excludes(const struct lock_holder *lock)
{
    enum { ACTIVE_LOCK = 4 };

    return !lock->is_flock && lock->from != ACTIVE_LOCK;
}

const struct engine engine_tdb = {
    .name = "tdb",
    .excludes = tdb_lock_excludes,
    .open = tdb_engine_open,
    .create = tdb_engine_create,
    .check = tdb_engine_check,
};
