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
 * - A file that was replaced by another one is noticed before each operation, and opened instead.
 * - A read-only connection to a WAL database leaves a -wal and a -shm file behind, and can't be made where those can't
 *   be. So while nobody writes (there is neither -wal nor -journal) a read-only store reads without SQLite's locks
 *   (immutable=1) and looks after each operation whether the file is still what it was. A writer's first step, or its
 *   change, ends that, and the operation is done again.
 *
 * What can't be helped: in WAL mode SQLite maps the -shm file, so whoever truncates that one ends the process; the
 * database itself is not mapped. A bit that flips inside of a value is not seen: SQLite has no checksums.
 */
#include "src/io.h"
#include "src/log.h"
#include "src/patience.h"
#include "src/store/engine.h"

#include <sqlite3.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Larger files are not checked when they are opened: that takes about a second for 500 MB. */
    LARGEST_CHECKED = 16 << 20,
    NAMED = 3, /* tables, odd keys: as many are named */
    TRIES = 4, /* of a read that a writer spoils */
    /* A file that changed just now may change again without another time. */
    QUIET_NS = 50 * 1000 * 1000,
};

enum statement {
    FETCH,
    EXISTS,
    REPLACE,
    INSERT,
    REMOVE,
    RENAME_REPLACING,
    RENAME,
    EXCHANGE,
    VISIT,
    DATA_VERSION,
    STATEMENT_COUNT
};

static const char *const statements[STATEMENT_COUNT] = {
    [FETCH] = "SELECT row.key, row.value FROM Dict AS found LEFT JOIN Dict AS row NOT INDEXED"
              " ON row.rowid = found.rowid WHERE found.key = ?1",
    [EXISTS] = "SELECT 1 FROM Dict WHERE key = ?1",
    [REPLACE] = "INSERT INTO Dict (key, value) VALUES (?1, ?2)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [INSERT] = "INSERT OR ABORT INTO Dict (key, value) VALUES (?1, ?2)",
    [REMOVE] = "DELETE FROM Dict WHERE key = ?1",
    [RENAME_REPLACING] = "UPDATE OR REPLACE Dict SET key = ?2 WHERE key = ?1",
    [RENAME] = "UPDATE OR ABORT Dict SET key = ?2 WHERE key = ?1",
    /* What comes after FROM is read before anything is changed. */
    [EXCHANGE] = "UPDATE Dict SET value = other.value"
                 " FROM (SELECT key, value FROM Dict WHERE key IN (?1, ?2)) AS other"
                 " WHERE Dict.key IN (?1, ?2) AND Dict.key <> other.key",
    /* Blobs sort after everything else. */
    [VISIT] = "SELECT key FROM Dict WHERE key >= x'' ORDER BY key",
    [DATA_VERSION] = "PRAGMA data_version",
};

/* As in CPython's BUILD_TABLE, so that the stored schema is the same text. */
static const char new_table[] = "CREATE TABLE IF NOT EXISTS Dict (\n"
                                "    key BLOB UNIQUE NOT NULL,\n"
                                "    value BLOB NOT NULL\n"
                                "  )";

/* What Dict is, if not what we can work with: NULL. No row: there is none. */
static const char dict_verdict[] =
    "SELECT CASE"
    " WHEN type = 'view' THEN 'a view'"
    " WHEN sql LIKE 'CREATE VIRTUAL%' THEN 'a virtual table'"
    " WHEN (SELECT wr FROM pragma_table_list('Dict') WHERE schema = 'main') THEN 'a table without "
    "row numbers'"
    " WHEN (SELECT count(*) <> 2 OR sum(hidden = 0 AND lower(name) IN ('key', 'value')) <> 2"
    "  FROM pragma_table_xinfo('Dict')) THEN 'a table with other columns than key and value'"
    " WHEN (SELECT count(*) <> 1 OR sum(lower(x.name) = 'key' AND x.coll = 'BINARY' AND NOT "
    "l.partial) <> 1"
    "  FROM pragma_index_list('Dict') AS l JOIN pragma_index_xinfo(l.name) AS x ON x.\"key\""
    "  WHERE l.\"unique\") THEN 'a table in which not the key is unique'"
    " WHEN sql LIKE '%CHECK%' THEN 'a table with a CHECK'"
    " END FROM sqlite_master WHERE type IN ('table', 'view') AND name = 'Dict' COLLATE NOCASE";

static const char other_tables[] = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
                                   "AND name <> 'Dict' COLLATE NOCASE"
                                   " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";

static const char odd_keys[] = "SELECT typeof(key) || ' ' || substr(quote(key), 1, 60) FROM Dict "
                               "WHERE key < x'' OR key IS NULL";

/* One opening of the file. */
struct connection {
    sqlite3 *db;
    sqlite3_stmt *prepared[STATEMENT_COUNT]; /* each on its first use */
    bool frozen;                             /* opened as a file that never changes */
    bool peeks;                              /* and that although somebody may write */
    struct stat file;                        /* as it was before it was opened */
};

struct sqlite {
    struct store store;
    struct connection connection;
    struct patience patience;
    unsigned lock_timeout; /* seconds */
    bool no_lock;
    uint64_t openings;
};

static struct sqlite *sqlite_of(struct store *store)
{
    return (struct sqlite *)store;
}

/* --- errors --- */

static int system_error(sqlite3 *db, int otherwise)
{
    switch (sqlite3_system_errno(db)) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
        return -sqlite3_system_errno(db);
    default:
        return otherwise;
    }
}

static int error_of(sqlite3 *db, int code)
{
    switch (code) {
    case SQLITE_IOERR_NOMEM:
        return -ENOMEM;
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return -EEXIST;
    }
    switch (code & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return -EBUSY;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    default:
        return system_error(db, -EIO);
    }
}

static bool is_damage(int code)
{
    return (code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB;
}

/* --- connections --- */

static void disconnect(struct connection *connection)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(connection->prepared[i]);
    /* Not a failure that loses anything: what is not in the file stays in the WAL. */
    sqlite3_close(connection->db);
    *connection = (struct connection){.db = NULL};
}

static int wait_for_others(void *context, int tries)
{
    struct sqlite *s = context;

    return patience_wait(&s->patience);
}

static int execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* Nothing that the file brings along is trusted, and nothing that we don't need is possible. */
static int restrain(sqlite3 *db)
{
    static const struct {
        int option, value;
    } settings[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 0},
    };
    static const struct {
        int limit, value;
    } limits[] = {
        {SQLITE_LIMIT_ATTACHED, 0},    {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
        {SQLITE_LIMIT_EXPR_DEPTH, 20}, {SQLITE_LIMIT_COMPOUND_SELECT, 3},
        {SQLITE_LIMIT_VDBE_OP, 25000}, {SQLITE_LIMIT_WORKER_THREADS, 0},
        {SQLITE_LIMIT_COLUMN, 200},
    };
    int code = SQLITE_OK;

    for (size_t i = 0; i < ARRAY_SIZE(settings) && !code; i++)
        code = sqlite3_db_config(db, settings[i].option, settings[i].value, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        sqlite3_limit(db, limits[i].limit, limits[i].value);
    return code ? code : execute(db, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0");
}

/* As a file: URI, in which a path may hold neither '?', '#' nor '%'. NULL: out of memory. */
static char *immutable_uri(const char *path)
{
    struct buffer uri = BUFFER_INIT;

    buffer_add_string(&uri, *path == '/' ? "file://" : "file:./");
    for (; *path; path++) {
        if (strchr("?#%", *path))
            buffer_printf(&uri, "%%%02X", (unsigned char)*path);
        else
            buffer_add_byte(&uri, (uint8_t)*path);
    }
    buffer_add(&uri, BYTES("?immutable=1\0"));
    if (!buffer_status(&uri))
        return (char *)uri.data;
    buffer_release(&uri);
    return NULL;
}

enum how { FOR_WRITING, FOR_READING, FROZEN };

static int open_file(const char *path, enum how how, sqlite3 **db)
{
    int flags = (how == FOR_WRITING ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) |
                (how == FROZEN ? SQLITE_OPEN_URI : 0) | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    char *uri = NULL;
    int code;

    if (how == FROZEN && !(uri = immutable_uri(path)))
        return SQLITE_NOMEM;
    code = sqlite3_open_v2(uri ? uri : path, db, flags, NULL);
    free(uri);
    return code ? code : restrain(*db);
}

/* Runs a statement and gives each text of its first column to `give`, until that returns false. */
static int each_text(sqlite3 *db, const char *sql, bool (*give)(void *context, struct bytes text),
                     void *context)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (code)
        return code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const void *text = sqlite3_column_text(statement, 0);

        if (!give(context, bytes_of(text, (size_t)sqlite3_column_bytes(statement, 0))))
            break;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

/* The first names of a list, and how many there are. */
struct names {
    struct buffer text;
    unsigned count;
};

static bool add_name(void *context, struct bytes name)
{
    struct names *names = context;

    if (names->count++ < NAMED) {
        if (names->count > 1)
            buffer_add_string(&names->text, ", ");
        log_escape(name, &names->text);
    }
    return true;
}

static int collect_names(sqlite3 *db, const char *sql, struct names *names)
{
    int code;

    *names = (struct names){.text = BUFFER_INIT};
    code = each_text(db, sql, add_name, names);
    if (names->count > NAMED)
        buffer_printf(&names->text, " and %u more", names->count - NAMED);
    buffer_add_byte(&names->text, '\0');
    return !code && buffer_status(&names->text) ? SQLITE_NOMEM : code;
}

static int refuse_other(const char *path, sqlite3 *db, struct failure *failure)
{
    struct names tables;
    int code = collect_names(db, other_tables, &tables);
    int status = code ? error_of(db, code) : -EMEDIUMTYPE;

    if (!code && tables.count)
        failure_set(failure, status, 0,
                    "%s is an SQLite database with the %s %s, not one of dbm.sqlite3", path,
                    tables.count == 1 ? "table" : "tables", (const char *)tables.text.data);
    else if (!code)
        failure_set(failure, status, 0, "%s is an SQLite database without tables", path);
    buffer_release(&tables.text);
    return status;
}

/* Why a file can't be opened. Null codes: it can. */
static int explain_open(const char *path, sqlite3 *db, int code, struct failure *failure)
{
    int status = error_of(db, code);

    if (is_damage(code))
        return failure_set(failure, -EUCLEAN, 0, "%s is a damaged SQLite database: %s", path,
                           sqlite3_errmsg(db));
    if (code == SQLITE_READONLY_ROLLBACK || code == SQLITE_READONLY_RECOVERY)
        return failure_set(failure, -EUCLEAN, 0,
                           "the last writer of %s crashed: mount it read-write once", path);
    if (code == SQLITE_CANTOPEN && access(path, R_OK))
        return failure_set(failure, -errno, 0, "can't open %s: %s", path, strerror(errno));
    if (status == -EBUSY)
        return failure_set(failure, status, 0, "%s is locked by another process", path);
    return failure_set(failure, status, 0, "can't open %s: %s", path, sqlite3_errmsg(db));
}

struct verdict {
    bool found; /* a Dict */
    struct buffer objection;
};

static bool take_verdict(void *context, struct bytes text)
{
    struct verdict *verdict = context;

    verdict->found = true;
    buffer_add(&verdict->objection, text);
    buffer_add_byte(&verdict->objection, '\0');
    return false;
}

/* Also the first look into the file. */
static int judge(const char *path, sqlite3 *db, struct failure *failure)
{
    struct verdict verdict = {.objection = BUFFER_INIT};
    int code = each_text(db, dict_verdict, take_verdict, &verdict);
    int status = buffer_status(&verdict.objection);

    if (code)
        status = explain_open(path, db, code, failure);
    else if (!verdict.found)
        status = refuse_other(path, db, failure);
    else if (!status && verdict.objection.size > 1)
        status = failure_set(failure, -EMEDIUMTYPE, 0,
                             "%s is no database of dbm.sqlite3: its Dict is %s", path,
                             (const char *)verdict.objection.data);
    buffer_release(&verdict.objection);
    return status;
}

/* The size of a file that goes with the database; -1: there is none. */
static int64_t companion_size(const char *path, const char *suffix)
{
    struct stat file;
    char *name;
    int64_t size = 0; /* without memory: the careful answer */

    if (asprintf(&name, "%s%s", path, suffix) < 0)
        return size;
    size = stat(name, &file) ? -1 : file.st_size;
    free(name);
    return size;
}

static bool has_wal(const char *path)
{
    return companion_size(path, "-wal") > 0;
}

/* Nobody has it open for writing. */
static bool is_idle(const char *path)
{
    return companion_size(path, "-wal") < 0 && companion_size(path, "-journal") < 0;
}

static int connect_as(struct sqlite *s, enum how how, struct connection *out,
                      struct failure *failure)
{
    struct connection made = {.frozen = how == FROZEN};
    int code, status;

    if (stat(s->store.path, &made.file))
        return failure_set(failure, -errno, 0, "can't open %s: %s", s->store.path, strerror(errno));
    code = open_file(s->store.path, how, &made.db);
    if (!code)
        code = sqlite3_busy_handler(made.db, wait_for_others, s);
    if (code)
        status = explain_open(s->store.path, made.db, code, failure);
    else
        status = judge(s->store.path, made.db, failure);
    if (status)
        disconnect(&made);
    else
        *out = made;
    return status;
}

static bool take_text(void *context, struct bytes text)
{
    buffer_add(context, text);
    return false;
}

/* The first text that a statement answers. */
static int ask(sqlite3 *db, const char *sql, struct buffer *answer)
{
    int code = each_text(db, sql, take_text, answer);

    return !code && buffer_status(answer) ? SQLITE_NOMEM : code;
}

static int choose_durability(sqlite3 *db)
{
    struct buffer mode = BUFFER_INIT;
    int code = ask(db, "PRAGMA journal_mode", &mode);
    bool is_wal = bytes_equal(buffer_bytes(&mode), BYTES("wal"));

    buffer_release(&mode);
    return code
               ? code
               : execute(db, is_wal ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = EXTRA");
}

static int prepare_to_write(struct sqlite *s, struct failure *failure)
{
    sqlite3 *db = s->connection.db;
    int code;

    if (sqlite3_db_readonly(db, "main"))
        return failure_set(failure, -EACCES, 0, "%s may not be written to: mount it read-only",
                           s->store.path);
    code = choose_durability(db);
    return code ? explain_open(s->store.path, db, code, failure) : 0;
}

/* A file that ends within its pages. With a WAL it may: the end is there. */
static bool is_cut(struct sqlite *s)
{
    struct buffer size = BUFFER_INIT;
    struct stat now;
    bool cut = false;

    if (!has_wal(s->store.path) &&
        !ask(s->connection.db,
             "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &size)) {
        buffer_add_byte(&size, '\0');
        cut = !buffer_status(&size) && !stat(s->store.path, &now) && !has_wal(s->store.path) &&
              now.st_size < atoll((const char *)size.data);
    }
    buffer_release(&size);
    return cut;
}

/* What could not be done now shows when something is asked for. */
static void look_for_damage(struct sqlite *s)
{
    struct connection *c = &s->connection;
    struct buffer finding = BUFFER_INIT;
    int code;

    if (is_cut(s))
        engine_damaged(&s->store, "the file is shorter than it says");
    if (s->store.damaged || c->file.st_size > LARGEST_CHECKED)
        return;
    code = ask(c->db, "PRAGMA integrity_check(1)", &finding);
    buffer_add_byte(&finding, '\0');
    if (is_damage(code))
        engine_damaged(&s->store, sqlite3_errmsg(c->db));
    else if (!code && finding.size > 1 && strcmp((const char *)finding.data, "ok") != 0)
        engine_damaged(&s->store, (const char *)finding.data);
    buffer_release(&finding);
}

/* What the owner should know. That something can't be read now shows when it is asked for. */
static void note(struct sqlite *s)
{
    struct buffer *notes = &s->store.notes;
    struct names names;

    if (s->connection.peeks)
        buffer_printf(
            notes, "read without locks%s\n",
            has_wal(s->store.path) ? ": the latest changes, in the -wal file, are not seen" : "");
    if (!collect_names(s->connection.db, odd_keys, &names) && names.count)
        buffer_printf(
            notes,
            "keys that are not BLOBs (%u), which Python can't find either, are left alone: %s\n",
            names.count, (const char *)names.text.data);
    buffer_release(&names.text);
    if (!collect_names(s->connection.db, other_tables, &names) && names.count)
        buffer_printf(notes, "other tables, which are left alone: %s\n",
                      (const char *)names.text.data);
    buffer_release(&names.text);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* `*file` is as it is now, and changed a while ago. The first opening waits for that. */
static bool is_quiet(const struct sqlite *s, struct stat *file)
{
    const struct timespec pause = {.tv_nsec = QUIET_NS};
    struct timespec now;
    int64_t age = 0;

    for (int i = 0; i < 2 && age <= QUIET_NS; i++) {
        if ((i && nanosleep(&pause, NULL)) || stat(s->store.path, file))
            return false;
        clock_gettime(CLOCK_REALTIME, &now);
        age = (now.tv_sec - file->st_mtim.tv_sec) * INT64_C(1000000000) + now.tv_nsec -
              file->st_mtim.tv_nsec;
        if (s->openings)
            break;
    }
    return age > QUIET_NS;
}

static bool is_stale(struct sqlite *s)
{
    struct connection *c = &s->connection;
    struct stat now;
    int moved = 0;

    if (c->frozen)
        return stat(s->store.path, &now) || !is_same_file(&now, &c->file) ||
               (!c->peeks && !is_idle(s->store.path));
    sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved;
}

/* While nobody writes. */
static bool connect_idle(struct sqlite *s, struct connection *out)
{
    struct stat before;

    if (!s->store.read_only || !is_idle(s->store.path) || !is_quiet(s, &before) ||
        connect_as(s, FROZEN, out, NULL))
        return false;
    if (is_same_file(&before, &out->file) && is_idle(s->store.path))
        return true;
    disconnect(out);
    return false;
}

/* A peek without locks where the user asked for that, or where they can't be had and nobody can be writing. */
static bool may_peek(const struct sqlite *s, int status)
{
    if (!s->store.read_only)
        return false;
    if (s->no_lock && status == -EBUSY)
        return true;
    return (status == -EIO || status == -EROFS) && !has_wal(s->store.path);
}

static int connect_to(struct sqlite *s, struct connection *out, struct failure *failure)
{
    struct failure first = {0};
    int status;

    if (connect_idle(s, out))
        return 0;
    status = connect_as(s, s->store.read_only ? FOR_READING : FOR_WRITING, out, &first);
    if (status && may_peek(s, status) && !connect_as(s, FROZEN, out, NULL)) {
        out->peeks = true;
        return 0;
    }
    return status ? failure_set(failure, status, 0, "%s", first.message) : 0;
}

static int reconnect(struct sqlite *s, struct failure *failure)
{
    struct connection fresh;
    int status = connect_to(s, &fresh, failure);

    if (status)
        return status;
    disconnect(&s->connection);
    s->connection = fresh;
    s->openings++;
    s->store.damaged = false;
    buffer_clear(&s->store.notes);
    if (!s->store.read_only)
        status = prepare_to_write(s, failure);
    look_for_damage(s);
    note(s);
    return status;
}

/* Before each operation. The database that is gone is no missing key: -EIO. */
static int refresh(struct sqlite *s)
{
    int status = 0;

    patience_start(&s->patience, s->lock_timeout);
    if (is_stale(s))
        status = reconnect(s, NULL);
    return status == -ENOENT || status == -EMEDIUMTYPE || status == -EUCLEAN ? -EIO : status;
}

/* --- operations --- */

/* What shows damage ends all writing, which could reach values that are still whole. */
static int damaged(struct sqlite *s, const char *how)
{
    if (s->connection.frozen && is_stale(s))
        return -ESTALE;
    engine_damaged(&s->store, how);
    return -EIO;
}

static int status_of(struct sqlite *s, int code)
{
    return is_damage(code) ? damaged(s, sqlite3_errmsg(s->connection.db))
                           : error_of(s->connection.db, code);
}

static int bind(sqlite3_stmt *statement, int position, struct bytes bytes)
{
    /* A NULL pointer would be a NULL. */
    return sqlite3_bind_blob64(statement, position, bytes.size ? bytes.data : (const void *)"",
                               bytes.size, SQLITE_STATIC);
}

/* A statement, ready for its first step; sqlite3_reset() has to follow. */
static int start(struct sqlite *s, enum statement which, const struct bytes *first,
                 const struct bytes *second, sqlite3_stmt **out)
{
    sqlite3_stmt **prepared = &s->connection.prepared[which];
    int code = SQLITE_OK;

    if (!*prepared)
        code = sqlite3_prepare_v3(s->connection.db, statements[which], -1,
                                  SQLITE_PREPARE_PERSISTENT, prepared, NULL);
    if (!code && first)
        code = bind(*prepared, 1, *first);
    if (!code && second)
        code = bind(*prepared, 2, *second);
    *out = *prepared;
    return code ? status_of(s, code) : 0;
}

/* Runs a statement that changes something; `*count` is of the rows that it changed. */
static int change(struct sqlite *s, enum statement which, struct bytes first,
                  const struct bytes *second, int *count)
{
    sqlite3_stmt *statement;
    int status = refresh(s);

    if (!status && s->store.damaged)
        status = -EUCLEAN;
    if (!status)
        status = start(s, which, &first, second, &statement);
    if (status)
        return status;
    status = status_of(s, sqlite3_step(statement));
    *count = status ? 0 : sqlite3_changes(s->connection.db);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

static int sqlite_store(struct store *store, struct bytes key, struct bytes value,
                        enum store_mode mode)
{
    int count;

    return change(sqlite_of(store), mode == STORE_INSERT ? INSERT : REPLACE, key, &value, &count);
}

static int sqlite_remove(struct store *store, struct bytes key)
{
    int count, status = change(sqlite_of(store), REMOVE, key, NULL, &count);

    return !status && !count ? -ENOENT : status;
}

static int sqlite_rename(struct store *store, struct bytes from, struct bytes to,
                         enum store_mode mode)
{
    static const enum statement renames[] = {
        [STORE_REPLACE] = RENAME_REPLACING, [STORE_INSERT] = RENAME, [STORE_EXCHANGE] = EXCHANGE};
    int count, status = change(sqlite_of(store), renames[mode], from, &to, &count);

    return !status && !count ? -ENOENT : status;
}

static struct bytes column(sqlite3_stmt *statement, int number)
{
    const void *data = sqlite3_column_type(statement, number) == SQLITE_TEXT
                           ? (const void *)sqlite3_column_text(statement, number)
                           : sqlite3_column_blob(statement, number);

    return bytes_of(data, (size_t)sqlite3_column_bytes(statement, number));
}

/* Ends a read. -ESTALE: a writer may have spoiled it. */
static int conclude(struct sqlite *s, sqlite3_stmt *statement, int status)
{
    sqlite3_reset(statement);
    return s->connection.frozen && is_stale(s) ? -ESTALE : status;
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

/* A row of FETCH. A value that is TEXT was put there by hand: its UTF-8 is what Python would have stored. */
static int take_value(struct sqlite *s, sqlite3_stmt *statement, struct bytes key,
                      struct buffer *value)
{
    int type = sqlite3_column_type(statement, 1);

    if (sqlite3_column_type(statement, 0) != SQLITE_BLOB || !bytes_equal(column(statement, 0), key))
        return damaged(s, "a key differs from its index");
    if (type != SQLITE_BLOB && type != SQLITE_TEXT)
        return -EIO;
    buffer_add(value, column(statement, 1));
    /* A value for which there was no memory has no bytes. */
    return sqlite3_errcode(s->connection.db) == SQLITE_NOMEM ? -ENOMEM : buffer_status(value);
}

static int fetch(struct sqlite *s, struct bytes key, struct buffer *value)
{
    sqlite3_stmt *statement;
    size_t before = value->size;
    int code, status = refresh(s);

    if (!status)
        status = start(s, FETCH, &key, NULL, &statement);
    if (status)
        return status;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        status = take_value(s, statement, key, value);
    else
        status = code == SQLITE_DONE ? -ENOENT : status_of(s, code);
    status = conclude(s, statement, status);
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

static int exists(struct sqlite *s, struct bytes key)
{
    sqlite3_stmt *statement;
    int code, status = refresh(s);

    if (!status)
        status = start(s, EXISTS, &key, NULL, &statement);
    if (status)
        return status;
    code = sqlite3_step(statement);
    return conclude(s, statement, code == SQLITE_ROW ? 1 : status_of(s, code));
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
    sqlite3_stmt *statement;
    int code, status = refresh(s);

    if (!status)
        status = start(s, VISIT, NULL, NULL, &statement);
    if (status)
        return status;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        status = next_key(s, column(statement, 0), &last);
        if (status || !visitor(context, column(statement, 0)))
            break;
    }
    if (!status)
        status = status_of(s, code);
    status = conclude(s, statement, status);
    buffer_release(&last);
    return status == -ESTALE ? -EBUSY : status;
}

/* The WAL is the only file that a commit leaves unsynced. With a rollback journal nothing is open here. */
static int sqlite_sync(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_file *journal = NULL;
    int code =
        sqlite3_file_control(s->connection.db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal);

    if (!code && journal && journal->pMethods)
        code = journal->pMethods->xSync(journal, SQLITE_SYNC_NORMAL);
    return error_of(s->connection.db, code);
}

static int sqlite_stamp(struct store *store, struct store_stamp *out)
{
    struct sqlite *s = sqlite_of(store);
    struct connection *c = &s->connection;
    sqlite3_stmt *statement;
    int code, status = refresh(s);

    if (!status)
        status = start(s, DATA_VERSION, NULL, NULL, &statement);
    if (status)
        return status;
    code = sqlite3_step(statement);
    status = status_of(s, code);
    if (code == SQLITE_ROW)
        /* The version is of the others' changes, and of this connection only. */
        *out = (struct store_stamp){.words = {s->openings,
                                              (uint64_t)sqlite3_column_int64(statement, 0),
                                              (uint64_t)sqlite3_total_changes(c->db)}};
    status = conclude(s, statement, status);
    return status == -ESTALE ? -ENOTSUP : status;
}

static int sqlite_close(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    int status = store->read_only ? 0 : sqlite_sync(store);

    disconnect(&s->connection);
    return status;
}

static const struct store_ops sqlite_ops = {
    .close = sqlite_close,
    .fetch = sqlite_fetch,
    .exists = sqlite_exists,
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
    s->no_lock = options->flags & STORE_NO_LOCK;
    patience_start(&s->patience, s->lock_timeout);
    status = reconnect(s, failure);
    if (status) {
        disconnect(&s->connection);
        engine_free(&s->store);
        return status;
    }
    *out = &s->store;
    return 0;
}

/* In a file that nobody else knows of yet. Its WAL goes when it is closed. */
static int make_table(const char *path)
{
    sqlite3 *db;
    int code = open_file(path, FOR_WRITING, &db), status;

    if (!code)
        code = execute(db, "PRAGMA journal_mode = WAL");
    if (!code)
        code = execute(db, new_table);
    status = error_of(db, code);
    code = sqlite3_close(db);
    return status ? status : error_of(NULL, code);
}

static int sqlite_create(const char *path, struct failure *failure)
{
    struct io_draft draft;
    int status = io_draft_open(path, &draft);

    if (status)
        return status;
    status = io_draft_name(&draft);
    if (!status)
        status = make_table(draft.temporary);
    if (!status)
        return io_draft_publish(&draft, IO_CREATE);
    io_draft_discard(&draft);
    return status;
}

static bool add_finding(void *context, struct bytes text)
{
    struct buffer *findings = context;

    if (bytes_equal(text, BYTES("ok")))
        return true;
    log_escape(text, findings);
    buffer_add_byte(findings, '\n');
    return true;
}

static int sqlite_check(struct store *store, const struct store_progress *progress,
                        struct buffer *findings)
{
    struct sqlite *s = sqlite_of(store);
    int code, status = refresh(s);

    if (status)
        return status;
    code = each_text(s->connection.db, "PRAGMA integrity_check", add_finding, findings);
    if (!code)
        code = each_text(s->connection.db,
                         "SELECT 'a value of type ' || typeof(value) || ' under the key ' || "
                         "substr(quote(key), 1, 60)"
                         " FROM Dict WHERE typeof(value) <> 'blob'",
                         add_finding, findings);
    if (!is_damage(code))
        return error_of(s->connection.db, code);
    buffer_printf(findings, "%s\n", sqlite3_errmsg(s->connection.db));
    return 0;
}

static const char *const sqlite_suffixes[] = {"", "-wal", "-shm", "-journal", NULL};

const struct engine engine_sqlite = {
    .name = "sqlite",
    .suffixes = sqlite_suffixes,
    .log_suffix = "-wal",
    .check = sqlite_check,
    .open = sqlite_open,
    .create = sqlite_create,
};
