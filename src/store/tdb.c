/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Samba's trivial database, through libtdb.
 *
 * - One handle for the process. Opening and closing the file by any other means would drop its
 *   POSIX locks, in the middle of a transaction too; so whoever wants to know something about it
 *   uses stat().
 * - TDB_NOMMAP: a file that another process truncates is an error, not SIGBUS.
 * - Each change is a transaction, and waits for the disk. libtdb writes its recovery record before it
 *   touches anything in place, so a process killed anywhere leaves the old or the new state to the
 *   next one that opens the file; and since the record is on the disk first, so does a power cut.
 *   TDB_NOSYNC would save about 1,000 us a change, but let the kernel write the pages in any order,
 *   and a power cut then damages values that were safe long before.
 * - Writers wait for another process's transaction, but only `lock_timeout` seconds; readers never
 *   wait for one, only for the short lock of a commit. That is why keys are visited chain by chain:
 *   tdb_traverse_read() waits.
 *
 * Not done: a file that is replaced by another one while it is open isn't noticed. Visiting reads
 * values too, since libtdb has no cheap walk over keys alone (tdb_nextkey takes 10 us a key). There
 * is no stamp: writers that map the file don't update its time reliably, and sequence numbers are
 * an option of each writer.
 */
#include "src/io.h"
#include "src/store/engine.h"

#include <tdb.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    /*
     * Chains of a new file: 40 kB, and short chains up to some 100,000 keys. tdb's default of 131
     * is six times slower at 15,000.
     */
    NEW_HASH_SIZE = 10007,
    /*
     * Where the chains begin, each as an offset: after the header and the free list (tdb,
     * common/tdb_private.h).
     */
    HEAD_SIZE = 4,
    FIRST_HEAD = 168 + HEAD_SIZE,
    LARGEST = INT32_MAX, /* key and value; the file itself ends at 4 GiB */
};

struct tdb_store {
    struct store store;
    struct tdb_context *tdb;
    unsigned lock_timeout; /* seconds */
};

static struct tdb_store *tdb_of(struct store *store)
{
    return (struct tdb_store *)store;
}

/* libtdb takes a NULL pointer for a mistake, also where the size is 0. */
static TDB_DATA data_of(struct bytes bytes)
{
    return (TDB_DATA){.dptr = (unsigned char *)(bytes.size ? bytes.data : (const uint8_t *)""),
                      .dsize = bytes.size};
}

static void discard_log(struct tdb_context *tdb, enum tdb_debug_level level, const char *format,
                        ...) PRINTF_LIKE(3, 4);
static void discard_log(struct tdb_context *tdb, enum tdb_debug_level level, const char *format,
                        ...)
{
}

/*
 * What the last failed call of libtdb means. errno counts only where the kernel refused to write.
 */
static int last_error(struct tdb_store *t)
{
    int system = errno;

    switch (tdb_error(t->tdb)) {
    case TDB_ERR_NOEXIST:
        return -ENOENT;
    case TDB_ERR_EXISTS:
        return -EEXIST;
    case TDB_ERR_RDONLY:
        return -EROFS;
    case TDB_ERR_LOCK:
    case TDB_ERR_NOLOCK:
    case TDB_ERR_LOCK_TIMEOUT:
        return -EBUSY;
    case TDB_ERR_OOM:
        return -ENOMEM;
    default:
        return system == ENOSPC || system == EDQUOT || system == EFBIG ? -system : -EIO;
    }
}

static int begin(struct tdb_store *t)
{
    struct patience patience;

    patience_start(&patience, t->lock_timeout);
    while (tdb_transaction_start_nonblock(t->tdb)) {
        int status = last_error(t);

        if (status != -EBUSY || !patience_wait(&patience))
            return status;
    }
    errno = 0;
    return 0;
}

static int finish(struct tdb_store *t, int status)
{
    if (status) {
        tdb_transaction_cancel(t->tdb);
        return status;
    }
    return tdb_transaction_commit(t->tdb) ? last_error(t) : 0;
}

/* Not tdb_parse_record(), which saves a copy but calls every failure "no such record". */
static int tdb_engine_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    struct tdb_store *t = tdb_of(store);
    TDB_DATA data;

    errno = 0;
    data = tdb_fetch(t->tdb, data_of(key));
    if (!data.dptr)
        return last_error(t);
    buffer_add(value, bytes_of(data.dptr, data.dsize));
    free(data.dptr);
    return buffer_status(value);
}

static int tdb_engine_exists(struct store *store, struct bytes key)
{
    struct tdb_store *t = tdb_of(store);
    int status;

    errno = 0;
    if (tdb_exists(t->tdb, data_of(key)))
        return 1;
    status = last_error(t);
    return status == -ENOENT ? 0 : status;
}

static int put(struct tdb_store *t, struct bytes key, struct bytes value, enum store_mode mode)
{
    int flag = mode == STORE_INSERT ? TDB_INSERT : TDB_REPLACE;

    return tdb_store(t->tdb, data_of(key), data_of(value), flag) ? last_error(t) : 0;
}

static int tdb_engine_store(struct store *store, struct bytes key, struct bytes value,
                            enum store_mode mode)
{
    struct tdb_store *t = tdb_of(store);
    int status;

    if (key.size > LARGEST || value.size > LARGEST - key.size)
        return -EFBIG;
    status = begin(t);
    return status ? status : finish(t, put(t, key, value, mode));
}

static int tdb_engine_remove(struct store *store, struct bytes key)
{
    struct tdb_store *t = tdb_of(store);
    int status = begin(t);

    if (status)
        return status;
    return finish(t, tdb_delete(t->tdb, data_of(key)) ? last_error(t) : 0);
}

static int tdb_engine_rename(struct store *store, struct bytes from, struct bytes to,
                             enum store_mode mode)
{
    struct tdb_store *t = tdb_of(store);
    struct buffer value = BUFFER_INIT;
    int status = begin(t);

    if (status)
        return status;
    status = tdb_engine_fetch(store, from, &value);
    if (!status)
        status = put(t, to, buffer_bytes(&value), mode);
    if (!status && tdb_delete(t->tdb, data_of(from)))
        status = last_error(t);
    buffer_release(&value);
    return finish(t, status);
}

struct visit {
    store_visitor *visitor;
    void *context;
    bool stopped;
};

static int visit_record(struct tdb_context *tdb, TDB_DATA key, TDB_DATA data, void *context)
{
    struct visit *visit = context;

    visit->stopped = !visit->visitor(visit->context, bytes_of(key.dptr, key.dsize));
    return visit->stopped;
}

/*
 * The heads of all chains, to skip the empty ones: locking and unlocking each of 10,000 takes 10
 * ms. A chain that gets its first key meanwhile got it during the visit, which may miss it.
 */
static int read_heads(struct tdb_store *t, struct buffer *heads)
{
    size_t size = (size_t)tdb_hash_size(t->tdb) * HEAD_SIZE, done;
    uint8_t *room = buffer_extend(heads, size);
    int status =
        room ? io_read(tdb_fd(t->tdb), room, size, FIRST_HEAD, &done) : buffer_status(heads);

    return !status && done < size ? -EIO : status;
}

static int tdb_engine_visit(struct store *store, store_visitor *visitor, void *context)
{
    static const uint8_t empty[HEAD_SIZE];
    struct tdb_store *t = tdb_of(store);
    struct visit visit = {.visitor = visitor, .context = context};
    struct buffer heads = BUFFER_INIT;
    int status = read_heads(t, &heads);

    for (size_t at = 0; !status && at < heads.size && !visit.stopped; at += HEAD_SIZE) {
        if (memcmp(heads.data + at, empty, HEAD_SIZE) == 0)
            continue;
        errno = 0;
        if (tdb_traverse_chain(t->tdb, (unsigned)(at / HEAD_SIZE), visit_record, &visit) < 0)
            status = last_error(t);
    }
    buffer_release(&heads);
    return status;
}

static int tdb_engine_close(struct store *store)
{
    struct tdb_store *t = tdb_of(store);

    return tdb_close(t->tdb) ? -EIO : 0;
}

static const struct store_ops tdb_ops = {
    .close = tdb_engine_close,
    .fetch = tdb_engine_fetch,
    .exists = tdb_engine_exists,
    .store = tdb_engine_store,
    .remove = tdb_engine_remove,
    .rename = tdb_engine_rename,
    .visit = tdb_engine_visit,
};

/* A NULL result leaves the reason in errno. */
static struct tdb_context *open_quietly(const char *path, int hash_size, int tdb_flags, int flags)
{
    struct tdb_logging_context log = {.log_fn = discard_log};

    errno = 0;
    return tdb_open_ex(path, hash_size, tdb_flags | TDB_NOMMAP, flags | O_CLOEXEC, 0666, &log,
                       NULL);
}

static int explain_open(const char *path, bool read_only, struct failure *failure)
{
    int system = errno;

    switch (system) {
    case 0:
    case EIO:
    case EINVAL:
        return failure_set(
            failure, -EUCLEAN, 0,
            read_only
                ? "%s is a damaged tdb file, or one whose writer crashed: mount it read-write once"
                : "%s is a damaged tdb file: its header makes no sense",
            path);
    case EBUSY:
        return failure_set(failure, -EBUSY, 0, "%s is already open in this process", path);
    default:
        return failure_set(failure, -system, 0, "can't open %s: %s", path, strerror(system));
    }
}

static int check_size(struct tdb_store *t, struct failure *failure)
{
    struct stat stat;
    off_t least = FIRST_HEAD + HEAD_SIZE * (off_t)tdb_hash_size(t->tdb);

    if (fstat(tdb_fd(t->tdb), &stat))
        return -errno;
    if (stat.st_size < least)
        return failure_set(failure, -EUCLEAN, 0, "%s is a truncated tdb file", t->store.path);
    return 0;
}

static int tdb_engine_open(const char *path, const struct store_options *options,
                           struct store **out, struct failure *failure)
{
    bool read_only = options->flags & STORE_READ_ONLY;
    int tdb_flags = options->flags & STORE_NO_LOCK ? TDB_NOLOCK : 0;
    struct tdb_store *t = engine_new(sizeof *t, engine_tdb.name, &tdb_ops, path, read_only);
    int status;

    if (!t)
        return -ENOMEM;
    t->lock_timeout = options->lock_timeout;
    t->tdb = open_quietly(path, 0, tdb_flags, read_only ? O_RDONLY : O_RDWR);
    status = t->tdb ? check_size(t, failure) : explain_open(path, read_only, failure);
    if (status) {
        if (t->tdb)
            tdb_close(t->tdb);
        engine_free(&t->store);
        return status;
    }
    *out = &t->store;
    return 0;
}

/*
 * A kill during the first transaction of a file leaves one that works but fails tdb_check
 * later. So that transaction happens here, before the file has its name; an empty one
 * would be none, hence the record.
 */
static int make_recovery_area(const char *path)
{
    struct tdb_context *tdb = open_quietly(path, NEW_HASH_SIZE, TDB_DEFAULT, O_RDWR | O_CREAT);
    TDB_DATA record = data_of(BYTES("shelvefs"));
    int status = tdb ? 0 : -EIO;

    if (!status && (tdb_transaction_start(tdb) || tdb_store(tdb, record, record, TDB_INSERT) ||
                    tdb_delete(tdb, record) || tdb_transaction_commit(tdb)))
        status = errno == ENOSPC || errno == EDQUOT ? -errno : -EIO;
    if (tdb)
        tdb_close(tdb);
    return status;
}

static int tdb_engine_create(const char *path, struct failure *failure)
{
    struct io_draft draft;
    int status = io_draft_open(path, &draft);

    if (status)
        return status;
    status = io_draft_name(&draft);
    if (!status)
        status = make_recovery_area(draft.temporary);
    if (status) {
        io_draft_discard(&draft);
        return status;
    }
    return io_draft_publish(&draft, IO_CREATE);
}

const struct engine engine_tdb = {
    .name = "tdb",
    .open = tdb_engine_open,
    .create = tdb_engine_create,
};
