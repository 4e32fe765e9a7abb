/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dbm.sqlite3, the database of Python 3.13 and later, through libsqlite3: one table, Dict (key BLOB UNIQUE NOT NULL,
 * value BLOB NOT NULL). CPython: Lib/dbm/sqlite3.py.
 *
 * - Each change is one statement, so one transaction, and SQLite's own locks order ours and everybody else's. A new
 *   database is in WAL mode, as CPython makes it; one that is there keeps its mode.
 * - In WAL mode commits don't wait for the disk (synchronous=NORMAL): a power cut loses the last of them, never an
 *   older one or the order. sqlite_sync() waits for the WAL, which is all that is missing. With a rollback journal
 *   NORMAL can damage the file, so there each commit waits (EXTRA: also for the directory that the journal leaves).
 * - Only BLOB keys are keys. CPython lists a key of another type but can't find it, since it looks up CAST(? AS BLOB);
 *   such rows are left alone and named.
 * - A key is read twice, from the index that found it and from its row: a damaged file in which the two differ has no
 *   value for either. Keys come in ascending order from the index, or it is damaged: so no page that is linked
 *   into it twice makes a listing endless.
 * - The file may be hostile. Nothing in its schema is run: Dict must be an ordinary table with one unique index and
 *   without rules (a view, a trigger, a generated column, a CHECK is SQL that somebody else wrote).
 * - A database that fails the check at its opening, or in an operation, may be read as far as it goes, but not
 *   written.
 * - A file that was replaced by another one is noticed before each operation, and opened instead, without the -wal of the old
 *   one (sqlite_log.h). Likewise after each change, which is made again in the other one then.
 * - While nobody writes a read-only store reads without SQLite's locks (sqlite_connection.h). A writer's first step, or its
 *   change, ends that, and the operation is done again.
 *
 * - In WAL mode SQLite maps the -shm file; when that was cut, the connection is given up, and the operation done again
 *   (sqlite_guard.h). The database itself is not mapped.
 *
 * What can't be helped: a bit that flips inside of a value is not seen: SQLite has no checksums.
 */
#include "src/io.h"
#include "src/locks.h"
#include "src/store/holders.h"
#include "src/store/presence.h"
#include "src/store/sqlite_connection.h"
#include "src/store/sqlite_guard.h"
#include "src/store/sqlite_schema.h"

#include <errno.h>

enum {
    /* Larger files are not checked when they are opened: that takes about a second for 500 MB. */
    LARGEST_CHECKED = 16 << 20,
    TRIES = 4, /* of a read that a writer spoils */
};

struct sqlite {
    struct store store;
    struct sqlite_connection connection;
    struct patience patience;
    unsigned lock_timeout; /* seconds */
    bool burst;            /* it was looked at a moment ago, and will be again */
    bool checked;          /* look_for_damage() could look */
    struct stat condemned; /* the file as it was when it was found to be damaged */
    unsigned hits;         /* of the guard, when the connection was made */
};

static struct sqlite *sqlite_of(struct store *store)
{
    return (struct sqlite *)store;
}

static bool was_hit(const struct sqlite *s)
{
    return sqlite_guard_hits() != s->hits;
}

static void condemn(struct sqlite *s, const char *how)
{
    if (!s->store.damaged && stat(s->store.path, &s->condemned))
        s->condemned = s->connection.file;
    engine_damaged(&s->store, how);
}

/* Somebody may have put it right. */
static bool was_rewritten(const struct sqlite *s)
{
    struct stat now;

    return s->store.damaged && !stat(s->store.path, &now) && !io_is_unchanged(&s->condemned, &now);
}

/* Fails if that can't be told now: then it is looked for again before anything is written. */
static int look_for_damage(struct sqlite *s)
{
    struct buffer fault = BUFFER_INIT;
    int status = 0;

    if (sqlite_connection_is_cut(&s->connection))
        condemn(s, "the file is shorter than it says");
    if (!s->store.damaged && s->connection.file.st_size <= LARGEST_CHECKED)
        status = sqlite_file_first_fault(s->connection.to, &fault);
    if (!status && fault.size) {
        fault.data[fault.size - 1] = '\0'; /* instead of the end of the line */
        condemn(s, (const char *)fault.data);
    }
    buffer_release(&fault);
    s->checked = !status;
    return status;
}

/* What the owner should know. */
static void note(struct sqlite *s)
{
    struct buffer *notes = &s->store.notes;

    if (s->connection.peeks)
        buffer_printf(notes, "read without locks%s\n",
                      sqlite_connection_has_wal(&s->connection)
                          ? ": the latest changes, in the -wal file, are not seen"
                          : "");
    sqlite_schema_note(s->connection.to, notes);
}

static int reconnect(struct sqlite *s, struct failure *failure)
{
    int status;

    s->hits = sqlite_guard_hits();
    status = sqlite_connection_open(&s->connection, failure);

    if (status == -EBUSY)
        return holders_refuse(&engine_sqlite, s->store.path, "wait until it ends", failure);
    if (status)
        return status;
    s->store.damaged = false;
    buffer_clear(&s->store.notes);
    if (!s->store.read_only)
        status = sqlite_file_prepare_to_write(s->connection.to, failure);
    look_for_damage(s);
    note(s);
    return status;
}

/* Before each operation. The database that is gone is no missing key: -EIO. */
static int refresh(struct sqlite *s)
{
    struct stat before = s->connection.file;
    int status;

    patience_start(&s->patience, s->lock_timeout);
    if (was_hit(s)) /* another one would share its index */
        sqlite_connection_close(&s->connection);
    if (!sqlite_connection_is_stale(&s->connection) && !was_rewritten(s))
        return 0;
    status = reconnect(s, NULL);
    if (status)
        presence_lost(&s->store, status);
    else
        presence_found(&s->store, !presence_is_same(&before, &s->connection.file));
    return status == -ENOENT || status == -EMEDIUMTYPE || status == -EUCLEAN ? -EIO : status;
}

/* --- operations --- */

/* What shows damage ends all writing, which could reach values that are still whole. */
static int damaged(struct sqlite *s, const char *how)
{
    if (was_hit(s) || (s->connection.frozen && sqlite_connection_is_stale(&s->connection)))
        return -ESTALE;
    condemn(s, how);
    return -EIO;
}

/* SQLite calls it damage, too, when the kernel fails to read (vdbe.c: SQLITE_IOERR_CORRUPTFS): where that can be told, that passes. */
static int status_of(struct sqlite *s, int status)
{
    if (status < 0 && was_hit(s))
        return -ESTALE;
    if (status != -EUCLEAN)
        return status;
    if (!s->connection.frozen && s->connection.file.st_size <= LARGEST_CHECKED) {
        look_for_damage(s);
        return -EIO;
    }
    return damaged(s, sqlite_file_message(s->connection.to));
}

static int start(struct sqlite *s, enum sqlite_query query, const struct bytes *first,
                 const struct bytes *second)
{
    return status_of(s, sqlite_file_begin(s->connection.to, query, first, second));
}

/* 1: a row. */
static int step(struct sqlite *s, enum sqlite_query query)
{
    return status_of(s, sqlite_file_step(s->connection.to, query));
}

static int change_once(struct sqlite *s, enum sqlite_query query, struct bytes first,
                  const struct bytes *second, int *count)
{
    int status = refresh(s);

    if (!status && !s->checked)
        status = look_for_damage(s);
    if (!status && s->store.damaged)
        status = -EUCLEAN;
    if (!status)
        status = start(s, query, &first, second);
    if (status)
        return status;
    status = step(s, query);
    *count = status ? 0 : sqlite_file_changed(s->connection.to);
    sqlite_file_end(s->connection.to, query);
    return status;
}

/*
 * Does a change; `*count` is of the rows that it changed. What was saved in a file that had lost its name is nowhere, and in
 * some modes SQLite refuses it.
 */
static int change(struct sqlite *s, enum sqlite_query query, struct bytes first,
                  const struct bytes *second, int *count)
{
    int status = change_once(s, query, first, second, count);

    for (int i = 1; i < TRIES; i++) {
        if (status != -ESTALE && !sqlite_connection_has_moved(&s->connection))
            break;
        status = change_once(s, query, first, second, count);
    }
    return status == -ESTALE ? -EBUSY : status;
}

static int sqlite_store(struct store *store, struct bytes key, struct bytes value,
                        enum store_mode mode)
{
    int count;

    return change(sqlite_of(store), mode == STORE_INSERT ? QUERY_INSERT : QUERY_REPLACE, key,
                  &value, &count);
}

static int sqlite_remove(struct store *store, struct bytes key)
{
    int count, status = change(sqlite_of(store), QUERY_REMOVE, key, NULL, &count);

    return !status && !count ? -ENOENT : status;
}

static int sqlite_rename(struct store *store, struct bytes from, struct bytes to,
                         enum store_mode mode)
{
    static const enum sqlite_query renames[] = {[STORE_REPLACE] = QUERY_RENAME_REPLACING,
                                                [STORE_INSERT] = QUERY_RENAME,
                                                [STORE_EXCHANGE] = QUERY_EXCHANGE};
    int count, status = change(sqlite_of(store), renames[mode], from, &to, &count);

    return !status && !count ? -ENOENT : status;
}

/* Ends a read. -ESTALE: a writer may have spoiled it. */
static int conclude(struct sqlite *s, enum sqlite_query query, int status)
{
    sqlite_file_end(s->connection.to, query);
    if (was_hit(s))
        return -ESTALE;
    return s->connection.frozen && !s->burst && sqlite_connection_is_stale(&s->connection) ? -ESTALE
                                                                                           : status;
}

/* Whether to read again. The last failure stands; that it was stale says nothing to anybody. */
static bool again(int *status, int *tries)
{
    if (*status == -ESTALE && ++*tries < TRIES)
        return true;
    if (*status == -ESTALE)
        *status = -EBUSY;
    return false;
}

/* The row of a key. A value that is TEXT was put there by hand: its UTF-8 is what Python would have stored. */
static int take_value(struct sqlite *s, struct bytes key, struct buffer *value)
{
    struct bytes found, stored;

    if (sqlite_file_column(s->connection.to, QUERY_FETCH, 0, &found) != TYPE_BLOB ||
        !bytes_equal(found, key))
        return damaged(s, "a key differs from its index");
    if (sqlite_file_column(s->connection.to, QUERY_FETCH, 1, &stored) == TYPE_OTHER)
        return -EIO;
    buffer_add(value, stored);
    return buffer_status(value);
}

static int fetch(struct sqlite *s, struct bytes key, struct buffer *value)
{
    size_t before = value->size;
    int status = s->burst ? 0 : refresh(s);

    if (!status)
        status = start(s, QUERY_FETCH, &key, NULL);
    if (status)
        return status;
    status = step(s, QUERY_FETCH);
    if (status >= 0)
        status = status ? take_value(s, key, value) : -ENOENT;
    status = conclude(s, QUERY_FETCH, status);
    if (status && !buffer_status(value))
        value->size = before;
    return status;
}

static int sqlite_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    int tries = 0, status;

    do
        status = fetch(sqlite_of(store), key, value);
    while (again(&status, &tries));
    return status;
}

static int run(struct sqlite *s, enum sqlite_query query)
{
    int status = start(s, query, NULL, NULL);

    if (status)
        return status;
    status = step(s, query);
    sqlite_file_end(s->connection.to, query);
    return status;
}

/* SQLite's locks are taken once for all of it; a frozen file has none. */
static int sqlite_burst(struct store *store, bool begins)
{
    struct sqlite *s = sqlite_of(store);
    int status = begins ? refresh(s) : 0;

    if (!status && !s->connection.frozen)
        status = run(s, begins ? QUERY_BEGIN : QUERY_END);
    else if (!begins && sqlite_connection_is_stale(&s->connection))
        status = -ESTALE;
    s->burst = begins && !status;
    return status;
}

static int exists(struct sqlite *s, struct bytes key)
{
    int status = refresh(s);

    if (!status)
        status = start(s, QUERY_EXISTS, &key, NULL);
    return status ? status : conclude(s, QUERY_EXISTS, step(s, QUERY_EXISTS));
}

static int sqlite_exists(struct store *store, struct bytes key)
{
    int tries = 0, status;

    do
        status = exists(sqlite_of(store), key);
    while (again(&status, &tries));
    return status;
}

/* Whether the key may come after the last one, which it becomes. */
static int next_key(struct sqlite *s, struct bytes key, struct buffer *last)
{
    if (last->size && bytes_compare(bytes_part(buffer_bytes(last), 1, SIZE_MAX), key) >= 0)
        return damaged(s, "the keys are not in order");
    buffer_clear(last);
    buffer_add_byte(last, 0); /* there was one, be it empty */
    buffer_add(last, key);
    return buffer_status(last);
}

/* Not again when a writer spoiled it: the visitor has seen the keys. */
static int sqlite_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct sqlite *s = sqlite_of(store);
    struct buffer last = BUFFER_INIT;
    struct bytes key;
    int status = refresh(s);

    if (!status)
        status = start(s, QUERY_VISIT, NULL, NULL);
    if (status)
        return status;
    while ((status = step(s, QUERY_VISIT)) == 1) {
        sqlite_file_column(s->connection.to, QUERY_VISIT, 0, &key);
        status = next_key(s, key, &last);
        if (status || !visitor(context, key))
            break;
    }
    status = conclude(s, QUERY_VISIT, status);
    buffer_release(&last);
    return status == -ESTALE ? -EBUSY : status;
}

static int sqlite_sync(struct store *store)
{
    struct sqlite_file *file = sqlite_of(store)->connection.to;

    return file ? sqlite_file_sync(file) : 0;
}

static int sqlite_stamp(struct store *store, struct store_stamp *out)
{
    struct sqlite *s = sqlite_of(store);
    struct store_stamp stamp = {.words = {0}};
    int status = refresh(s);

    if (!status)
        status = start(s, QUERY_VERSION, NULL, NULL);
    if (status)
        return status;
    status = step(s, QUERY_VERSION);
    /* The version is of the others' changes, and of this connection only. */
    if (status == 1)
        stamp = (struct store_stamp){
            .words = {s->connection.openings,
                      (uint64_t)sqlite_file_number(s->connection.to, QUERY_VERSION),
                      sqlite_file_changes(s->connection.to)}};
    status = conclude(s, QUERY_VERSION, status == 1 ? 0 : status ? status : -ENOTSUP);
    if (!status)
        *out = stamp;
    return status == -ESTALE ? -ENOTSUP : status;
}

static int sqlite_close(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    int status = store->read_only ? 0 : sqlite_sync(store);

    sqlite_connection_close(&s->connection);
    return status;
}

static const struct store_ops sqlite_ops = {
    .close = sqlite_close,
    .fetch = sqlite_fetch,
    .exists = sqlite_exists,
    .burst = sqlite_burst,
    .store = sqlite_store,
    .remove = sqlite_remove,
    .rename = sqlite_rename,
    .visit = sqlite_visit,
    .sync = sqlite_sync,
    .stamp = sqlite_stamp,
};

/* --- opening and creating --- */

static int sqlite_open(const char *path, const struct store_options *options, struct store **out,
                       struct failure *failure)
{
    struct sqlite *s = engine_new(sizeof *s, engine_sqlite.name, &sqlite_ops, path,
                                  options->flags & STORE_READ_ONLY);
    int status;

    if (!s)
        return -ENOMEM;
    s->lock_timeout = options->lock_timeout;
    s->connection = (struct sqlite_connection){.path = s->store.path,
                                               .read_only = s->store.read_only,
                                               .no_lock = options->flags & STORE_NO_LOCK,
                                               .patience = &s->patience};
    patience_start(&s->patience, s->lock_timeout);
    status = reconnect(s, failure);
    if (status) {
        sqlite_connection_close(&s->connection);
        engine_free(&s->store);
        return status;
    }
    *out = &s->store;
    return 0;
}

static int sqlite_create(const char *path, struct failure *failure)
{
    struct io_draft draft;
    int status = io_draft_open(path, &draft);

    return status ? status : io_draft_create(&draft, sqlite_file_make);
}

static int sqlite_check(struct store *store, const struct store_progress *progress,
                        struct buffer *findings)
{
    struct sqlite *s = sqlite_of(store);
    int status = refresh(s);

    return status ? status : sqlite_file_faults(s->connection.to, findings);
}

static const char *const sqlite_suffixes[] = {"", "-wal", "-shm", "-journal", NULL};

/* In WAL mode readers keep nobody from writing; their locks are in the -shm file (SQLite's "WAL-mode file format", 2.3). */
static bool sqlite_lock_excludes(const struct lock_holder *lock)
{
    enum {
        FIRST_BYTE = 0x40000000
    }; /* of those that are locked in the database itself (sqliteInt.h: PENDING_BYTE) */

    return !lock->is_flock && (lock->writes || lock->from >= FIRST_BYTE);
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .suffixes = sqlite_suffixes,
    .log_suffix = "-wal",
    .lock_suffix = "-shm",
    .excludes = sqlite_lock_excludes,
    .check = sqlite_check,
    .open = sqlite_open,
    .create = sqlite_create,
};
