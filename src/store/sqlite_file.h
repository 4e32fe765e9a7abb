/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One connection to a database of dbm.sqlite3, and what libsqlite3 says of it. sqlite.c has the design.
 *
 * Everything returns 0 or negative errno; -EUCLEAN is damage that SQLite came across (sqlite_file_message() says how),
 * -EBUSY a lock that another process kept for longer than `patience` lasts.
 */
#ifndef SHELVEFS_STORE_SQLITE_FILE_H
#define SHELVEFS_STORE_SQLITE_FILE_H

#include "src/bytes.h"
#include "src/failure.h"
#include "src/patience.h"

struct sqlite_file;

enum sqlite_how {
    FOR_WRITING,
    FOR_READING,
    FROZEN, /* without locks and WAL, as if the file never changed */
};
/*
 * Does not look into the file yet: sqlite_schema_judge() has to follow. `patience` is looked at whenever something waits,
 * until the file is closed.
 */
int sqlite_file_open(const char *path, enum sqlite_how how, const struct patience *patience,
                     struct sqlite_file **out, struct failure *failure);
/* Why the last call could not look into the file, as a sentence; returns its error. */
int sqlite_file_explain(struct sqlite_file *file, struct failure *failure);
/* NULL is allowed. */
void sqlite_file_close(struct sqlite_file *file);
/* Makes the table in an empty file. Its WAL goes when that is done. */
int sqlite_file_make(const char *path);
/* Once, before the first change. -EACCES: it may not be written to. */
int sqlite_file_prepare_to_write(struct sqlite_file *file, struct failure *failure);
/* Another file has its name, or none. */
bool sqlite_file_moved(struct sqlite_file *file);

/* The size that the file should have at least, as long as there is no WAL; 0: not known. */
int64_t sqlite_file_size(struct sqlite_file *file);
/* Appends what is wrong with the file: the first thing (-EIO: some of it could not be read), or a line for each. */
int sqlite_file_first_fault(struct sqlite_file *file, struct buffer *fault);
int sqlite_file_faults(struct sqlite_file *file, struct buffer *faults);
/* Runs a statement of ours, and gives each text of its first column to `give`, until that returns false. */
int sqlite_file_each(struct sqlite_file *file, const char *sql,
                     bool (*give)(void *context, struct bytes text), void *context);

enum sqlite_query {
    QUERY_FETCH,   /* key -> the row's key and value: both NULL if the index leads nowhere */
    QUERY_EXISTS,  /* key -> a row or none */
    QUERY_REPLACE, /* key, value */
    QUERY_INSERT,  /* key, value; -EEXIST */
    QUERY_REMOVE,  /* key */
    QUERY_RENAME_REPLACING, /* from, to */
    QUERY_RENAME,           /* from, to; -EEXIST */
    QUERY_EXCHANGE,         /* one, other: their values swap, if both are there */
    QUERY_VISIT,            /* -> keys, ascending */
    QUERY_VERSION,          /* -> a number that changes when another connection commits */
    QUERY_BEGIN,            /* what is read from now on is of one moment */
    QUERY_END,
    QUERY_COUNT
};
/* The slices (NULL: none) must stay until sqlite_file_end(), which has to follow if this succeeds. */
int sqlite_file_begin(struct sqlite_file *file, enum sqlite_query query, const struct bytes *first,
                      const struct bytes *second);
/* 1: there is a row. 0: there is none any more, and a change is committed. */
int sqlite_file_step(struct sqlite_file *file, enum sqlite_query query);
void sqlite_file_end(struct sqlite_file *file, enum sqlite_query query);
enum sqlite_type { TYPE_BLOB, TYPE_TEXT, TYPE_OTHER };
/* A column of the row; its bytes (UTF-8 if it is text) are valid until the next step. */
enum sqlite_type sqlite_file_column(struct sqlite_file *file, enum sqlite_query query, int number,
                                    struct bytes *out);
int64_t sqlite_file_number(struct sqlite_file *file, enum sqlite_query query);
/* How many rows the last change changed; all changes of this connection. */
int sqlite_file_changed(struct sqlite_file *file);
uint64_t sqlite_file_changes(struct sqlite_file *file);
/* Waits until the WAL, all that a commit leaves unsynced, is on the disk. */
int sqlite_file_sync(struct sqlite_file *file);
const char *sqlite_file_message(struct sqlite_file *file);

#endif
