/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/sqlite_database.h"

#include "src/io.h"
#include "src/lost_pages.h"
#include "src/store/holders.h"
#include "src/store/presence.h"
#include "src/store/sqlite_schema.h"

#include <errno.h>

/* Larger files are not checked when they are opened: that takes about a second for 500 MB. */
enum { LARGEST_CHECKED = 16 << 20 };

bool sqlite_database_was_hit(const struct sqlite_database *s)
{
    return lost_pages_count() != s->hits;
}

static void condemn(struct sqlite_database *s, const char *how)
{
    if (!s->store.damaged && stat(s->store.path, &s->condemned))
        s->condemned = s->connection.file;
    engine_damaged(&s->store, how);
}

/* Somebody may have put it right. */
static bool was_rewritten(const struct sqlite_database *s)
{
    struct stat now;

    return s->store.damaged && !stat(s->store.path, &now) && !io_is_unchanged(&s->condemned, &now);
}

int sqlite_database_look(struct sqlite_database *s)
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
static void note(struct sqlite_database *s)
{
    struct buffer *notes = &s->store.notes;

    if (s->connection.peeks)
        buffer_printf(notes, "read without locks%s\n",
                      sqlite_connection_has_wal(&s->connection)
                          ? ": the latest changes, in the -wal file, are not seen"
                          : "");
    sqlite_schema_note(s->connection.to, notes);
}

int sqlite_database_connect(struct sqlite_database *s, struct failure *failure)
{
    int status;

    s->hits = lost_pages_count();
    status = sqlite_connection_open(&s->connection, failure);

    if (status == -EBUSY)
        return holders_refuse(&engine_sqlite, s->store.path, "wait until it ends", failure);
    if (status)
        return status;
    s->store.damaged = false;
    buffer_clear(&s->store.notes);
    if (!s->store.read_only)
        status = sqlite_file_prepare_to_write(s->connection.to, failure);
    sqlite_database_look(s);
    note(s);
    return status;
}

int sqlite_database_refresh(struct sqlite_database *s)
{
    struct stat before = s->connection.file;
    int status;

    patience_start(&s->patience, s->lock_timeout);
    if (sqlite_database_was_hit(s)) /* another one would share its index */
        sqlite_connection_close(&s->connection);
    if (!sqlite_connection_is_stale(&s->connection) && !was_rewritten(s))
        return 0;
    status = sqlite_database_connect(s, NULL);
    if (status)
        presence_lost(&s->store, status);
    else
        presence_found(&s->store, !io_is_same_file(&before, &s->connection.file));
    return status == -ENOENT || status == -EMEDIUMTYPE || status == -EUCLEAN ? -EIO : status;
}

int sqlite_database_damaged(struct sqlite_database *s, const char *how)
{
    if (sqlite_database_was_hit(s) ||
        (s->connection.frozen && sqlite_connection_is_stale(&s->connection)))
        return -ESTALE;
    condemn(s, how);
    return -EIO;
}

/* SQLite calls it damage, too, when the kernel fails to read (vdbe.c: SQLITE_IOERR_CORRUPTFS): where that can be told, that passes. */
int sqlite_database_status(struct sqlite_database *s, int status)
{
    if (status < 0 && sqlite_database_was_hit(s))
        return -ESTALE;
    if (status != -EUCLEAN)
        return status;
    if (!s->connection.frozen && s->connection.file.st_size <= LARGEST_CHECKED) {
        sqlite_database_look(s);
        return -EIO;
    }
    return sqlite_database_damaged(s, sqlite_file_message(s->connection.to));
}
