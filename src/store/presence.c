/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/presence.h"

#include "src/io.h"

#include <errno.h>
#include <time.h>

/* More than anybody reads. */
enum { MOST_EVENTS = 1 << 14 };

bool presence_has_moved(const char *path, const struct stat *known)
{
    struct stat named;

    if (stat(path, &named))
        return errno == ENOENT || errno == ENOTDIR;
    return !io_is_same_file(&named, known);
}

static void tell(struct store *store, const char *what)
{
    struct buffer *events = &store->events;
    time_t now = time(NULL);
    char when[32];
    struct tm parts;

    if (events->size > MOST_EVENTS)
        buffer_clear(events);
    localtime_r(&now, &parts);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &parts);
    buffer_printf(events, "%s %s\n", when, what);
}

static const char *reason(int status)
{
    switch (status) {
    case -ENOENT:
        return "the database is gone: there is no file of its name";
    case -EUCLEAN:
        return "the database can't be used: its file is another one, or was overwritten, and is damaged";
    case -EMEDIUMTYPE:
    case -EISDIR:
    case -ENOTSUP:
        return "the database is gone: what has its name is no such database";
    case -EACCES:
    case -EPERM:
        return "the database can't be used: its file is another one, which may not be opened";
    default:
        return NULL;
    }
}

void presence_lost(struct store *store, int status)
{
    const char *why = reason(status);

    if (store->lost || !why)
        return;
    store->lost = true;
    tell(store, why);
}

void presence_found(struct store *store, bool replaced)
{
    if (replaced)
        tell(store, "another file has the database's name: that one is shown now");
    else if (store->lost)
        tell(store, "the database is there again");
    store->lost = false;
}
