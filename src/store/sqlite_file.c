/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/sqlite_file.h"

#include "src/log.h"
#include "src/lost_pages.h"

#include <sqlite3.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const statements[QUERY_COUNT] = {
    [QUERY_FETCH] = "SELECT row.key, row.value FROM Dict AS found LEFT JOIN Dict AS row NOT INDEXED"
                    " ON row.rowid = found.rowid WHERE found.key = ?1",
    [QUERY_EXISTS] = "SELECT 1 FROM Dict WHERE key = ?1",
    [QUERY_REPLACE] = "INSERT INTO Dict (key, value) VALUES (?1, ?2)"
                      " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [QUERY_INSERT] = "INSERT OR ABORT INTO Dict (key, value) VALUES (?1, ?2)",
    [QUERY_REMOVE] = "DELETE FROM Dict WHERE key = ?1",
    [QUERY_RENAME_REPLACING] = "UPDATE OR REPLACE Dict SET key = ?2 WHERE key = ?1",
    [QUERY_RENAME] = "UPDATE OR ABORT Dict SET key = ?2 WHERE key = ?1",
    /* What comes after FROM is read before anything is changed. */
    [QUERY_EXCHANGE] = "UPDATE Dict SET value = other.value"
                       " FROM (SELECT key, value FROM Dict WHERE key IN (?1, ?2)) AS other"
                       " WHERE Dict.key IN (?1, ?2) AND Dict.key <> other.key",
    /* Blobs sort after everything else. */
    [QUERY_VISIT] = "SELECT key FROM Dict WHERE key >= x'' ORDER BY key",
    [QUERY_VERSION] = "PRAGMA data_version",
    [QUERY_BEGIN] = "BEGIN",
    [QUERY_END] = "COMMIT",
};

/* As in CPython's BUILD_TABLE, so that the stored schema is the same text. */
static const char new_table[] = "CREATE TABLE IF NOT EXISTS Dict (\n"
                                "    key BLOB UNIQUE NOT NULL,\n"
                                "    value BLOB NOT NULL\n"
                                "  )";

struct sqlite_file {
    sqlite3 *db;
    sqlite3_stmt *prepared[QUERY_COUNT]; /* each on its first use */
    const struct patience *patience;
    char *path;
    unsigned hits; /* of the guard, when it was opened */
};

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
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
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

/* --- opening --- */

static int wait_for_others(void *context, int tries)
{
    struct sqlite_file *file = context;

    return patience_wait(file->patience);
}

static int refuse_if_hit(void *context)
{
    const struct sqlite_file *file = context;

    return lost_pages_count() != file->hits;
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

static int open_file(const char *path, enum sqlite_how how, sqlite3 **db)
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

static int explain(const char *path, sqlite3 *db, int code, struct failure *failure)
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
    return failure_set(failure, status, 0, "can't open %s: %s", path, sqlite3_errmsg(db));
}

int sqlite_file_explain(struct sqlite_file *file, struct failure *failure)
{
    return explain(file->path, file->db, sqlite3_extended_errcode(file->db), failure);
}

int sqlite_file_open(const char *path, enum sqlite_how how, const struct patience *patience,
                     struct sqlite_file **out, struct failure *failure)
{
    struct sqlite_file *file = calloc(1, sizeof *file);
    int code, status;

    if (!file)
        return -ENOMEM;
    lost_pages_start();
    file->hits = lost_pages_count();
    file->patience = patience;
    file->path = strdup(path);
    code = file->path ? open_file(path, how, &file->db) : SQLITE_NOMEM;
    if (!code)
        code = sqlite3_busy_handler(file->db, wait_for_others, file);
    status = code ? explain(path, file->db, code, failure) : 0;
    if (!status)
        sqlite3_commit_hook(file->db, refuse_if_hit, file);
    if (status)
        sqlite_file_close(file);
    else
        *out = file;
    return status;
}

void sqlite_file_close(struct sqlite_file *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < QUERY_COUNT; i++)
        sqlite3_finalize(file->prepared[i]);
    if (refuse_if_hit(file))
        sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    /* Not a failure that loses anything: what is not in the file stays in the WAL. */
    sqlite3_close(file->db);
    free(file->path);
    free(file);
}

int sqlite_file_make(const char *path)
{
    sqlite3 *db = NULL;
    int code = open_file(path, FOR_WRITING, &db), status;

    if (!code)
        code = execute(db, "PRAGMA journal_mode = WAL");
    if (!code)
        code = execute(db, new_table);
    status = error_of(db, code);
    code = sqlite3_close(db);
    return status ? status : error_of(NULL, code);
}

/* --- about the file --- */

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

int sqlite_file_each(struct sqlite_file *file, const char *sql,
                     bool (*give)(void *context, struct bytes text), void *context)
{
    return error_of(file->db, each_text(file->db, sql, give, context));
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

int sqlite_file_prepare_to_write(struct sqlite_file *file, struct failure *failure)
{
    int code;

    if (sqlite3_db_readonly(file->db, "main"))
        return failure_set(failure, -EACCES, 0, "%s may not be written to: mount it read-only",
                           file->path);
    code = choose_durability(file->db);
    return code ? explain(file->path, file->db, code, failure) : 0;
}

bool sqlite_file_moved(struct sqlite_file *file)
{
    int moved = 0;

    sqlite3_file_control(file->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved;
}

int64_t sqlite_file_size(struct sqlite_file *file)
{
    struct buffer size = BUFFER_INIT;
    int64_t number = 0;

    if (!ask(file->db, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
             &size)) {
        buffer_add_byte(&size, '\0');
        if (!buffer_status(&size))
            number = atoll((const char *)size.data);
    }
    buffer_release(&size);
    return number;
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

/* What SQLite can't even look at is a finding, too. */
static int conclude_findings(struct sqlite_file *file, int code, struct buffer *findings)
{
    if (!is_damage(code))
        return error_of(file->db, code);
    add_finding(findings, bytes_of_string(sqlite3_errmsg(file->db)));
    return 0;
}

/* A page that could not be read is listed like a damaged one, with the code of the failure (btree.c: checkTreePage()). */
static bool is_failed_read(struct bytes fault)
{
    static const char before[] = "error code=";
    const char *found =
        fault.size ? memmem(fault.data, fault.size, before, sizeof before - 1) : NULL;

    return found && (atoi(found + sizeof before - 1) & 0xFF) == SQLITE_IOERR;
}

int sqlite_file_first_fault(struct sqlite_file *file, struct buffer *fault)
{
    size_t before = fault->size;
    int code = each_text(file->db, "PRAGMA integrity_check(1)", add_finding, fault);

    if (!code && is_failed_read(bytes_part(buffer_bytes(fault), before, SIZE_MAX))) {
        fault->size = before;
        return -EIO;
    }
    return conclude_findings(file, code, fault);
}

int sqlite_file_faults(struct sqlite_file *file, struct buffer *faults)
{
    static const char odd_values[] = "SELECT 'a value of type ' || typeof(value) || ' under the "
                                     "key ' || substr(quote(key), 1, 60)"
                                     " FROM Dict WHERE typeof(value) <> 'blob'";
    int code = each_text(file->db, "PRAGMA integrity_check", add_finding, faults);

    if (!code)
        code = each_text(file->db, odd_values, add_finding, faults);
    return conclude_findings(file, code, faults);
}

/* --- queries --- */

static int bind(sqlite3_stmt *statement, int position, struct bytes bytes)
{
    /* A NULL pointer would be a NULL. */
    return sqlite3_bind_blob64(statement, position, bytes.size ? bytes.data : (const void *)"",
                               bytes.size, SQLITE_STATIC);
}

int sqlite_file_begin(struct sqlite_file *file, enum sqlite_query query, const struct bytes *first,
                      const struct bytes *second)
{
    sqlite3_stmt **prepared = &file->prepared[query];
    int code = SQLITE_OK;

    if (!*prepared)
        code = sqlite3_prepare_v3(file->db, statements[query], -1, SQLITE_PREPARE_PERSISTENT,
                                  prepared, NULL);
    if (!code && first)
        code = bind(*prepared, 1, *first);
    if (!code && second)
        code = bind(*prepared, 2, *second);
    return error_of(file->db, code);
}

int sqlite_file_step(struct sqlite_file *file, enum sqlite_query query)
{
    int code = sqlite3_step(file->prepared[query]);

    return code == SQLITE_ROW ? 1 : error_of(file->db, code);
}

void sqlite_file_end(struct sqlite_file *file, enum sqlite_query query)
{
    sqlite3_reset(file->prepared[query]);
    sqlite3_clear_bindings(file->prepared[query]);
}

enum sqlite_type sqlite_file_column(struct sqlite_file *file, enum sqlite_query query, int number,
                                    struct bytes *out)
{
    sqlite3_stmt *statement = file->prepared[query];
    int type = sqlite3_column_type(statement, number);
    const void *data = type == SQLITE_TEXT ? (const void *)sqlite3_column_text(statement, number)
                                           : sqlite3_column_blob(statement, number);

    *out = bytes_of(data, data ? (size_t)sqlite3_column_bytes(statement, number) : 0);
    /* What there was no memory for is no empty value. */
    if (!data && sqlite3_errcode(file->db) == SQLITE_NOMEM)
        return TYPE_OTHER;
    return type == SQLITE_BLOB ? TYPE_BLOB : type == SQLITE_TEXT ? TYPE_TEXT : TYPE_OTHER;
}

int64_t sqlite_file_number(struct sqlite_file *file, enum sqlite_query query)
{
    return sqlite3_column_int64(file->prepared[query], 0);
}

int sqlite_file_changed(struct sqlite_file *file)
{
    return sqlite3_changes(file->db);
}

uint64_t sqlite_file_changes(struct sqlite_file *file)
{
    return (uint64_t)sqlite3_total_changes(file->db);
}

/* With a rollback journal nothing is open here. */
int sqlite_file_sync(struct sqlite_file *file)
{
    sqlite3_file *journal = NULL;
    int code = sqlite3_file_control(file->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &journal);

    if (!code && journal && journal->pMethods)
        code = journal->pMethods->xSync(journal, SQLITE_SYNC_NORMAL);
    return error_of(file->db, code);
}

const char *sqlite_file_message(struct sqlite_file *file)
{
    return sqlite3_errmsg(file->db);
}
