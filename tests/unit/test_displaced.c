/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys that wait behind companions: several at once, and through several views. test_scratch.c has the ordinary case. */
#include "tests/unit/world.h"

static void finish(struct world *world)
{
    assert_int_equal(tree_finish(world->tree, &world->read), 0);
}

/* `mv k~ k~~; mv k k~; rm k~~`, as who keeps several backups does. */
static void test_backups_of_backups(void **state)
{
    struct world *world = *state;

    put(world, "k~", "older\n");
    assert_int_equal(rename_file(world, "k~", "k~~"), 0);
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_shows(world, "k", NULL);
    assert_shows(world, "k~", "old\n");
    assert_shows(world, "k~~", "older\n");
    assert_int_equal(unlink_file(world, "k~~"), 0);
    assert_shows(world, "k~", "old\n");
    finish(world);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "old\n");
    assert_stored(world, "k~~", NULL);
}

/* A key that was renamed onto another one of a companion's name goes on: nothing of the old name is left behind. */
static void test_renamed_again(void **state)
{
    struct world *world = *state;

    put(world, "k~", "older\n");
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_stored(world, "k", "old\n");
    assert_int_equal(rename_file(world, "k~", "list"), 0);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", NULL);
    assert_stored(world, "list", "old\n");
}

static void test_exchanged_again(void **state)
{
    struct world *world = *state;

    put(world, "k~", "older\n");
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(tree_rename(world->tree, TREE_ROOT, "k~", TREE_ROOT, "list", RENAME_EXCHANGE),
                     0);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "[1, 2]\n");
    assert_stored(world, "list", "old\n");
}

/* The old text goes before the new file was saved: the file keeps its mode when the key appears behind it. */
static void test_mode_of_a_successor(void **state)
{
    struct stat in = {.st_mode = 0640}, out;
    struct world *world = *state;
    struct tree_handle *writer;

    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(open_file(world, "k", O_RDWR | O_CREAT | O_EXCL, &writer), 0);
    assert_int_equal(
        tree_setattr(world->tree, find(world, "k"), NULL, &in, TREE_SET_MODE, &world->caller, &out),
        0);
    assert_int_equal(tree_write(writer, 0, BYTES("new\n")), 0);
    assert_int_equal(unlink_file(world, "k~"), 0);
    assert_int_equal(tree_getattr(world->tree, find(world, "k"), &out), 0);
    assert_int_equal(out.st_mode & 07777, 0640);
    assert_int_equal(tree_flush(writer), 0);
    tree_release(writer);
    assert_stored(world, "k", "new\n");
    assert_int_equal(tree_getattr(world->tree, find(world, "k"), &out), 0);
    assert_int_equal(out.st_mode & 07777, 0640);
}

/* A key of the companion's name was there once, and another program removed it: what it had is not the new one's. */
static void test_mode_of_a_former_key(void **state)
{
    struct stat in = {.st_mode = 0600}, out;
    struct world *world = *state;
    mode_t usual;

    assert_int_equal(tree_getattr(world->tree, find(world, "k"), &out), 0);
    usual = out.st_mode;
    put(world, "k~", "older\n");
    in.st_mode = usual == (S_IFREG | 0600) ? 0640 : 0600;
    assert_int_equal(tree_setattr(world->tree, find(world, "k~"), NULL, &in, TREE_SET_MODE,
                                  &world->caller, &out),
                     0);
    assert_int_equal(store_remove(world->store, BYTES("k~")), 0);
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    finish(world);
    assert_stored(world, "k~", "old\n");
    assert_int_equal(tree_getattr(world->tree, find(world, "k~"), &out), 0);
    assert_int_equal(out.st_mode, usual);
}

/* The same, and all are kept. */
static void test_chain(void **state)
{
    struct world *world = *state;

    put(world, "k~", "older\n");
    put(world, "k~~", "oldest\n");
    assert_int_equal(rename_file(world, "k~~", "k~~~"), 0);
    assert_int_equal(rename_file(world, "k~", "k~~"), 0);
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(echo(world, "k", TO, "new\n"), 0);
    finish(world);
    assert_stored(world, "k", "new\n");
    assert_stored(world, "k~", NULL); /* a companion: the text is replaced */
    assert_shows(world, "k~", "old\n");
    assert_stored(world, "k~~", "older\n");
    assert_stored(world, "k~~~", "oldest\n");
}

static void test_companions_that_swap_names(void **state)
{
    struct world *world = *state;

    put(world, "a~", "a\n");
    put(world, "b~", "b\n");
    assert_int_equal(rename_file(world, "b~", "c~"), 0);
    assert_int_equal(rename_file(world, "a~", "b~"), 0);
    assert_int_equal(rename_file(world, "c~", "a~"), 0);
    assert_shows(world, "a~", "b\n");
    assert_shows(world, "b~", "a\n");
    finish(world);
    assert_stored(world, "a~", "b\n");
    assert_stored(world, "b~", "a\n");
    assert_stored(world, "c~", NULL);
}

/* The store fails at any step of making room: nothing has changed, and it works the next time. */
static void test_no_room(void **state)
{
    struct world *world = *state;
    int code = -1;

    put(world, "k~", "older\n");
    assert_int_equal(rename_file(world, "k~", "k~~"), 0);
    for (size_t n = 0; code; n++) {
        world->trace.fail_at = world->trace.calls + n;
        code = rename_file(world, "k", "k~");
        world->trace.fail_at = SIZE_MAX;
        assert_true(code == 0 || code == -ENOSPC);
        assert_shows(world, code ? "k" : "k~", "old\n");
        assert_shows(world, "k~~", "older\n");
    }
    finish(world);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "old\n");
    assert_stored(world, "k~~", "older\n");
}

/* A file that was open in another view is saved: its value must not be carried to the companion's name. */
static void test_saved_in_another_view(void **state)
{
    struct world *world = *state;
    struct tree_handle *writer;

    assert_int_equal(open_file(world, "k", O_RDWR, &writer), 0);
    assert_int_equal(rename_file(world, ".shelvefs/raw/k", ".shelvefs/raw/k~"), 0);
    assert_int_equal(tree_write(writer, 0, BYTES("new")), 0);
    assert_int_equal(tree_flush(writer), 0);
    assert_stored(world, "k", "new\n");
    tree_release(writer);
    finish(world);
    assert_stored(world, "k", "new\n");
    assert_stored(world, "k~", NULL);
    assert_non_null(cat(world, ".shelvefs/raw/k~"));
}

static void test_displaced_in_two_views(void **state)
{
    struct world *world = *state;

    assert_non_null(cat(world, "k"));
    assert_int_equal(rename_file(world, ".shelvefs/raw/k", ".shelvefs/raw/k~"), 0);
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    finish(world);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "old\n");
}

static void test_exchanged_in_another_view(void **state)
{
    struct world *world = *state;

    assert_non_null(cat(world, "k"));
    assert_int_equal(rename_file(world, ".shelvefs/raw/k", ".shelvefs/raw/k~"), 0);
    assert_int_equal(tree_rename(world->tree, TREE_ROOT, "k", TREE_ROOT, "list", RENAME_EXCHANGE),
                     0);
    finish(world);
    assert_stored(world, "k", "[1, 2]\n");
    assert_stored(world, "list", "old\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_CASE(test_backups_of_backups),
        WORLD_CASE(test_chain),
        WORLD_CASE(test_renamed_again),
        WORLD_CASE(test_exchanged_again),
        WORLD_CASE(test_mode_of_a_former_key),
        WORLD_CASE(test_mode_of_a_successor),
        WORLD_CASE(test_companions_that_swap_names),
        WORLD_CASE(test_no_room),
        WORLD_CASE(test_saved_in_another_view),
        WORLD_CASE(test_displaced_in_two_views),
        WORLD_CASE(test_exchanged_in_another_view),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
