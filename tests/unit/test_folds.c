/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Directories of long keys. */
#include "fs/tree_state.h"

#include "tests/unit/world.h"

/* A directory's name: 238 letters and its suffix. */
#define TEN(unit) unit unit unit unit unit unit unit unit unit unit
#define PIECE(unit)                                                                                \
    TEN(TEN(unit))                                                                                 \
    TEN(TEN(unit)) unit unit unit unit unit unit unit unit TEN(unit) TEN(unit) TEN(unit)
#define A PIECE("a")
#define B PIECE("b")

static int set_up(void **state)
{
    static struct world world;

    world_open(&world);
    put(&world, "short", "s\n");
    put(&world, A "1.key", "one\n");
    put(&world, A "2.key", "two\n");
    put(&world, A B "deep", "three\n");
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    return 0;
}

static int make_directory(struct world *world, const char *path)
{
    const char *name;
    uint64_t parent = parent_of(world, path, &name);
    struct stat stat;

    return tree_mkdir(world->tree, parent, name, 0755, &world->caller, &stat);
}

static int remove_directory(struct world *world, const char *path)
{
    const char *name;
    uint64_t parent = parent_of(world, path, &name);

    return tree_rmdir(world->tree, parent, name);
}

static void test_a_fold_is_listed_once(void **state)
{
    struct world *world = *state;
    static const char *const views[] = {"", ".shelvefs/raw", ".shelvefs/dis"};
    struct listing listing;
    char path[600];

    for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
        listing = list(world, views[i], true);
        assert_int_equal(listing.count, 4);
        assert_true(S_ISDIR(entry_of(&listing, A "%+")->st_mode));
        assert_true(S_ISREG(entry_of(&listing, "short")->st_mode));
        snprintf(path, sizeof path, "%s%s" A "%%+", views[i], i ? "/" : "");
        listing = list(world, path, true);
        assert_int_equal(listing.count, 5);
        assert_true(S_ISREG(entry_of(&listing, "1.key")->st_mode));
        assert_true(S_ISDIR(entry_of(&listing, B "%+")->st_mode));
    }
}

static void test_reading(void **state)
{
    struct world *world = *state;
    struct buffer key = BUFFER_INIT;
    struct listing listing = list(world, A "%+", true);
    struct stat stat;

    assert_int_equal(listing.count, 5);
    assert_int_equal(entry_of(&listing, "1.key")->st_size, 4);
    assert_true(S_ISDIR(entry_of(&listing, B "%+")->st_mode));
    assert_int_equal(entry_of(&listing, "..")->st_ino, TREE_ROOT);
    assert_true(entry_of(&listing, ".")->st_ino == find(world, A "%+"));
    listing = list(world, A "%+/" B "%+", false);
    assert_int_equal(listing.count, 3);
    assert_true(entry_of(&listing, "..")->st_ino == find(world, A "%+"));
    assert_true(entry_of(&listing, "deep")->st_ino == find(world, A "%+/" B "%+/deep"));
    assert_shows(world, A "%+/1.key", "one\n");
    assert_shows(world, A "%+/" B "%+/deep", "three\n");
    assert_non_null(cat(world, ".shelvefs/raw/" A "%+/" B "%+/deep"));
    assert_int_equal(
        tree_getxattr(world->tree, find(world, A "%+/1.key"), "user.shelvefs.key", &key), 0);
    assert_true(bytes_equal(buffer_bytes(&key), BYTES(A "1.key")));
    buffer_release(&key);
    /* Not a way to a key. */
    assert_int_equal(find(world, B "%+"), 0);
    assert_int_equal(find(world, A "%+/" A "%+"), 0);
    assert_int_equal(find(world, A "%+/3.key"), 0);
    assert_int_equal(find(world, A "%+/x"), 0);
    assert_int_equal(find(world, "a%+"), 0);
    assert_int_equal(tree_lookup(world->tree, find(world, "short"), A "%+", &stat), -ENOTDIR);
}

static void test_what_others_change_is_seen(void **state)
{
    struct world *world = *state;

    assert_int_equal(list(world, A "%+", false).count, 5);
    put(world, B "new", "x\n");
    put(world, A "3.key", "x\n");
    assert_shows(world, B "%+/new", "x\n");
    assert_int_equal(list(world, "", false).count, 5);
    assert_int_equal(list(world, A "%+", false).count, 6);
    assert_int_equal(store_remove(world->store, BYTES(B "new")), 0);
    assert_int_equal(list(world, "", false).count, 4);
    assert_int_equal(find(world, B "%+"), 0);
    assert_int_equal(store_remove(world->store, BYTES(A "3.key")), 0);
    assert_int_equal(list(world, A "%+", false).count, 5);
}

/* The store is visited for the first question, and then only when somebody has changed it. */
static void test_questions_are_cheap(void **state)
{
    struct world *world = *state;

    forget_log(world);
    for (int i = 0; i < 50; i++) {
        assert_true(find(world, A "%+/" B "%+") != 0);
        assert_int_equal(find(world, B "%+"), 0);
        list(world, A "%+", true);
    }
    assert_int_equal(calls(world, "visit"), 1);
}

/* With many keys, the visits of one who asks and changes all the time are bounded by their cost. */
static void test_many_changes_are_cheap(void **state)
{
    struct world *world = *state;
    char key[300];

    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        put(world, key, "x\n");
    }
    forget_log(world);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%03d%s%%+", i, &A[3]);
        assert_int_equal(find(world, key), 0);
        assert_int_equal(make_directory(world, key), 0);
        snprintf(key, sizeof key, "%03d%s%%+/file", i, &A[3]);
        assert_int_equal(echo(world, key, TO, "x\n"), 0);
    }
    assert_in_range(calls(world, "visit"), 2, 50); /* each pays for some keys */
    forget_log(world);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "%03d%sfile", i, &A[3]);
        assert_int_equal(store_exists(world->store, bytes_of_string(key)), 1);
    }
}

static void test_saving(void **state)
{
    struct world *world = *state;

    assert_int_equal(echo(world, A "%+/1.key", TO, "new\n"), 0);
    assert_stored(world, A "1.key", "new\n");
    assert_int_equal(echo(world, A "%+/3.key", TO, "3rd\n"), 0);
    assert_stored(world, A "3.key", "3rd\n");
    assert_int_equal(list(world, A "%+", false).count, 6);
    assert_int_equal(unlink_file(world, A "%+/3.key"), 0);
    assert_stored(world, A "3.key", NULL);
    assert_int_equal(list(world, A "%+", false).count, 5);
    /* Names that fit elsewhere, or nowhere. */
    assert_int_equal(echo(world, A "%+/x", TO, "x\n"), -EINVAL);
    assert_int_equal(echo(world, A "%+/" A "a", TO, "x\n"), -ENAMETOOLONG);
    assert_int_equal(echo(world, A "%+/new%+", TO, "x\n"), -EINVAL);
    assert_int_equal(echo(world, B "%+", TO, "x\n"), -EINVAL);
    assert_int_equal(echo(world, A "%+", TO, "x\n"), -EISDIR);
}

static void test_a_fold_goes_with_its_last_key(void **state)
{
    struct world *world = *state;

    assert_true(find(world, A "%+/" B "%+") != 0);
    assert_int_equal(unlink_file(world, A "%+/" B "%+/deep"), 0);
    assert_int_equal(list(world, A "%+", false).count, 4);
    /* As `rm -r` does, which has looked at it before. */
    assert_true(find(world, A "%+/" B "%+") != 0);
    assert_int_equal(remove_directory(world, A "%+/" B "%+"), 0);
    assert_int_equal(remove_directory(world, A "%+/" B "%+"), -ENOENT);
    assert_int_equal(find(world, A "%+/" B "%+"), 0);
    assert_int_equal(remove_directory(world, A "%+"), -ENOTEMPTY);
    assert_int_equal(unlink_file(world, A "%+/1.key"), 0);
    assert_int_equal(unlink_file(world, A "%+/2.key"), 0);
    assert_int_equal(list(world, "", false).count, 3);
    assert_int_equal(remove_directory(world, A "%+"), 0);
    assert_int_equal(find(world, A "%+"), 0);
}

static void test_an_emptied_fold_lingers_for_some_time_only(void **state)
{
    struct world *world = *state;

    world->options.transient_seconds = 0;
    world_remount(world);
    assert_true(find(world, A "%+/" B "%+") != 0);
    assert_int_equal(unlink_file(world, A "%+/" B "%+/deep"), 0);
    assert_int_equal(find(world, A "%+/" B "%+"), 0);
    assert_true(find(world, A "%+") != 0);
}

static void test_making(void **state)
{
    struct world *world = *state;
    struct stat stat;

    assert_int_equal(make_directory(world, "dir"), -EPERM);
    assert_int_equal(make_directory(world, "short%+"), -EINVAL);
    assert_int_equal(make_directory(world, A "%+"), -EEXIST);
    assert_int_equal(make_directory(world, A A "%+"), -ENAMETOOLONG);
    assert_int_equal(make_directory(world, ".shelvefs/dis/" B "%+"), -EPERM);
    assert_int_equal(make_directory(world, ".shelvefs/rejected/" B "%+"), -EPERM);
    assert_int_equal(make_directory(world, B "%+"), 0);
    assert_int_equal(make_directory(world, B "%+"), -EEXIST);
    assert_int_equal(tree_getattr(world->tree, find(world, B "%+"), &stat), 0);
    assert_int_equal(stat.st_mode, S_IFDIR | 0755);
    assert_int_equal(make_directory(world, B "%+/" A "%+"), 0);
    assert_int_equal(list(world, B "%+", true).count, 3);
    assert_int_equal(list(world, "", true).count, 5);
    assert_int_equal(remove_directory(world, B "%+"), -ENOTEMPTY);
    assert_int_equal(remove_directory(world, B "%+/" A "%+"), 0);
    assert_int_equal(remove_directory(world, B "%+"), 0);
    assert_int_equal(find(world, B "%+"), 0);
    /* One that has got a key is a fold like others. */
    assert_int_equal(make_directory(world, B "%+"), 0);
    assert_int_equal(echo(world, B "%+/key", TO, "x\n"), 0);
    assert_int_equal(unlink_file(world, B "%+/key"), 0);
    assert_int_equal(list(world, "", true).count, 4);
    assert_int_equal(remove_directory(world, B "%+"), 0);
    assert_int_equal(remove_directory(world, ".shelvefs"), -EPERM);
    assert_int_equal(remove_directory(world, "short"), -ENOTDIR);
}

static void test_renaming(void **state)
{
    struct world *world = *state;
    uint64_t id = find(world, A "%+/1.key");

    assert_int_equal(make_directory(world, B "%+"), 0);
    assert_int_equal(rename_file(world, A "%+/1.key", B "%+/moved"), 0);
    assert_stored(world, A "1.key", NULL);
    assert_stored(world, B "moved", "one\n");
    assert_shows(world, B "%+/moved", "one\n");
    assert_true(find(world, B "%+/moved") == id);
    assert_int_equal(find(world, A "%+/1.key"), 0);
    assert_int_equal(rename_file(world, B "%+/moved", "plain"), 0);
    assert_stored(world, "plain", "one\n");
    assert_int_equal(list(world, "", false).count, 5);
    assert_int_equal(rename_file(world, "plain", A "%+/" B "%+/deep"), 0);
    assert_stored(world, A B "deep", "one\n");
    assert_int_equal(rename_file(world, "short", A "%+/x"), -EINVAL);
    assert_int_equal(rename_file(world, "short", A "%+"), -EISDIR);
    assert_int_equal(rename_file(world, A "%+", B "%+"), -EXDEV);
    assert_int_equal(rename_file(world, ".shelvefs/raw/" A "%+/2.key", A "%+/3.key"), -EXDEV);
    assert_stored(world, "short", "s\n");
}

static void test_scratch_files(void **state)
{
    struct world *world = *state;

    assert_int_equal(make_directory(world, B "%+"), 0);
    /* rsync, whose temporary names may be cut in an escape, and in a directory that has no key yet. */
    assert_int_equal(echo(world, B "%+/.file%2.abcdef", TO, "text\n"), 0);
    assert_int_equal(list(world, B "%+", true).count, 3);
    assert_int_equal(remove_directory(world, B "%+"), -ENOTEMPTY);
    assert_int_equal(rename_file(world, B "%+/.file%2.abcdef", B "%+/file%2F"), 0);
    assert_stored(world, B "file/", "text\n");
    assert_int_equal(unlink_file(world, B "%+/file%2F"), 0);
    assert_int_equal(remove_directory(world, B "%+"), 0);
    /* One that is the only thing in its directory keeps it. */
    assert_int_equal(make_directory(world, B "%+"), 0);
    assert_int_equal(echo(world, B "%+/a~", TO, "kept\n"), 0);
    assert_int_equal(list(world, "", true).count, 5);
    assert_shows(world, B "%+/a~", "kept\n");
    assert_int_equal(rename_file(world, B "%+/a~", A "%+/a~"), 0);
    assert_shows(world, A "%+/a~", "kept\n");
    assert_int_equal(list(world, A "%+", true).count, 6);
    assert_int_equal(unlink_file(world, A "%+/a~"), 0);
    assert_int_equal(list(world, A "%+", true).count, 5);
}

static void test_a_displaced_key(void **state)
{
    struct world *world = *state;
    struct listing listing;

    /* As vim saves. */
    assert_int_equal(rename_file(world, A "%+/1.key", A "%+/1.key~"), 0);
    listing = list(world, A "%+", true);
    assert_null(entry_of(&listing, "1.key"));
    assert_non_null(entry_of(&listing, "1.key~"));
    assert_stored(world, A "1.key", "one\n");
    assert_int_equal(echo(world, A "%+/1.key", TO, "new\n"), 0);
    assert_int_equal(unlink_file(world, A "%+/1.key~"), 0);
    assert_stored(world, A "1.key", "new\n");
    assert_int_equal(list(world, A "%+", true).count, 5);
}

static void test_refused_texts_are_in_directories_too(void **state)
{
    struct world *world = *state;

    put(world, A "list", "[1]\n");
    put(world, "list", "[1]\n");
    assert_int_equal(echo(world, A "%+/list", TO, "[2"), -EINVAL);
    assert_shows(world, ".shelvefs/rejected/" A "%+/list", "[2");
    assert_int_equal(find(world, ".shelvefs/rejected/list"), 0);
    assert_int_equal(list(world, ".shelvefs/rejected", true).count, 3);
    assert_int_equal(list(world, ".shelvefs/rejected/" A "%+", true).count, 3);
    assert_non_null(strstr(cat(world, ".shelvefs/errors"), "a%+/list: "));
    assert_int_equal(echo(world, "list", TO, "[3"), -EINVAL);
    assert_int_equal(echo(world, A "%+/list", TO, "[2]"), 0);
    assert_int_equal(find(world, ".shelvefs/rejected/" A "%+"), 0);
    assert_shows(world, ".shelvefs/rejected/list", "[3");
    /* The directory of a refused text is not one of the views. */
    assert_int_equal(echo(world, A "%+/list", TO, "[2"), -EINVAL);
    assert_int_equal(unlink_file(world, A "%+/list"), 0);
    assert_int_equal(unlink_file(world, A "%+/1.key"), 0);
    assert_int_equal(unlink_file(world, A "%+/2.key"), 0);
    assert_int_equal(unlink_file(world, A "%+/" B "%+/deep"), 0);
    assert_int_equal(list(world, "", true).count, 4);
    assert_int_equal(remove_directory(world, A "%+/" B "%+"), 0);
    assert_int_equal(remove_directory(world, A "%+"), 0);
    assert_shows(world, ".shelvefs/rejected/" A "%+/list", "[2");
}

static void test_attributes_of_folds(void **state)
{
    struct world *world = *state;
    struct stat in = {.st_mode = 0700, .st_mtim = {1000, 5}}, out;
    uint64_t id = find(world, A "%+");

    assert_int_equal(tree_setattr(world->tree, id, NULL, &in, TREE_SET_MODE | TREE_SET_MTIME,
                                  &world->caller, &out),
                     0);
    tree_forget(world->tree, id, 1000);
    assert_true(find(world, A "%+") == id);
    assert_int_equal(tree_getattr(world->tree, id, &out), 0);
    assert_int_equal(out.st_mode, S_IFDIR | 0700);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    /* What happens elsewhere does not make it new. */
    assert_int_equal(echo(world, "other", TO, "x\n"), 0);
    assert_int_equal(tree_getattr(world->tree, id, &out), 0);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    assert_int_equal(echo(world, A "%+/3.key", TO, "x\n"), 0);
    assert_int_equal(tree_getattr(world->tree, id, &out), 0);
    assert_true(out.st_mtim.tv_sec > 1000000);
    /* Nor does what is written to a key in it; a new key does, whoever makes it. */
    assert_int_equal(set_attributes(world, A "%+", in, TREE_SET_MTIME), 0);
    assert_int_equal(echo(world, A "%+/3.key", TO, "y\n"), 0);
    assert_int_equal(stat_of(world, A "%+").st_mtim.tv_sec, 1000);
    put(world, A "4.key", "x\n");
    assert_int_equal(list(world, A "%+", true).count, 7);
    assert_true(stat_of(world, A "%+").st_mtim.tv_sec > 1000000);
    assert_int_equal(stat_of(world, A "%+").st_mode, S_IFDIR | 0700);
    /* One that is made again is another one. */
    assert_int_equal(unlink_file(world, A "%+/" B "%+/deep"), 0);
    assert_int_equal(make_directory(world, A "%+/" B "%+"), 0);
    assert_int_equal(stat_of(world, A "%+/" B "%+").st_mode, S_IFDIR | 0755);
    in.st_mode = 0711;
    assert_int_equal(set_attributes(world, A "%+/" B "%+", in, TREE_SET_MODE), 0);
    assert_int_equal(remove_directory(world, A "%+/" B "%+"), 0);
    put(world, A B "deep", "x\n");
    assert_int_equal(stat_of(world, A "%+/" B "%+").st_mode & 0777, 0700);
}

static void test_ids_are_constant(void **state)
{
    struct world *world = *state;
    uint64_t fold = find(world, A "%+"), file = find(world, A "%+/1.key"),
             raw = find(world, ".shelvefs/raw/" A "%+/1.key");

    world_remount(world);
    assert_true(find(world, ".shelvefs/raw/" A "%+/1.key") == raw);
    assert_true(find(world, A "%+/1.key") == file);
    assert_true(find(world, A "%+") == fold);
    assert_true(fold != file && raw != file);
}

static void test_nothing_is_left_in_memory(void **state)
{
    struct world *world = *state;
    size_t before = world->tree->nodes.by_id.count;
    uint64_t ids[4] = {find(world, A "%+"), find(world, A "%+/" B "%+"), find(world, A "%+/1.key"),
                       find(world, A "%+/" B "%+/deep")};

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        tree_forget(world->tree, ids[i], 100);
    assert_int_equal(world->tree->nodes.by_id.count, before);
    assert_int_equal(store_remove(world->store, BYTES(A "1.key")), 0);
    assert_int_equal(store_remove(world->store, BYTES(A "2.key")), 0);
    assert_int_equal(store_remove(world->store, BYTES(A B "deep")), 0);
    assert_int_equal(find(world, A "%+"), 0);
    assert_int_equal(world->tree->folds.by_name.count, 0);
    assert_int_equal(world->tree->folds.keys_by_name.count, 0);
}

/* Whichever call of the store fails, the errno is told and the next try works. */
static void test_a_store_that_fails(void **state)
{
    struct world *world = *state;
    struct stat stat;
    int code = -ENOSPC;

    for (size_t i = 0; code; i++) {
        assert_true(i < 10);
        world_remount(world);
        world->trace.fail_at = world->trace.calls + i;
        code = tree_lookup(world->tree, TREE_ROOT, A "%+", &stat);
        assert_true(code == 0 || code == -ENOSPC);
        world->trace.fail_at = SIZE_MAX;
        assert_shows(world, A "%+/1.key", "one\n");
    }
}

static void test_a_read_only_mount(void **state)
{
    struct world *world = *state;

    world->options.read_only = true;
    world_remount(world);
    assert_int_equal(make_directory(world, B "%+"), -EROFS);
    assert_int_equal(remove_directory(world, A "%+"), -EROFS);
    assert_shows(world, A "%+/1.key", "one\n");
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_fold_is_listed_once),
        CASE(test_reading),
        CASE(test_what_others_change_is_seen),
        CASE(test_questions_are_cheap),
        CASE(test_many_changes_are_cheap),
        CASE(test_saving),
        CASE(test_a_fold_goes_with_its_last_key),
        CASE(test_an_emptied_fold_lingers_for_some_time_only),
        CASE(test_making),
        CASE(test_renaming),
        CASE(test_scratch_files),
        CASE(test_a_displaced_key),
        CASE(test_refused_texts_are_in_directories_too),
        CASE(test_attributes_of_folds),
        CASE(test_ids_are_constant),
        CASE(test_nothing_is_left_in_memory),
        CASE(test_a_store_that_fails),
        CASE(test_a_read_only_mount),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
