/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A sidecar whose records are whole, but say what nobody wrote: the input changes them, six bytes a change: which record, what,
 * where (2 bytes), a number (2). The mount must start, show all files, and end.
 */
#include "fs/keeper.h"
#include "fs/tree.h"
#include "src/io.h"
#include "src/sidecar.h"
#include "tests/fuzz/database.h"
#include "tests/fuzz/demand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_RECORDS = 64, PATCH = 6, MOST_FILES = 10000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct record {
    struct buffer name, content;
} records[MOST_RECORDS];
static size_t record_count;

struct place {
    char database[96];
    char values[128]; /* the file that holds them */
    char sidecar[128];
};

/* --- a mount without a kernel --- */

struct mounted {
    struct store *store;
    struct keeper *keeper;
    struct tree *tree;
};

static const struct tree_caller caller = {0};

static void begin(struct mounted *mounted, const struct place *place)
{
    struct store_options options = {.flags = STORE_CREATE, .engine = "dumb"};
    struct tree_options shown = {.dialect = {CODEC_PICKLE, 4, false},
                                 .rules.max_value = 1 << 20,
                                 .scratch = true,
                                 .transient_seconds = 3};

    demand(store_open(place->database, &options, &mounted->store, NULL) == 0);
    demand(keeper_new(mounted->store, place->sidecar, false, NULL, &mounted->keeper) == 0);
    keeper_set_dialect(mounted->keeper, shown.dialect);
    shown.keeper = mounted->keeper;
    demand(tree_new(mounted->store, &shown, &mounted->tree) == 0);
}

static void end(struct mounted *mounted)
{
    struct buffer report = BUFFER_INIT;

    tree_finish(mounted->tree, &report);
    tree_free(mounted->tree);
    keeper_free(mounted->keeper);
    store_close(mounted->store);
    buffer_release(&report);
}

static void save(struct tree *tree, const char *name, const char *text)
{
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;

    demand(tree_create(tree, TREE_ROOT, name, 0640, O_RDWR, &caller, &stat, &handle, &cache) == 0);
    tree_write(handle, 0, bytes_of_string(text));
    tree_flush(handle);
    tree_release(handle);
    tree_forget(tree, stat.st_ino, 1);
}

static void make_files(struct tree *tree)
{
    struct stat stat, in = {.st_mode = 0600, .st_mtim = {1234567, 89}};

    save(tree, "list", "[1, 2]\n");
    save(tree, "text", "some text\n");
    save(tree, "refused", "[1, 2\n");
    save(tree, "list~", "a backup\n");
    save(tree, ".list.swp", "b0VIM\n");
    demand(tree_symlink(tree, TREE_ROOT, ".#list", "ann@host.123", &caller, &stat) == 0);
    tree_forget(tree, stat.st_ino, 1);
    demand(tree_lookup(tree, TREE_ROOT, "list", &stat) == 0);
    demand(tree_setattr(tree, stat.st_ino, NULL, &in, TREE_SET_MODE | TREE_SET_MTIME, &caller,
                        &stat) == 0);
    tree_forget(tree, stat.st_ino, 1);
}

/* --- what it shows --- */

struct walk {
    struct tree *tree;
    unsigned count;
    uint64_t nodes[64];
};

static void ignore(void *context, struct bytes part)
{
    size_t *sum = context;

    *sum += part.size;
}

static bool note_entry(void *context, const char *name, const struct stat *stat, off_t next)
{
    struct walk *walk = context;

    demand(name[0] && !strchr(name, '/') && strlen(name) < 256);
    demand(walk->count < MOST_FILES);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    if (walk->count < ARRAY_SIZE(walk->nodes))
        walk->nodes[walk->count] = stat->st_ino;
    else
        tree_forget(walk->tree, stat->st_ino, 1);
    walk->count++;
    return true;
}

static void look_at(struct tree *tree, uint64_t node)
{
    struct buffer target = BUFFER_INIT, names = BUFFER_INIT;
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;
    size_t sum = 0;

    demand(tree_getattr(tree, node, &stat) <= 0);
    demand(stat.st_size >= 0);
    tree_readlink(tree, node, &target);
    tree_listxattr(tree, node, &names);
    if (tree_open(tree, node, O_RDONLY, &handle, &cache) == 0) {
        tree_read(handle, 0, 1 << 16, ignore, &sum);
        tree_release(handle);
    }
    tree_forget(tree, node, 1);
    buffer_release(&target);
    buffer_release(&names);
}

static void take_listing(void *context, struct tree_listing *listing)
{
    struct tree_listing **out = context;

    *out = listing;
}

static void list(struct tree *tree, uint64_t directory)
{
    const struct tree_room room = {4096, 160};
    struct walk walk = {.tree = tree};
    struct tree_listing *listing;

    if (tree_opendir(tree, directory, take_listing, &listing))
        return;
    tree_readdir(listing, 0, &room, note_entry, &walk);
    tree_closedir(listing);
    for (size_t i = 0; i < walk.count && i < ARRAY_SIZE(walk.nodes); i++)
        look_at(tree, walk.nodes[i]);
}

static void look_around(struct tree *tree)
{
    static const char *const directories[] = {"rejected", "raw", "dis"};
    struct stat control, stat;

    list(tree, TREE_ROOT);
    demand(tree_lookup(tree, TREE_ROOT, ".shelvefs", &control) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        if (tree_lookup(tree, control.st_ino, directories[i], &stat) == 0) {
            list(tree, stat.st_ino);
            tree_forget(tree, stat.st_ino, 1);
        }
    }
    list(tree, control.st_ino);
    tree_forget(tree, control.st_ino, 1);
}

/* --- the sidecar --- */

static void take_record(void *context, struct bytes name, struct bytes content)
{
    if (record_count == MOST_RECORDS)
        return;
    buffer_add(&records[record_count].name, name);
    buffer_add(&records[record_count++].content, content);
}

static void learn(const struct place *place)
{
    struct mounted mounted;
    struct sidecar *sidecar;
    size_t damaged;

    for (size_t i = 0; i < MOST_RECORDS; i++)
        records[i] = (struct record){{.limit = SIZE_MAX}, {.limit = SIZE_MAX}};
    begin(&mounted, place);
    make_files(mounted.tree);
    end(&mounted);
    demand(sidecar_new(place->sidecar, place->values, true, &sidecar) == 0);
    demand(sidecar_open(sidecar, NULL) == 0);
    demand(sidecar_visit(sidecar, take_record, NULL, &damaged) == 0 && damaged == 0);
    sidecar_free(sidecar);
    demand(record_count > 5 && record_count < MOST_RECORDS);
}

static void patch(struct buffer *content, const uint8_t *how)
{
    size_t at = content->size ? (size_t)(how[2] << 8 | how[3]) % content->size : 0, length;
    uint8_t *more;

    if (!content->size)
        return;
    switch (how[1] % 4) {
    case 0:
        content->data[at] = how[5];
        break;
    case 1:
        content->size = at;
        break;
    case 2:
        for (size_t i = 0; i < how[4] && at + i < content->size; i++)
            content->data[at + i] = how[5];
        break;
    case 3: /* as long again */
        length = content->size - at;
        more = buffer_extend(content, length);
        demand(more);
        memcpy(more, content->data + at, length);
        break;
    }
}

static void write_sidecar(const struct place *place, const uint8_t *data, size_t size)
{
    struct sidecar *sidecar;

    demand(sidecar_new(place->sidecar, place->values, false, &sidecar) == 0);
    demand(sidecar_open(sidecar, NULL) == -ENOENT);
    demand(sidecar_begin(sidecar, NULL) >= 0);
    for (size_t i = 0; i < record_count; i++) {
        struct buffer content = BUFFER_INIT;

        buffer_add(&content, buffer_bytes(&records[i].content));
        for (size_t at = 0; at + PATCH <= size; at += PATCH) {
            if (data[at] % record_count == i)
                patch(&content, data + at);
        }
        demand(sidecar_put(sidecar, buffer_bytes(&records[i].name), buffer_bytes(&content)) == 0);
        buffer_release(&content);
    }
    demand(sidecar_end(sidecar, 0, false, NULL) == 0);
    sidecar_free(sidecar);
}

static void write_database(const struct place *place)
{
    static const char index[] = "'list', (0, 8)\n'text', (512, 22)\n";
    static const char values[] = "\x80\x04]K\x01" "a.";
    struct buffer content = BUFFER_INIT;
    char path[128];

    snprintf(path, sizeof path, "%s.dir", place->database);
    database_write(path, bytes_of_string(index));
    buffer_add(&content, bytes_of(values, sizeof values));
    while (content.size < 512)
        buffer_add_byte(&content, 0);
    buffer_add(&content, BYTES("\x80\x04\x8c\x09some text\x94."));
    database_write(place->values, buffer_bytes(&content));
    buffer_release(&content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mounted mounted;
    struct place place;
    const char *folder = database_folder();

    snprintf(place.database, sizeof place.database, "%s/shelf", folder);
    snprintf(place.values, sizeof place.values, "%s/shelf.dat", folder);
    snprintf(place.sidecar, sizeof place.sidecar, "%s/sidecar", folder);
    if (!record_count) {
        learn(&place);
        database_folder();
    }
    write_database(&place);
    write_sidecar(&place, data, size);
    begin(&mounted, &place);
    look_around(mounted.tree);
    end(&mounted);
    return 0;
}
