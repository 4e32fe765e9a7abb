/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every bit of a small database flipped, and every length that it may be cut to: no crash, no hang, and no key that
 * was whole is lost by writing to what is left.
 *
 * SHELVEFS_STRIDE is how many bits and bytes lie between two that are tried; 1 tries all. Where the file is empty, as
 * most of a tdb is, fewer are.
 */
#include "src/io.h"
#include "src/io_draft.h"
#include "src/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/amount.h"
#include "tests/unit/folder.h"

enum {
    KEYS = 6,
    STRIDE = 61,       /* a prime: over the runs of all positions in a byte */
    DULL_STRIDE = 997, /* bytes, among zeros */
    DULL = 16,         /* as many on either side */
    MOST_VISITED = 64, /* keys of a listing; more are a loop */
    LONGER = 1,        /* keys that are changed */
    GONE = 3,
    SECONDS = 20,      /* for one damaged file: more is a hang */
};

struct outcomes {
    unsigned tried;
    unsigned refused;   /* not opened */
    unsigned whole;     /* all keys and values are there */
    unsigned told;      /* something is missing, and an error or a note says so */
    unsigned untold;    /* missing or wrong without a word */
    unsigned unwritten; /* changes are refused */
};

struct fixture {
    const char *engine;
    const char *const *suffixes; /* of its files */
    char folder[64];
    char base[128];
};

static struct bytes key_of(int i)
{
    static const char *const keys[KEYS] = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta"};

    return bytes_of_string(keys[i]);
}

static struct bytes value_of(int i)
{
    static const char *const values[KEYS] = {
        "", "1", "two words", "three", "a value of some more words", "last"};

    return bytes_of_string(values[i]);
}

static int open_as(const struct fixture *fixture, unsigned flags, struct store **store)
{
    struct store_options options = {.flags = flags, .engine = fixture->engine, .lock_timeout = 1};

    return store_open(fixture->base, &options, store, NULL);
}

static void name_file(const struct fixture *fixture, const char *suffix, char path[192])
{
    snprintf(path, 192, "%s%s", fixture->base, suffix);
}

/* Without io_write_file()'s waiting for the disk, and long ago: a store may wait for a file to settle. */
static void overwrite(const char *path, struct bytes content)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(io_write(fd, content, 0), 0);
    assert_int_equal(futimens(fd, long_ago), 0);
    close(fd);
}

static bool count_key(void *context, struct bytes key)
{
    return ++*(unsigned *)context < MOST_VISITED;
}

/* What of the keys is right, as a bit each; `*said`: that something is wrong. */
static unsigned look(struct store *store, bool *said)
{
    struct buffer notes = BUFFER_INIT;
    unsigned right = 0, count = 0;

    for (int i = 0; i < KEYS; i++) {
        struct buffer value = BUFFER_INIT;
        int status = store_fetch(store, key_of(i), &value);

        if (!status && bytes_equal(buffer_bytes(&value), value_of(i)))
            right |= 1u << i;
        if (status && status != -ENOENT)
            *said = true;
        buffer_release(&value);
    }
    if (store_visit(store, count_key, &count))
        *said = true;
    assert_true(count < MOST_VISITED);
    store_notes(store, &notes);
    if (notes.size)
        *said = true;
    buffer_release(&notes);
    return right;
}

/* A new key, one that gets a longer value, one that goes. Returns the first failure. */
static int change(struct store *store)
{
    int status = store_store(store, BYTES("new key"), BYTES("new value"), STORE_REPLACE);

    if (!status)
        status = store_store(store, key_of(LONGER), BYTES("a longer value than it had"), STORE_REPLACE);
    if (!status)
        status = store_remove(store, key_of(GONE));
    return status == -ENOENT ? 0 : status;
}

/* What could be read before the changes can be read after them, whether they are refused or not. */
static void change_and_look(const struct fixture *fixture, unsigned before,
                            struct outcomes *outcomes)
{
    struct store *store;
    unsigned after = 0;
    bool said = false;
    int status;

    if (open_as(fixture, 0, &store)) {
        outcomes->unwritten++;
        return;
    }
    status = change(store);
    if (status)
        outcomes->unwritten++;
    store_close(store);
    if (open_as(fixture, STORE_READ_ONLY, &store) == 0) {
        after = look(store, &said);
        store_close(store);
    }
    if ((before & ~after & ~(1u << LONGER | 1u << GONE)) != 0)
        fail_msg("%s: keys %x could be read, %x after a change that answered %d", fixture->engine,
                 before, after, status);
}

static void try_one(const struct fixture *fixture, struct outcomes *outcomes)
{
    struct store *store;
    unsigned right;
    bool said = false;

    alarm(SECONDS);
    outcomes->tried++;
    if (open_as(fixture, STORE_READ_ONLY, &store)) {
        outcomes->refused++;
        alarm(0);
        return;
    }
    right = look(store, &said);
    store_close(store);
    if (right == (1u << KEYS) - 1)
        outcomes->whole++;
    else if (said)
        outcomes->told++;
    else
        outcomes->untold++;
    change_and_look(fixture, right, outcomes);
    alarm(0);
}

/* The files as they were, also those that a try made. */
static void restore(const struct fixture *fixture, const struct buffer *saved)
{
    char path[192];

    folder_empty(fixture->folder);
    for (size_t i = 0; fixture->suffixes[i]; i++) {
        name_file(fixture, fixture->suffixes[i], path);
        overwrite(path, buffer_bytes(&saved[i]));
    }
}

static bool is_dull(struct bytes file, size_t at)
{
    size_t from = at > DULL ? at - DULL : 0;

    for (size_t i = from; i < at + DULL && i < file.size; i++) {
        if (file.data[i])
            return false;
    }
    return at % DULL_STRIDE != 0;
}

static void flip_bits(const struct fixture *fixture, struct buffer *saved, size_t which,
                      struct outcomes *outcomes)
{
    struct buffer *file = &saved[which];
    char path[192];

    name_file(fixture, fixture->suffixes[which], path);
    for (size_t bit = 0; bit < file->size * 8; bit += amount("SHELVEFS_STRIDE", STRIDE)) {
        if (is_dull(buffer_bytes(file), bit / 8))
            continue;
        restore(fixture, saved);
        file->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        overwrite(path, buffer_bytes(file));
        file->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        try_one(fixture, outcomes);
    }
}

static void cut(const struct fixture *fixture, const struct buffer *saved, size_t which,
                struct outcomes *outcomes)
{
    char path[192];

    name_file(fixture, fixture->suffixes[which], path);
    for (size_t size = 0; size < saved[which].size; size += amount("SHELVEFS_STRIDE", STRIDE)) {
        if (is_dull(buffer_bytes(&saved[which]), size))
            continue;
        restore(fixture, saved);
        overwrite(path, bytes_of(saved[which].data, size));
        try_one(fixture, outcomes);
    }
}

static void print(const char *engine, const char *what, const struct outcomes *outcomes)
{
    print_message("%s, %s: %u tried, %u refused, %u whole, %u told, %u untold, %u not written\n",
                  engine, what, outcomes->tried, outcomes->refused, outcomes->whole, outcomes->told,
                  outcomes->untold, outcomes->unwritten);
}

enum { MOST_FILES = 2 };

static void test_damage(void **state)
{
    struct fixture *fixture = *state;
    struct buffer saved[MOST_FILES] = {BUFFER_INIT, BUFFER_INIT};
    struct outcomes flips = {0}, cuts = {0};
    char path[192];

    for (size_t i = 0; fixture->suffixes[i]; i++) {
        name_file(fixture, fixture->suffixes[i], path);
        assert_int_equal(io_read_file(path, &saved[i]), 0);
    }
    for (size_t i = 0; fixture->suffixes[i]; i++) {
        flip_bits(fixture, saved, i, &flips);
        cut(fixture, saved, i, &cuts);
    }
    print(fixture->engine, "bits flipped", &flips);
    print(fixture->engine, "cut", &cuts);
    assert_true(flips.tried > 0 && cuts.tried > 0);
    /* A text index that ends with a line is a shorter index; the others know their size. */
    assert_true(cuts.untold == 0 || strcmp(fixture->engine, "dumb") == 0);
    for (size_t i = 0; i < MOST_FILES; i++)
        buffer_release(&saved[i]);
}

static int set_up(void **state)
{
    struct fixture *fixture = *state;
    struct store *store;

    folder_make(fixture->folder, sizeof fixture->folder);
    snprintf(fixture->base, sizeof fixture->base, "%s/db", fixture->folder);
    assert_int_equal(open_as(fixture, STORE_CREATE, &store), 0);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(store_store(store, key_of(i), value_of(i), STORE_REPLACE), 0);
    assert_int_equal(store_close(store), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    folder_remove(fixture->folder);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const single[] = {"", NULL}, *const dumb[] = {".dir", ".dat", NULL},
                             *const ndbm[] = {".db", NULL};
    struct fixture fixtures[] = {
        {.engine = "dumb", .suffixes = dumb},
        {.engine = "gdbm", .suffixes = single},
        {.engine = "ndbm", .suffixes = ndbm},
        {.engine = "sqlite", .suffixes = single},
        {.engine = "tdb", .suffixes = single},
    };
    int failed = 0;

    for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++) {
        const struct CMUnitTest tests[] = {
            {fixtures[i].engine, test_damage, set_up, tear_down, &fixtures[i]},
        };

        if ((argc > 1 && strcmp(argv[1], fixtures[i].engine) != 0) || !store_has_engine(fixtures[i].engine))
            continue;
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
