/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A small gdbm, ndbm, sqlite or tdb database with some of its bytes changed: the first byte of the input names the engine, and
 * each six that follow are a change: where it is (3 bytes, modulo the size), what (1), and a number (2).
 */
#include "src/io.h"
#include "src/store.h"
#include "tests/fuzz/database.h"
#include "tests/fuzz/demand.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 12, PATCH = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct original {
    const char *engine, *name, *file;
    struct buffer content;
} originals[] = {
    {"gdbm", "g", "g", BUFFER_INIT},
    {"ndbm", "n", "n.db", BUFFER_INIT},
    {"sqlite", "s", "s", BUFFER_INIT},
    {"tdb", "t", "t", BUFFER_INIT},
};

static void fill(struct store *store)
{
    uint8_t key[8], value[400] = {0};

    for (size_t i = 0; i < KEYS; i++) {
        memset(key, 'a' + (int)i, sizeof key);
        memset(value, 'A' + (int)i, sizeof value);
        demand(store_store(store, bytes_of(key, i % sizeof key + 1), bytes_of(value, i * 35),
                           STORE_REPLACE) == 0);
    }
    /* Space that is free. */
    memset(key, 'k', sizeof key);
    demand(store_remove(store, bytes_of(key, 10 % sizeof key + 1)) == 0);
}

static void make(struct original *original)
{
    const char *folder = database_folder();
    struct store_options options = {.flags = STORE_CREATE, .engine = original->engine};
    struct store *store;
    char path[96];

    snprintf(path, sizeof path, "%s/%s", folder, original->name);
    demand(store_open(path, &options, &store, NULL) == 0);
    fill(store);
    demand(store_close(store) == 0);
    snprintf(path, sizeof path, "%s/%s", folder, original->file);
    demand(io_read_file(path, &original->content) == 0);
}

static void patch(struct buffer *file, const uint8_t *how)
{
    size_t at = file->size ? ((size_t)how[0] << 16 | (size_t)how[1] << 8 | how[2]) % file->size : 0;
    uint32_t number = (uint32_t)how[4] << 8 | how[5];

    if (!file->size)
        return;
    switch (how[3] % 4) {
    case 0:
        file->data[at] ^= how[5];
        break;
    case 1: /* a number of four bytes, of either sign */
        at = at / 4 * 4;
        number = how[4] & 0x80 ? number | 0xffff0000u : number;
        memcpy(file->data + at, &number, file->size - at < 4 ? file->size - at : 4);
        break;
    case 2: /* as elsewhere in the file */
        for (size_t i = 0; i < how[5] && at + i < file->size; i++)
            file->data[at + i] = file->data[(at + i + number * 16) % file->size];
        break;
    case 3:
        if (how[5] == 0)
            file->size = at;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct original *original;
    struct buffer file = BUFFER_INIT;
    const char *folder;
    char path[96];

    if (!size)
        return 0;
    original = &originals[data[0] % ARRAY_SIZE(originals)];
    if (!original->content.size)
        make(original);
    buffer_add(&file, buffer_bytes(&original->content));
    for (size_t at = 1; at + PATCH <= size; at += PATCH)
        patch(&file, data + at);
    folder = database_folder();
    snprintf(path, sizeof path, "%s/%s", folder, original->file);
    database_write(path, buffer_bytes(&file));
    snprintf(path, sizeof path, "%s/%s", folder, original->name);
    database_check(path, original->engine);
    buffer_release(&file);
    return 0;
}
