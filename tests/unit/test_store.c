/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One suite for every engine, also through the trace decorator; then detection, creation and
 * faults.
 */
#include "src/io.h"
#include "src/io_draft.h"
#include "src/store.h"
#include "src/store/detect.h"

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

/* Among the engines of this build. */
struct fixture {
    const char *engine; /* NULL: the one in memory */
    bool traced;
    char folder[64];
    char path[128];
    struct store_trace trace;
    struct store *store;
};


static void open_store(struct fixture *fixture, unsigned flags)
{
    struct store_options options = {.flags = flags, .engine = fixture->engine, .lock_timeout = 1};
    struct failure failure = {0};
    struct store *store = NULL;

    if (!fixture->engine)
        store = store_new_memory();
    else if (store_open(fixture->path, &options, &store, &failure))
        fail_msg("%s", failure.message);
    assert_non_null(store);
    if (fixture->traced) {
        fixture->trace = (struct store_trace){.log = BUFFER_INIT, .fail_at = SIZE_MAX};
        store = store_new_trace(store, &fixture->trace);
        assert_non_null(store);
    }
    fixture->store = store;
}

static void close_store(struct fixture *fixture)
{
    assert_int_equal(store_close(fixture->store), 0);
    fixture->store = NULL;
    buffer_release(&fixture->trace.log);
}

static int set_up(void **state)
{
    struct fixture *fixture = *state;

    folder_make(fixture->folder, sizeof fixture->folder);
    snprintf(fixture->path, sizeof fixture->path, "%s/db", fixture->folder);
    open_store(fixture, STORE_CREATE);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    if (fixture->store)
        close_store(fixture);
    folder_remove(fixture->folder);
    return 0;
}

static void assert_value(struct store *store, struct bytes key, struct bytes value)
{
    struct buffer got = BUFFER_INIT;

    buffer_add(&got, BYTES("before"));
    assert_int_equal(store_fetch(store, key, &got), 0);
    assert_true(bytes_start_with(buffer_bytes(&got), BYTES("before")));
    assert_true(bytes_equal(bytes_part(buffer_bytes(&got), 6, SIZE_MAX), value));
    assert_int_equal(store_exists(store, key), 1);
    buffer_release(&got);
}

static void assert_absent(struct store *store, struct bytes key)
{
    struct buffer got = BUFFER_INIT;

    assert_int_equal(store_fetch(store, key, &got), -ENOENT);
    assert_int_equal(got.size, 0);
    assert_int_equal(store_exists(store, key), 0);
    buffer_release(&got);
}

static void put(struct store *store, struct bytes key, struct bytes value)
{
    assert_int_equal(store_store(store, key, value, STORE_REPLACE), 0);
}

struct counting {
    size_t count, stop_at;
};

static bool count_key(void *context, struct bytes key)
{
    struct counting *counting = context;

    return ++counting->count != counting->stop_at;
}

static size_t count_keys(struct store *store)
{
    struct counting counting = {0};

    assert_int_equal(store_visit(store, count_key, &counting), 0);
    return counting.count;
}

/* --- the suite --- */

static void test_store_and_fetch(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;

    assert_absent(store, BYTES("a"));
    put(store, BYTES("a"), BYTES("first"));
    assert_value(store, BYTES("a"), BYTES("first"));
    put(store, BYTES("a"), BYTES("a longer one"));
    put(store, BYTES("b"), BYTES("other"));
    assert_value(store, BYTES("a"), BYTES("a longer one"));
    put(store, BYTES("a"), BYTES("s"));
    assert_value(store, BYTES("a"), BYTES("s"));
    assert_value(store, BYTES("b"), BYTES("other"));
    assert_int_equal(count_keys(store), 2);
    assert_int_equal(store_sync(store), 0);
}

static void test_insert(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;

    assert_int_equal(store_store(store, BYTES("k"), BYTES("1"), STORE_INSERT), 0);
    assert_int_equal(store_store(store, BYTES("k"), BYTES("2"), STORE_INSERT), -EEXIST);
    assert_value(store, BYTES("k"), BYTES("1"));
}

static void test_remove(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;

    assert_int_equal(store_remove(store, BYTES("k")), -ENOENT);
    put(store, BYTES("k"), BYTES("1"));
    put(store, BYTES("l"), BYTES("2"));
    assert_int_equal(store_remove(store, BYTES("k")), 0);
    assert_absent(store, BYTES("k"));
    assert_int_equal(store_remove(store, BYTES("k")), -ENOENT);
    assert_value(store, BYTES("l"), BYTES("2"));
    assert_int_equal(count_keys(store), 1);
    put(store, BYTES("k"), BYTES("3"));
    assert_value(store, BYTES("k"), BYTES("3"));
}

static void test_exchange(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;

    assert_int_equal(store_rename(store, BYTES("a"), BYTES("b"), STORE_EXCHANGE), -ENOENT);
    put(store, BYTES("a"), BYTES("1"));
    assert_int_equal(store_rename(store, BYTES("a"), BYTES("b"), STORE_EXCHANGE), -ENOENT);
    assert_int_equal(store_rename(store, BYTES("b"), BYTES("a"), STORE_EXCHANGE), -ENOENT);
    assert_value(store, BYTES("a"), BYTES("1"));
    assert_absent(store, BYTES("b"));
    put(store, BYTES("b"), BYTES("a longer value than the other one"));
    put(store, BYTES("c"), BYTES("3"));
    assert_int_equal(store_rename(store, BYTES("a"), BYTES("b"), STORE_EXCHANGE), 0);
    assert_value(store, BYTES("a"), BYTES("a longer value than the other one"));
    assert_value(store, BYTES("b"), BYTES("1"));
    assert_value(store, BYTES("c"), BYTES("3"));
    assert_int_equal(store_rename(store, BYTES("a"), BYTES("a"), STORE_EXCHANGE), 0);
    put(store, BYTES("b"), BYTES(""));
    assert_int_equal(store_rename(store, BYTES("b"), BYTES("a"), STORE_EXCHANGE), 0);
    assert_value(store, BYTES("a"), BYTES(""));
    assert_int_equal(count_keys(store), 3);
}

static void test_rename(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->store;

    assert_int_equal(store_rename(store, BYTES("a"), BYTES("b"), STORE_REPLACE), -ENOENT);
    assert_int_equal(store_rename(store, BYTES("a"), BYTES("a"), STORE_REPLACE), -ENOENT);
    put(store, BYTES("a"), BYTES("1"));
    assert_int_equal(store_rename(store, BYTES("a"), BYTES("b"), STORE_INSERT), 0);
    assert_absent(store, BYTES("a"));
    assert_value(store, BYTES("b"), BYTES("1"));
    put(store, BYTES("a"), BYTES("2"));
    assert_int_equal(store_rename(store, BYTES("a"), BYTES("b"), STORE_INSERT), -EEXIST);
    assert_value(store, BYTES("a"), BYTES("2"));
    assert_value(store, BYTES("b"), BYTES("1"));
    assert_int_equal(store_rename(store, BYTES("a"), BYTES("b"), STORE_REPLACE), 0);
    assert_absent(store, BYTES("a"));
    assert_value(store, BYTES("b"), BYTES("2"));
    assert_int_equal(store_rename(store, BYTES("b"), BYTES("b"), STORE_REPLACE), 0);
    assert_int_equal(store_rename(store, BYTES("b"), BYTES("b"), STORE_INSERT), -EEXIST);
    assert_value(store, BYTES("b"), BYTES("2"));
    assert_int_equal(count_keys(store), 1);
}

static void test_visit_stops(void **state)
{
    struct fixture *fixture = *state;
    struct counting counting = {.stop_at = 2};

    assert_int_equal(count_keys(fixture->store), 0);
    put(fixture->store, BYTES("a"), BYTES(""));
    put(fixture->store, BYTES("b"), BYTES(""));
    put(fixture->store, BYTES("c"), BYTES(""));
    assert_int_equal(store_visit(fixture->store, count_key, &counting), 0);
    assert_int_equal(counting.count, 2);
}

/*
 * Every byte, alone and between others; what .dir must quote; what a database may have to escape.
 */
static void expect_wanted(const struct store_want *want, const struct buffer *values,
                          struct bytes value)
{
    assert_int_equal(want->status, 0);
    assert_true(bytes_equal(bytes_part(buffer_bytes(values), want->start, want->size), value));
}

static void test_fetch_all(void **state)
{
    struct fixture *fixture = *state;
    struct store_want wants[] = {{BYTES("a")}, {BYTES("none")}, {BYTES("long")}, {BYTES("b")}};
    struct buffer values;

    put(fixture->store, BYTES("a"), BYTES("1"));
    put(fixture->store, BYTES("b"), BYTES("2"));
    put(fixture->store, BYTES("long"), BYTES("longer than there is room for"));
    buffer_init(&values, 8);
    for (int round = 1; round <= 2; round++) {
        assert_int_equal(store_fetch_all(fixture->store, wants, ARRAY_SIZE(wants), &values), 0);
        expect_wanted(&wants[0], &values, round == 1 ? BYTES("1") : BYTES("new"));
        assert_int_equal(wants[1].status, -ENOENT);
        assert_int_equal(wants[2].status, -EAGAIN);
        expect_wanted(&wants[3], &values, BYTES("2"));
        /* What is changed between two times is seen, and may be. */
        put(fixture->store, BYTES("a"), BYTES("new"));
        buffer_clear(&values);
    }
    assert_int_equal(store_fetch_all(fixture->store, NULL, 0, &values), 0);
    buffer_release(&values);
}

static void test_odd_keys(void **state)
{
    static const struct bytes odd[] = {
        BYTES(""),          BYTES("\0"),       BYTES("a\0b"),     BYTES("'"),      BYTES("\""),
        BYTES("'\""),       BYTES("\\"),       BYTES("\n"),       BYTES("a\r\nb"), BYTES("\\n"),
        BYTES("\xE9t\xE9"), BYTES("\xC3\xA9"), BYTES("%2F/"),     BYTES(" "),      BYTES("#"),
        BYTES("\x85"),      BYTES("\xAD"),     BYTES("\x1C\x1D"), BYTES("."),      BYTES(".."),
    };
    struct fixture *fixture = *state;
    char key[3] = "k?";

    for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
        put(fixture->store, odd[i], odd[i]);
    put(fixture->store, (struct bytes){NULL, 0}, (struct bytes){NULL, 0});
    for (int byte = 0; byte < 256; byte++) {
        key[1] = (char)byte;
        put(fixture->store, bytes_of(key, 2), bytes_of(key + 1, 1));
    }
    if (fixture->engine) {
        close_store(fixture);
        open_store(fixture, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
        assert_value(fixture->store, odd[i], odd[i]);
    for (int byte = 0; byte < 256; byte++) {
        key[1] = (char)byte;
        assert_value(fixture->store, bytes_of(key, 2), bytes_of(key + 1, 1));
    }
    assert_int_equal(count_keys(fixture->store), ARRAY_SIZE(odd) + 256);
}

static void fill(uint8_t *data, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(seed = seed * 1103515245 + 12345);
}

static void test_large(void **state)
{
    enum { SIZE = 1 << 20, KEY_SIZE = 5000 };
    struct fixture *fixture = *state;
    uint8_t *data = malloc(SIZE);
    uint8_t key[KEY_SIZE];

    assert_non_null(data);
    fill(data, SIZE, 1);
    fill(key, KEY_SIZE, 2);
    put(fixture->store, BYTES("small"), BYTES("small"));
    put(fixture->store, BYTES("large"), bytes_of(data, SIZE));
    put(fixture->store, bytes_of(key, KEY_SIZE), bytes_of(data, SIZE - 1));
    assert_value(fixture->store, BYTES("large"), bytes_of(data, SIZE));
    assert_value(fixture->store, bytes_of(key, KEY_SIZE), bytes_of(data, SIZE - 1));
    put(fixture->store, BYTES("large"), BYTES("now small"));
    assert_value(fixture->store, BYTES("large"), BYTES("now small"));
    assert_value(fixture->store, BYTES("small"), BYTES("small"));
    free(data);
}

static void test_many_and_reopen(void **state)
{
    const size_t many = 100 + reduced(2900); /* tdb waits for the disk each time */
    struct fixture *fixture = *state;
    char key[32];

    for (size_t i = 0; i < many; i++) {
        snprintf(key, sizeof key, "key %zu", i);
        put(fixture->store, bytes_of_string(key), bytes_of_string(key + 4));
    }
    assert_int_equal(store_remove(fixture->store, BYTES("key 77")), 0);
    if (fixture->engine) {
        close_store(fixture);
        open_store(fixture, 0);
    }
    assert_int_equal(count_keys(fixture->store), many - 1);
    assert_absent(fixture->store, BYTES("key 77"));
    for (size_t i = 78; i < many; i += 37) {
        snprintf(key, sizeof key, "key %zu", i);
        assert_value(fixture->store, bytes_of_string(key), bytes_of_string(key + 4));
    }
}

static void test_read_only(void **state)
{
    struct fixture *fixture = *state;

    if (!fixture->engine)
        skip();
    put(fixture->store, BYTES("a"), BYTES("1"));
    close_store(fixture);
    open_store(fixture, STORE_READ_ONLY);
    assert_true(store_read_only(fixture->store));
    assert_value(fixture->store, BYTES("a"), BYTES("1"));
    assert_int_equal(store_store(fixture->store, BYTES("a"), BYTES("2"), STORE_REPLACE), -EROFS);
    assert_int_equal(store_remove(fixture->store, BYTES("a")), -EROFS);
    assert_int_equal(store_rename(fixture->store, BYTES("a"), BYTES("b"), STORE_REPLACE), -EROFS);
    assert_int_equal(store_sync(fixture->store), 0);
    assert_value(fixture->store, BYTES("a"), BYTES("1"));
}

static void test_value_limit(void **state)
{
    struct fixture *fixture = *state;
    struct buffer value;

    put(fixture->store, BYTES("a"), BYTES("12345"));
    buffer_init(&value, 4);
    assert_int_equal(store_fetch(fixture->store, BYTES("a"), &value), -EFBIG);
    assert_int_equal(value.size, 0);
    buffer_release(&value);
}

/* Right after a change, an engine may not be able to tell by the file's time whether there was another one. */
static int settled_stamp(struct store *store, struct store_stamp *out)
{
    struct store_stamp next;
    int status = store_stamp(store, out);

    for (int i = 0; !status && i < 500; i++) {
        usleep(1000);
        status = store_stamp(store, &next);
        if (!status && memcmp(out, &next, sizeof next) == 0)
            return 0;
        *out = next;
    }
    return status;
}

static void test_stamp(void **state)
{
    struct fixture *fixture = *state;
    struct store_stamp before, same, after;
    int status = settled_stamp(fixture->store, &before);

    if (status == -ENOTSUP)
        skip();
    assert_int_equal(status, 0);
    assert_int_equal(store_stamp(fixture->store, &same), 0);
    assert_memory_equal(&before, &same, sizeof before);
    put(fixture->store, BYTES("a"), BYTES("1"));
    assert_int_equal(store_stamp(fixture->store, &after), 0);
    assert_memory_not_equal(&before, &after, sizeof before);
}

static const struct CMUnitTest suite[] = {
    cmocka_unit_test_setup_teardown(test_store_and_fetch, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_insert, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_remove, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_exchange, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_rename, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_visit_stops, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_fetch_all, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_odd_keys, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_large, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_many_and_reopen, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_read_only, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_value_limit, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_stamp, set_up, tear_down),
};

static int run_suite(const char *engine, bool traced)
{
    struct fixture fixtures[ARRAY_SIZE(suite)];
    struct CMUnitTest tests[ARRAY_SIZE(suite)];

    for (size_t i = 0; i < ARRAY_SIZE(suite); i++) {
        fixtures[i] = (struct fixture){.engine = engine, .traced = traced};
        tests[i] = suite[i];
        tests[i].initial_state = &fixtures[i];
    }
    print_message("# %s%s\n", engine ? engine : "memory", traced ? ", traced" : "");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* --- the trace decorator --- */

static void test_trace_fails_once(void **state)
{
    struct store_trace trace = {.log = BUFFER_INIT, .fail_at = 1, .fail_code = -ENOSPC};
    struct store *store = store_new_trace(store_new_memory(), &trace);

    put(store, BYTES("a"), BYTES("1"));
    assert_int_equal(store_store(store, BYTES("a"), BYTES("2"), STORE_REPLACE), -ENOSPC);
    assert_value(store, BYTES("a"), BYTES("1"));
    assert_int_equal(store_rename(store, BYTES("a"), BYTES("b"), STORE_REPLACE), 0);
    assert_int_equal(store_close(store), 0);
    assert_true(bytes_equal(buffer_bytes(&trace.log),
                            BYTES("store a = 0\nstore a = -28\nfetch a = 0\nexists a = 1\n"
                                  "rename a -> b = 0\nclose = 0\n")));
    assert_int_equal(trace.calls, 6);
    buffer_release(&trace.log);
}

/* --- finding, detecting, creating --- */

struct folder {
    char path[64];
};

static int set_up_folder(void **state)
{
    static struct folder folder;

    folder_make(folder.path, sizeof folder.path);
    *state = &folder;
    return 0;
}

static int tear_down_folder(void **state)
{
    folder_remove(((struct folder *)*state)->path);
    return 0;
}

static void make_file(const char *folder, const char *name, struct bytes content)
{
    char path[192];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(io_write_file(path, content, IO_REPLACE), 0);
}

static void remove_file(const char *folder, const char *name)
{
    char path[192];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static int try_open(const char *folder, const char *name, const struct store_options *options,
                    struct failure *failure)
{
    struct store *store = NULL;
    char path[192];
    int status;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    status = store_open(path, options, &store, failure);
    if (!status)
        store_close(store);
    return status;
}

struct file {
    const char *name;
    struct bytes content;
};

/* What is there, what is asked for, and what it must be called. */
static const struct refusal {
    const char *label;
    struct file files[3];
    const char *name;
    const char *engine;
    int status;
    const char *message;
    const char *unless; /* this engine is in the build; NULL: always */
    const char *needs;  /* this engine in the build; NULL: none */
} refusals[] = {
    {"refuse-absent", {{NULL}}, "x", NULL, -ENOENT, "-o create makes one"},
    {"refuse-empty", {{"x", BYTES("")}}, "x", NULL, -EMEDIUMTYPE, "is an empty file"},
    {"refuse-text", {{"x", BYTES("hello")}}, "x", NULL, -EMEDIUMTYPE, "not a database"},
    {"refuse-gdbm",
     {{"x", BYTES("\xCF\x9A\x57\x13")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "is a gdbm file; this shelvefs was built without gdbm",
     "gdbm"},
    {"refuse-gdbm-header",
     {{"x", BYTES("\xCF\x9A\x57\x13")}},
     "x",
     NULL,
     -EUCLEAN,
     "is a truncated gdbm file",
     NULL,
     "gdbm"},
    {"refuse-gdbm-numsync",
     {{"x", BYTES("\xD1\x9A\x57\x13")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "is a gdbm file (numsync)",
     "gdbm"},
    {"refuse-gdbm-swapped",
     {{"x", BYTES("\x13\x57\x9A\xCE")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "is a big-endian gdbm file (old)",
     "gdbm"},
    {"refuse-gdbm-as-tdb",
     {{"x", BYTES("\xCF\x9A\x57\x13")}},
     "x",
     "tdb",
     -EMEDIUMTYPE,
     "is a gdbm file, not a tdb database"},
    {"refuse-bdb-hash",
     {{"x.db", BYTES("\0\0\0\0\1\0\0\0\0\0\0\0\x61\x15\x06\x00")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "is a Berkeley DB hash file; this shelvefs was built without ndbm",
     "ndbm"},
    {"refuse-bdb-btree",
     {{"x", BYTES("\0\0\0\0\1\0\0\0\0\0\0\0\x00\x05\x31\x62")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "is a big-endian Berkeley DB btree file",
     "ndbm"},
    {"refuse-bdb-short",
     {{"x.db", BYTES("\0\0\0\0\1\0\0\0\0\0\0\0\x61\x15\x06\x00")}},
     "x",
     NULL,
     -EUCLEAN,
     "x.db is a truncated Berkeley DB file",
     NULL,
     "ndbm"},
    {"refuse-bdb-185",
     {{"x", BYTES("\x61\x15\x06\x00")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "1.85 hash",
     "ndbm"},
    {"refuse-sqlite",
     {{"x", BYTES("SQLite format 3\0....")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "is an SQLite database; this shelvefs was built without sqlite",
     "sqlite"},
    {"refuse-sqlite-header",
     {{"x", BYTES("SQLite format 3\0....")}},
     "x",
     "sqlite",
     -EUCLEAN,
     "is a damaged SQLite database",
     NULL,
     "sqlite"},
    {"refuse-pag-gdbm",
     {{"x.pag", BYTES("\xCF\x9A\x57\x13")}, {"x.dir", BYTES("GDBM\0\0\0\1")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "x.pag is a gdbm file",
     "gdbm"},
    {"refuse-pag-sdbm",
     {{"x.pag", BYTES("\4\0\1\2")}, {"x.dir", BYTES("")}},
     "x",
     NULL,
     -EMEDIUMTYPE,
     "is a .pag and .dir pair",
     "ndbm"},
    {"refuse-tdb-header", {{"x", BYTES("TDB file\n")}}, "x", NULL, -EUCLEAN, "damaged tdb file"},
    {"refuse-dir-without-dat",
     {{"x.dir", BYTES("'a', (0, 1)\n")}},
     "x",
     NULL,
     -EUCLEAN,
     "x.dat is missing"},
    {"refuse-dat-alone", {{"x.dat", BYTES("1")}}, "x", NULL, -ENOENT, "no database"},
    {"refuse-dumb-as-tdb",
     {{"x.dir", BYTES("'a', (0, 1)\n")}, {"x.dat", BYTES("1")}},
     "x",
     "tdb",
     -EMEDIUMTYPE,
     "is a dbm.dumb database, not a tdb"},
    {"refuse-unknown-engine", {{NULL}}, "x", "tbd", -EINVAL, "no engine \"tbd\""},
    {"refuse-unbuilt-engine", {{NULL}}, "x", "gdbm", -EMEDIUMTYPE, "built without gdbm", "gdbm"},
};

static void test_refusals(void **state)
{
    const char *folder = ((struct folder *)*state)->path;

    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        const struct refusal *refusal = &refusals[i];
        struct store_options options = {.engine = refusal->engine};
        struct failure failure = {0};

        if ((refusal->unless && store_has_engine(refusal->unless)) ||
            (refusal->needs && !store_has_engine(refusal->needs)))
            continue;
        for (size_t j = 0; j < 3 && refusal->files[j].name; j++)
            make_file(folder, refusal->files[j].name, refusal->files[j].content);
        if (try_open(folder, refusal->name, &options, &failure) != refusal->status ||
            failure.code != refusal->status || !strstr(failure.message, refusal->message))
            fail_msg("%s: %d, %s", refusal->label, failure.code, failure.message);
        for (size_t j = 0; j < 3 && refusal->files[j].name; j++)
            remove_file(folder, refusal->files[j].name);
    }
}

/* What the first bytes of an index may be, however damaged. */
static const struct {
    struct bytes head;
    bool is_dumb;
} indexes[] = {
    {BYTES(""), true},
    {BYTES("'a', (0, 1)\n"), true},
    {BYTES("\"it's\", (0, 1"), true},
    {BYTES("\n \n'a'"), true},
    {BYTES("b'a', (0, 1)\n"), true},
    {BYTES("nonsense\n'a', (0, 1)\n"), true},
    {BYTES("GDBM\0\0\0\1"), false},
    {BYTES("name = value\n"), false},
    {BYTES("\n"), false},
};

static void test_dumb_indexes(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(indexes); i++)
        assert_int_equal(detect_dumb_index(indexes[i].head), indexes[i].is_dumb);
}

static const struct creation {
    const char *name;
    const char *engine; /* asked for */
    const char *made;   /* refused where this build lacks it */
    const char *file;   /* that must exist */
} creations[] = {
    {"a.tdb", NULL, "tdb", "a.tdb"},
    {"b", "tdb", "tdb", "b"},
    {"c", NULL, "dumb", "c.dir"},
    {"d.tdb", "dumb", "dumb", "d.tdb.dat"},
    {"e.sqlite", NULL, "sqlite", "e.sqlite"},
    {"f", "ndbm", "ndbm", "f.db"},
};

static void test_creations(void **state)
{
    const char *folder = ((struct folder *)*state)->path;

    for (size_t i = 0; i < ARRAY_SIZE(creations); i++) {
        const struct creation *creation = &creations[i];
        struct store_options options = {.flags = STORE_CREATE, .engine = creation->engine};
        struct store *store = NULL;
        char path[192];
        int status;

        snprintf(path, sizeof path, "%s/%s", folder, creation->name);
        status = store_open(path, &options, &store, NULL);
        assert_int_equal(status, store_has_engine(creation->made) ? 0 : -EMEDIUMTYPE);
        if (status)
            continue;
        assert_string_equal(store_engine(store), creation->made);
        put(store, BYTES("a"), BYTES("1"));
        assert_int_equal(store_close(store), 0);
        snprintf(path, sizeof path, "%s/%s", folder, creation->file);
        assert_int_equal(access(path, F_OK), 0);
        /* A second `create` opens what is there. */
        snprintf(path, sizeof path, "%s/%s", folder, creation->name);
        assert_int_equal(store_open(path, &options, &store, NULL), 0);
        assert_value(store, BYTES("a"), BYTES("1"));
        assert_int_equal(store_close(store), 0);
    }
}

/* Memory that is given out again still says this, in pieces of all sizes that a page or a table may have. */
#define SECRET "nobody else may read this"

static void fill_memory(void)
{
    enum { PIECES = 256 };
    char *pieces[PIECES];

    for (size_t i = 0; i < PIECES; i++) {
        size_t size = (size_t)256 << i % 8;

        pieces[i] = malloc(size);
        assert_non_null(pieces[i]);
        for (size_t at = 0; at + sizeof SECRET < size; at += sizeof SECRET)
            memcpy(pieces[i] + at, SECRET, sizeof SECRET);
    }
    for (size_t i = 0; i < PIECES; i++)
        free(pieces[i]);
}

/* What the libraries write is what they were given. */
static void test_no_memory_of_ours_is_stored(void **state)
{
    static const char value[60 * 60];
    const char *folder = ((struct folder *)*state)->path;

    for (size_t i = 0; i < ARRAY_SIZE(creations); i++) {
        struct store_options options = {.flags = STORE_CREATE, .engine = creations[i].engine};
        struct buffer content = BUFFER_INIT;
        struct store *store = NULL;
        char path[192];

        snprintf(path, sizeof path, "%s/%s", folder, creations[i].name);
        if (store_open(path, &options, &store, NULL))
            continue;
        for (size_t key = 0; key < 60; key++) {
            fill_memory();
            put(store, bytes_of(&key, sizeof key), bytes_of(value, key * key));
        }
        assert_int_equal(store_close(store), 0);
        snprintf(path, sizeof path, "%s/%s", folder, creations[i].file);
        assert_int_equal(io_read_file(path, &content), 0);
        assert_null(memmem(content.data, content.size, SECRET, sizeof SECRET));
        buffer_release(&content);
    }
}

static void test_create_needs_a_folder(void **state)
{
    const char *folder = ((struct folder *)*state)->path;
    struct store_options options = {.flags = STORE_CREATE};
    struct failure failure = {0};

    assert_int_equal(try_open(folder, "none/a.tdb", &options, &failure), -ENOENT);
    assert_non_null(strstr(failure.message, "can't create"));
    options.flags |= STORE_READ_ONLY;
    assert_int_equal(try_open(folder, "a.tdb", &options, NULL), -ENOENT);
}


/* Truncated while it is open: an error, not SIGBUS. */
static void test_tdb_truncated_while_open(void **state)
{
    const char *folder = ((struct folder *)*state)->path;
    struct store_options options = {.flags = STORE_CREATE};
    struct buffer value = BUFFER_INIT;
    struct store *store;
    char path[192];

    snprintf(path, sizeof path, "%s/a.tdb", folder);
    assert_int_equal(store_open(path, &options, &store, NULL), 0);
    put(store, BYTES("a"), BYTES("1"));
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(store_fetch(store, BYTES("a"), &value), -EIO);
    assert_int_equal(value.size, 0);
    assert_true(store_store(store, BYTES("b"), BYTES("1"), STORE_REPLACE) < 0);
    store_close(store);
    buffer_release(&value);
}

int main(void)
{
    static const char *const engines[] = {NULL, "dumb", "gdbm", "ndbm", "sqlite", "tdb"};
    const struct CMUnitTest others[] = {
        cmocka_unit_test(test_trace_fails_once),
        cmocka_unit_test(test_dumb_indexes),
        cmocka_unit_test_setup_teardown(test_refusals, set_up_folder, tear_down_folder),
        cmocka_unit_test_setup_teardown(test_creations, set_up_folder, tear_down_folder),
        cmocka_unit_test_setup_teardown(test_no_memory_of_ours_is_stored, set_up_folder, tear_down_folder),
        cmocka_unit_test_setup_teardown(test_create_needs_a_folder, set_up_folder,
                                        tear_down_folder),
        cmocka_unit_test_setup_teardown(test_tdb_truncated_while_open, set_up_folder,
                                        tear_down_folder),
    };
    int failed = 0;

    for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
        if (engines[i] && !store_has_engine(engines[i]))
            continue;
        failed += run_suite(engines[i], false);
        failed += run_suite(engines[i], true);
    }
    return failed + cmocka_run_group_tests(others, NULL, NULL);
}
