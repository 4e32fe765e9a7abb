/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/world.h"

static int set_up(void **state)
{
    static struct world world;

    world_open(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    return 0;
}

static void test_reads_what_is_stored(void **state)
{
    struct world *world = *state;

    put(world, "a", "hello\n");
    put(world, "list", "[1, 2]\n");
    assert_shows(world, "a", "hello\n");
    assert_shows(world, "list", "[1, 2]\n");
    assert_shows(world, "absent", NULL);
}

static void test_saves_what_is_written(void **state)
{
    struct world *world = *state;

    put(world, "list", "[1, 2]\n");
    assert_int_equal(echo(world, "list", TO, "[1, 2, 3]\n"), 0);
    assert_stored(world, "list", "[1, 2, 3]\n");
    assert_int_equal(echo(world, "new", TO, "x\n"), 0);
    assert_stored(world, "new", "x\n");
    assert_int_equal(echo(world, "new", ONTO, "y\n"), 0);
    assert_stored(world, "new", "x\ny\n");
    assert_int_equal(rename_file(world, "new", "list"), 0);
    assert_stored(world, "list", "x\ny\n");
    assert_stored(world, "new", NULL);
    assert_int_equal(unlink_file(world, "list"), 0);
    assert_stored(world, "list", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_what_is_stored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_saves_what_is_written, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
