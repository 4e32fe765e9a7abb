/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tree over a traced store in memory, and what a kernel would do with it: for the tests of fs/. */
#ifndef SHELVEFS_TESTS_WORLD_H
#define SHELVEFS_TESTS_WORLD_H

#include "codecs/codec.h"
#include "fs/tree.h"
#include "src/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { MAX_VALUE = 1 << 16, NEVER = 1000000 };

struct world {
    struct store_trace trace;
    struct store *store;
    struct tree *tree;
    struct tree_options options;
    struct tree_caller caller;
    struct buffer read;   /* what was read last */
    unsigned invalidated; /* calls of options.invalidate */
};

static inline void world_invalidate(void *context, uint64_t node, uint64_t parent, const char *name)
{
    struct world *world = context;

    assert_true(node > TREE_ROOT && parent >= TREE_ROOT && name[0]);
    world->invalidated++;
}

static inline void world_mount(struct world *world)
{
    assert_int_equal(tree_new(world->store, &world->options, &world->tree), 0);
}

static inline void world_open(struct world *world)
{
    *world = (struct world){
        .trace = {.log = BUFFER_INIT, .fail_at = SIZE_MAX, .fail_code = -ENOSPC},
        .options =
            {
                .dialect = {.codec = CODEC_PICKLE, .protocol = 4},
                .rules = {.max_value = MAX_VALUE},
                .scratch = true,
                .transient_seconds = NEVER,
                .invalidate = world_invalidate,
                .context = world,
            },
        .caller = {.uid = getuid(), .gid = getgid()},
        .read = BUFFER_INIT,
    };
    world->store = store_new_trace(store_new_memory(), &world->trace);
    assert_non_null(world->store);
    world_mount(world);
}

static inline void world_remount(struct world *world)
{
    tree_free(world->tree);
    world_mount(world);
}

static inline void world_close(struct world *world)
{
    tree_free(world->tree);
    store_close(world->store);
    buffer_release(&world->trace.log);
    buffer_release(&world->read);
}

/* --- the store, as another process sees it --- */

static inline void put(struct world *world, const char *key, const char *text)
{
    struct buffer stored = BUFFER_INIT;

    assert_int_equal(codec_accept(&world->options.dialect, &world->options.rules,
                                  bytes_of_string(text), NULL, &stored, NULL),
                     0);
    assert_int_equal(
        store_store(world->store, bytes_of_string(key), buffer_bytes(&stored), STORE_REPLACE), 0);
    buffer_release(&stored);
}

/* Asserts the text of the value stored; NULL: absent. */
static inline void assert_stored(struct world *world, const char *key, const char *text)
{
    struct buffer stored = BUFFER_INIT, shown = BUFFER_INIT;
    struct codec_note note;
    int code = store_fetch(world->store, bytes_of_string(key), &stored);

    assert_int_equal(code, text ? 0 : -ENOENT);
    if (text) {
        assert_int_equal(
            codec_render(&world->options.dialect, buffer_bytes(&stored), &shown, &note), 0);
        buffer_add_byte(&shown, 0);
        assert_string_equal((const char *)shown.data, text);
    }
    buffer_release(&stored);
    buffer_release(&shown);
}

static inline void forget_log(struct world *world)
{
    buffer_clear(&world->trace.log);
}

/* How many logged calls start with `call`. */
static inline unsigned calls(struct world *world, const char *call)
{
    struct bytes log = buffer_bytes(&world->trace.log);
    unsigned count = 0;

    while (log.size) {
        size_t line = bytes_find_byte(log, '\n');

        if (bytes_start_with(log, bytes_of_string(call)))
            count++;
        log = bytes_part(log, line + 1, SIZE_MAX);
    }
    return count;
}

static inline unsigned changes(struct world *world)
{
    return calls(world, "store") + calls(world, "insert") + calls(world, "remove") +
           calls(world, "rename");
}

/* --- files --- */

/* The id of a path below the root, with one reference; 0: -ENOENT. */
static inline uint64_t find(struct world *world, const char *path)
{
    uint64_t node = TREE_ROOT;
    char copy[8192], *rest = copy, *part;
    struct stat stat;

    snprintf(copy, sizeof copy, "%s", path);
    while ((part = strsep(&rest, "/"))) {
        int code = tree_lookup(world->tree, node, part, &stat);

        if (code == -ENOENT)
            return 0;
        assert_int_equal(code, 0);
        node = stat.st_ino;
    }
    return node;
}

static inline uint64_t parent_of(struct world *world, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    char folder[8192];

    if (!slash) {
        *name = path;
        return TREE_ROOT;
    }
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    *name = slash + 1;
    return find(world, folder);
}

/* open(2) with the look-up that the kernel does before. */
static inline int open_file(struct world *world, const char *path, int flags,
                            struct tree_handle **handle)
{
    enum tree_cache cache;
    const char *name;
    uint64_t parent = parent_of(world, path, &name);
    struct stat stat;
    int code = tree_lookup(world->tree, parent, name, &stat);

    if (code == -ENOENT && flags & O_CREAT)
        return tree_create(world->tree, parent, name, 0644, flags, &world->caller, &stat, handle,
                           &cache);
    if (code)
        return code;
    if (flags & O_EXCL)
        return -EEXIST;
    return tree_open(world->tree, stat.st_ino, flags, handle, &cache);
}

static inline void take_part(void *context, struct bytes part)
{
    struct buffer *read = context;

    buffer_clear(read);
    buffer_add(read, part);
    buffer_add_byte(read, 0);
}

static inline const char *read_handle(struct world *world, struct tree_handle *handle)
{
    assert_int_equal(tree_read(handle, 0, SIZE_MAX / 2, take_part, &world->read), 0);
    return (const char *)world->read.data;
}

/* What `cat` prints; also checks that the size is that of the content. NULL: no such file. */
static inline const char *cat(struct world *world, const char *path)
{
    struct tree_handle *handle;
    const char *name, *text;
    struct stat stat;
    uint64_t parent = parent_of(world, path, &name);
    int code = tree_lookup(world->tree, parent, name, &stat);

    if (code == -ENOENT)
        return NULL;
    assert_int_equal(code, 0);
    assert_int_equal(open_file(world, path, O_RDONLY, &handle), 0);
    text = read_handle(world, handle);
    assert_int_equal(stat.st_size, world->read.size - 1);
    tree_release(handle);
    return text;
}

static inline void assert_shows(struct world *world, const char *path, const char *text)
{
    const char *shown = cat(world, path);

    if (!text) {
        assert_null(shown);
        return;
    }
    assert_non_null(shown);
    assert_string_equal(shown, text);
}

/* What a shell's redirection does, with its early close of a duplicate. The first error, as `close` tells it. */
static inline int echo(struct world *world, const char *path, int flags, const char *text)
{
    struct tree_handle *handle;
    int code = open_file(world, path, O_WRONLY | flags, &handle), flushed;

    if (code)
        return code;
    code = tree_flush(handle);
    if (code == 0 && text[0])
        code = tree_write(handle, 0, bytes_of_string(text));
    flushed = tree_flush(handle);
    tree_release(handle);
    return code ? code : flushed;
}

enum { TO = O_CREAT | O_TRUNC, ONTO = O_CREAT | O_APPEND };

static inline int rename_file(struct world *world, const char *from, const char *to)
{
    const char *name, *new_name;
    uint64_t parent = parent_of(world, from, &name), new_parent = parent_of(world, to, &new_name);

    return tree_rename(world->tree, parent, name, new_parent, new_name, 0);
}

static inline int unlink_file(struct world *world, const char *path)
{
    const char *name;
    uint64_t parent = parent_of(world, path, &name);

    return tree_unlink(world->tree, parent, name);
}

/* --- listings --- */

struct listing {
    char names[64][256];
    struct stat stats[64];
    off_t next[64];
    size_t count, room;
};

static inline bool take_entry(void *context, const char *name, const struct stat *stat, off_t next)
{
    struct listing *listing = context;

    if (listing->count == listing->room)
        return false;
    snprintf(listing->names[listing->count], sizeof listing->names[0], "%s", name);
    listing->stats[listing->count] = *stat;
    listing->next[listing->count++] = next;
    return true;
}

static inline void take_listing(void *context, struct tree_listing *listing)
{
    struct tree_listing **out = context;

    *out = listing;
}

static inline struct tree_listing *open_directory(struct world *world, const char *path)
{
    struct tree_listing *listing;

    assert_int_equal(tree_opendir(world->tree, path[0] ? find(world, path) : TREE_ROOT,
                                  take_listing, &listing),
                     0);
    return listing;
}

static inline const struct stat *entry_of(const struct listing *listing, const char *name)
{
    const struct stat *found = NULL;

    for (size_t i = 0; i < listing->count; i++) {
        if (strcmp(listing->names[i], name) == 0) {
            assert_null(found); /* once */
            found = &listing->stats[i];
        }
    }
    return found;
}

/* For some of the entries: the others are looked at one by one. */
static const struct tree_room some_room = {.bytes = 100, .each = 10};

static inline struct listing list(struct world *world, const char *path, bool plus)
{
    struct tree_listing *directory = open_directory(world, path);
    struct listing listing = {.room = 64};

    assert_int_equal(tree_readdir(directory, 0, plus ? &some_room : NULL, take_entry, &listing), 0);
    tree_closedir(directory);
    return listing;
}

/* --- what most tests begin with --- */

static inline struct stat stat_of(struct world *world, const char *path)
{
    struct stat stat;

    assert_int_equal(tree_getattr(world->tree, find(world, path), &stat), 0);
    return stat;
}

static inline int set_attributes(struct world *world, const char *path, struct stat in,
                                 unsigned what)
{
    struct stat out;

    return tree_setattr(world->tree, find(world, path), NULL, &in, what, &world->caller, &out);
}

/* A text and a list; for cmocka. */
static inline int world_set_up(void **state)
{
    static struct world world;

    world_open(&world);
    put(&world, "k", "old\n");
    put(&world, "list", "[1, 2]\n");
    *state = &world;
    return 0;
}

static inline int world_tear_down(void **state)
{
    world_close(*state);
    return 0;
}

#define WORLD_CASE(function)                                                                       \
    cmocka_unit_test_setup_teardown(function, world_set_up, world_tear_down)

#endif
