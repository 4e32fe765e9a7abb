/* SPDX-License-Identifier: GPL-3.0-or-later */
/* New files: how often the store is asked for a key that is not there, and what comes of it when it is there by then. */
#include "tests/unit/stopped_clock.h"
#include "tests/unit/world.h"

static int set_up(void **state)
{
    static struct world world;

    world_open(&world);
    passed_ms = 0;
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    return 0;
}

static void look_in_vain(struct world *world, const char *name)
{
    struct stat stat;

    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, name, &stat), -ENOENT);
}

static int create(struct world *world, const char *name, int flags, struct tree_handle **handle)
{
    enum tree_cache cache;
    struct stat stat;

    return tree_create(world->tree, TREE_ROOT, name, 0644, O_CREAT | O_WRONLY | flags,
                       &world->caller, &stat, handle, &cache);
}

static int save(struct tree_handle *handle, const char *text)
{
    int code;

    assert_int_equal(tree_write(handle, 0, bytes_of_string(text)), 0);
    code = tree_flush(handle);
    tree_release(handle);
    return code;
}

static void test_the_store_is_asked_once(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    look_in_vain(world, "k");
    assert_int_equal(calls(world, "fetch"), 1);
    assert_int_equal(create(world, "k", O_EXCL, &handle), 0);
    assert_int_equal(save(handle, "new\n"), 0);
    assert_int_equal(calls(world, "fetch"), 1);
    assert_int_equal(calls(world, "insert"), 1);
    assert_int_equal(calls(world, "store"), 0);
    assert_stored(world, "k", "new\n");
}

static void test_an_absence_counts_once(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    look_in_vain(world, "k");
    assert_int_equal(create(world, "k", O_EXCL, &handle), 0);
    assert_int_equal(save(handle, "new\n"), 0);
    assert_int_equal(create(world, "k", O_EXCL, &handle), -EEXIST);
    assert_int_equal(unlink_file(world, "k"), 0);
    put(world, "k", "other\n");
    assert_int_equal(create(world, "k", O_EXCL, &handle), -EEXIST);
}

static void test_an_absence_is_of_one_name(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    put(world, "other", "old\n");
    look_in_vain(world, "k");
    assert_int_equal(create(world, "other", O_EXCL, &handle), -EEXIST);
}

static void test_an_absence_lasts_a_moment(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    look_in_vain(world, "k");
    put(world, "k", "old\n");
    passed_ms += 1000;
    assert_int_equal(create(world, "k", O_EXCL, &handle), -EEXIST);
}

static void test_a_change_of_our_own_ends_an_absence(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    look_in_vain(world, "k");
    assert_int_equal(echo(world, ".shelvefs/raw/k", TO, "cold\n"), 0);
    assert_int_equal(create(world, "k", O_EXCL, &handle), -EEXIST);
}

static void test_a_key_that_came_meanwhile(void **state)
{
    /* What another program stored after the file was made, and what is saved then. */
    const struct {
        const char *old, *text;
        int code;
        const char *stored;
    } rows[] = {
        {"old\n", "new\n", 0, "new\n"},
        {"old\n", "[1, 2\n", 0, "[1, 2\n"},
        {"[1]\n", "[1, 2]\n", 0, "[1, 2]\n"},
        {"old\n", "old\n", 0, "old\n"},
        {"[1]\n", "[1, 2\n", -EINVAL, "[1]\n"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct tree_handle *handle;

        look_in_vain(world, "k");
        assert_int_equal(create(world, "k", O_EXCL, &handle), 0);
        put(world, "k", rows[i].old);
        assert_int_equal(save(handle, rows[i].text), rows[i].code);
        assert_stored(world, "k", rows[i].stored);
        if (rows[i].code == 0)
            assert_int_equal(unlink_file(world, "k"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_store_is_asked_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_absence_counts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_absence_is_of_one_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_absence_lasts_a_moment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_change_of_our_own_ends_an_absence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_key_that_came_meanwhile, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
