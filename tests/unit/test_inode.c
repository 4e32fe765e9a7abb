/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Owners, modes and times. */
#include "tests/unit/world.h"

static void test_attributes_are_kept(void **state)
{
    struct world *world = *state;
    struct stat in = {.st_mode = 0640, .st_mtim = {1000, 5}, .st_atim = {2000, 6}}, out;

    assert_int_equal(
        set_attributes(world, "k", in, TREE_SET_MODE | TREE_SET_MTIME | TREE_SET_ATIME), 0);
    tree_forget(world->tree, find(world, "k"), 1000);
    out = stat_of(world, "k");
    assert_int_equal(out.st_mode, S_IFREG | 0640);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    assert_int_equal(out.st_mtim.tv_nsec, 5);
    assert_int_equal(out.st_atim.tv_sec, 2000);
    assert_int_equal(rename_file(world, "k", "list"), 0);
    out = stat_of(world, "list");
    assert_int_equal(out.st_mode, S_IFREG | 0640);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    assert_int_equal(unlink_file(world, "list"), 0);
    assert_int_equal(echo(world, "list", TO, "x\n"), 0);
    out = stat_of(world, "list");
    assert_int_equal(out.st_mode, S_IFREG | 0644);
    assert_true(out.st_mtim.tv_sec > 1000000);
    /* A new value keeps the mode and gets a new time. */
    assert_int_equal(set_attributes(world, "list", in, TREE_SET_MODE | TREE_SET_MTIME), 0);
    assert_int_equal(echo(world, "list", TO, "y\n"), 0);
    out = stat_of(world, "list");
    assert_int_equal(out.st_mode, S_IFREG | 0640);
    assert_true(out.st_mtim.tv_sec > 1000000);
}

static void test_owners(void **state)
{
    struct world *world = *state;
    struct stat mine = {.st_uid = getuid(), .st_gid = getgid()};
    struct stat theirs = {.st_uid = getuid() + 1, .st_gid = getgid() + 1};
    struct tree_handle *handle;
    struct tree_caller other = {.uid = 77, .gid = 78};
    enum tree_cache cache;
    struct stat out;

    world->caller.uid = getuid() + 2; /* not root, nor the owner */
    assert_int_equal(set_attributes(world, "k", mine, TREE_SET_UID | TREE_SET_GID), 0);
    assert_int_equal(set_attributes(world, "k", theirs, TREE_SET_UID), -EPERM);
    assert_int_equal(set_attributes(world, "k", theirs, TREE_SET_GID), -EPERM);
    assert_int_equal(set_attributes(world, ".shelvefs/status", mine, TREE_SET_MODE), -EPERM);
    assert_int_equal(set_attributes(world, ".shelvefs", mine, TREE_SET_SIZE), -EISDIR);
    assert_int_equal(set_attributes(world, ".shelvefs/status", mine, TREE_SET_SIZE), -EPERM);
    /* A new file belongs to its creator, also as a key. */
    assert_int_equal(
        tree_create(world->tree, TREE_ROOT, "new", 0600, O_WRONLY, &other, &out, &handle, &cache),
        0);
    assert_int_equal(out.st_uid, 77);
    assert_int_equal(tree_write(handle, 0, BYTES("x\n")), 0);
    tree_release(handle);
    assert_stored(world, "new", "x\n");
    assert_int_equal(stat_of(world, "new").st_uid, 77);
    assert_int_equal(stat_of(world, "new").st_gid, 78);
}

static void test_given_away(void **state)
{
    struct world *world = *state;
    struct tree_caller root = {.uid = 0}, other = {.uid = 77, .gid = 78};
    const gid_t groups[] = {80, 79};
    struct stat in = {.st_uid = 77, .st_gid = 78};

    world->caller = root;
    assert_int_equal(set_attributes(world, "k", in, TREE_SET_UID | TREE_SET_GID), 0);
    assert_int_equal(stat_of(world, "k").st_uid, 77);
    assert_int_equal(stat_of(world, "k").st_gid, 78);
    world->caller = other;
    in.st_gid = 79;
    assert_int_equal(set_attributes(world, "k", in, TREE_SET_GID), -EPERM);
    world->caller.groups = bytes_of(groups, sizeof groups);
    assert_int_equal(set_attributes(world, "k", in, TREE_SET_UID | TREE_SET_GID), 0);
    assert_int_equal(stat_of(world, "k").st_gid, 79);
    in.st_uid = 76;
    assert_int_equal(set_attributes(world, "k", in, TREE_SET_UID), -EPERM);
    /* They stay with the file that replaces another one, and new values; and go with the key. */
    assert_int_equal(rename_file(world, "k", "list"), 0);
    assert_int_equal(echo(world, "list", TO, "[2]\n"), 0);
    assert_int_equal(stat_of(world, "list").st_uid, 77);
    assert_int_equal(unlink_file(world, "list"), 0);
    world->caller.uid = getuid();
    assert_int_equal(echo(world, "list", TO, "[2]\n"), 0);
    assert_int_equal(stat_of(world, "list").st_uid, getuid());
    /* Given back to the database's owner, it follows the database. */
    world->caller = root;
    assert_int_equal(set_attributes(world, "list", in, TREE_SET_UID), 0);
    in.st_uid = getuid();
    assert_int_equal(set_attributes(world, "list", in, TREE_SET_UID), 0);
    assert_int_equal(stat_of(world, "list").st_uid, getuid());
}

/* What is open and has no name any more has nothing to do with the next file of its name. */
static void test_attributes_of_what_is_gone(void **state)
{
    struct world *world = *state;
    struct stat in = {.st_mode = 0600, .st_mtim = {1000, 5}}, out;
    struct tree_handle *handle;
    uint64_t id = find(world, "k");

    assert_int_equal(set_attributes(world, "k", in, TREE_SET_MODE | TREE_SET_MTIME), 0);
    assert_int_equal(open_file(world, "k", O_RDONLY, &handle), 0);
    assert_int_equal(unlink_file(world, "k"), 0);
    assert_int_equal(echo(world, "k", TO, "new\n"), 0);
    assert_int_equal(tree_getattr(world->tree, id, &out), 0);
    assert_int_equal(out.st_mode, S_IFREG | 0600);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    in.st_mode = 0640;
    assert_int_equal(
        tree_setattr(world->tree, id, handle, &in, TREE_SET_MODE, &world->caller, &out), 0);
    assert_int_equal(out.st_mode, S_IFREG | 0640);
    assert_int_equal(stat_of(world, "k").st_mode, S_IFREG | 0644);
    tree_release(handle);
    /* Likewise of one that another file replaced. */
    id = find(world, "list");
    assert_int_equal(set_attributes(world, "list", in, TREE_SET_MTIME), 0);
    assert_int_equal(open_file(world, "list", O_RDONLY, &handle), 0);
    assert_int_equal(rename_file(world, "k", "list"), 0);
    assert_int_equal(tree_getattr(world->tree, id, &out), 0);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    assert_true(stat_of(world, "list").st_mtim.tv_sec > 1000000);
    tree_release(handle);
}

static void test_forced_attributes(void **state)
{
    struct world *world = *state;
    struct stat in = {.st_mode = 0600}, out;

    world->options.shown = (struct attributes){
        .set = ATTRIBUTE_UID | ATTRIBUTE_GID | ATTRIBUTE_MODE, .uid = 7, .gid = 8, .mode = 0750};
    world_remount(world);
    out = stat_of(world, "k");
    assert_int_equal(out.st_mode, S_IFREG | 0640);
    assert_int_equal(out.st_uid, 7);
    assert_int_equal(out.st_gid, 8);
    assert_int_equal(set_attributes(world, "k", in, TREE_SET_MODE), 0);
    assert_int_equal(stat_of(world, "k").st_mode, S_IFREG | 0640);
    assert_int_equal(set_attributes(world, "k", in, TREE_SET_UID), -EPERM);
    in.st_uid = 7;
    assert_int_equal(set_attributes(world, "k", in, TREE_SET_UID), 0);
    assert_int_equal(echo(world, "new", TO, "x\n"), 0);
    assert_int_equal(stat_of(world, "new").st_uid, 7);
    assert_int_equal(stat_of(world, "new").st_mode, S_IFREG | 0640);
    assert_int_equal(stat_of(world, ".shelvefs/raw").st_mode, S_IFDIR | 0750);
    assert_int_equal(stat_of(world, ".shelvefs/status").st_mode, S_IFREG | 0440);
    assert_int_equal(stat_of(world, ".shelvefs/dis/k").st_mode, S_IFREG | 0440);
}

static void test_times(void **state)
{
    struct world *world = *state;
    struct stat in = {.st_mtim = {1000, 5}}, before = stat_of(world, "k"), out;
    struct tree_handle *handle;

    /* cp -p: written, then the time is set, then closed. */
    assert_int_equal(open_file(world, "k", O_WRONLY, &handle), 0);
    assert_int_equal(tree_write(handle, 0, BYTES("new")), 0);
    assert_true(stat_of(world, "k").st_mtim.tv_sec >= before.st_mtim.tv_sec);
    assert_int_equal(tree_setattr(world->tree, find(world, "k"), handle, &in, TREE_SET_MTIME,
                                  &world->caller, &out),
                     0);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    assert_int_equal(tree_flush(handle), 0);
    tree_release(handle);
    assert_int_equal(stat_of(world, "k").st_mtim.tv_sec, 1000);
    assert_int_equal(stat_of(world, "k").st_atim.tv_sec, 1000);
    assert_int_equal(set_attributes(world, "k", in, TREE_SET_MTIME_NOW), 0);
    assert_true(stat_of(world, "k").st_mtim.tv_sec >= before.st_mtim.tv_sec);
    /* Saving one key does not touch the time of another. */
    before = stat_of(world, "list");
    assert_int_equal(echo(world, "k", TO, "x\n"), 0);
    out = stat_of(world, "list");
    assert_memory_equal(&out.st_mtim, &before.st_mtim, sizeof out.st_mtim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_CASE(test_attributes_are_kept), WORLD_CASE(test_owners),
        WORLD_CASE(test_given_away),          WORLD_CASE(test_attributes_of_what_is_gone),
        WORLD_CASE(test_forced_attributes),   WORLD_CASE(test_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
