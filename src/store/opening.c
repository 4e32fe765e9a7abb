/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which engines there are, and which one opens, creates or names the files of a database. */
#include "src/litter.h"
#include "src/store/detect.h"
#include "src/store/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What this build opens. */
static const struct engine *const engines[] = {
    &engine_dumb,
#ifdef HAVE_GDBM
    &engine_gdbm,
#endif
#ifdef HAVE_NDBM
    &engine_ndbm,
#endif
#ifdef HAVE_SQLITE
    &engine_sqlite,
#endif
    &engine_tdb,
};

/* What a new database becomes by its name; anything else becomes dumb, which every Python opens. */
static const struct {
    const char *suffix;
    const char *engine;
} suffixes[] = {
    {".gdbm", "gdbm"},
    {".tdb", "tdb"},
    {".sqlite", "sqlite"},
    {".sqlite3", "sqlite"},
};

/*
 * Every engine that the design knows: an engine that is missing here is a typing error, not a
 * matter of building.
 */
static const char *const known_engines[] = {"dumb", "gdbm", "ndbm", "sqlite", "tdb"};

const struct engine *engine_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    }
    return NULL;
}

bool store_has_engine(const char *name)
{
    return engine_find(name) != NULL;
}

void store_engines(struct buffer *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
        buffer_printf(out, "%s%s", i ? ", " : "", engines[i]->name);
}

void store_missing_engines(struct buffer *out)
{
    size_t before = out->size;

    for (size_t i = 0; i < ARRAY_SIZE(known_engines); i++) {
        if (!engine_find(known_engines[i]))
            buffer_printf(out, "%s%s", out->size > before ? ", " : "", known_engines[i]);
    }
}

bool store_knows_engine(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(known_engines); i++) {
        if (strcmp(known_engines[i], name) == 0)
            return true;
    }
    return false;
}

/* The engine that the user asks for: NULL is by content. */
static int wanted_engine(const struct store_options *options, const char **out,
                         struct failure *failure)
{
    const char *name = options->engine;

    if (!name || strcmp(name, "auto") == 0)
        name = NULL;
    else if (!store_knows_engine(name))
        return failure_set(failure, -EINVAL, 0, "there is no engine \"%s\"", name);
    else if (!engine_find(name))
        return failure_set(failure, -EMEDIUMTYPE, 0, "this shelvefs was built without %s", name);
    *out = name;
    return 0;
}

static const char *engine_of_new(const char *name, const char *wanted)
{
    if (wanted)
        return wanted;
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        if (bytes_end_with(bytes_of_string(name), bytes_of_string(suffixes[i].suffix)))
            return suffixes[i].engine;
    }
    return "dumb";
}

static int create_database(const char *name, const char *wanted, struct detection *out,
                           struct failure *failure)
{
    const char *engine_name = engine_of_new(name, wanted);
    const struct engine *engine = engine_find(engine_name);
    int status;

    if (!engine)
        return failure_set(failure, -EMEDIUMTYPE, 0,
                           "can't create %s: this shelvefs was built without %s", name,
                           engine_name);
    status = engine->create(name, failure);
    if (status && status != -EEXIST)
        return failure_set(failure, status, 0, "can't create %s: %s", name, strerror(-status));
    /* EEXIST: somebody was faster, and what they made is what we open. */
    return detect_database(name, engine_name, out, failure);
}

static int find_database(const char *name, const struct store_options *options,
                         struct detection *out, struct failure *failure)
{
    const char *wanted = NULL;
    int status = wanted_engine(options, &wanted, failure);

    if (status)
        return status;
    status = detect_database(name, wanted, out, failure);
    if (status != -ENOENT)
        return status;
    if ((options->flags & STORE_CREATE) && !(options->flags & STORE_READ_ONLY))
        return create_database(name, wanted, out, failure);
    return failure_set(
        failure, -ENOENT, 0,
        "there is no database %s, nor %s.db, .dir with .dat, or .pag (-o create makes one)", name,
        name);
}

int store_open(const char *name, const struct store_options *options, struct store **out,
               struct failure *failure)
{
    struct detection found;
    const struct engine *engine;
    int status = find_database(name, options, &found, failure);

    if (status)
        return failure_set(failure, status, 0, "can't open %s: %s", name, strerror(-status));
    engine = engine_find(found.format->engine);
    if (engine)
        status = engine->open(found.path, options, out, failure);
    else
        status =
            failure_set(failure, -EMEDIUMTYPE, 0, "%s is %s; this shelvefs was built without %s",
                        found.path, found.format->what, found.format->engine);
    if (status)
        failure_set(failure, status, 0, "can't open %s: %s", found.path, strerror(-status));
    else if (!(*out)->read_only)
        litter_remove((*out)->path);
    free(found.path);
    return status;
}

static void add_files(const char *path, const char *const *endings, struct buffer *files)
{
    static const char *const only[] = {"", NULL};
    struct stat file;

    for (endings = endings ? endings : only; *endings; endings++) {
        size_t before = files->size;

        buffer_printf(files, "%s%s", path, *endings);
        buffer_add_byte(files, '\0');
        if (!buffer_status(files) && stat((const char *)files->data + before, &file))
            files->size = before;
    }
}

int store_locate(const char *name, const struct store_options *options, struct store_place *out,
                 struct failure *failure)
{
    struct store_options how = *options;
    const struct engine *engine;
    struct detection found;
    int status;

    how.flags &= ~(unsigned)STORE_CREATE;
    status = find_database(name, &how, &found, failure);
    if (status)
        return failure_set(failure, status, 0, "can't open %s: %s", name, strerror(-status));
    engine = engine_find(found.format->engine);
    *out = (struct store_place){found.format->engine, found.format->what, BUFFER_INIT};
    add_files(found.path, engine ? engine->suffixes : NULL, &out->files);
    free(found.path);
    status = buffer_status(&out->files);
    if (status)
        buffer_release(&out->files);
    return status;
}
