/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store.h"

#include "src/log.h"
#include "src/store/holders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void *engine_new(size_t size, const char *engine, const struct store_ops *ops, const char *path,
                 bool read_only)
{
    struct store *store = calloc(1, size);

    if (!store)
        return NULL;
    store->ops = ops;
    store->engine = engine;
    store->read_only = read_only;
    store->path = strdup(path);
    buffer_init(&store->notes, SIZE_MAX);
    buffer_init(&store->events, SIZE_MAX);
    if (!store->path || pthread_mutex_init(&store->mutex, NULL)) {
        free(store->path);
        free(store);
        return NULL;
    }
    return store;
}

void engine_free(struct store *store)
{
    pthread_mutex_destroy(&store->mutex);
    buffer_release(&store->notes);
    buffer_release(&store->events);
    free(store->path);
    free(store);
}

void engine_damaged(struct store *store, const char *how)
{
    if (store->damaged)
        return;
    store->damaged = true;
    buffer_add_string(&store->notes, "the database is damaged and may be read, but not written: ");
    log_escape(bytes_of_string(how), &store->notes);
    buffer_add_byte(&store->notes, '\n');
}

void engine_progress(const struct store_progress *progress, const char *what, uint64_t done, uint64_t total)
{
    if (progress)
        progress->report(progress->context, what, done, total);
}

int store_close(struct store *store)
{
    int status;

    if (!store)
        return 0;
    status = store->ops->close(store);
    engine_free(store);
    return status;
}

int store_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    int status;

    pthread_mutex_lock(&store->mutex);
    status = store->ops->fetch(store, key, value);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

static void fetch_wanted(struct store *store, struct store_want *want, struct buffer *values)
{
    want->start = values->size;
    want->status = store->ops->fetch(store, want->key, values);
    if (buffer_status(values)) {
        values->status = 0; /* there was no room for this one */
        want->status = -EAGAIN;
    }
    if (want->status)
        values->size = want->start;
    want->size = values->size - want->start;
}

static int fetch_wanted_all(struct store *store, struct store_want *wants, size_t count,
                            struct buffer *values)
{
    int (*burst)(struct store *store, bool begins) = store->ops->burst;
    int status = burst ? burst(store, true) : 0;

    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        fetch_wanted(store, &wants[i], values);
    if (burst && burst(store, false)) {
        for (size_t i = 0; i < count; i++)
            wants[i].status = -EAGAIN;
    }
    return 0;
}

int store_fetch_all(struct store *store, struct store_want *wants, size_t count,
                    struct buffer *values)
{
    int status;

    pthread_mutex_lock(&store->mutex);
    status = fetch_wanted_all(store, wants, count, values);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

void store_rest(struct store *store)
{
    if (!store->ops->rest || pthread_mutex_trylock(&store->mutex))
        return;
    store->ops->rest(store);
    pthread_mutex_unlock(&store->mutex);
}

static int exists_by_fetching(struct store *store, struct bytes key)
{
    struct buffer value = BUFFER_INIT;
    int status = store->ops->fetch(store, key, &value);

    buffer_release(&value);
    if (status == -ENOENT)
        return 0;
    return status ? status : 1;
}

static int exists_unlocked(struct store *store, struct bytes key)
{
    return store->ops->exists ? store->ops->exists(store, key) : exists_by_fetching(store, key);
}

int store_exists(struct store *store, struct bytes key)
{
    int status;

    pthread_mutex_lock(&store->mutex);
    status = exists_unlocked(store, key);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

int store_store(struct store *store, struct bytes key, struct bytes value, enum store_mode mode)
{
    int status;

    if (store->read_only)
        return -EROFS;
    pthread_mutex_lock(&store->mutex);
    status = store->damaged ? -EUCLEAN : store->ops->store(store, key, value, mode);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

int store_remove(struct store *store, struct bytes key)
{
    int status;

    if (store->read_only)
        return -EROFS;
    pthread_mutex_lock(&store->mutex);
    status = store->damaged ? -EUCLEAN : store->ops->remove(store, key);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

static int rename_to_itself(struct store *store, struct bytes key, enum store_mode mode)
{
    int status = exists_unlocked(store, key);

    if (status < 0)
        return status;
    if (!status)
        return -ENOENT;
    return mode == STORE_INSERT ? -EEXIST : 0;
}

/* Ends with both keys rather than with none if it fails half-way. */
static int rename_by_copying(struct store *store, struct bytes from, struct bytes to,
                             enum store_mode mode)
{
    struct buffer value = BUFFER_INIT;
    int status;

    if (mode == STORE_EXCHANGE)
        return -ENOTSUP;
    status = store->ops->fetch(store, from, &value);
    if (!status)
        status = store->ops->store(store, to, buffer_bytes(&value), mode);
    if (!status)
        status = store->ops->remove(store, from);
    buffer_release(&value);
    return status;
}

int store_rename(struct store *store, struct bytes from, struct bytes to, enum store_mode mode)
{
    int status = -ENOTSUP;

    if (store->read_only)
        return -EROFS;
    pthread_mutex_lock(&store->mutex);
    if (store->damaged)
        status = -EUCLEAN;
    else if (bytes_equal(from, to))
        status = rename_to_itself(store, from, mode);
    else if (store->ops->rename)
        status = store->ops->rename(store, from, to, mode);
    if (status == -ENOTSUP)
        status = rename_by_copying(store, from, to, mode);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

int store_visit(struct store *store, store_visitor *visitor, void *context)
{
    int status;

    pthread_mutex_lock(&store->mutex);
    status = store->ops->visit(store, visitor, context);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

int store_sync(struct store *store)
{
    int status;

    if (!store->ops->sync)
        return 0;
    pthread_mutex_lock(&store->mutex);
    status = store->ops->sync(store);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

int store_stamp(struct store *store, struct store_stamp *out)
{
    int status;

    if (!store->ops->stamp)
        return -ENOTSUP;
    pthread_mutex_lock(&store->mutex);
    status = store->ops->stamp(store, out);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

void store_notes(struct store *store, struct buffer *out)
{
    pthread_mutex_lock(&store->mutex);
    buffer_add(out, buffer_bytes(&store->notes));
    buffer_add(out, buffer_bytes(&store->events));
    pthread_mutex_unlock(&store->mutex);
}

void store_report_notes(struct store *store, struct buffer *out)
{
    struct buffer notes = BUFFER_INIT;
    struct bytes rest;

    store_notes(store, &notes);
    rest = buffer_bytes(&notes);
    while (rest.size) {
        size_t end = bytes_find_byte(rest, '\n');

        buffer_add_string(out, "note: ");
        log_escape(bytes_part(rest, 0, end), out);
        buffer_add_byte(out, '\n');
        rest = bytes_part(rest, end + 1, SIZE_MAX);
    }
    if (buffer_status(&notes))
        out->status = buffer_status(&notes);
    buffer_release(&notes);
}

void store_explain(const struct store *store, int code, struct buffer *out)
{
    const struct engine *engine = engine_find(store->engine);

    if (code != -EBUSY || !engine) {
        buffer_add_string(out, strerror(-code));
        return;
    }
    buffer_add_string(out, "it is locked by ");
    holders_name(engine, store->path, out);
}

const char *store_engine(const struct store *store)
{
    return store->engine;
}

const char *store_path(const struct store *store)
{
    return store->path;
}

static bool is_later(struct timespec a, struct timespec b)
{
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* Nobody may do by the mount what the permissions of the index keep them from. */
static int limit_permissions(const char *path, const char *suffix, struct stat *file)
{
    size_t base = strlen(path) - strlen(suffix);
    struct stat index;
    char *name;

    if (asprintf(&name, "%.*s%s", (int)base, path, suffix) < 0)
        return -ENOMEM;
    if (stat(name, &index) == 0)
        file->st_mode &= index.st_mode | ~(mode_t)0777;
    free(name);
    return 0;
}

int store_stat(const struct store *store, struct stat *out)
{
    const struct engine *engine = engine_find(store->engine);
    struct stat file, log;
    char *name;

    if (stat(store->path, &file))
        return -errno;
    if (engine && engine->log_suffix) {
        if (asprintf(&name, "%s%s", store->path, engine->log_suffix) < 0)
            return -ENOMEM;
        if (stat(name, &log) == 0 && log.st_size && is_later(log.st_mtim, file.st_mtim))
            file.st_mtim = log.st_mtim;
        free(name);
    }
    if (engine && engine->index_suffix && limit_permissions(store->path, engine->index_suffix, &file))
        return -ENOMEM;
    *out = file;
    return 0;
}

bool store_read_only(const struct store *store)
{
    return store->read_only;
}

bool store_damaged(struct store *store)
{
    bool damaged;

    pthread_mutex_lock(&store->mutex);
    damaged = store->damaged;
    pthread_mutex_unlock(&store->mutex);
    return damaged;
}

int store_check(struct store *store, const struct store_progress *progress, struct buffer *findings)
{
    const struct engine *engine = engine_find(store->engine);
    int status = 0;

    pthread_mutex_lock(&store->mutex);
    if (engine && engine->check)
        status = engine->check(store, progress, findings);
    pthread_mutex_unlock(&store->mutex);
    return status ? status : buffer_status(findings);
}
