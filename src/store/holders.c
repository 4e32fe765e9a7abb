/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/holders.h"

#include "src/locks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { COUNTED = 100, NAMED = 3 };

struct holders {
    const struct engine *engine;
    long processes[COUNTED]; /* each once */
    size_t count;
    bool writers; /* only those */
};

static bool keeps_us_out(const struct holders *holders, const struct lock_holder *lock)
{
    if (lock->waits || lock->process == getpid())
        return false;
    return holders->engine->excludes ? holders->engine->excludes(lock) : lock->is_flock;
}

/* Who reads keeps a writer out only where nobody writes. */
static void add_holder(void *context, const struct lock_holder *lock)
{
    struct holders *holders = context;

    if (!keeps_us_out(holders, lock) || (holders->writers && !lock->writes))
        return;
    if (lock->writes && !holders->writers) {
        holders->writers = true;
        holders->count = 0;
    }
    for (size_t i = 0; i < holders->count; i++) {
        if (holders->processes[i] == lock->process)
            return;
    }
    if (holders->count < COUNTED)
        holders->processes[holders->count++] = lock->process;
}

/* Without memory: as if there were no file that is locked instead. */
static bool stat_locked_file(const struct engine *engine, const char *path, struct stat *out)
{
    char *instead = NULL;
    bool found;

    if (engine->lock_suffix && asprintf(&instead, "%s%s", path, engine->lock_suffix) < 0)
        instead = NULL;
    found = (instead && stat(instead, out) == 0) || stat(path, out) == 0;
    free(instead);
    return found;
}

static void print_holders(const struct holders *holders, struct buffer *out)
{
    size_t named = holders->count <= NAMED ? holders->count : NAMED;

    for (size_t i = 0; i < named; i++) {
        if (i)
            buffer_add_string(out,
                              i + 1 < holders->count || named < holders->count ? ", " : " and ");
        locks_add_process(holders->processes[i], out);
    }
    if (named < holders->count)
        buffer_printf(out, " and %zu more", holders->count - named);
}

void holders_name(const struct engine *engine, const char *path, struct buffer *out)
{
    struct holders holders = {.engine = engine};
    struct stat file;

    if (stat_locked_file(engine, path, &file))
        locks_visit(&file, add_holder, &holders);
    if (holders.count)
        print_holders(&holders, out);
    else
        buffer_add_string(out, "another program");
}

int holders_refuse(const struct engine *engine, const char *path, const char *advice,
                   struct failure *failure)
{
    struct buffer who = BUFFER_INIT;

    holders_name(engine, path, &who);
    buffer_add_byte(&who, '\0');
    failure_set(failure, -EBUSY, 0, "%s is locked by %s: %s", path,
                buffer_status(&who) ? "another program" : (const char *)who.data, advice);
    buffer_release(&who);
    return -EBUSY;
}
