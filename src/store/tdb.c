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
 * Not done: a file that is replaced by another one while it is open isn't noticed. Visiting reads
 * values too, since libtdb has no cheap walk over keys alone (tdb_nextkey takes 10 us a key). There
 * is no stamp: writers that map the file don't update its time reliably, and sequence numbers are
 * an option of each writer.
 */
#include "src/io.h"
#include "src/locks.h"
#include "src/store/engine.h"
#include "src/tdbfile.h"

#include <errno.h>

/*
 * Chains of a new file: 40 kB, and short chains up to some 100,000 keys. tdb's default of 131
 * is six times slower at 15,000.
 */
enum { NEW_HASH_SIZE = 10007 };

struct tdb_store {
    struct store store;
    struct tdbfile *file;
    unsigned lock_timeout; /* seconds */
};

static struct tdb_store *tdb_of(struct store *store)
{
    return (struct tdb_store *)store;
}

static int tdb_engine_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    return tdbfile_fetch(tdb_of(store)->file, key, value);
}

static int tdb_engine_exists(struct store *store, struct bytes key)
{
    return tdbfile_exists(tdb_of(store)->file, key);
}

static int tdb_engine_burst(struct store *store, bool begins)
{
    return tdbfile_hold(tdb_of(store)->file, begins);
}

static int tdb_engine_store(struct store *store, struct bytes key, struct bytes value,
                            enum store_mode mode)
{
    struct tdb_store *t = tdb_of(store);
    int status;

    if (key.size > TDBFILE_LARGEST || value.size > TDBFILE_LARGEST - key.size)
        return -EFBIG;
    status = tdbfile_begin(t->file, t->lock_timeout);
    if (status)
        return status;
    return tdbfile_end(t->file, tdbfile_put(t->file, key, value, mode == STORE_INSERT));
}

static int tdb_engine_remove(struct store *store, struct bytes key)
{
    struct tdb_store *t = tdb_of(store);
    int status = tdbfile_begin(t->file, t->lock_timeout);

    return status ? status : tdbfile_end(t->file, tdbfile_remove(t->file, key));
}

static int move(struct tdbfile *file, struct bytes from, struct bytes to, bool insert)
{
    struct buffer value = BUFFER_INIT;
    int status = tdbfile_fetch(file, from, &value);

    if (!status)
        status = tdbfile_put(file, to, buffer_bytes(&value), insert);
    if (!status)
        status = tdbfile_remove(file, from);
    buffer_release(&value);
    return status;
}

static int exchange(struct tdbfile *file, struct bytes one, struct bytes other)
{
    struct buffer of_one = BUFFER_INIT, of_other = BUFFER_INIT;
    int status = tdbfile_fetch(file, one, &of_one);

    if (!status)
        status = tdbfile_fetch(file, other, &of_other);
    if (!status)
        status = tdbfile_put(file, one, buffer_bytes(&of_other), false);
    if (!status)
        status = tdbfile_put(file, other, buffer_bytes(&of_one), false);
    buffer_release(&of_one);
    buffer_release(&of_other);
    return status;
}

static int tdb_engine_rename(struct store *store, struct bytes from, struct bytes to,
                             enum store_mode mode)
{
    struct tdb_store *t = tdb_of(store);
    int status = tdbfile_begin(t->file, t->lock_timeout);

    if (status)
        return status;
    if (mode == STORE_EXCHANGE)
        status = exchange(t->file, from, to);
    else
        status = move(t->file, from, to, mode == STORE_INSERT);
    return tdbfile_end(t->file, status);
}

struct visit {
    store_visitor *visitor;
    void *context;
};

static bool visit_key(void *context, struct bytes key, struct bytes value)
{
    struct visit *visit = context;

    return visit->visitor(visit->context, key);
}

static int tdb_engine_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct visit visit = {visitor, context};

    return tdbfile_visit(tdb_of(store)->file, visit_key, &visit);
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

/* A lock that lasts is no reason not to open it: whoever has it mends nothing, and harms nothing. */
static int mend(struct tdb_store *t)
{
    int status = tdbfile_mend(t->file, 0);

    if (status == -EUCLEAN)
        return engine_damaged(&t->store, "its chains, free list or records make no sense"), 0;
    if (status > 0)
        buffer_add_string(&t->store.notes, "a writer was killed in the middle of an update, which "
                                           "was taken back: space that it left is free again\n");
    return status < 0 ? status : 0;
}

static int tdb_engine_open(const char *path, const struct store_options *options,
                           struct store **out, struct failure *failure)
{
    bool read_only = options->flags & STORE_READ_ONLY;
    unsigned flags = (read_only ? TDBFILE_READ_ONLY : 0) |
                     (options->flags & STORE_NO_LOCK ? TDBFILE_NO_LOCK : 0);
    struct tdb_store *t = engine_new(sizeof *t, engine_tdb.name, &tdb_ops, path, read_only);
    int status;

    if (!t)
        return -ENOMEM;
    t->lock_timeout = options->lock_timeout;
    status = tdbfile_open(path, flags, &t->file);
    if (!status && !(flags & (TDBFILE_READ_ONLY | TDBFILE_NO_LOCK)))
        status = mend(t);
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
    int status = tdbfile_check(tdb_of(store)->file);

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
