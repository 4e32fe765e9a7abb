/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that were looked at together: their attributes cost no call of the store for a moment, and what changes is seen all the same. */
#include "tests/unit/world.h"

#include "src/clock.h"

#include <unistd.h>

static const struct bytes both = {(const uint8_t *)"k\0list", 7};

static off_t size_of(struct world *world, const char *name)
{
    struct stat stat;

    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, name, &stat), 0);
    tree_forget(world->tree, stat.st_ino, 1);
    return stat.st_size;
}

/* Looks at both; whether what was seen still holds afterwards, which it may not on a machine that stands still. */
static bool look(struct world *world)
{
    int64_t start = clock_ms();

    tree_look_at(world->tree, TREE_ROOT, both);
    forget_log(world);
    assert_int_equal(size_of(world, "k"), 4);
    assert_int_equal(size_of(world, "list"), 7);
    return clock_ms() - start < 50;
}

/* Returns in the moment in which what was seen holds, having asked for both. */
static void look_quickly(struct world *world)
{
    for (int i = 0; i < 100; i++)
        if (look(world))
            return;
    fail();
}

static void test_attributes_cost_no_call(void **state)
{
    struct world *world = *state;

    look_quickly(world);
    assert_int_equal(world->trace.log.size, 0);
}

static void test_our_changes_are_seen_at_once(void **state)
{
    struct world *world = *state;

    look_quickly(world);
    assert_int_equal(echo(world, "k", TO, "longer\n"), 0);
    assert_int_equal(size_of(world, "k"), 7);
    assert_int_equal(rename_file(world, "k", "list"), 0);
    assert_int_equal(find(world, "k"), 0);
    assert_int_equal(size_of(world, "list"), 7);
    assert_int_equal(unlink_file(world, "list"), 0);
    assert_int_equal(find(world, "list"), 0);
}

/* Attributes are late by a moment, as those are that the kernel keeps; who opens the file sees what there is. */
static void test_changes_of_others(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    look_quickly(world);
    put(world, "k", "something else\n");
    assert_int_equal(open_file(world, "k", O_RDONLY, &handle), 0);
    assert_string_equal(read_handle(world, handle), "something else\n");
    tree_release(handle);

    put(world, "k", "old\n");
    while (size_of(world, "k") != 4)
        usleep(1000);
    look_quickly(world);
    put(world, "list", "[]\n");
    while (size_of(world, "list") != 3)
        usleep(1000);
}

static void test_what_is_not_there(void **state)
{
    struct world *world = *state;

    tree_look_at(world->tree, TREE_ROOT, BYTES("none\0k\0.shelvefs\0sedAbCdEf"));
    assert_int_equal(find(world, "none"), 0);
    put(world, "none", "[]\n");
    assert_int_equal(size_of(world, "none"), 3);
    tree_look_at(world->tree, find(world, "k"), both);
    tree_look_at(world->tree, 99, both);
}

static void test_the_next_page(void **state)
{
    struct world *world = *state;
    struct tree_room room = {.bytes = 4096, .each = 100};
    struct tree_listing *directory = open_directory(world, "");
    struct listing page = {.room = 3}, rest = {.room = 64};
    int64_t start = clock_ms();

    assert_int_equal(tree_readdir(directory, 0, &room, take_entry, &page), 0);
    assert_int_equal(page.count, 3);
    tree_keep_listing(directory);
    tree_look_ahead(directory, page.next[2], &room);
    forget_log(world);
    assert_int_equal(tree_readdir(directory, page.next[2], &room, take_entry, &rest), 0);
    assert_true(entry_of(&rest, "k") || entry_of(&rest, "list"));
    if (clock_ms() - start < 50)
        assert_int_equal(calls(world, "fetch"), 0);

    /* At the end there is nothing, and who closes it meanwhile is not waited for. */
    tree_keep_listing(directory);
    tree_look_ahead(directory, rest.next[rest.count - 1], &room);
    tree_keep_listing(directory);
    tree_closedir(directory);
    tree_look_ahead(directory, page.next[2], &room);
}

static const struct tree_room page_room = {.bytes = 4096, .each = 100};

/* Reads the dots, and has the rest prepared. The position behind the dots. */
static off_t prepare_rest(struct tree_listing *directory)
{
    struct listing dots = {.room = 2};

    assert_int_equal(tree_readdir(directory, 0, &page_room, take_entry, &dots), 0);
    assert_int_equal(dots.count, 2);
    tree_keep_listing(directory);
    tree_look_ahead(directory, dots.next[1], &page_room);
    return dots.next[1];
}

static struct listing read_rest(struct tree_listing *directory, off_t position, size_t room)
{
    struct listing rest = {.room = room};

    assert_int_equal(tree_readdir(directory, position, &page_room, take_entry, &rest), 0);
    return rest;
}

/* The references are those that the kernel would have got, and no more. */
static void forget_entries(struct world *world, const struct listing *listing)
{
    struct stat stat;

    for (size_t i = 0; i < listing->count; i++)
        tree_forget(world->tree, listing->stats[i].st_ino, 1);
    usleep(110000); /* what a glance saw stays for a moment */
    tree_tick(world->tree);
    for (size_t i = 0; i < listing->count; i++)
        assert_int_equal(tree_getattr(world->tree, listing->stats[i].st_ino, &stat), -ESTALE);
}

static void test_a_prepared_page(void **state)
{
    struct world *world = *state;
    struct tree_listing *directory = open_directory(world, "");
    off_t position = prepare_rest(directory);
    int64_t start = clock_ms();
    struct listing some, rest;

    forget_log(world);
    some = read_rest(directory, position, 1);
    assert_int_equal(some.count, 1);
    if (clock_ms() - start < 50)
        assert_int_equal(calls(world, "fetch"), 0);
    rest = read_rest(directory, some.next[0], 64);
    assert_int_equal(some.count + rest.count, 2);
    assert_true(entry_of(&some, "k") ? !!entry_of(&rest, "list") : !!entry_of(&rest, "k"));
    tree_closedir(directory);
    forget_entries(world, &some);
    forget_entries(world, &rest);
}

/* What changes what a page told, or may have, comes with a touch. */
static void test_a_touch_spoils_a_prepared_page(void **state)
{
    struct world *world = *state;
    struct tree_listing *directory = open_directory(world, "");
    off_t position = prepare_rest(directory);
    struct listing rest;

    tree_touch_begin(world->tree);
    assert_int_equal(set_attributes(world, "k", (struct stat){.st_mode = 0600}, TREE_SET_MODE), 0);
    tree_touch_end(world->tree);
    rest = read_rest(directory, position, 64);
    assert_int_equal(entry_of(&rest, "k")->st_mode & 0777, 0600);

    /* Who does that once does it again: only the look is taken ahead from now on. */
    prepare_rest(directory);
    tree_closedir(directory);
}

/* Whether it has done its work yet, nobody knows. */
static void test_nothing_is_prepared_beside_a_request(void **state)
{
    struct world *world = *state;
    struct tree_listing *directory = open_directory(world, "");
    struct listing rest;
    off_t position;

    tree_touch_begin(world->tree);
    position = prepare_rest(directory);
    assert_int_equal(set_attributes(world, "k", (struct stat){.st_mode = 0600}, TREE_SET_MODE), 0);
    tree_touch_end(world->tree);
    rest = read_rest(directory, position, 64);
    assert_int_equal(entry_of(&rest, "k")->st_mode & 0777, 0600);
    tree_closedir(directory);
}

static void test_a_save_spoils_a_prepared_page(void **state)
{
    struct world *world = *state;
    struct tree_listing *directory = open_directory(world, "");
    off_t position = prepare_rest(directory);
    struct listing rest;

    assert_int_equal(echo(world, "k", TO, "longer\n"), 0);
    rest = read_rest(directory, position, 64);
    assert_int_equal(entry_of(&rest, "k")->st_size, 7);
    tree_closedir(directory);
}

static void test_a_page_that_is_late(void **state)
{
    struct world *world = *state;
    struct tree_listing *directory = open_directory(world, "");
    off_t position = prepare_rest(directory);
    struct listing rest;

    put(world, "k", "by another program\n");
    usleep(110000);
    rest = read_rest(directory, position, 64);
    assert_int_equal(entry_of(&rest, "k")->st_size, 19);
    tree_closedir(directory);
    forget_entries(world, &rest);
}

static void test_a_page_that_nobody_wants(void **state)
{
    struct world *world = *state;
    struct tree_listing *directory = open_directory(world, "");
    struct listing all;

    prepare_rest(directory);
    all = read_rest(directory, 0, 64);
    assert_int_equal(all.count, 4 + !!entry_of(&all, ".shelvefs"));
    tree_closedir(directory);

    directory = open_directory(world, "");
    prepare_rest(directory);
    tree_closedir(directory);
    for (size_t i = 2; i < all.count; i++)
        all.stats[i - 2] = all.stats[i];
    all.count -= 2;
    forget_entries(world, &all);
}

/* What nobody can ask for any more is given back. */
static void test_nothing_stays(void **state)
{
    struct world *world = *state;
    struct stat stat;
    uint64_t node;

    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, "k", &stat), 0);
    node = stat.st_ino;
    tree_look_at(world->tree, TREE_ROOT, both);
    tree_forget(world->tree, node, 1);
    while (tree_getattr(world->tree, node, &stat) == 0) {
        tree_tick(world->tree);
        usleep(1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_CASE(test_attributes_cost_no_call),
        WORLD_CASE(test_our_changes_are_seen_at_once),
        WORLD_CASE(test_changes_of_others),
        WORLD_CASE(test_what_is_not_there),
        WORLD_CASE(test_the_next_page),
        WORLD_CASE(test_a_prepared_page),
        WORLD_CASE(test_a_touch_spoils_a_prepared_page),
        WORLD_CASE(test_nothing_is_prepared_beside_a_request),
        WORLD_CASE(test_a_save_spoils_a_prepared_page),
        WORLD_CASE(test_a_page_that_is_late),
        WORLD_CASE(test_a_page_that_nobody_wants),
        WORLD_CASE(test_nothing_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
