/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What may go through the kernel's pages, and which size it is told, while another program changes the value. */
#include "tests/unit/stopped_clock.h"
#include "tests/unit/world.h"

static int set_up(void **state)
{
    static struct world world;

    world_open(&world);
    put(&world, "k", "old\n");
    passed_ms = 0;
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    return 0;
}

/* Without looking the name up, as the kernel does while it knows it. */
static struct tree_handle *open_known(struct world *world, uint64_t id, int flags,
                                      enum tree_cache *cache)
{
    struct tree_handle *handle;

    assert_int_equal(tree_open(world->tree, id, flags, &handle, cache), 0);
    return handle;
}

static enum tree_cache cache_of_next(struct world *world, uint64_t id, int flags)
{
    enum tree_cache cache;

    tree_release(open_known(world, id, flags, &cache));
    return cache;
}

static off_t told_of(struct world *world, uint64_t id)
{
    struct stat stat;

    assert_int_equal(tree_getattr(world->tree, id, &stat), 0);
    return stat.st_size;
}

static void test_how_the_kernel_may_cache(void **state)
{
    struct world *world = *state;
    uint64_t id = find(world, "k");
    struct tree_handle *a, *b, *c;
    enum tree_cache cache;

    a = open_known(world, id, O_RDONLY, &cache);
    assert_int_equal(cache, TREE_CACHE_DROP);
    b = open_known(world, id, O_RDONLY, &cache);
    assert_int_equal(cache, TREE_CACHE_KEEP);
    put(world, "k", "new\n");
    passed_ms += 5000;
    c = open_known(world, id, O_RDONLY, &cache);
    assert_int_equal(cache, TREE_CACHE_BYPASS);
    tree_release(a);
    tree_release(b);
    tree_release(c);
    /* The change is just now known: answers that tell the old size may still be under way. */
    assert_int_equal(cache_of_next(world, id, O_RDONLY), TREE_CACHE_BYPASS);
    passed_ms += 5000;
    assert_int_equal(cache_of_next(world, id, O_RDONLY), TREE_CACHE_DROP);
    a = open_known(world, id, O_WRONLY | O_TRUNC, &cache);
    assert_int_equal(cache, TREE_CACHE_DROP);
    assert_int_equal(tree_write(a, 0, BYTES("mine\n")), 0);
    b = open_known(world, id, O_RDONLY, &cache);
    assert_int_equal(cache, TREE_CACHE_KEEP);
    tree_release(a);
    tree_release(b);
    /* What was written went through the kernel's pages. */
    a = open_known(world, id, O_RDONLY, &cache);
    assert_int_equal(cache, TREE_CACHE_KEEP);
    assert_string_equal(read_handle(world, a), "mine\n");
    tree_release(a);
}

/* What the kernel believes is shorter or longer than the text. */
static void test_a_text_of_another_size(void **state)
{
    struct world *world = *state;
    uint64_t id = find(world, "k");

    assert_int_equal(cache_of_next(world, id, O_RDONLY), TREE_CACHE_DROP);
    put(world, "k", "a longer one\n");
    assert_int_equal(cache_of_next(world, id, O_RDONLY), TREE_CACHE_BYPASS);
    passed_ms += 5000;
    assert_int_equal(cache_of_next(world, id, O_RDONLY), TREE_CACHE_BYPASS);
    assert_int_equal(told_of(world, id), 13);
    assert_int_equal(cache_of_next(world, id, O_RDONLY), TREE_CACHE_DROP);
    put(world, "k", "short\n");
    passed_ms += 5000;
    assert_int_equal(told_of(world, id), 6);
    passed_ms += 5000;
    assert_int_equal(cache_of_next(world, id, O_RDONLY), TREE_CACHE_DROP);
}

static void test_a_reader_keeps_its_size_for_a_moment(void **state)
{
    struct world *world = *state;
    uint64_t id = find(world, "k");
    enum tree_cache cache;
    struct tree_handle *paged = open_known(world, id, O_RDONLY, &cache), *late;

    put(world, "k", "a longer one\n");
    assert_int_equal(told_of(world, id), 4);
    late = open_known(world, id, O_RDONLY, &cache);
    assert_int_equal(cache, TREE_CACHE_BYPASS);
    assert_int_equal(told_of(world, id), 4);
    assert_string_equal(read_handle(world, late), "a longer one\n");
    assert_string_equal(read_handle(world, paged), "old\n");
    passed_ms += 5000;
    assert_int_equal(told_of(world, id), 13);
    /* Now the kernel would show four bytes of it and nine zeros. */
    assert_int_equal(tree_read(paged, 0, 4096, take_part, &world->read), -ESTALE);
    assert_string_equal(read_handle(world, late), "a longer one\n");
    tree_release(paged);
    tree_release(late);
}

/* Who opened it past the pages and asks for the size next gets that of its own text. */
static void test_the_size_of_who_came_last(void **state)
{
    struct world *world = *state;
    uint64_t id = find(world, "k");
    enum tree_cache cache;
    struct tree_handle *handle;

    put(world, "k", "a longer one\n");
    handle = open_known(world, id, O_RDONLY, &cache);
    assert_int_equal(cache, TREE_CACHE_BYPASS);
    put(world, "k", "short\n");
    assert_int_equal(told_of(world, id), 13);
    assert_string_equal(read_handle(world, handle), "a longer one\n");
    tree_release(handle);
    assert_int_equal(told_of(world, id), 6);
}

/* A writer reads what it wrote, whatever the kernel was told before. */
static void test_a_writer_reads_its_own(void **state)
{
    struct world *world = *state;
    uint64_t id = find(world, "k");
    enum tree_cache cache;
    struct tree_handle *handle = open_known(world, id, O_RDWR, &cache);

    put(world, "k", "a longer one\n");
    passed_ms += 5000;
    assert_int_equal(told_of(world, id), 13);
    assert_int_equal(tree_write(handle, 0, BYTES("mine")), 0);
    assert_int_equal(tree_flush(handle), 0);
    assert_string_equal(read_handle(world, handle), "mine");
    tree_release(handle);
    assert_stored(world, "k", "mine\n");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_how_the_kernel_may_cache),
        CASE(test_a_text_of_another_size),
        CASE(test_a_reader_keeps_its_size_for_a_moment),
        CASE(test_the_size_of_who_came_last),
        CASE(test_a_writer_reads_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
