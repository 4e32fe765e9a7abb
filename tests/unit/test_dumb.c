/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dbm.dumb: the grammar of the index by table, hostile records, and a walk over the system calls of
 * each change: the n-th one fails, for n = 0, 1, 2, ... The linker sends those calls through the
 * functions below (--wrap, see meson.build).
 */
#include "src/io.h"
#include "src/io_draft.h"
#include "src/store.h"
#include "src/store/dumb_line.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

/* --- faults --- */

static struct {
    bool armed;
    bool half; /* write half of what was asked before failing */
    size_t calls, fail_at;
} faults;

static bool fault_is_due(void)
{
    return faults.armed && faults.calls++ == faults.fail_at;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode)
{
    if (fault_is_due()) {
        errno = EMFILE;
        return -1;
    }
    return __real_open64(path, flags, mode);
}

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    if (!fault_is_due())
        return __real_write(fd, data, size);
    errno = ENOSPC;
    return faults.half ? __real_write(fd, data, size / 2) : -1;
}

ssize_t __real_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    if (!fault_is_due())
        return __real_pwrite64(fd, data, size, offset);
    if (faults.half && size > 1)
        assert_true(__real_pwrite64(fd, data, size / 2, offset) > 0);
    errno = ENOSPC;
    return -1;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    errno = EIO;
    return fault_is_due() ? -1 : __real_fsync(fd);
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    errno = EIO;
    return fault_is_due() ? -1 : __real_fdatasync(fd);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    errno = EACCES;
    return fault_is_due() ? -1 : __real_rename(from, to);
}

int __real_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    errno = EPERM;
    return fault_is_due() ? -1 : __real_linkat(from_folder, from, to_folder, to, flags);
}

/* --- the grammar --- */

static const struct grammar {
    const char *label;
    struct bytes line;
    enum dumb_line verdict;
    struct bytes key;
    int64_t offset, size;
} grammar[] = {
    {"accept-plain", BYTES("'a', (0, 5)"), DUMB_RECORD, BYTES("a"), 0, 5},
    {"accept-double-quotes", BYTES("\"it's\", (512, 0)"), DUMB_RECORD, BYTES("it's"), 512, 0},
    {"accept-empty-key", BYTES("'', (0, 5)"), DUMB_RECORD, BYTES(""), 0, 5},
    {"accept-raw-latin-1", BYTES("'\xE9', (0, 5)"), DUMB_RECORD, BYTES("\xE9"), 0, 5},
    {"accept-escapes", BYTES("'\\\\\\'\\\"\\a\\b\\f\\n\\r\\t\\v', (0, 5)"), DUMB_RECORD,
     BYTES("\\'\"\a\b\f\n\r\t\v"), 0, 5},
    {"accept-hex", BYTES("'\\x00\\xfF', (0, 5)"), DUMB_RECORD, BYTES("\x00\xFF"), 0, 5},
    {"accept-octal", BYTES("'\\0\\18\\377\\0001', (0, 5)"), DUMB_RECORD,
     BYTES("\0\1"
           "8\xFF\0"
           "1"),
     0, 5},
    {"accept-unicode-latin-1", BYTES("'\\u00e9\\U000000e9', (0, 5)"), DUMB_RECORD,
     BYTES("\xE9\xE9"), 0, 5},
    {"accept-unknown-escape", BYTES("'\\q', (0, 5)"), DUMB_RECORD, BYTES("\\q"), 0, 5},
    {"accept-u-prefix", BYTES("u'a', (0, 5)"), DUMB_RECORD, BYTES("a"), 0, 5},
    {"accept-adjacent", BYTES("'a' \"b\"u'c', (0, 5)"), DUMB_RECORD, BYTES("abc"), 0, 5},
    {"accept-list", BYTES("'a', [0, 5]"), DUMB_RECORD, BYTES("a"), 0, 5},
    {"accept-spread", BYTES(" \t'a' ,( 0\t, 5 , ) , # why not \x85\xA0"), DUMB_RECORD, BYTES("a"),
     0, 5},
    {"accept-tight", BYTES("'a',(0,5)"), DUMB_RECORD, BYTES("a"), 0, 5},
    {"accept-bases", BYTES("'a', (0x_1F, 0b1_01)"), DUMB_RECORD, BYTES("a"), 31, 5},
    {"accept-octal-number", BYTES("'a', (0o17, 00)"), DUMB_RECORD, BYTES("a"), 15, 0},
    {"accept-long", BYTES("'a', (512L, 5l)"), DUMB_RECORD, BYTES("a"), 512, 5},
    {"accept-signs", BYTES("'a', (-5, +1_000)"), DUMB_RECORD, BYTES("a"), -5, 1000},
    {"accept-huge", BYTES("'a', (99999999999999999999, -99999999999999999999)"), DUMB_RECORD,
     BYTES("a"), INT64_MAX, -INT64_MAX},
    {"refuse-blank", BYTES(""), DUMB_BLANK, BYTES(""), 0, 0},
    {"refuse-spaces", BYTES(" \t\x0C\x1F\x85\xA0"), DUMB_BLANK, BYTES(""), 0, 0},
    {"refuse-comment", BYTES("# a comment"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-bytes", BYTES("b'a', (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-raw", BYTES("r'a', (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-not-latin-1", BYTES("'\\u20ac', (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-named", BYTES("'\\N{BULLET}', (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-octal-over", BYTES("'\\400', (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-short-hex", BYTES("'\\x1', (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-short-unicode", BYTES("'\\u00e', (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-unquoted", BYTES("a, (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-open-string", BYTES("'a, (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-backslash-at-end", BYTES("'a\\"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-no-pair", BYTES("'a'"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-one-number", BYTES("'a', (0,)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-three-numbers", BYTES("'a', (0, 5, 6)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-crossed-brackets", BYTES("'a', (0, 5]"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-torn", BYTES("'a', (0, 5"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-float", BYTES("'a', (0, 5.0)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-leading-zero", BYTES("'a', (0, 05)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-underscore-at-end", BYTES("'a', (0, 5_)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-base-without-digits", BYTES("'a', (0x, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-words-after", BYTES("'a', (0, 5) 'b'"), DUMB_UNKNOWN, BYTES(""), 0, 0},
    {"refuse-nul", BYTES("'a\0', (0, 5)"), DUMB_UNKNOWN, BYTES(""), 0, 0},
};

static void test_grammar(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(grammar); i++) {
        const struct grammar *row = &grammar[i];
        struct buffer key = BUFFER_INIT;
        int64_t offset = -77, size = -77;
        enum dumb_line verdict = dumb_line_parse(row->line, &key, &offset, &size);
        bool right = verdict == row->verdict;

        if (verdict == DUMB_RECORD)
            right = right && bytes_equal(buffer_bytes(&key), row->key) && offset == row->offset &&
                    size == row->size;
        else
            right = right && offset == -77 && size == -77;
        if (!right)
            fail_msg("%s: %d, (%lld, %lld)", row->label, verdict, (long long)offset,
                     (long long)size);
        buffer_release(&key);
    }
}

/* The usual line is read by a shorter way: nothing else may be, and to nothing else. */
static void test_plain_lines(void **state)
{
    static const char *const plain[] = {"accept-plain", "accept-empty-key", "accept-raw-latin-1"};

    for (size_t i = 0; i < ARRAY_SIZE(grammar); i++) {
        const struct grammar *row = &grammar[i];
        struct buffer text = BUFFER_INIT;
        struct dumb_plain record = {.offset = -77};
        size_t position = 1;
        bool usual = false;

        for (size_t j = 0; j < ARRAY_SIZE(plain); j++)
            usual = usual || strcmp(row->label, plain[j]) == 0;
        buffer_add_byte(&text, '\n');
        buffer_add(&text, row->line);
        /* Half a line is none. */
        assert_false(dumb_line_plain(buffer_bytes(&text), &position, &record));
        buffer_add_string(&text, "\r\n");
        assert_false(dumb_line_plain(buffer_bytes(&text), &position, &record));
        text.size -= 2;
        buffer_add_byte(&text, '\n');
        if (dumb_line_plain(buffer_bytes(&text), &position, &record) != usual)
            fail_msg("%s", row->label);
        assert_int_equal(position, usual ? text.size : 1);
        assert_int_equal(record.offset, usual ? row->offset : -77);
        if (usual)
            assert_true(bytes_equal(record.key, row->key) && record.size == row->size);
        /* There is no second one, and it ends where the text does. */
        assert_false(usual && dumb_line_plain(buffer_bytes(&text), &position, &record));
        buffer_release(&text);
    }
}

static const struct {
    struct bytes key;
    const char *line;
} printed[] = {
    {BYTES("a"), "'a', (512, 7)\n"},
    {BYTES(""), "'', (512, 7)\n"},
    {BYTES("it's"), "\"it's\", (512, 7)\n"},
    {BYTES("it's \"x\""), "'it\\'s \"x\"', (512, 7)\n"},
    {BYTES("\\\n\r\t\x01\x7F\x80\xA0\xAD"), "'\\\\\\n\\r\\t\\x01\\x7f\\x80\\xa0\\xad', (512, 7)\n"},
    {BYTES("\xA1\xE9\xFF"), "'\xA1\xE9\xFF', (512, 7)\n"},
};

static void test_printing(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(printed); i++) {
        struct buffer line = BUFFER_INIT;

        dumb_line_print(printed[i].key, 512, 7, &line);
        assert_true(bytes_equal(buffer_bytes(&line), bytes_of_string(printed[i].line)));
        buffer_release(&line);
    }
}

static void test_universal_newlines(void **state)
{
    static const struct {
        const char *line;
        size_t end;
    } expected[] = {{"a", 1}, {"b", 2}, {"c", 1}, {"", 1}, {"", 2}, {"d", 1}, {"e", 0}};
    struct bytes text = BYTES("a\nb\r\nc\r\r\r\nd\re"), line;
    size_t position = 0, end;

    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_true(dumb_line_next(text, &position, &line, &end));
        assert_true(bytes_equal(line, bytes_of_string(expected[i].line)));
        assert_int_equal(end, expected[i].end);
    }
    assert_false(dumb_line_next(text, &position, &line, &end));
    assert_int_equal(position, text.size);
}

/* --- databases --- */

struct database {
    char folder[64], base[96], index[128], values[128], backup[128];
};

static const struct store_options writing = {0};

static int set_up(void **state)
{
    static struct database database;

    folder_make(database.folder, sizeof database.folder);
    snprintf(database.base, sizeof database.base, "%s/db", database.folder);
    snprintf(database.index, sizeof database.index, "%s.dir", database.base);
    snprintf(database.values, sizeof database.values, "%s.dat", database.base);
    snprintf(database.backup, sizeof database.backup, "%s.bak", database.base);
    *state = &database;
    return 0;
}

static int tear_down(void **state)
{
    struct database *database = *state;

    folder_remove(database->folder);
    return 0;
}

static void make_database(const struct database *database, struct bytes index, struct bytes values)
{
    unlink(database->backup);
    assert_int_equal(io_write_file(database->index, index, IO_REPLACE), 0);
    assert_int_equal(io_write_file(database->values, values, IO_REPLACE), 0);
}

static struct store *open_database(const struct database *database)
{
    struct failure failure = {0};
    struct store *store = NULL;

    if (store_open(database->base, &writing, &store, &failure))
        fail_msg("%s", failure.message);
    return store;
}

static bool has_value(struct store *store, const char *key, const char *value)
{
    struct buffer got = BUFFER_INIT;
    int status = store_fetch(store, bytes_of_string(key), &got);
    bool same = value ? !status && bytes_equal(buffer_bytes(&got), bytes_of_string(value))
                      : status == -ENOENT;

    buffer_release(&got);
    return same;
}

/* Records that point anywhere: an error for that key alone. */
static void test_hostile_records(void **state)
{
    static const char *const bad[] = {"beyond", "across", "negative", "shrunk",
                                      "far",    "wrap",   "huge"};
    struct database *database = *state;
    struct buffer value = BUFFER_INIT;
    struct store *store;

    make_database(
        database,
        BYTES("'good', (0, 4)\n'beyond', (4096, 1)\n'across', (2, 4)\n'negative', (-1, 2)\n"
              "'shrunk', (0, -1)\n'far', (9223372036854775807, 1)\n"
              "'wrap', (9223372036854775807, 9223372036854775807)\n"
              "'huge', (0, 99999999999999999999999)\n'none', (-7, 0)\n'nothing', (9999, 0)\n"),
        BYTES("good"));
    store = open_database(database);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(store_fetch(store, bytes_of_string(bad[i]), &value), -EIO);
        assert_int_equal(store_exists(store, bytes_of_string(bad[i])), 1);
    }
    assert_int_equal(value.size, 0);
    assert_int_equal(store_fetch(store, BYTES("none"), &value), -EIO);
    assert_true(has_value(store, "good", "good"));
    assert_true(has_value(store, "nothing", ""));
    assert_int_equal(store_store(store, BYTES("far"), BYTES("near"), STORE_REPLACE), 0);
    /* Not even zeros become the value of a key that has lost its own. */
    assert_int_equal(store_exists(store, BYTES("beyond")), 0);
    assert_true(has_value(store, "far", "near"));
    assert_true(has_value(store, "good", "good"));
    assert_int_equal(store_close(store), 0);
    buffer_release(&value);
}

static void assert_file(const char *path, const char *content)
{
    struct buffer file = BUFFER_INIT;

    assert_int_equal(io_read_file(path, &file), 0);
    buffer_add_byte(&file, 0);
    assert_string_equal(file.data, content);
    buffer_release(&file);
}

static void test_unknown_lines_stay_in_place(void **state)
{
    struct database *database = *state;
    struct store *store;

    make_database(database,
                  BYTES("'a', (0, 1)\r\nsecond\r\n'b', (0, 1)\nr'x', (0, 1)\n'c', (0, 1)"),
                  BYTES("1"));
    store = open_database(database);
    assert_int_equal(store_store(store, BYTES("d"), BYTES(""), STORE_REPLACE), 0);
    assert_file(
        database->index,
        "'a', (0, 1)\r\nsecond\r\n'b', (0, 1)\nr'x', (0, 1)\n'c', (0, 1)\n'd', (512, 0)\n");
    assert_int_equal(store_remove(store, BYTES("b")), 0);
    assert_file(database->index,
                "'a', (0, 1)\nsecond\r\nr'x', (0, 1)\n'c', (0, 1)\n'd', (512, 0)\n");
    assert_int_equal(store_remove(store, BYTES("c")), 0);
    assert_file(database->index,
                "'a', (0, 1)\nsecond\r\nr'x', (0, 1)#'c', (0, 1)\n'd', (512, 0)\n");
    assert_int_equal(store_close(store), 0);
}

static void test_create_keeps_orphaned_values(void **state)
{
    struct database *database = *state;
    struct store_options options = {.flags = STORE_CREATE};
    struct failure failure = {0};
    struct store *store = NULL;

    assert_int_equal(io_write_file(database->values, BYTES("precious"), IO_CREATE), 0);
    assert_int_equal(store_open(database->base, &options, &store, &failure), -EUCLEAN);
    assert_non_null(strstr(failure.message, "its index is missing"));
    assert_file(database->values, "precious");
    assert_int_equal(access(database->index, F_OK), -1);
    /* What Python up to 3.12 leaves behind when nothing was stored. */
    assert_int_equal(io_write_file(database->values, BYTES(""), IO_REPLACE), 0);
    assert_int_equal(store_open(database->base, &options, &store, NULL), 0);
    assert_int_equal(store_close(store), 0);
}

static void test_index_that_vanishes(void **state)
{
    struct database *database = *state;
    struct store *store;

    make_database(database, BYTES("'a', (0, 1)\n"), BYTES("1"));
    store = open_database(database);
    assert_int_equal(unlink(database->index), 0);
    /* Not "no such key", which would be the truth about a database that isn't there. */
    assert_int_equal(store_exists(store, BYTES("a")), -EIO);
    assert_int_equal(store_store(store, BYTES("a"), BYTES("2"), STORE_REPLACE), -EIO);
    assert_int_equal(io_write_file(database->index, BYTES("'a', (0, 1)\n"), IO_CREATE), 0);
    assert_true(has_value(store, "a", "1"));
    assert_int_equal(store_close(store), 0);
}

/* --- the walk --- */

static int change_put(struct store *store)
{
    return store_store(store, BYTES("a"), BYTES("new"), STORE_REPLACE);
}

static int change_insert(struct store *store)
{
    return store_store(store, BYTES("c"), BYTES("new"), STORE_INSERT);
}

static int change_remove(struct store *store)
{
    return store_remove(store, BYTES("a"));
}

static int change_rename(struct store *store)
{
    return store_rename(store, BYTES("a"), BYTES("c"), STORE_REPLACE);
}

static int change_put_and_sync(struct store *store)
{
    int status = change_put(store);

    return status ? status : store_sync(store);
}

static const struct change {
    const char *label;
    int (*make)(struct store *store);
    const char *a, *c; /* afterwards; NULL: absent */
    size_t least;      /* system calls that it must make */
} changes[] = {
    {"put", change_put, "new", NULL, 3},
    {"insert", change_insert, "old", "new", 3},
    {"remove", change_remove, NULL, NULL, 6},
    {"rename", change_rename, NULL, "old", 6},
    {"put and sync", change_put_and_sync, "new", NULL, 6},
};

static void assert_index_is_whole(const struct database *database)
{
    struct buffer text = BUFFER_INIT, key = BUFFER_INIT;
    size_t position = 0, end;
    int64_t offset, size;
    struct bytes line;

    assert_int_equal(io_read_file(database->index, &text), 0);
    while (dumb_line_next(buffer_bytes(&text), &position, &line, &end)) {
        buffer_clear(&key);
        assert_int_equal(dumb_line_parse(line, &key, &offset, &size), DUMB_RECORD);
        assert_int_equal(end, 1);
    }
    buffer_release(&text);
    buffer_release(&key);
}

static void check_after(const struct change *change, struct store *store, int status)
{
    bool is_new = has_value(store, "a", change->a) && has_value(store, "c", change->c);
    bool is_old = has_value(store, "a", "old") && has_value(store, "c", NULL);

    if (!has_value(store, "b", "kept") || !(is_new || (status && is_old)))
        fail_msg("%s, call %zu failed with %d: neither old nor new", change->label, faults.fail_at,
                 status);
}

/* Returns whether the walk is over: nothing failed. */
static bool walk_step(const struct database *database, const struct change *change)
{
    struct store *store;
    bool over;
    int status;

    make_database(database, BYTES("'a', (0, 3)\n'b', (512, 4)\n"), BYTES("old"));
    assert_int_equal(truncate(database->values, 512), 0);
    store = open_database(database);
    assert_int_equal(store_store(store, BYTES("b"), BYTES("kept"), STORE_REPLACE), 0);
    faults.armed = true;
    faults.calls = 0;
    status = change->make(store);
    faults.armed = false;
    over = faults.calls <= faults.fail_at;
    if (over)
        assert_int_equal(status, 0);
    check_after(change, store, status);
    assert_index_is_whole(database);
    store_close(store);
    store = open_database(database);
    check_after(change, store, status);
    assert_int_equal(store_close(store), 0);
    return over;
}

static void test_walk(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        for (int half = 0; half < 2; half++) {
            faults.half = half;
            for (faults.fail_at = 0; !walk_step(*state, &changes[i]); faults.fail_at++)
                assert_true(faults.fail_at < 100);
            assert_true(faults.fail_at >= changes[i].least);
        }
    }
}

/* The repair of a torn index, call by call: until it is done, the index stays as it was. */
static void test_walk_repair(void **state)
{
    struct database *database = *state;
    int status = -1;

    for (faults.fail_at = 0; status; faults.fail_at++) {
        struct store *store = NULL;

        make_database(database, BYTES("'a', (0, 3)\n'b', (51"), BYTES("old"));
        faults.armed = true;
        faults.calls = 0;
        status = store_open(database->base, &writing, &store, NULL);
        faults.armed = false;
        if (!status) {
            assert_true(has_value(store, "a", "old"));
            assert_int_equal(store_close(store), 0);
            assert_index_is_whole(database);
            status = faults.calls > faults.fail_at;
        }
        store = open_database(database);
        assert_true(has_value(store, "a", "old"));
        assert_int_equal(store_close(store), 0);
    }
    assert_true(faults.fail_at > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_plain_lines),
        cmocka_unit_test(test_printing),
        cmocka_unit_test(test_universal_newlines),
        cmocka_unit_test_setup_teardown(test_hostile_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_lines_stay_in_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_create_keeps_orphaned_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_index_that_vanishes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_walk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_walk_repair, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
