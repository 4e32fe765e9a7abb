/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files of a read-only mount, which the kernel opens without asking: what it knows of a node stays true while another program changes the values. */
#include "tests/unit/stopped_clock.h"
#include "tests/unit/world.h"

enum { PART = 1 << 12 };

static int set_up(void **state)
{
    static struct world world;

    world_open(&world);
    world.options.read_only = true;
    world.options.rules.max_value = 1 << 20;
    world_remount(&world);
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

/* As the kernel reads a file that it opened without asking. */
static int read_node(struct world *world, uint64_t id, off_t offset, size_t size)
{
    return tree_read_node(world->tree, id, offset, size, take_part, &world->read);
}

static void assert_reads(struct world *world, uint64_t id, const char *text)
{
    assert_int_equal(read_node(world, id, 0, SIZE_MAX / 2), 0);
    assert_string_equal((const char *)world->read.data, text);
}

static struct stat told_of(struct world *world, uint64_t id)
{
    struct stat stat;

    assert_int_equal(tree_getattr(world->tree, id, &stat), 0);
    return stat;
}

/* Values that are their own texts, as those here are long. */
static void show_raw(struct world *world, size_t max_value)
{
    world->options.dialect = (struct dialect){.codec = CODEC_RAW};
    world->options.rules.max_value = max_value;
    world_remount(world);
}

/* That letter again and again. */
static void put_large(struct world *world, const char *key, char letter, size_t size)
{
    char *text = malloc(size);

    assert_non_null(text);
    memset(text, letter, size);
    assert_int_equal(store_store(world->store, bytes_of_string(key), bytes_of(text, size), STORE_REPLACE), 0);
    free(text);
}

static void test_another_file(void **state)
{
    struct world *world = *state;
    uint64_t before = find(world, "k"), after;

    assert_reads(world, before, "old\n");
    put(world, "k", "newer\n");
    world->invalidated = 0;
    after = find(world, "k");
    assert_int_not_equal(after, before);
    assert_int_equal(world->invalidated, 1);
    assert_reads(world, after, "newer\n");
    assert_int_equal(told_of(world, after).st_size, 6);
    /* Who had it open finishes, and sees that it has no name any more. */
    assert_reads(world, before, "old\n");
    assert_int_equal(told_of(world, before).st_size, 4);
    assert_int_equal(told_of(world, before).st_nlink, 0);
    /* The same value again is not the same file, unless nobody knew the other. */
    put(world, "k", "old\n");
    assert_int_not_equal(find(world, "k"), before);
    tree_forget(world->tree, before, 1);
    assert_int_equal(read_node(world, before, 0, 1), -ESTALE);
}

/* The change is first seen by who asks for the file by its number. */
static void test_seen_by_number(void **state)
{
    struct world *world = *state;
    uint64_t before = find(world, "k");

    put(world, "k", "newer\n");
    assert_int_equal(told_of(world, before).st_size, 4);
    assert_int_equal(told_of(world, before).st_nlink, 0);
    assert_reads(world, before, "old\n");
    assert_int_not_equal(find(world, "k"), before);
    assert_int_equal(store_remove(world->store, BYTES("k")), 0);
    assert_int_equal(find(world, "k"), 0);
    assert_reads(world, before, "old\n");
}

/* A store that says so of its own file is not asked again and again. */
static void test_stale_store(void **state)
{
    struct world *world = *state;
    unsigned told = 0;

    world->trace.fail_code = -ESTALE;
    for (size_t n = 0; n < 4; n++) {
        struct stat stat;
        int code;

        world->trace.fail_at = world->trace.calls + n;
        code = tree_lookup(world->tree, TREE_ROOT, "k", &stat);
        world->trace.fail_at = SIZE_MAX;
        if (code == 0)
            tree_forget(world->tree, stat.st_ino, 1);
        else
            assert_int_equal(code, -ESTALE);
        told += code != 0;
    }
    assert_int_equal(told, 1);
}

/* What nobody was told of may change in place. */
static void test_unknown(void **state)
{
    struct world *world = *state;
    uint64_t before = find(world, "k");

    tree_forget(world->tree, before, 1);
    put(world, "k", "newer\n");
    assert_int_equal(find(world, "k"), before);
    assert_reads(world, before, "newer\n");
}

/* Nor does it matter that somebody was reading it when the kernel forgot it. */
static void test_unknown_reader(void **state)
{
    struct world *world = *state;
    uint64_t before;

    show_raw(world, 1 << 20);
    put_large(world, "k", 'a', 100000);
    before = find(world, "k");
    assert_int_equal(read_node(world, before, 0, PART), 0);
    tree_forget(world->tree, before, 1);
    put_large(world, "k", 'b', 100000);
    assert_int_equal(find(world, "k"), before);
    assert_int_equal(read_node(world, before, PART, PART), 0);
    assert_int_equal(world->read.data[0], 'b');
}

/* Texts that nobody has open give way to others; a large one that is being read does not, until its reader is slow or at its end. */
static void fill_cache(struct world *world)
{
    char name[16];

    for (unsigned i = 0; i < 70; i++) {
        snprintf(name, sizeof name, "fill %u", i);
        put_large(world, name, 'f', 1000000);
        assert_int_equal(read_node(world, find(world, name), 0, SIZE_MAX / 2), 0);
    }
}

static void test_reader(void **state)
{
    enum { SIZE = 100000 };
    struct world *world = *state;
    uint64_t files[3];
    const char *names[] = {"begun", "ended", "slow"};

    show_raw(world, 1 << 20);
    for (unsigned i = 0; i < 3; i++) {
        put_large(world, names[i], 'a', SIZE);
        files[i] = find(world, names[i]);
        assert_int_equal(read_node(world, files[i], 0, PART), 0);
    }
    passed_ms = 9000;
    assert_int_equal(read_node(world, files[0], PART, PART), 0);
    assert_int_equal(read_node(world, files[1], PART, SIZE), 0);
    passed_ms = 11000;
    tree_tick(world->tree);
    fill_cache(world);
    for (unsigned i = 0; i < 3; i++)
        put_large(world, names[i], 'b', SIZE);
    assert_int_equal(read_node(world, files[0], PART, PART), 0);
    assert_int_equal(world->read.data[0], 'a');
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(read_node(world, files[i], PART, PART), -ESTALE);
        assert_int_not_equal(find(world, names[i]), files[i]);
    }
    /* What was dropped is made again while the value is the same. */
    assert_int_equal(read_node(world, find(world, "fill 0"), 0, PART), 0);
    assert_int_equal(world->read.data[0], 'f');
}

/* A text that is larger than the cache is made once for all of its parts. */
static void test_larger_than_the_cache(void **state)
{
    enum { SIZE = 80 << 20, STEP = 1 << 20 };
    struct world *world = *state;
    uint64_t id;

    show_raw(world, SIZE * 2);
    put_large(world, "k", 'a', SIZE);
    id = find(world, "k");
    forget_log(world);
    for (off_t at = 0; at < SIZE; at += STEP)
        assert_int_equal(read_node(world, id, at, STEP), 0);
    assert_int_equal(calls(world, "fetch"), 1);
}

static void test_trouble(void **state)
{
    struct world *world = *state;
    uint64_t before;

    show_raw(world, 100);
    put_large(world, "k", 'a', 1000);
    before = find(world, "k");
    assert_int_equal(told_of(world, before).st_size, 1);
    assert_int_equal(read_node(world, before, 0, PART), -EFBIG);
    put_large(world, "k", 'b', 10);
    assert_int_equal(read_node(world, before, 0, PART), -ESTALE);
    assert_reads(world, find(world, "k"), "bbbbbbbbbb");
}

static void test_report(void **state)
{
    struct world *world = *state;
    uint64_t before = find(world, ".shelvefs/status"), after;
    struct stat stat = told_of(world, before);
    char text[2048];

    assert_int_equal(tree_lasts(world->tree, before), TREE_LASTS_NOT);
    assert_int_equal(read_node(world, before, 0, SIZE_MAX / 2), 0);
    snprintf(text, sizeof text, "%s", (const char *)world->read.data);
    assert_int_equal(strlen(text), stat.st_size);
    /* The same text is the same file. */
    assert_int_equal(find(world, ".shelvefs/status"), before);
    /* It tells how much memory texts take. */
    assert_int_equal(read_node(world, find(world, "k"), 0, PART), 0);
    after = find(world, ".shelvefs/status");
    assert_int_not_equal(after, before);
    assert_reads(world, before, text);
    assert_int_equal(read_node(world, after, 0, SIZE_MAX / 2), 0);
    assert_string_not_equal((const char *)world->read.data, text);
    assert_int_equal(told_of(world, after).st_size, world->read.size - 1);
    tree_forget(world->tree, before, 2);
    assert_int_equal(read_node(world, before, 0, 1), -ESTALE);
    tree_forget(world->tree, after, 1);
    assert_int_not_equal(find(world, ".shelvefs/status"), 0);
}

struct pushed {
    unsigned count;
    char text[100];
};

static bool take_push(void *context, uint64_t node, struct bytes text)
{
    struct pushed *pushed = context;

    pushed->count++;
    snprintf(pushed->text, sizeof pushed->text, "%.*s", (int)text.size, (const char *)text.data);
    return true;
}

static void test_push(void **state)
{
    struct world *world = *state;
    struct pushed pushed = {0};
    uint64_t id = find(world, "k");

    assert_int_equal(tree_push(world->tree, id, take_push, &pushed), 4);
    assert_string_equal(pushed.text, "old\n");
    /* Once is enough; and what was read is there, too. */
    assert_int_equal(tree_push(world->tree, id, take_push, &pushed), 0);
    put(world, "other", "text\n");
    assert_reads(world, find(world, "other"), "text\n");
    assert_int_equal(tree_push(world->tree, find(world, "other"), take_push, &pushed), 0);
    assert_int_equal(pushed.count, 1);
    assert_int_equal(tree_push(world->tree, 12345, take_push, &pushed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_another_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seen_by_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stale_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unknown_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_larger_than_the_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trouble, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_report, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_push, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
