/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rename(2) and its flags. */
#include "tests/unit/world.h"

static void test_exchange(void **state)
{
    struct world *world = *state;
    uint64_t k = find(world, "k"), list = find(world, "list");
    struct tree_handle *reader, *writer;
    struct stat in = {.st_mode = 0640}, out;

    assert_int_equal(tree_setattr(world->tree, k, NULL, &in, TREE_SET_MODE, &world->caller, &out),
                     0);
    assert_int_equal(open_file(world, "list", O_RDONLY, &reader), 0);
    assert_int_equal(open_file(world, "k", O_RDWR, &writer), 0);
    assert_int_equal(tree_write(writer, 0, BYTES("new")), 0);
    forget_log(world);
    assert_int_equal(tree_rename(world->tree, TREE_ROOT, "k", TREE_ROOT, "list", RENAME_EXCHANGE),
                     0);
    assert_int_equal(calls(world, "rename k -> list = 0"), 1);
    assert_int_equal(changes(world), 2); /* what was written was saved first */
    assert_stored(world, "k", "[1, 2]\n");
    assert_stored(world, "list", "new\n");
    assert_true(find(world, "k") == list && find(world, "list") == k);
    assert_shows(world, "k", "[1, 2]\n");
    assert_shows(world, "list", "new\n");
    assert_string_equal(read_handle(world, reader), "[1, 2]\n");
    assert_int_equal(tree_getattr(world->tree, k, &out), 0);
    assert_int_equal(out.st_mode, S_IFREG | 0640);
    assert_int_equal(tree_getattr(world->tree, list, &out), 0);
    assert_int_equal(out.st_mode, S_IFREG | 0600);
    /* The handle goes on with its file, under its new name. */
    assert_int_equal(tree_write(writer, 0, BYTES("own")), 0);
    tree_release(writer);
    tree_release(reader);
    assert_stored(world, "list", "own\n");
    assert_stored(world, "k", "[1, 2]\n");
}

/* A name of any kind that a temporary file may have, and what becomes of both. */
static void test_exchange_with_scratch(void **state)
{
    static const char *const names[] = {".list.AbCdEf", "sedQ1w2E3", "list~", ".list.swp"};
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        uint64_t list = find(world, "list"), temporary;

        put(world, "list", "[1, 2]\n");
        assert_int_equal(echo(world, names[i], TO, "[3]\n"), 0);
        assert_stored(world, names[i], NULL);
        temporary = find(world, names[i]);
        assert_int_equal(tree_rename(world->tree, TREE_ROOT, i % 2 ? "list" : names[i], TREE_ROOT,
                                     i % 2 ? names[i] : "list", RENAME_EXCHANGE),
                         0);
        assert_stored(world, "list", "[3]\n");
        assert_stored(world, names[i], "[1, 2]\n");
        assert_shows(world, "list", "[3]\n");
        assert_shows(world, names[i], "[1, 2]\n");
        assert_true(find(world, "list") == temporary && find(world, names[i]) == list);
        assert_int_equal(unlink_file(world, names[i]), 0);
        assert_int_equal(tree_finish(world->tree, &world->read), 0);
        assert_stored(world, names[i], NULL);
        assert_stored(world, "list", "[3]\n");
    }
}

static int exchange(struct world *world, const char *one, const char *other)
{
    return tree_rename(world->tree, TREE_ROOT, one, TREE_ROOT, other, RENAME_EXCHANGE);
}

/* The rules for what replaces a list hold, and nothing has changed. */
static void test_exchange_that_is_refused(void **state)
{
    struct world *world = *state;

    assert_int_equal(echo(world, ".list.AbCdEf", TO, "[3"), 0);
    assert_int_equal(exchange(world, ".list.AbCdEf", "list"), -EINVAL);
    assert_shows(world, ".list.AbCdEf", "[3");
    assert_shows(world, "list", "[1, 2]\n");
    assert_stored(world, ".list.AbCdEf", NULL);
    assert_stored(world, "list", "[1, 2]\n");
    assert_shows(world, ".shelvefs/rejected/.list.AbCdEf", "[3");
    /* Names that no key can have, companions among themselves, links. */
    assert_int_equal(echo(world, ".a%2.AbCdEf", TO, "x\n"), 0);
    assert_int_equal(exchange(world, ".a%2.AbCdEf", "list"), 0);
    assert_int_equal(echo(world, "a~", TO, "a\n"), 0);
    assert_int_equal(echo(world, "b~", TO, "b\n"), 0);
    assert_int_equal(exchange(world, "a~", "b~"), -EINVAL);
    assert_shows(world, "a~", "a\n");
}

/* The store fails at any step: both contents are there, under one name or the other. */
static void test_exchange_that_fails(void **state)
{
    struct world *world = *state;

    for (size_t at = 0;; at++) {
        int code;

        put(world, "list", "[1, 2]\n");
        assert_int_equal(echo(world, ".list.AbCdEf", TO, "[3]\n"), 0);
        world->trace.fail_at = world->trace.calls + at;
        code = exchange(world, ".list.AbCdEf", "list");
        world->trace.fail_at = SIZE_MAX;
        assert_shows(world, "list", code ? "[1, 2]\n" : "[3]\n");
        assert_shows(world, ".list.AbCdEf", code ? "[3]\n" : "[1, 2]\n");
        assert_stored(world, "list", code ? "[1, 2]\n" : "[3]\n");
        assert_int_equal(unlink_file(world, ".list.AbCdEf"), 0);
        if (code == 0)
            break;
    }
}

/* vim's backup, whose value waits in the store under its old name. */
static void test_exchange_with_a_displaced_key(void **state)
{
    struct world *world = *state;

    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_stored(world, "k", "old\n");
    assert_int_equal(exchange(world, "k~", "list"), 0);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "[1, 2]\n");
    assert_stored(world, "list", "old\n");
    assert_shows(world, "k", NULL);
    assert_shows(world, "k~", "[1, 2]\n");
}

static int open_id(struct world *world, uint64_t id, int flags, struct tree_handle **handle)
{
    enum tree_cache cache;

    return tree_open(world->tree, id, flags, handle, &cache);
}

/* The kernel looked the name up, and before it opens the file another one takes the name. */
static void test_replaced_before_it_is_opened(void **state)
{
    struct world *world = *state;
    uint64_t list = find(world, "list");
    struct tree_handle *handle;

    assert_int_equal(echo(world, ".list.AbCdEf", TO, "[3]\n"), 0);
    assert_int_equal(rename_file(world, ".list.AbCdEf", "list"), 0);
    assert_true(find(world, "list") != list);
    assert_int_equal(open_id(world, list, O_WRONLY, &handle), -ESTALE);
    assert_int_equal(open_id(world, list, O_WRONLY | O_TRUNC, &handle), -ESTALE);
    assert_int_equal(open_id(world, list, O_RDONLY, &handle), 0);
    assert_string_equal(read_handle(world, handle), "[1, 2]\n");
    tree_release(handle);
    assert_shows(world, "list", "[3]\n");
}

/* Removed here, or by another program: the name is to be looked up again. */
static void test_removed_before_it_is_opened(void **state)
{
    struct world *world = *state;
    uint64_t list = find(world, "list"), k = find(world, "k");
    struct tree_handle *handle;

    assert_int_equal(unlink_file(world, "list"), 0);
    assert_int_equal(open_id(world, list, O_RDONLY, &handle), -ESTALE);
    assert_int_equal(store_remove(world->store, BYTES("k")), 0);
    assert_int_equal(open_id(world, k, O_WRONLY | O_TRUNC, &handle), -ESTALE);
    assert_int_equal(echo(world, "k", TO, "new\n"), 0);
    assert_stored(world, "k", "new\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_CASE(test_exchange),
        WORLD_CASE(test_exchange_with_scratch),
        WORLD_CASE(test_exchange_that_is_refused),
        WORLD_CASE(test_exchange_that_fails),
        WORLD_CASE(test_exchange_with_a_displaced_key),
        WORLD_CASE(test_replaced_before_it_is_opened),
        WORLD_CASE(test_removed_before_it_is_opened),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
