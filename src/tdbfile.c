/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/tdbfile.h"

#include "src/io.h"
#include "src/io_draft.h"
#include "src/patience.h"
#include "src/tdbchains.h"
#include "src/tdbgaps.h"
#include "src/tdbheader.h"

#include <tdb.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    /* Where the chains begin, each as an offset. */
    HEAD_SIZE = TDB_LAYOUT_HEAD,
    FIRST_HEAD = TDB_LAYOUT_FREE_LIST + HEAD_SIZE,
    MOST_MENDED = 64 << 20, /* to look at that takes 100 ms */
    /* A byte of the header that libtdb never locks: it uses 0, 4, 8 and from 168 on (tdb, common/tdb_private.h). */
    CLAIM_LOCK = 64,
};

struct tdbfile {
    struct tdb_context *tdb;
    off_t size; /* when it was last looked at: no libtdb makes a file smaller */
    struct tdb_header header;
    bool held;
    struct tdbchains chains; /* read while it is held */
};

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

/* A NULL result leaves the reason in errno. */
static struct tdb_context *open_quietly(const char *path, int hash_size, int tdb_flags, int flags)
{
    struct tdb_logging_context log = {.log_fn = discard_log};

    errno = 0;
    return tdb_open_ex(path, hash_size, tdb_flags | TDB_NOMMAP, flags | O_CLOEXEC, 0666, &log,
                       NULL);
}

static bool is_failed_read(int system)
{
    return system == EIO || system == ENOMEM || system == EINTR;
}

/*
 * What the last failed call of libtdb means. errno counts only where the kernel refused to read or write.
 */
static int last_error(struct tdbfile *file)
{
    int system = errno;

    switch (tdb_error(file->tdb)) {
    case TDB_ERR_NOEXIST:
        /* A key that could not be read is for libtdb another key than the one it looks for. */
        return is_failed_read(system) ? -system : -ENOENT;
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

/* --- opening --- */

/* ENOSYS: the header asks for features that no libtdb has. */
static int open_error(void)
{
    bool damaged = errno == 0 || errno == EIO || errno == EINVAL || errno == ENOSYS;

    return damaged ? -EUCLEAN : -errno;
}

static uint32_t jenkins_hash(struct bytes key)
{
    TDB_DATA data = data_of(key);

    return tdb_jenkins_hash(&data);
}

static int check_size(struct tdbfile *file)
{
    off_t least = file->chains.base + FIRST_HEAD + HEAD_SIZE * (off_t)tdb_hash_size(file->tdb);
    struct stat stat;

    if (fstat(tdb_fd(file->tdb), &stat))
        return -errno;
    file->size = stat.st_size;
    return stat.st_size < least ? -EUCLEAN : 0;
}

bool tdbfile_was_overwritten(struct tdbfile *file, const struct stat *now)
{
    struct tdb_header header;

    if (now->st_size < file->size || tdbheader_read(tdb_fd(file->tdb), &header))
        return true;
    file->size = now->st_size;
    return !tdbheader_is_alike(&file->header, &header);
}

int tdbfile_open(const char *path, unsigned flags, struct tdbfile **out)
{
    /* O_NONBLOCK: never wait for a FIFO of that name. */
    int how = (flags & TDBFILE_READ_ONLY ? O_RDONLY : O_RDWR) | O_NONBLOCK |
              (flags & TDBFILE_NO_FOLLOW ? O_NOFOLLOW : 0);
    struct tdbfile *file = calloc(1, sizeof *file);
    int status;

    if (!file)
        return -ENOMEM;
    file->tdb = open_quietly(path, 0, flags & TDBFILE_NO_LOCK ? TDB_NOLOCK : 0, how);
    status = file->tdb ? tdbheader_read(tdb_fd(file->tdb), &file->header) : open_error();
    if (!status) {
        tdbchains_init(&file->chains, &file->header, jenkins_hash);
        status = check_size(file);
    }
    if (status) {
        tdbfile_close(file);
        return status;
    }
    *out = file;
    return 0;
}

bool tdbfile_has_mutexes(const char *path)
{
    struct tdbfile *file = NULL;
    bool found = !tdbfile_open(path, TDBFILE_READ_ONLY, &file) && file->chains.base;

    tdbfile_close(file);
    return found;
}

int tdbfile_close(struct tdbfile *file)
{
    int status = 0;

    if (!file)
        return 0;
    if (file->tdb && tdb_close(file->tdb))
        status = -EIO;
    tdbfile_rest(file);
    free(file);
    return status;
}

/*
 * A kill during the first transaction of a file leaves one that works but fails tdb_check
 * later. So that transaction happens here, before the file has its name; an empty one
 * would be none, hence the record.
 */
int tdbfile_make(const char *path, int hash_size)
{
    struct tdb_context *tdb = open_quietly(path, hash_size, TDB_DEFAULT, O_RDWR | O_CREAT);
    TDB_DATA record = data_of(BYTES("shelvefs"));
    int status = tdb ? 0 : -EIO;

    if (!status && (tdb_transaction_start(tdb) || tdb_store(tdb, record, record, TDB_INSERT) ||
                    tdb_delete(tdb, record) || tdb_transaction_commit(tdb)))
        status = errno == ENOSPC || errno == EDQUOT ? -errno : -EIO;
    if (tdb)
        tdb_close(tdb);
    return status;
}

/* --- reading --- */

/* Not tdb_parse_record(), which saves a copy but calls every failure "no such record". */
int tdbfile_fetch(struct tdbfile *file, struct bytes key, struct buffer *value)
{
    int status = file->held ? tdbchains_find(&file->chains, key, value) : -EAGAIN;
    TDB_DATA data;

    if (status != -EAGAIN)
        return status;
    errno = 0;
    data = tdb_fetch(file->tdb, data_of(key));
    if (!data.dptr)
        return last_error(file);
    buffer_add(value, bytes_of(data.dptr, data.dsize));
    free(data.dptr);
    return buffer_status(value);
}

int tdbfile_exists(struct tdbfile *file, struct bytes key)
{
    int status;

    errno = 0;
    if (tdb_exists(file->tdb, data_of(key)))
        return 1;
    status = last_error(file);
    return status == -ENOENT ? 0 : status;
}

/* A file that is open to read only is never locked, and libtdb takes this for a mistake. */
static int lock_for_reading(struct tdbfile *file, bool begins)
{
    if (tdb_get_flags(file->tdb) & TDB_NOLOCK)
        return 0;
    errno = 0;
    return (begins ? tdb_lockall_read : tdb_unlockall_read)(file->tdb) ? last_error(file) : 0;
}

/* Mapped if it is not larger than `most`. */
static int hold(struct tdbfile *file, off_t most)
{
    struct stat stat;
    int status = lock_for_reading(file, true);

    if (status)
        return status;
    status = tdbfile_stat(file, &stat);
    if (status) {
        lock_for_reading(file, false);
        return status;
    }
    tdbchains_hurry(&file->chains, tdb_fd(file->tdb), &stat, most);
    file->held = true;
    return 0;
}

static int let_go(struct tdbfile *file)
{
    file->held = false;
    return lock_for_reading(file, false);
}

int tdbfile_hold(struct tdbfile *file, bool begins)
{
    return begins ? hold(file, MAPPED_MOST) : let_go(file);
}

void tdbfile_rest(struct tdbfile *file)
{
    mapped_end(&file->chains.mapped);
}

struct visit {
    tdbfile_visitor *visitor;
    void *context;
    bool stopped;
};

static int visit_record(struct tdb_context *tdb, TDB_DATA key, TDB_DATA data, void *context)
{
    struct visit *visit = context;

    visit->stopped = !visit->visitor(visit->context, bytes_of(key.dptr, key.dsize),
                                     bytes_of(data.dptr, data.dsize));
    return visit->stopped;
}

/*
 * The heads of all chains, to skip the empty ones: locking and unlocking each of 10,000 takes 10
 * ms. A chain that gets its first key meanwhile got it during the visit, which may miss it.
 */
static int read_heads(struct tdbfile *file, struct buffer *heads)
{
    size_t size = (size_t)tdb_hash_size(file->tdb) * HEAD_SIZE, done;
    uint8_t *room = buffer_extend(heads, size);
    int status = room ? io_read(tdb_fd(file->tdb), room, size, file->chains.base + FIRST_HEAD, &done)
                      : buffer_status(heads);

    return !status && done < size ? -EIO : status;
}

/*
 * Chain by chain: tdb_traverse_read() would wait for another process's transaction. A chain that makes no sense is no
 * reason to keep the others back.
 */
/*
 * libtdb does not name every failure of a walk: then an older one stands, such as that of a key that was not there. Where
 * the kernel refused nothing, it is the file.
 */
static int walk_error(struct tdbfile *file)
{
    int system = errno, status = last_error(file);

    return system && (status == -EBUSY || status == -ENOMEM) ? status : -EIO;
}

int tdbfile_visit(struct tdbfile *file, tdbfile_visitor *visitor, void *context)
{
    static const uint8_t empty[HEAD_SIZE];
    struct visit visit = {.visitor = visitor, .context = context};
    struct buffer heads = BUFFER_INIT;
    int status = read_heads(file, &heads);

    for (size_t at = 0; (!status || status == -EIO) && at < heads.size && !visit.stopped;
         at += HEAD_SIZE) {
        if (memcmp(heads.data + at, empty, HEAD_SIZE) == 0)
            continue;
        errno = 0;
        if (tdb_traverse_chain(file->tdb, (unsigned)(at / HEAD_SIZE), visit_record, &visit) < 0)
            status = walk_error(file);
    }
    buffer_release(&heads);
    return status;
}

/* To where others may change something in between. */
static int visit_some(struct tdbfile *file, struct tdbchains_walk *walk)
{
    int status = hold(file, INT64_MAX);

    if (status)
        return status;
    status = tdbchains_visit(&file->chains, walk);
    let_go(file);
    return status;
}

static bool give_key(void *context, struct bytes key, struct bytes value)
{
    struct tdbchains_walk *walk = context;

    return walk->visitor(walk->context, key);
}

int tdbfile_visit_keys(struct tdbfile *file, tdbfile_key_visitor *visitor, void *context)
{
    struct tdbchains_walk walk = {.visitor = visitor, .context = context, .key = BUFFER_INIT};
    int status = 0;

    if (!file->chains.hash)
        return tdbfile_visit(file, give_key, &walk);
    while (!status && !walk.stopped && walk.chain < file->chains.count)
        status = visit_some(file, &walk);
    if (file->chains.mapped.size > MAPPED_MOST)
        tdbfile_rest(file);
    buffer_release(&walk.key);
    return !status && walk.damaged ? -EIO : status;
}

/* --- changing --- */

int tdbfile_begin(struct tdbfile *file, unsigned seconds)
{
    struct patience patience;

    patience_start(&patience, seconds);
    while (tdb_transaction_start_nonblock(file->tdb)) {
        int status = last_error(file);

        if (status != -EBUSY || !patience_wait(&patience))
            return status;
    }
    errno = 0;
    return 0;
}

int tdbfile_end(struct tdbfile *file, int status)
{
    if (status) {
        tdb_transaction_cancel(file->tdb);
        return status;
    }
    errno = 0;
    if (tdb_transaction_commit(file->tdb) == 0)
        return tdbheader_is_pending(tdb_fd(file->tdb), file->chains.base) ? -EIO : 0;
    status = last_error(file);
    /* Where the last sync fails, libtdb leaves the transaction open, and no other one can start. */
    tdb_transaction_cancel(file->tdb);
    return status;
}

int tdbfile_put(struct tdbfile *file, struct bytes key, struct bytes value, bool insert)
{
    int flag = insert ? TDB_INSERT : TDB_REPLACE;

    if (key.size > TDBFILE_LARGEST || value.size > TDBFILE_LARGEST - key.size)
        return -EFBIG;
    errno = 0;
    if (tdb_store(file->tdb, data_of(key), data_of(value), flag))
        return last_error(file);
    /* See last_error(): there may be two of this key now. The transaction must not be committed. */
    return is_failed_read(errno) ? -errno : 0;
}

int tdbfile_remove(struct tdbfile *file, struct bytes key)
{
    errno = 0;
    return tdb_delete(file->tdb, data_of(key)) ? last_error(file) : 0;
}

void tdbfile_wait_for_disk(struct tdbfile *file, bool wait)
{
    if (wait)
        tdb_remove_flags(file->tdb, TDB_NOSYNC);
    else
        tdb_add_flags(file->tdb, TDB_NOSYNC);
}

/* --- the file itself --- */

int tdbfile_check(struct tdbfile *file)
{
    if (tdb_check(file->tdb, NULL, NULL) == 0)
        return tdbheader_check_recovery(tdb_fd(file->tdb), file->chains.base);
    return tdb_error(file->tdb) == TDB_ERR_OOM ? -ENOMEM : -EUCLEAN;
}

static int lock_all(struct tdbfile *file, unsigned seconds)
{
    struct patience patience;

    patience_start(&patience, seconds);
    while (tdb_lockall_nonblock(file->tdb)) {
        int status = last_error(file);

        if (status != -EBUSY || !patience_wait(&patience))
            return status;
    }
    return 0;
}

int tdbfile_mend(struct tdbfile *file, unsigned seconds)
{
    struct stat stat;
    int status = tdbfile_stat(file, &stat);

    if (status || stat.st_size > MOST_MENDED)
        return status;
    status = lock_all(file, seconds);
    if (status)
        return status == -EBUSY ? 0 : status;
    status = tdbgaps_free(tdb_fd(file->tdb));
    tdb_unlockall(file->tdb);
    return status == -ENOTSUP ? 0 : status;
}

int tdbfile_claim(struct tdbfile *file)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = CLAIM_LOCK, .l_len = 1};

    if (fcntl(tdb_fd(file->tdb), F_SETLK, &lock) == 0)
        return 0;
    return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

int tdbfile_stat(struct tdbfile *file, struct stat *out)
{
    return fstat(tdb_fd(file->tdb), out) ? -errno : 0;
}

int tdbfile_own_as(struct tdbfile *file, const struct stat *like)
{
    return io_own_as(tdb_fd(file->tdb), like);
}
