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
 * - What is damaged, or was replaced by another file: sqlite_database.h.
 * - While nobody writes a read-only store reads without SQLite's locks (sqlite_connection.h). A writer's first step, or its
 *   change, ends that, and the operation is done again.
 * - In WAL mode SQLite maps the -shm file; when that was cut, the connection is given up, and the operation done again
 *   (src/lost_pages.h). The database itself is not mapped.
 *
 * What can't be helped: a bit that flips inside of a value is not seen: SQLite has no checksums.
 */
#include "src/io_draft.h"
#include "src/locks.h"
#include "src/store/sqlite_database.h"

#include <errno.h>

enum { TRIES = 4 }; /* of a read that a writer spoils, or a change in a file that was replaced */

static struct sqlite_database *sqlite_of(struct store *store)
{
    return (struct sqlite_database *)store;
}

static int start(struct sqlite_database *s, enum sqlite_query query, const struct bytes *first,
                 const struct bytes *second)
{
    return sqlite_database_status(s, sqlite_file_begin(s->connection.to, query, first, second));
}

/* 1: a row. */
static int step(struct sqlite_database *s, enum sqlite_query query)
{
    return sqlite_database_status(s, sqlite_file_step(s->connection.to, query));
}

static int change_once(struct sqlite_database *s, enum sqlite_query query, struct bytes first,
                       const struct bytes *second, int *count)
{
    int status = sqlite_database_refresh(s);

    if (!status && !s->checked)
        status = sqlite_database_look(s);
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
static int change(struct sqlite_database *s, enum sqlite_query query, struct bytes first,
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
static int conclude(struct sqlite_database *s, enum sqlite_query query, int status)
{
    sqlite_file_end(s->connection.to, query);
    if (sqlite_database_was_hit(s))
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
static int take_value(struct sqlite_database *s, struct bytes key, struct buffer *value)
{
    struct bytes found, stored;

    if (sqlite_file_column(s->connection.to, QUERY_FETCH, 0, &found) != TYPE_BLOB ||
        !bytes_equal(found, key))
        return sqlite_database_damaged(s, "a key differs from its index");
    if (sqlite_file_column(s->connection.to, QUERY_FETCH, 1, &stored) == TYPE_OTHER)
        return -EIO;
    buffer_add(value, stored);
    return buffer_status(value);
}

static int fetch(struct sqlite_database *s, struct bytes key, struct buffer *value)
{
    size_t before = value->size;
    int status = s->burst ? 0 : sqlite_database_refresh(s);

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

static int run(struct sqlite_database *s, enum sqlite_query query)
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
    struct sqlite_database *s = sqlite_of(store);
    int status = begins ? sqlite_database_refresh(s) : 0;

    if (!status && !s->connection.frozen)
        status = run(s, begins ? QUERY_BEGIN : QUERY_END);
    else if (!begins && sqlite_connection_is_stale(&s->connection))
        status = -ESTALE;
    s->burst = begins && !status;
    return status;
}

static int exists(struct sqlite_database *s, struct bytes key)
{
    int status = sqlite_database_refresh(s);

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
static int next_key(struct sqlite_database *s, struct bytes key, struct buffer *last)
{
    if (last->size && bytes_compare(bytes_part(buffer_bytes(last), 1, SIZE_MAX), key) >= 0)
        return sqlite_database_damaged(s, "the keys are not in order");
    buffer_clear(last);
    buffer_add_byte(last, 0); /* there was one, be it empty */
    buffer_add(last, key);
    return buffer_status(last);
}

/* Not again when a writer spoiled it: the visitor has seen the keys. */
static int sqlite_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct sqlite_database *s = sqlite_of(store);
    struct buffer last = BUFFER_INIT;
    struct bytes key;
    int status = sqlite_database_refresh(s);

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
    struct sqlite_database *s = sqlite_of(store);
    struct store_stamp stamp = {.words = {0}};
    int status = sqlite_database_refresh(s);

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
    struct sqlite_database *s = sqlite_of(store);
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
    struct sqlite_database *s = engine_new(sizeof *s, engine_sqlite.name, &sqlite_ops, path,
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
    status = sqlite_database_connect(s, failure);
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
    struct sqlite_database *s = sqlite_of(store);
    int status = sqlite_database_refresh(s);

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
