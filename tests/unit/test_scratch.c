/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What editors and tools leave on the way to a save: fs/scratch.c and fs/displaced.c. */
#include "fs/scratch.h"

#include "tests/unit/world.h"

static void test_shapes(void **state)
{
    static const struct {
        const char *name;
        enum scratch_shape shape;
    } rows[] = {
        {".file.swp", SHAPE_COMPANION},
        {".file.swo", SHAPE_COMPANION},
        {".file.swpx", SHAPE_COMPANION},
        {".swp", SHAPE_PLAIN},
        {".x.sw", SHAPE_PLAIN},
        {"file.swp", SHAPE_PLAIN},
        {"file~", SHAPE_COMPANION},
        {"~", SHAPE_PLAIN},
        {"#file#", SHAPE_COMPANION},
        {"##", SHAPE_PLAIN},
        {"#file", SHAPE_PLAIN},
        {".#file", SHAPE_COMPANION},
        {".#", SHAPE_PLAIN},
        {".~lock.file#", SHAPE_COMPANION},
        {".~lock.#", SHAPE_PLAIN},
        {"._file", SHAPE_COMPANION},
        {"._", SHAPE_PLAIN},
        {".DS_Store", SHAPE_COMPANION},
        {".DS_Store2", SHAPE_PLAIN},
        {".nfs0001", SHAPE_COMPANION},
        {".nfs", SHAPE_PLAIN},
        {".fuse_hidden00", SHAPE_COMPANION},
        {"sedAb3xyZ", SHAPE_TRANSIENT},
        {"sedAb3xy", SHAPE_PLAIN},
        {"sedAb3xy-", SHAPE_PLAIN},
        {".file.aB3dE6", SHAPE_TRANSIENT},
        {".file.aB3dE67", SHAPE_PLAIN},
        {"..aB3dE6", SHAPE_PLAIN},
        {".a%.aB3dE6", SHAPE_TRANSIENT},
        {".goutputstream-XYZ", SHAPE_TRANSIENT},
        {"4913", SHAPE_PLAIN},
        {"key", SHAPE_PLAIN},
        {"", SHAPE_PLAIN},
        {"..swp.aB3dE6", SHAPE_TRANSIENT},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (scratch_shape(NULL, rows[i].name) != rows[i].shape)
            print_error("%s\n", rows[i].name);
        assert_int_equal(scratch_shape(NULL, rows[i].name), rows[i].shape);
    }
}

static int set_up(void **state)
{
    static struct world world;

    world_open(&world);
    put(&world, "k", "old\n");
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    return 0;
}

static int make_directory(struct world *world, const char *name)
{
    struct stat stat;

    return tree_mkdir(world->tree, TREE_ROOT, name, 0700, &world->caller, &stat);
}

/* rsync --delay-updates, and --partial-dir as rsync suggests it. */
static void test_directories_of_tools(void **state)
{
    static const char *const names[] = {".~tmp~", ".rsync-partial"};
    struct world *world = *state;
    char path[64];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        put(world, names[i], "a key\n");
        assert_int_equal(make_directory(world, names[i]), -EEXIST);
        assert_int_equal(unlink_file(world, names[i]), 0);
        assert_int_equal(make_directory(world, names[i]), 0);
        assert_int_equal(make_directory(world, names[i]), -EEXIST);
        snprintf(path, sizeof path, "%s/k", names[i]);
        assert_int_equal(echo(world, ".k.AbCdEf", TO, "new\n"), 0);
        assert_int_equal(rename_file(world, ".k.AbCdEf", path), 0);
        assert_shows(world, path, "new\n");
        assert_stored(world, "k", "old\n");
        assert_int_equal(tree_rmdir(world->tree, TREE_ROOT, names[i]), -ENOTEMPTY);
        assert_int_equal(echo(world, names[i], TO, "x\n"), -EISDIR);
        assert_int_equal(rename_file(world, "k", names[i]), -EISDIR);
        assert_int_equal(rename_file(world, path, "k"), 0);
        assert_stored(world, "k", "new\n");
        assert_int_equal(tree_rmdir(world->tree, TREE_ROOT, names[i]), 0);
        assert_shows(world, names[i], NULL);
        put(world, "k", "old\n");
    }
    assert_int_equal(make_directory(world, ".~tmp~~"), -EPERM);
    world->options.scratch = false;
    world_remount(world);
    assert_int_equal(make_directory(world, ".~tmp~"), -EPERM);
}

/* As if transient_seconds had passed. */
static void time_passes(struct world *world)
{
    struct buffer report = BUFFER_INIT;

    assert_int_equal(tree_finish(world->tree, &report), 0);
    buffer_release(&report);
}

static bool listed(struct world *world, const char *name);

static void test_companions_never_reach_the_store(void **state)
{
    static const char *const names[] = {".k.swp", "k~", "#k#", ".DS_Store"};
    struct world *world = *state;
    struct buffer report = BUFFER_INIT;

    forget_log(world);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct tree_handle *handle;

        assert_int_equal(open_file(world, names[i], O_CREAT | O_RDWR, &handle), 0);
        assert_int_equal(tree_write(handle, 0, BYTES("\0[not\xff parsed")), 0);
        assert_int_equal(tree_fsync(handle), 0);
        tree_release(handle);
        assert_true(listed(world, names[i]));
    }
    assert_int_equal(changes(world), 0);
    assert_int_equal(tree_finish(world->tree, &report), 0);
    assert_int_equal(changes(world), 0);
    buffer_add_byte(&report, 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_non_null(strstr((char *)report.data, names[i]));
    buffer_release(&report);
    assert_int_equal(unlink_file(world, "k~"), 0);
    assert_shows(world, "k~", NULL);
    assert_false(listed(world, "k~"));
}

static void test_an_existing_key_of_that_shape_is_a_key(void **state)
{
    struct world *world = *state;

    put(world, "k~", "a key\n");
    assert_int_equal(echo(world, "k~", TO, "another\n"), 0);
    assert_stored(world, "k~", "another\n");
}

static void test_without_scratch_files(void **state)
{
    struct world *world = *state;

    world->options.scratch = false;
    world_remount(world);
    assert_int_equal(echo(world, "k~", TO, "x\n"), 0);
    assert_stored(world, "k~", "x\n");
    assert_int_equal(rename_file(world, "k", ".k.swp"), 0);
    assert_stored(world, ".k.swp", "old\n");
    assert_stored(world, "k", NULL);
    assert_int_equal(echo(world, "empty", TO, ""), 0);
    assert_stored(world, "empty", "");
}

static void test_a_new_empty_file_waits(void **state)
{
    struct world *world = *state;

    forget_log(world);
    assert_int_equal(echo(world, "4913", TO, ""), 0);
    assert_true(listed(world, "4913"));
    assert_int_equal(unlink_file(world, "4913"), 0);
    assert_int_equal(changes(world), 0);
    assert_int_equal(echo(world, "empty", TO, ""), 0);
    assert_int_equal(tree_tick(world->tree), 60);
    assert_stored(world, "empty", NULL);
    assert_int_equal(echo(world, "full", TO, ""), 0);
    assert_int_equal(echo(world, "full", TO, "x\n"), 0);
    assert_stored(world, "full", "x\n");
    world->options.transient_seconds = 0;
    world_remount(world);
    assert_shows(world, "empty", NULL);
    assert_int_equal(echo(world, "empty", TO, ""), 0);
    assert_int_equal(tree_tick(world->tree), 1);
    assert_stored(world, "empty", "");
    assert_shows(world, "empty", "");
}

static void test_a_transient_that_stays_becomes_a_key(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    world->options.transient_seconds = 0;
    world_remount(world);
    assert_int_equal(echo(world, ".a.abcdef", TO, "[7]\n"), 0);
    assert_stored(world, ".a.abcdef", NULL);
    assert_int_equal(open_file(world, ".a.abcdef", O_RDONLY, &handle), 0);
    tree_tick(world->tree);
    assert_stored(world, ".a.abcdef", NULL); /* it is open */
    tree_release(handle);
    tree_tick(world->tree);
    assert_stored(world, ".a.abcdef", "[7]\n");
    assert_int_equal(unlink_file(world, ".a.abcdef"), 0);
    assert_stored(world, ".a.abcdef", NULL);
}

static void test_fsync_makes_a_transient_a_key(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    assert_int_equal(open_file(world, "sedabcdef", O_CREAT | O_RDWR, &handle), 0);
    assert_int_equal(tree_write(handle, 0, BYTES("x\n")), 0);
    assert_int_equal(tree_flush(handle), 0);
    assert_stored(world, "sedabcdef", NULL);
    assert_int_equal(tree_fsync(handle), 0);
    assert_stored(world, "sedabcdef", "x\n");
    tree_release(handle);
}

static void test_a_transient_that_is_refused_stays(void **state)
{
    struct world *world = *state;

    world->options.transient_seconds = 0;
    world_remount(world);
    assert_int_equal(echo(world, ".a.abcdef", TO, "os.system('x')\n"), 0);
    tree_tick(world->tree);
    assert_stored(world, ".a.abcdef", NULL);
    assert_shows(world, ".a.abcdef", "os.system('x')\n");
    assert_shows(world, ".shelvefs/rejected/.a.abcdef", "os.system('x')\n");
    forget_log(world);
    tree_tick(world->tree); /* not again and again */
    assert_int_equal(calls(world, "fetch"), 0);
}

static void test_names_cut_in_an_escape(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    assert_int_equal(open_file(world, ".a%0.abcdef", O_CREAT | O_RDWR, &handle), 0);
    assert_int_equal(tree_write(handle, 0, BYTES("x\n")), 0);
    tree_release(handle);
    assert_int_equal(rename_file(world, ".a%0.abcdef", "a%0A"), 0);
    assert_stored(world, "a\n", "x\n");
}

/* --- how tools save --- */

static void test_rsync(void **state)
{
    struct world *world = *state;

    forget_log(world);
    assert_int_equal(echo(world, ".k.aB3dE6", TO, "new\n"), 0);
    assert_int_equal(changes(world), 0);
    assert_int_equal(rename_file(world, ".k.aB3dE6", "k"), 0);
    assert_int_equal(calls(world, "store k"), 1);
    assert_int_equal(changes(world), 1);
    assert_stored(world, "k", "new\n");
    assert_shows(world, ".k.aB3dE6", NULL);
    /* A key that looks like a companion is restored as a key. */
    assert_int_equal(echo(world, ".k~.aB3dE6", TO, "b\n"), 0);
    assert_int_equal(rename_file(world, ".k~.aB3dE6", "k~"), 0);
    assert_stored(world, "k~", "b\n");
}

static void test_sed(void **state)
{
    struct world *world = *state;

    assert_int_equal(echo(world, "sedXy12ab", TO, "edited\n"), 0);
    assert_int_equal(rename_file(world, "sedXy12ab", "k"), 0);
    assert_stored(world, "k", "edited\n");
    assert_shows(world, "k", "edited\n");
}

/* Renames the file away, writes a new one, removes the old one: never a moment without a value. */
static void test_vim(void **state)
{
    struct world *world = *state;

    forget_log(world);
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_stored(world, "k", "old\n");
    assert_shows(world, "k", NULL);
    assert_shows(world, "k~", "old\n");
    assert_false(listed(world, "k"));
    assert_true(listed(world, "k~"));
    assert_int_equal(changes(world), 0);
    assert_int_equal(echo(world, "k", TO, "new\n"), 0);
    assert_int_equal(changes(world), 1);
    assert_stored(world, "k", "new\n");
    assert_shows(world, "k~", "old\n");
    assert_stored(world, "k~", NULL);
    assert_int_equal(unlink_file(world, "k~"), 0);
    assert_stored(world, "k", "new\n");
    assert_int_equal(changes(world), 1);
    /* And once more, with the backup of before still there. */
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(echo(world, "k", TO, "newer\n"), 0);
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(echo(world, "k", TO, "newest\n"), 0);
    assert_shows(world, "k~", "newer\n");
    time_passes(world);
    assert_stored(world, "k", "newest\n");
    assert_stored(world, "k~", NULL);
}

static void test_vim_writes_an_empty_file(void **state)
{
    struct world *world = *state;

    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(echo(world, "k", TO, ""), 0);
    assert_stored(world, "k", "");
    assert_int_equal(unlink_file(world, "k~"), 0);
    assert_stored(world, "k", "");
}

static void test_vim_after_a_refusal(void **state)
{
    struct world *world = *state;

    put(world, "k", "[1]\n");
    /* It puts the backup back ... */
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(echo(world, "k", TO, "[1, "), -EINVAL);
    assert_stored(world, "k", "[1]\n");
    assert_int_equal(rename_file(world, "k~", "k"), 0);
    assert_shows(world, "k", "[1]\n");
    assert_stored(world, "k", "[1]\n");
    assert_shows(world, "k~", NULL);
    /* ... or something removes it, not having looked at errors: the only value there is stays. */
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(echo(world, "k", TO, "[2, "), -EINVAL);
    assert_int_equal(unlink_file(world, "k~"), 0);
    assert_stored(world, "k", "[1]\n");
    assert_shows(world, "k", "[1]\n");
    assert_shows(world, ".shelvefs/rejected/k", "[2, ");
    time_passes(world);
    assert_stored(world, "k", "[1]\n");
}

static void test_a_rename_that_nothing_follows(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    world->options.transient_seconds = 0;
    world_remount(world);
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_stored(world, "k", "old\n");
    /* Something is being written: patience. */
    assert_int_equal(open_file(world, "k", O_CREAT | O_WRONLY, &handle), 0);
    tree_tick(world->tree);
    assert_stored(world, "k", "old\n");
    assert_int_equal(unlink_file(world, "k"), 0);
    tree_release(handle);
    forget_log(world);
    tree_tick(world->tree);
    assert_int_equal(calls(world, "rename k -> k~"), 1);
    assert_int_equal(changes(world), 1);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "old\n");
    assert_shows(world, "k~", "old\n");
    assert_shows(world, "k", NULL);
    assert_true(world->invalidated > 0);
}

static void test_unmount_carries_renames_out(void **state)
{
    struct world *world = *state;

    assert_int_equal(rename_file(world, "k", "k~"), 0);
    time_passes(world);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "old\n");
}

static void test_a_companion_that_was_written_since(void **state)
{
    struct world *world = *state;

    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(echo(world, "k~", ONTO, "more\n"), 0);
    assert_stored(world, "k", "old\n");
    time_passes(world);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "old\nmore\n");
}

static void test_removing_the_backup_removes_the_key(void **state)
{
    struct world *world = *state;

    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(unlink_file(world, "k~"), 0);
    assert_stored(world, "k", NULL);
    assert_shows(world, "k", NULL);
    assert_shows(world, "k~", NULL);
}

static void test_where_a_displaced_key_may_go(void **state)
{
    static const struct {
        const char *to;
        const char *under; /* where the value is afterwards */
        bool written;      /* the companion was changed before */
    } rows[] = {
        {"k", "k", false},           {"k", "k", true},
        {"other", "other", false},   {"other", "other", true},
        {".k.swp", ".k.swp", false}, {"taken", "taken", false},
        {"taken", "taken", true},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *text = rows[i].written ? "old\nmore\n" : "old\n";

        put(world, "k", "old\n");
        put(world, "taken", "x\n");
        assert_int_equal(rename_file(world, "k", "k~"), 0);
        if (rows[i].written)
            assert_int_equal(echo(world, "k~", ONTO, "more\n"), 0);
        assert_int_equal(rename_file(world, "k~", rows[i].to), 0);
        assert_shows(world, rows[i].to, text);
        assert_shows(world, "k~", NULL);
        time_passes(world);
        assert_stored(world, rows[i].under, text);
        assert_stored(world, "k~", NULL);
        if (strcmp(rows[i].under, "k") != 0)
            assert_stored(world, "k", NULL);
        assert_int_equal(unlink_file(world, rows[i].under), 0);
    }
}

/* The companion's name is a key's: that key gets the value at once, the old one still waits. */
static void test_a_backup_onto_an_existing_key(void **state)
{
    struct world *world = *state;

    put(world, "k~", "older\n");
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_stored(world, "k", "old\n");
    assert_stored(world, "k~", "old\n");
    assert_shows(world, "k", NULL);
    assert_shows(world, "k~", "old\n");
    forget_log(world);
    assert_int_equal(echo(world, "k", TO, "new\n"), 0);
    assert_int_equal(changes(world), 1);
    assert_stored(world, "k", "new\n");
    time_passes(world);
    assert_stored(world, "k", "new\n");
    assert_stored(world, "k~", "old\n");
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    time_passes(world);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", "new\n");
}

static void test_something_replaces_the_companion(void **state)
{
    struct world *world = *state;

    put(world, "other", "other\n");
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(echo(world, ".k.aB3dE6", TO, "mine\n"), 0);
    assert_int_equal(rename_file(world, ".k.aB3dE6", "k~"), 0);
    assert_stored(world, "k~", "mine\n");
    assert_stored(world, "k", NULL);
    put(world, "k", "again\n");
    assert_shows(world, "k", "again\n");
}

static void test_another_file_takes_the_displaced_name(void **state)
{
    struct world *world = *state;

    put(world, "other", "other\n");
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(rename_file(world, "other", "k"), 0);
    assert_stored(world, "k", "other\n");
    assert_shows(world, "k~", "old\n");
    time_passes(world);
    assert_stored(world, "k", "other\n");
    assert_stored(world, "k~", NULL);
}

static void test_a_companion_shaped_key_goes_and_comes_back(void **state)
{
    struct world *world = *state;

    put(world, "c~", "c\n");
    assert_int_equal(rename_file(world, "c~", "d~"), 0);
    assert_shows(world, "c~", NULL);
    assert_shows(world, "d~", "c\n");
    assert_int_equal(rename_file(world, "d~", "c~"), 0);
    assert_shows(world, "c~", "c\n");
    assert_int_equal(unlink_file(world, "c~"), 0);
    assert_stored(world, "c~", NULL);
    time_passes(world);
    assert_stored(world, "d~", NULL);
}

/* Both names are keys' already: the first rename is over before the second begins. */
static void test_a_companion_shaped_key_goes_onto_another_and_back(void **state)
{
    struct world *world = *state;

    put(world, "c~", "c\n");
    put(world, "d~", "d\n");
    assert_int_equal(rename_file(world, "c~", "d~"), 0);
    assert_int_equal(rename_file(world, "d~", "c~"), 0);
    assert_shows(world, "c~", "c\n");
    assert_shows(world, "d~", NULL);
    assert_int_equal(unlink_file(world, "c~"), 0);
    assert_shows(world, "c~", NULL);
    time_passes(world);
    assert_stored(world, "c~", NULL);
    assert_stored(world, "d~", NULL);
}

static void test_removing_a_backup_that_is_a_key(void **state)
{
    struct world *world = *state;

    put(world, "k~", "older\n");
    assert_int_equal(rename_file(world, "k", "k~"), 0);
    assert_int_equal(unlink_file(world, "k~"), 0);
    assert_stored(world, "k", NULL);
    assert_stored(world, "k~", NULL);
}

static void test_symlinks(void **state)
{
    struct world *world = *state;
    struct buffer target = BUFFER_INIT;
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;

    assert_int_equal(
        tree_symlink(world->tree, TREE_ROOT, ".#k", "me@host.123:456", &world->caller, &stat), 0);
    assert_true(S_ISLNK(stat.st_mode));
    assert_int_equal(stat.st_size, 15);
    assert_int_equal(tree_readlink(world->tree, stat.st_ino, &target), 0);
    assert_true(bytes_equal(buffer_bytes(&target), BYTES("me@host.123:456")));
    buffer_release(&target);
    assert_int_equal(tree_open(world->tree, stat.st_ino, O_RDONLY, &handle, &cache), -ELOOP);
    assert_int_equal(tree_symlink(world->tree, TREE_ROOT, ".#k", "x", &world->caller, &stat),
                     -EEXIST);
    assert_int_equal(tree_symlink(world->tree, TREE_ROOT, "link", "x", &world->caller, &stat),
                     -EPERM);
    assert_int_equal(tree_readlink(world->tree, find(world, "k"), &target), -EINVAL);
    assert_int_equal(rename_file(world, ".#k", "k"), -EPERM);
    assert_int_equal(rename_file(world, ".#k", ".#l"), 0);
    assert_int_equal(unlink_file(world, ".#l"), 0);
    assert_stored(world, "k", "old\n");
}

static bool find_name(void *context, const char *name, const struct stat *stat, off_t next)
{
    const char **wanted = context;

    if (*wanted && strcmp(name, *wanted) == 0)
        *wanted = NULL;
    return true;
}

static bool listed(struct world *world, const char *name)
{
    struct tree_listing *listing = open_directory(world, "");

    assert_int_equal(tree_readdir(listing, 0, NULL, find_name, &name), 0);
    tree_closedir(listing);
    return !name;
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        CASE(test_companions_never_reach_the_store),
        CASE(test_an_existing_key_of_that_shape_is_a_key),
        CASE(test_without_scratch_files),
        CASE(test_a_new_empty_file_waits),
        CASE(test_a_transient_that_stays_becomes_a_key),
        CASE(test_fsync_makes_a_transient_a_key),
        CASE(test_a_transient_that_is_refused_stays),
        CASE(test_names_cut_in_an_escape),
        CASE(test_rsync),
        CASE(test_sed),
        CASE(test_vim),
        CASE(test_vim_writes_an_empty_file),
        CASE(test_vim_after_a_refusal),
        CASE(test_a_rename_that_nothing_follows),
        CASE(test_unmount_carries_renames_out),
        CASE(test_a_companion_that_was_written_since),
        CASE(test_removing_the_backup_removes_the_key),
        CASE(test_where_a_displaced_key_may_go),
        CASE(test_a_backup_onto_an_existing_key),
        CASE(test_something_replaces_the_companion),
        CASE(test_another_file_takes_the_displaced_name),
        CASE(test_a_companion_shaped_key_goes_and_comes_back),
        CASE(test_a_companion_shaped_key_goes_onto_another_and_back),
        CASE(test_removing_a_backup_that_is_a_key),
        CASE(test_symlinks),
        CASE(test_directories_of_tools),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
