/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/fuzz/database.h"

#include "src/io.h"
#include "src/store.h"
#include "tests/fuzz/demand.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_KEYS = 32,       /* that are read and compared */
    MOST_VISITED = 10000, /* in files of some thousand bytes; more are a loop */
    LARGEST_VALUE = 1 << 20,
};

static char folder[64];

static void empty_folder(void)
{
    DIR *directory = opendir(folder);
    struct dirent *entry;

    demand(directory);
    while ((entry = readdir(directory))) {
        if (entry->d_type != DT_DIR)
            unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
}

static void remove_folder(void)
{
    empty_folder();
    rmdir(folder);
}

const char *database_folder(void)
{
    if (folder[0]) {
        empty_folder();
        return folder;
    }
    snprintf(folder, sizeof folder, "%s/fuzz-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    demand(mkdtemp(folder));
    atexit(remove_folder);
    return folder;
}

void database_write(const char *path, struct bytes content)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);

    demand(fd >= 0 && io_write(fd, content, 0) == 0 && futimens(fd, long_ago) == 0);
    close(fd);
}

/* --- what is in it --- */

struct entry {
    struct buffer key, value;
    bool readable;
};

struct content {
    struct entry entries[MOST_KEYS];
    size_t count;
    unsigned visited;
};

static bool take_key(void *context, struct bytes key)
{
    struct content *content = context;

    if (content->count < MOST_KEYS)
        buffer_add(&content->entries[content->count++].key, key);
    return ++content->visited < MOST_VISITED;
}

static void read_entry(struct store *store, struct entry *entry)
{
    buffer_clear(&entry->value);
    entry->readable = store_fetch(store, buffer_bytes(&entry->key), &entry->value) == 0;
}

static void read_content(struct store *store, struct content *content)
{
    *content = (struct content){0};
    for (size_t i = 0; i < MOST_KEYS; i++)
        content->entries[i] = (struct entry){{.limit = SIZE_MAX}, {.limit = LARGEST_VALUE}, false};
    store_visit(store, take_key, content);
    demand(content->visited < MOST_VISITED);
    for (size_t i = 0; i < content->count; i++)
        read_entry(store, &content->entries[i]);
}

static void release_content(struct content *content)
{
    for (size_t i = 0; i < MOST_KEYS; i++) {
        buffer_release(&content->entries[i].key);
        buffer_release(&content->entries[i].value);
    }
}

/* --- changing it --- */

/* The first key gets a longer value, the second goes, and there is a new one. */
enum { CHANGED = 2 };

static void change(struct store *store, const struct content *content)
{
    store_store(store, BYTES("a new key"), BYTES("a new value"), STORE_REPLACE);
    if (content->count > 0)
        store_store(store, buffer_bytes(&content->entries[0].key), BYTES("another, longer value"),
                    STORE_REPLACE);
    if (content->count > 1)
        store_remove(store, buffer_bytes(&content->entries[1].key));
    store_sync(store);
}

/* Whether the changes were about this key, which may be listed twice. */
static bool was_meant(const struct content *content, size_t i)
{
    struct bytes key = buffer_bytes(&content->entries[i].key);

    for (size_t j = 0; j < CHANGED && j < content->count; j++) {
        if (bytes_equal(key, buffer_bytes(&content->entries[j].key)))
            return true;
    }
    return bytes_equal(key, BYTES("a new key"));
}

static void compare(struct store *store, const struct content *before)
{
    for (size_t i = 0; i < before->count; i++) {
        const struct entry *was = &before->entries[i];
        struct buffer value = {.limit = LARGEST_VALUE};

        if (was->readable && !was_meant(before, i)) {
            /* SQLite tells of a damaged page once, and reads from it what can be read. */
            demand(store_fetch(store, buffer_bytes(&was->key), &value) == 0 ||
                   store_fetch(store, buffer_bytes(&was->key), &value) == 0);
            demand(bytes_equal(buffer_bytes(&value), buffer_bytes(&was->value)));
        }
        buffer_release(&value);
    }
}

static int open_as(const char *name, const char *engine, unsigned flags, struct store **store)
{
    struct store_options options = {.flags = flags, .engine = engine};
    struct failure failure = {0};
    int status = store_open(name, &options, store, &failure);

    demand(status <= 0);
    return status;
}

void database_check(const char *name, const char *engine)
{
    struct buffer notes = BUFFER_INIT;
    struct content before;
    struct store *store;

    if (open_as(name, engine, STORE_READ_ONLY, &store))
        return;
    read_content(store, &before);
    store_notes(store, &notes);
    store_check(store, NULL, &notes);
    store_close(store);
    if (open_as(name, engine, 0, &store) == 0) {
        change(store, &before);
        store_close(store);
    }
    demand(open_as(name, engine, STORE_READ_ONLY, &store) == 0);
    compare(store, &before);
    store_close(store);
    release_content(&before);
    buffer_release(&notes);
}
