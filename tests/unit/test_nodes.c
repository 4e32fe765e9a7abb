/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Identities: names, ids, references. */
#include "fs/tree_state.h"

#include "tests/unit/world.h"

static const struct place root = {.home = DIRECTORY_ROOT}, raw_place = {.home = DIRECTORY_RAW};

static void test_names_and_their_keys(void **state)
{
    static const struct {
        const char *name;
        bool has_key;
        struct bytes key;
    } rows[] = {
        {"plain", true, BYTES("plain")}, {"a%2Fb", true, BYTES("a/b")},
        {"%", true, BYTES("")},          {"a%00", true, BYTES("a\0")},
        {"a%2f", false, BYTES("")},      {".a%0.abcdef", true, BYTES(".a%0.abcdef")},
        {"%41", false, BYTES("")},       {".shelvefs", false, BYTES("")},
    };
    char longest[NAME_LONGEST + 2];
    struct node_name *name;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(node_name_new(KEYNAME_EXACT, root, rows[i].name, &name), 0);
        assert_string_equal(name->text, rows[i].name);
        assert_int_equal(name->size, strlen(rows[i].name));
        assert_int_equal(name->has_key, rows[i].has_key);
        assert_true(bytes_equal(name->key, rows[i].key));
        free(name);
    }
    memset(longest, 'x', sizeof longest);
    longest[NAME_LONGEST + 1] = 0;
    assert_int_equal(node_name_new(KEYNAME_EXACT, root, longest, &name), -ENAMETOOLONG);
    longest[NAME_LONGEST] = 0;
    assert_int_equal(node_name_new(KEYNAME_EXACT, root, longest, &name), 0);
    assert_false(name->has_key);
    free(name);
}

/* These numbers are promised to rsync, tar and find: they are the same in every mount of every version. */
static void test_ids_are_constant(void **state)
{
    assert_true(node_hash(root, "k") == 0xf367f72556b12f52);
    assert_true(node_hash(raw_place, "k") == 0xb8e6a7072475c741);
    assert_true(node_hash(root, "") > TREE_ROOT);
}

static int set_up(void **state)
{
    static struct world world;

    world_open(&world);
    put(&world, "a", "1\n");
    put(&world, "b", "2\n");
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    return 0;
}

static void test_an_id_is_the_same_after_remounting(void **state)
{
    struct world *world = *state;
    uint64_t a = find(world, "a"), raw = find(world, ".shelvefs/raw/a");

    assert_true(a == node_hash(root, "a"));
    assert_true(raw != a);
    world_remount(world);
    assert_true(find(world, "a") == a);
    assert_true(find(world, ".shelvefs/raw/a") == raw);
}

static void test_a_renamed_file_keeps_its_id(void **state)
{
    struct world *world = *state;
    uint64_t a = find(world, "a"), b = find(world, "b"), again;
    struct stat stat;

    assert_int_equal(rename_file(world, "a", "b"), 0);
    assert_true(find(world, "b") == a);
    assert_int_equal(echo(world, "a", TO, "new\n"), 0);
    again = find(world, "a");
    assert_true(again != a && again != b);
    assert_int_equal(tree_getattr(world->tree, again, &stat), 0);
    assert_int_equal(stat.st_size, 4);
    assert_shows(world, "b", "1\n");
    assert_shows(world, "a", "new\n");
    tree_closedir(open_directory(world, ""));
}

static void test_forgotten_nodes_are_freed(void **state)
{
    struct world *world = *state;
    size_t before = world->tree->nodes.by_id.count;
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;
    uint64_t a = find(world, "a");

    assert_true(find(world, "a") == a);
    assert_int_equal(world->tree->nodes.by_id.count, before + 1);
    assert_int_equal(tree_open(world->tree, a, O_RDONLY, &handle, &cache), 0);
    tree_forget(world->tree, a, 1);
    tree_forget(world->tree, a,
                5); /* more than there were: the kernel is not to be trusted with that */
    assert_int_equal(world->tree->nodes.by_id.count, before + 1);
    assert_string_equal(read_handle(world, handle), "1\n");
    tree_release(handle);
    assert_int_equal(world->tree->nodes.by_id.count, before);
    assert_int_equal(tree_getattr(world->tree, a, &stat), -ESTALE);
    assert_int_equal(world->tree->texts.bytes, 0);
    tree_forget(world->tree, a, 1);
    tree_forget(world->tree, TREE_ROOT, 1);
    assert_int_equal(tree_getattr(world->tree, TREE_ROOT, &stat), 0);
    /* A name without a file leaves nothing behind. */
    for (int i = 0; i < 10; i++)
        assert_int_equal(tree_lookup(world->tree, TREE_ROOT, "absent", &stat), -ENOENT);
    assert_int_equal(world->tree->nodes.by_id.count, before);
}

static void test_scratch_files_outlive_the_kernels_interest(void **state)
{
    struct world *world = *state;
    size_t before = world->tree->nodes.by_id.count;

    assert_int_equal(echo(world, "a~", TO, "kept\n"), 0);
    tree_forget(world->tree, find(world, "a~"), 100);
    assert_shows(world, "a~", "kept\n");
    assert_int_equal(unlink_file(world, "a~"), 0);
    tree_forget(world->tree, node_hash(root, "a~"), 100);
    assert_int_equal(world->tree->nodes.by_id.count, before);
}

static void test_only_idle_texts_count_as_cached(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    assert_int_equal(open_file(world, "a", O_RDONLY, &handle), 0);
    assert_int_equal(world->tree->texts.bytes, 0);
    tree_release(handle);
    assert_int_equal(world->tree->texts.bytes, 2);
    world->tree->texts.limit = 3;
    assert_shows(world, "b", "2\n");
    assert_int_equal(world->tree->texts.bytes, 2);
    forget_log(world);
    assert_shows(world, "b", "2\n");
    assert_int_equal(calls(world, "fetch"), 0);
    assert_shows(world, "a", "1\n");
    assert_int_equal(calls(world, "fetch a"), 1);
}

/* The kernel may drop its last requests when the mount ends; the sanitizer would tell what stays. */
static void test_what_is_open_at_the_end_is_freed(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    assert_int_equal(open_file(world, "a", O_RDONLY, &handle), 0);
    open_directory(world, "");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_their_keys),
        cmocka_unit_test(test_ids_are_constant),
        CASE(test_an_id_is_the_same_after_remounting),
        CASE(test_a_renamed_file_keeps_its_id),
        CASE(test_forgotten_nodes_are_freed),
        CASE(test_scratch_files_outlive_the_kernels_interest),
        CASE(test_only_idle_texts_count_as_cached),
        CASE(test_what_is_open_at_the_end_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
