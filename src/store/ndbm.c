/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dbm.ndbm as Debian's Python has it: a hash file of Berkeley DB, through libdb. (A pair of NAME.pag and NAME.dir is
 * gdbm's emulation of ndbm, and NAME.pag an ordinary gdbm file.)
 *
 * - Nobody locks such a file, and each program keeps pages in memory until it closes it. So our writers exclude each
 *   other by flock, open the file anew for each change, and write it at once; what others changed is read at the next
 *   operation. A program that has it open for writing overwrites what was changed meanwhile, by us or by others, when
 *   it closes it: that can't be helped.
 * - libdb writes a change page by page, whenever it likes. Its calls of pread() and pwrite() are replaced while we use
 *   it to plan a change (db_env_set_func_pread() and so on), so that it writes to a file in memory; the journal carries
 *   the change out in one step (inplace.h).
 * - Values are read by bdb_file.c, which checks what it reads. Before the first change all of the file is read, and
 *   nothing is written to a damaged one, because libdb would trust its numbers.
 *
 * Not done: btree files (of Python 2's dbhash and bsddb) are only named; so are files of Berkeley DB 1.85.
 */
#include "src/io.h"
#include "src/io_draft.h"
#include "src/store/bdb_file.h"
#include "src/store/inplace.h"
#include "src/store/shadow.h"
#include "src/store/spare.h"

#include <db.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* As libdb's own dbm_open() sets them (hash/hash_compat.c). */
enum { NEW_PAGE_SIZE = 4096, NEW_FILL_FACTOR = 40, NEW_ELEMENTS = 1, FD_NAME_SIZE = 32 };

enum { LIBRARY_MEMORY = 2 << 20 }; /* bytes, several times of what libdb takes with its usual cache */
enum { INTERRUPTIONS = 16 };

struct ndbm_store {
    struct inplace inplace;
    struct bdb_file file;
    struct shadow shadow;
    struct buffer extents;
};

static struct ndbm_store *ndbm_of(struct inplace *inplace)
{
    return (struct ndbm_store *)inplace;
}

/* --- what libdb calls instead of the system --- */

/* Where the pages go that libdb writes in this thread; NULL: to the file itself. libdb has no other way to tell. */
static _Thread_local struct shadow *capture;
/* Why one of the calls below failed since, as errno. */
static _Thread_local int capture_failure;

/* As read() and write() return it. */
static ssize_t answer(int status, size_t done)
{
    if (!status)
        return (ssize_t)done;
    errno = capture_failure = -status;
    return -1;
}

static ssize_t captured_pread(int fd, void *data, size_t size, off_t offset)
{
    size_t done = 0;
    int status = io_read(capture && shadow_has(capture, offset) ? capture->fd : fd, data, size,
                         offset, &done);

    return answer(status, done);
}

static ssize_t captured_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return answer(io_write(capture ? capture->fd : fd, bytes_of(data, size), offset), size);
}

/*
 * Returns errno. Where pread() or pwrite() fails or does a part, libdb tries again with lseek(), read() and write()
 * (os/os_rw.c), on the file itself: not here.
 */
static int captured_seek(int fd, off_t offset, int whence)
{
    if (capture && capture_failure)
        return capture_failure;
    return lseek(fd, offset, whence) < 0 ? errno : 0;
}

static int captured_ftruncate(int fd, off_t size)
{
    int status = io_truncate(capture ? capture->fd : fd, size);

    return status ? (errno = -status, -1) : 0;
}

/* What close() fails for was written to the file, and nothing is: libdb would free twice what it has of it. */
static int captured_close(int fd)
{
    close(fd);
    return 0;
}

/* Where there is no descriptor libdb waits twelve seconds for one, three times a bit longer, and everybody waits for it. */
static int captured_yield(u_long seconds, u_long microseconds)
{
    sched_yield();
    return 0;
}

static int captured_fsync(int fd)
{
    return capture ? 0 : fsync(fd);
}

static void replace_system_calls(void)
{
    db_env_set_func_pread(captured_pread);
    db_env_set_func_pwrite(captured_pwrite);
    db_env_set_func_seek(captured_seek);
    db_env_set_func_ftruncate(captured_ftruncate);
    db_env_set_func_fsync(captured_fsync);
    db_env_set_func_close(captured_close);
    db_env_set_func_yield(captured_yield);
    db_env_set_func_malloc(spare_malloc);
    db_env_set_func_realloc(spare_realloc);
    db_env_set_func_free(spare_free);
}

static void discard_message(const DB_ENV *environment, const char *prefix, const char *message)
{
}

/* --- libdb --- */

/* What it returns: a system's errno, or a negative number of its own. */
static int error_of(int result)
{
    switch (result) {
    case 0:
        return 0;
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case EIO:
    case EINTR:
    case EACCES:
        return -result;
    case DB_NOTFOUND:
        return -ENOENT;
    default:
        return -EUCLEAN;
    }
}

/* Until close_library(). */
static int open_library(const char *path, u_int32_t flags, DB **out)
{
    DB *db;
    int result;

    if (spare_begin(LIBRARY_MEMORY))
        return -ENOMEM;
    result = db_create(&db, NULL, 0);
    if (result) {
        spare_end();
        return error_of(result);
    }
    db->set_errcall(db, discard_message);
    if (flags & DB_CREATE) {
        db->set_pagesize(db, NEW_PAGE_SIZE);
        db->set_h_ffactor(db, NEW_FILL_FACTOR);
        db->set_h_nelem(db, NEW_ELEMENTS);
    }
    result = db->open(db, NULL, path, NULL, DB_HASH, flags, 0666);
    if (result) {
        db->close(db, DB_NOSYNC);
        spare_end();
        return error_of(result);
    }
    *out = db;
    return 0;
}

static int close_library(DB *db)
{
    int result = db->close(db, 0);

    spare_end();
    return result;
}

static DBT dbt_of(struct bytes bytes)
{
    return (DBT){.data = (void *)bytes.data, .size = (u_int32_t)bytes.size};
}

static int change_key(DB *db, const struct step *step)
{
    DBT key = dbt_of(step->key), value;

    if (!step->value)
        return db->del(db, NULL, &key, 0);
    value = dbt_of(*step->value);
    return db->put(db, NULL, &key, &value, 0);
}

static int change_pages(const char *path, const struct update *update)
{
    DB *db;
    int result = 0, closed, status = open_library(path, 0, &db);

    if (status)
        return status;
    for (size_t i = 0; !result && i < update->count; i++)
        result = change_key(db, &update->steps[i]);
    closed = close_library(db);
    return error_of(result ? result : closed);
}

/* --- the engine --- */

static int ndbm_look(struct inplace *inplace, struct failure *failure)
{
    return bdb_file_read(&ndbm_of(inplace)->file, inplace->turn.fd, inplace->store.path, failure);
}

static int ndbm_check(struct inplace *inplace)
{
    int status = bdb_file_check(&ndbm_of(inplace)->file);

    if (status == -EUCLEAN)
        inplace_damaged(inplace, "some of its pages make no sense");
    return status;
}

static int ndbm_fetch(struct inplace *inplace, struct bytes key, struct buffer *value)
{
    return bdb_file_fetch(&ndbm_of(inplace)->file, key, value);
}

static int ndbm_visit(struct inplace *inplace, struct walk *walk)
{
    return bdb_file_visit(&ndbm_of(inplace)->file, walk);
}

static int change_shadow(struct ndbm_store *n, const char *path, const struct update *update)
{
    int status = shadow_start(&n->shadow, n->file.size);

    if (status)
        return status;
    capture = &n->shadow;
    capture_failure = 0;
    status = change_pages(path, update);
    capture = NULL;
    /* What libdb could not read or write may look like damage to it. */
    return status == -EUCLEAN && capture_failure ? -capture_failure : status;
}

static int ndbm_plan(struct inplace *inplace, const struct update *update, struct changes *out)
{
    struct ndbm_store *n = ndbm_of(inplace);
    char path[FD_NAME_SIZE];
    int status;

    /* By its descriptor: the name might belong to another file by now. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", inplace->turn.fd);
    /* After a signal libdb reads again, and says all the same that it failed. */
    for (int i = 0; (status = change_shadow(n, path, update)) == -EINTR && i < INTERRUPTIONS; i++)
        ;
    buffer_clear(&n->extents);
    if (!status)
        status = shadow_extents(&n->shadow, &n->extents);
    return status ? status : shadow_compare(&n->shadow, n->file.fd, n->file.size, &n->extents, out);
}

static void ndbm_release(struct inplace *inplace)
{
    struct ndbm_store *n = ndbm_of(inplace);

    bdb_file_release(&n->file);
    shadow_release(&n->shadow);
    buffer_release(&n->extents);
}

static const struct inplace_ops ndbm_ops = {
    .engine = &engine_ndbm,
    .look = ndbm_look,
    .check = ndbm_check,
    .fetch = ndbm_fetch,
    .visit = ndbm_visit,
    .plan = ndbm_plan,
    .release = ndbm_release,
    .ignored_by_others = true,
};

static int ndbm_engine_open(const char *path, const struct store_options *options,
                            struct store **out, struct failure *failure)
{
    struct ndbm_store *n = engine_new(sizeof *n, engine_ndbm.name, &inplace_store_ops, path,
                                      options->flags & STORE_READ_ONLY);
    int status;

    if (!n)
        return -ENOMEM;
    replace_system_calls();
    n->file = BDB_FILE_INIT;
    n->shadow = SHADOW_INIT;
    n->extents = BUFFER_INIT;
    status = inplace_open(&n->inplace, &ndbm_ops, options, failure);
    if (!status)
        *out = &n->inplace.store;
    return status;
}

static int make_file(const char *path)
{
    DB *db = NULL;
    int status = open_library(path, DB_CREATE, &db);

    return status ? status : error_of(close_library(db));
}

static int create_file(const char *path)
{
    struct io_draft draft;
    int status = io_draft_open(path, &draft);

    return status ? status : io_draft_create(&draft, make_file);
}

/* Where Python makes it: dbm.ndbm adds the suffix itself. */
static int ndbm_engine_create(const char *name, struct failure *failure)
{
    char *path;
    int status;

    if (bytes_end_with(bytes_of_string(name), BYTES(".db")))
        return create_file(name);
    if (asprintf(&path, "%s.db", name) < 0)
        return -ENOMEM;
    status = create_file(path);
    free(path);
    return status;
}

const struct engine engine_ndbm = {
    .name = "ndbm",
    .open = ndbm_engine_open,
    .create = ndbm_engine_create,
};
