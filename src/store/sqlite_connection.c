/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/sqlite_connection.h"

#include "src/io.h"
#include "src/store/presence.h"
#include "src/store/sqlite_log.h"
#include "src/store/sqlite_schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    /* A file that changed just now may change again without another time. */
    QUIET_NS = 50 * 1000 * 1000,
};

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

static int connect_as(enum sqlite_how how, struct sqlite_connection *c, struct failure *failure)
{
    int status;

    c->frozen = how == FROZEN;
    c->peeks = false;
    if (stat(c->path, &c->file))
        return failure_set(failure, -errno, 0, "can't open %s: %s", c->path, strerror(errno));
    if (!S_ISREG(c->file.st_mode)) /* SQLite would wait for a FIFO */
        return failure_set(failure, -EMEDIUMTYPE, 0, "%s is no regular file", c->path);
    status = how == FROZEN ? 0 : sqlite_log_check(c->path, &c->file, failure);
    if (status)
        return status;
    status = sqlite_file_open(c->path, how, c->patience, &c->to, failure);
    if (!status) {
        status = sqlite_schema_judge(c->to, c->path, failure);
        if (status)
            sqlite_file_close(c->to);
    }
    return status;
}

/* `*file` is as it is now, and changed a while ago. The first opening waits for that. */
static bool is_quiet(const struct sqlite_connection *c, struct stat *file)
{
    const struct timespec pause = {.tv_nsec = QUIET_NS};
    struct timespec now;
    int64_t age = 0;

    for (int i = 0; i < 2 && age <= QUIET_NS; i++) {
        if ((i && nanosleep(&pause, NULL)) || stat(c->path, file))
            return false;
        clock_gettime(CLOCK_REALTIME, &now);
        age = (now.tv_sec - file->st_mtim.tv_sec) * INT64_C(1000000000) + now.tv_nsec -
              file->st_mtim.tv_nsec;
        if (c->openings)
            break;
    }
    return age > QUIET_NS;
}

/* While nobody writes. */
static bool connect_idle(struct sqlite_connection *c)
{
    struct stat before;

    if (!c->read_only || !is_idle(c->path) || !is_quiet(c, &before) || connect_as(FROZEN, c, NULL))
        return false;
    if (io_is_unchanged(&before, &c->file) && is_idle(c->path))
        return true;
    sqlite_file_close(c->to);
    return false;
}

/* A peek without locks where the user asked for that, or where they can't be had and nobody can be writing. */
static bool may_peek(const struct sqlite_connection *c, int status)
{
    if (!c->read_only)
        return false;
    if (c->misses_log)
        return status != 0;
    if (c->no_lock && status == -EBUSY)
        return true;
    return (status == -EIO || status == -EROFS) && !has_wal(c->path);
}

static int connect_to(struct sqlite_connection *c, struct failure *failure)
{
    struct failure first = {0};
    int status;

    if (connect_idle(c))
        return 0;
    if (c->misses_log) /* without that log, or not at all */
        status = -EACCES;
    else
        status = connect_as(c->read_only ? FOR_READING : FOR_WRITING, c, &first);
    if (status && may_peek(c, status) && !connect_as(FROZEN, c, NULL)) {
        c->peeks = true;
        return 0;
    }
    if (status && status != -EBUSY && first.code)
        failure_set(failure, status, 0, "%s", first.message);
    return status;
}

/*
 * SQLite would take the log of the file that had the name, which is still there, for that of the one that has it now, and carry
 * its pages over.
 */
static void part_with_old_file(struct sqlite_connection *c)
{
    bool is_old = sqlite_log_is_open(c->path);

    sqlite_connection_close(c);
    if (is_old && !c->read_only)
        switch (sqlite_log_remove(c->path)) {
        case 0:
        case -EBUSY: /* it has been carried over already: what others see is what we see */
            is_old = false;
        }
    c->misses_log = is_old;
}

int sqlite_connection_open(struct sqlite_connection *connection, struct failure *failure)
{
    struct sqlite_connection fresh;
    struct stat named;
    int status;

    if (!has_wal(connection->path))
        connection->misses_log = false;
    /* Where nothing has the name, what comes next may be a file that must not meet the log either. */
    if (sqlite_connection_has_moved(connection) && !stat(connection->path, &named))
        part_with_old_file(connection);
    fresh = *connection;
    status = connect_to(&fresh, failure);
    if (status)
        return status;
    sqlite_file_close(connection->to);
    *connection = fresh;
    connection->openings++;
    return 0;
}

void sqlite_connection_close(struct sqlite_connection *connection)
{
    sqlite_file_close(connection->to);
    connection->to = NULL;
}

bool sqlite_connection_has_wal(const struct sqlite_connection *connection)
{
    return has_wal(connection->path);
}

/* With a WAL a file may end within its pages: the end is there. */
bool sqlite_connection_is_cut(const struct sqlite_connection *connection)
{
    struct stat now;

    return !has_wal(connection->path) && !stat(connection->path, &now) &&
           now.st_size < sqlite_file_size(connection->to) && !has_wal(connection->path);
}

/* To SQLite it has also where that can't be found out, and the file that it has open may be newer than `file`. */
bool sqlite_connection_has_moved(const struct sqlite_connection *connection)
{
    return connection->to && sqlite_file_moved(connection->to) &&
           presence_has_moved(connection->path, &connection->file);
}

bool sqlite_connection_is_stale(const struct sqlite_connection *c)
{
    struct stat now;

    if (!c->to)
        return true;
    if (c->frozen)
        return stat(c->path, &now) || !io_is_unchanged(&now, &c->file) ||
               (!c->peeks && !is_idle(c->path));
    return sqlite_file_moved(c->to); /* also where that can't be found out: then the file can't be opened, and nothing is done */
}
