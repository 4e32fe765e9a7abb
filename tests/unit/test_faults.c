/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The n-th call of the store fails, for n = 0, 1, 2, ... until the scenario runs through: each time the store holds
 * the old or the new value, never none, and when a save did not succeed its text is in .shelvefs/rejected.
 */
#include "tests/unit/world.h"

/* Returns the first error. Afterwards one of the keys must have one of the texts. */
struct scenario {
    const char *name;
    int (*run)(struct world *world);
    const char *keys[3];  /* where the value may be */
    const char *texts[3]; /* what it may be */
    bool removes;         /* nothing left is right if it succeeded */
    const char *before;   /* what "k~" holds at first; NULL: no such key */
    const char *rejected; /* what a failed save must keep, if it failed after the text was there */
};

static int save(struct world *world)
{
    struct tree_handle *handle;
    int code = open_file(world, "k", O_WRONLY | O_TRUNC, &handle), flushed;

    if (code)
        return code;
    assert_int_equal(tree_write(handle, 0, BYTES("new\n")), 0);
    flushed = tree_fsync(handle);
    tree_release(handle);
    return flushed;
}

static int save_by_rename(struct world *world)
{
    int code = echo(world, ".k.aB3dE6", TO, "new\n");

    return code ? code : rename_file(world, ".k.aB3dE6", "k");
}

static int rename_a_key(struct world *world)
{
    return rename_file(world, "k", "l");
}

static int save_with_backup(struct world *world)
{
    int code = rename_file(world, "k", "k~");

    if (code == 0)
        code = echo(world, "k", TO, "new\n");
    return code ? code : unlink_file(world, "k~");
}

static int rename_away(struct world *world)
{
    struct buffer report = BUFFER_INIT;
    int code = rename_file(world, "k", "k~");

    if (code == 0)
        code = tree_finish(world->tree, &report);
    buffer_release(&report);
    return code;
}

static int back_and_forth(struct world *world)
{
    int code = rename_file(world, "k", "k~");

    return code ? code : rename_file(world, "k~", "l");
}

static int backup_onto_a_key(struct world *world)
{
    struct buffer report = BUFFER_INIT;
    int code;

    code = rename_file(world, "k", "k~");
    if (code == 0)
        code = echo(world, "k", TO, "new\n");
    if (code == 0)
        code = tree_finish(world->tree, &report);
    buffer_release(&report);
    return code;
}

static int truncate_by_path(struct world *world)
{
    struct stat in = {.st_size = 1}, out, found;
    int code = tree_lookup(world->tree, TREE_ROOT, "k", &found);

    return code ? code
                : tree_setattr(world->tree, found.st_ino, NULL, &in, TREE_SET_SIZE, &world->caller,
                               &out);
}

static int remove_key(struct world *world)
{
    return unlink_file(world, "k");
}

static int list_all(struct world *world)
{
    struct tree_listing *listing;
    int code = tree_opendir(world->tree, TREE_ROOT, take_listing, &listing);

    if (code == 0)
        tree_closedir(listing);
    return code;
}

static const struct scenario scenarios[] = {
    {"save", save, {"k"}, {"old\n", "new\n"}, false, NULL, "new\n"},
    {"save by rename", save_by_rename, {"k"}, {"old\n", "new\n"}, false, NULL, NULL},
    {"rename", rename_a_key, {"k", "l"}, {"old\n"}, false, NULL, NULL},
    {"save with backup", save_with_backup, {"k", "k~"}, {"old\n", "new\n"}, false, NULL, NULL},
    {"rename away", rename_away, {"k", "k~"}, {"old\n"}, false, NULL, NULL},
    {"back and forth", back_and_forth, {"k", "k~", "l"}, {"old\n"}, false, NULL, NULL},
    {"backup onto a key", backup_onto_a_key, {"k"}, {"old\n", "new\n"}, false, "older\n", NULL},
    {"truncate", truncate_by_path, {"k"}, {"old\n", "o\n"}, false, NULL, NULL},
    {"unlink", remove_key, {"k"}, {"old\n"}, true, NULL, NULL},
    {"list", list_all, {"k"}, {"old\n"}, false, NULL, NULL},
};

/* The text stored under `key`, NUL-terminated in `shown`; false: none. */
static bool stored_text(struct world *world, const char *key, struct buffer *shown)
{
    struct buffer stored = BUFFER_INIT;
    struct codec_note note;
    bool found = store_fetch(world->store, bytes_of_string(key), &stored) == 0;

    buffer_clear(shown);
    if (found)
        assert_int_equal(codec_render(&world->options.dialect, buffer_bytes(&stored), shown, &note),
                         0);
    buffer_add_byte(shown, 0);
    buffer_release(&stored);
    return found;
}

static bool holds_a_value(struct world *world, const struct scenario *scenario)
{
    struct buffer shown = BUFFER_INIT;
    bool right = false;

    for (size_t k = 0; k < ARRAY_SIZE(scenario->keys) && scenario->keys[k]; k++) {
        if (!stored_text(world, scenario->keys[k], &shown))
            continue;
        for (size_t t = 0; t < ARRAY_SIZE(scenario->texts) && scenario->texts[t]; t++)
            right |= strcmp((char *)shown.data, scenario->texts[t]) == 0;
    }
    buffer_release(&shown);
    return right;
}

/* Whether the scenario ran through. */
static bool fail_nth(const struct scenario *scenario, size_t n, int fail_code)
{
    struct world world;
    bool through;
    int code;

    world_open(&world);
    put(&world, "k", "old\n");
    if (scenario->before)
        put(&world, "k~", scenario->before);
    world.trace.fail_code = fail_code;
    world.trace.fail_at = world.trace.calls + n;
    code = scenario->run(&world);
    through = world.trace.calls <= world.trace.fail_at;
    world.trace.fail_at = SIZE_MAX;
    if (through)
        assert_int_equal(code, 0);
    if (!(code == 0 && scenario->removes) && !holds_a_value(&world, scenario)) {
        print_error("%s: call %zu failed, nothing is left\n%.*s", scenario->name, n,
                    (int)world.trace.log.size, (char *)world.trace.log.data);
        fail();
    }
    if (code && calls(&world, "store k = -") && scenario->rejected)
        assert_shows(&world, ".shelvefs/rejected/k", scenario->rejected);
    /* And the tree goes on: whatever it shows under the key's name can be replaced. */
    assert_int_equal(echo(&world, "k", TO, "again\n"), 0);
    assert_stored(&world, "k", "again\n");
    world_close(&world);
    return through;
}

static void test_every_call_fails_once(void **state)
{
    static const int codes[] = {-ENOSPC, -EIO, -EBUSY, -ENOMEM};

    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
        for (size_t c = 0; c < ARRAY_SIZE(codes); c++) {
            size_t n = 0;

            while (!fail_nth(&scenarios[i], n, codes[c]))
                n++;
            assert_true(n > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_fails_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
