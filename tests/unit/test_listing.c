/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Very large directories, whose first names are there before the last ones. test_tree.c has the others. */
#include "tests/unit/world.h"

#include <pthread.h>

enum { KEYS = (1 << 17) + 3000 };

static int set_up(void **state)
{
    static struct world world;
    char key[16];

    world_open(&world);
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_int_equal(store_store(world.store, bytes_of_string(key), BYTES("x"), STORE_INSERT), 0);
    }
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    return 0;
}

struct reader {
    pthread_t thread;
    struct tree_listing *listing;
    unsigned char seen[KEYS];
    unsigned count, first; /* names; before all were taken */
    off_t next;
    bool more;
    int code;
};

static bool see(void *context, const char *name, const struct stat *stat, off_t next)
{
    struct reader *reader = context;

    reader->more = true;
    reader->next = next;
    if (name[0] == '.')
        return true;
    reader->seen[atoi(name)]++;
    reader->count++;
    return reader->count % 100 != 0;
}

/* Page by page. Nothing is asserted in here: that is for the main thread. */
static void *read_all(void *context)
{
    struct reader *reader = context;

    do {
        reader->more = false;
        reader->code = tree_readdir(reader->listing, reader->next, NULL, see, reader);
    } while (reader->code == 0 && reader->more);
    tree_closedir(reader->listing);
    return NULL;
}

static void read_meanwhile(void *context, struct tree_listing *listing)
{
    struct reader *reader = context;
    struct listing page = {.room = 64};

    assert_false(tree_listing_complete(listing));
    assert_int_equal(tree_readdir(listing, 0, NULL, take_entry, &page), 0);
    reader->first = (unsigned)page.count;
    reader->listing = listing;
    assert_int_equal(pthread_create(&reader->thread, NULL, read_all, reader), 0);
}

static void test_first_names_come_before_the_last(void **state)
{
    struct world *world = *state;
    struct reader *reader = calloc(1, sizeof *reader);

    assert_non_null(reader);
    assert_int_equal(tree_opendir(world->tree, TREE_ROOT, read_meanwhile, reader), 0);
    pthread_join(reader->thread, NULL);
    assert_int_equal(reader->first, 64);
    assert_int_equal(reader->code, 0);
    assert_int_equal(reader->count, KEYS);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(reader->seen[i], 1);
    free(reader);
}

static void close_it(void *context, struct tree_listing *listing)
{
    bool *closed = context;

    tree_closedir(listing);
    *closed = true;
}

/* Who asked is gone: the sanitizer would tell what stays. */
static void test_a_listing_may_be_closed_before_all_is_taken(void **state)
{
    struct world *world = *state;
    bool closed = false;

    assert_int_equal(tree_opendir(world->tree, TREE_ROOT, close_it, &closed), 0);
    assert_true(closed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_names_come_before_the_last),
        cmocka_unit_test(test_a_listing_may_be_closed_before_all_is_taken),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
