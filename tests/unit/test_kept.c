/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/kept.h"
#include "tests/unit/world.h"

enum { MUTATIONS = 20000 };

static const struct kept_file swap_file = {
    .kind = NODE_SCRATCH,
    .attributes = {.set = ATTRIBUTE_MODE | ATTRIBUTE_MTIME, .mode = 0600, .mtime = {1234, 5678}},
    .name = {(const uint8_t *)".notes.swp", 10},
    .text = {(const uint8_t *)"b0VIM\0\xff swap", 12},
};

static struct kept_file file_of(enum node_kind kind, enum directory_number home, const char *name,
                                const char *text)
{
    return (struct kept_file){
        .kind = kind,
        .home = home,
        .name = bytes_of_string(name),
        .reason = BYTES("line 1"),
        .text = bytes_of_string(text),
    };
}

static void assert_same(const struct kept_file *a, const struct kept_file *b)
{
    struct buffer left = BUFFER_INIT, right = BUFFER_INIT;

    kept_pack(a, &left);
    kept_pack(b, &right);
    assert_true(left.size && bytes_equal(buffer_bytes(&left), buffer_bytes(&right)));
    buffer_release(&left);
    buffer_release(&right);
}

static void test_there_and_back(void **state)
{
    const struct kept_file files[] = {
        swap_file,
        file_of(NODE_SYMLINK, DIRECTORY_ROOT, ".#notes", "ann@host.123"),
        file_of(NODE_REJECTED, DIRECTORY_REJECTED, "list", "[1, 2"),
        file_of(NODE_SCRATCH, DIRECTORY_RAW, "x~", ""),
    };

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct buffer packed = BUFFER_INIT;
        struct kept_file found;

        kept_pack(&files[i], &packed);
        assert_true(kept_unpack(buffer_bytes(&packed), &found));
        assert_same(&found, &files[i]);
        assert_int_equal(found.kind, files[i].kind);
        assert_int_equal(found.home, files[i].home);
        buffer_release(&packed);
    }
}

static void test_refused(void **state)
{
    static const struct bytes rows[] = {
        {NULL, 0},
        BYTES("s"),
        BYTES("?\0\0\0name\0\0"),
        BYTES("s\xff\0\0name\0\0"),        /* attributes of no version */
        BYTES("s\0nowhere\0\0name\0\0"),   /* no such directory */
        BYTES("s\0.shelvefs\0\0name\0\0"), /* nothing is made there */
        BYTES("r\0\0\0name\0\0"),          /* a refused text among the keys */
        BYTES("s\0.shelvefs/rejected\0\0name\0\0"),
        BYTES("s\0\0\0\0\0text"), /* no name */
        BYTES("s\0\0\0..\0\0"),
        BYTES("s\0\0\0a/b\0\0"),
        BYTES("s\0\0\0name"), /* cut off */
        BYTES("s\0\0\0name\0"),
    };
    struct kept_file file;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_false(kept_unpack(rows[i], &file));
    assert_true(kept_unpack(BYTES("s\0\0\0name\0\0"), &file));
}

static void test_numbers(void **state)
{
    static const struct {
        struct bytes name;
        uint64_t number;
    } rows[] = {
        {BYTES("file/0000000000000001"), 1},  {BYTES("file/ffffffffffffffff"), UINT64_MAX},
        {BYTES("file/00000000000000001"), 0}, {BYTES("file/000000000000000g"), 0},
        {BYTES("file/000000000000000A"), 0},  {BYTES("file/0000000000000000"), 0},
        {BYTES("fila/0000000000000001"), 0},  {BYTES(""), 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char room[KEPT_NAME_SIZE];

        assert_true(kept_number(rows[i].name) == rows[i].number);
        if (rows[i].number)
            assert_true(bytes_equal(kept_name(room, rows[i].number), rows[i].name));
    }
}

/* --- into a tree --- */

static void restore(struct world *world, struct kept_records *records, size_t wrong)
{
    size_t found;

    assert_int_equal(kept_records_restore(records, world->tree, &found), 0);
    assert_int_equal(found, wrong);
    assert_int_equal(records->count, 0);
}

static void add(struct kept_records *records, uint64_t number, const struct kept_file *file)
{
    struct buffer packed = BUFFER_INIT;

    kept_pack(file, &packed);
    assert_int_equal(kept_records_add(records, number, buffer_bytes(&packed)), 0);
    buffer_release(&packed);
}

static int open_world(void **state)
{
    static struct world world;

    world_open(&world);
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    world_close(*state);
    return 0;
}

static void test_restored(void **state)
{
    struct world *world = *state;
    struct kept_records records = {.count = 0};
    const struct kept_file older = file_of(NODE_SCRATCH, DIRECTORY_ROOT, "a~", "older");
    const struct kept_file newer = file_of(NODE_SCRATCH, DIRECTORY_ROOT, "a~", "newer");
    const struct kept_file refused = file_of(NODE_REJECTED, DIRECTORY_REJECTED, "list", "[1, 2");
    const struct kept_file saved = file_of(NODE_SCRATCH, DIRECTORY_ROOT, "key", "kept text");
    const struct kept_file empty = file_of(NODE_SCRATCH, DIRECTORY_ROOT, "greeting", "");
    const struct kept_file waiting = file_of(NODE_SCRATCH, DIRECTORY_ROOT, "sedAbCdEf", "soon\n");
    struct stat stat;

    put(world, "key", "value\n");
    put(world, "greeting", "hello\n");
    add(&records, 7, &newer);
    add(&records, 3, &older);
    add(&records, 4, &refused);
    add(&records, 5, &saved);
    add(&records, 6, &empty);
    add(&records, 8, &waiting);
    add(&records, 9, &swap_file);
    assert_int_equal(records.last, 9);
    restore(world, &records, 0);
    assert_shows(world, "a~", "newer");
    assert_shows(world, ".shelvefs/rejected/list", "[1, 2");
    /* Keys are never hidden by what was kept: its text is among the refused ones. */
    assert_shows(world, "key", "value\n");
    assert_shows(world, ".shelvefs/rejected/key", "kept text");
    assert_shows(world, "greeting", "hello\n");
    assert_shows(world, ".shelvefs/rejected/greeting", NULL);
    assert_shows(world, "sedAbCdEf", "soon\n");
    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, ".notes.swp", &stat), 0);
    assert_int_equal(stat.st_mode & 0777, 0600);
    assert_int_equal(stat.st_mtim.tv_nsec, 5678);
    assert_int_equal(stat.st_size, swap_file.text.size);
    assert_int_equal(changes(world), 2); /* the two puts */
    /* What waits to become a key still does. */
    world->options.transient_seconds = 0;
    struct buffer report = BUFFER_INIT;
    assert_int_equal(tree_finish(world->tree, &report), 0);
    assert_stored(world, "sedAbCdEf", "soon\n");
    buffer_release(&report);
}

static void test_restored_read_only(void **state)
{
    struct world *world = *state;
    struct kept_records records = {.count = 0};
    const struct kept_file waiting = file_of(NODE_SCRATCH, DIRECTORY_ROOT, "sedAbCdEf", "soon\n");

    world->options.read_only = true;
    world_remount(world);
    add(&records, 1, &waiting);
    add(&records, 2, &swap_file);
    restore(world, &records, 0);
    assert_shows(world, "sedAbCdEf", NULL);
    assert_true(find(world, ".notes.swp") != 0);
}

/* Whatever a record says, it either makes no sense or makes a file that can be listed and read. */
static void test_hostile(void **state)
{
    struct world *world = *state;
    struct kept_file folded = file_of(NODE_REJECTED, DIRECTORY_REJECTED, "piece", "text");
    struct buffer packed[2] = {BUFFER_INIT, BUFFER_INIT};
    size_t wrong = 0;

    folded.path = BYTES("aaaa%+/bbbb%+/");
    kept_pack(&swap_file, &packed[0]);
    kept_pack(&folded, &packed[1]);
    srand(20261121);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        struct buffer *buffer = &packed[i % 2];
        struct kept_records records = {.count = 0};
        struct bytes part = buffer_bytes(buffer);
        size_t at = (size_t)rand() % buffer->size;
        uint8_t before = buffer->data[at];
        size_t found;

        buffer->data[at] = (uint8_t)rand();
        if (i % 3 == 0)
            part.size = (size_t)rand() % (part.size + 1);
        assert_int_equal(kept_records_add(&records, i + 1, part), 0);
        assert_int_equal(kept_records_restore(&records, world->tree, &found), 0);
        wrong += found;
        buffer->data[at] = before;
    }
    assert_in_range(wrong, 100, MUTATIONS - 100);
    world_remount(world);
    buffer_release(&packed[0]);
    buffer_release(&packed[1]);
}

static void test_bounds(void **state)
{
    struct kept_records records = {.count = 0};
    unsigned count = 0;

    while (count < 2 * KEPT_MOST && kept_records_add(&records, count + 1, BYTES("x")) == 0)
        count++;
    assert_in_range(count, KEPT_MOST, 2 * KEPT_MOST - 1);
    kept_records_release(&records);
    assert_int_equal(records.last, count);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bounds),
        IN_WORLD(test_restored),
        IN_WORLD(test_restored_read_only),
        IN_WORLD(test_hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
