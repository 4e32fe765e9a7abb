/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names, attributes, listings and .shelvefs. */
#include "tests/unit/world.h"

#include <stdio.h>

/* --- names --- */

static void test_keys_of_any_bytes(void **state)
{
    static const struct {
        struct bytes key;
        const char *name;
    } rows[] = {
        {BYTES(""), "%"},           {BYTES("."), "%2E"},      {BYTES(".."), "%2E."},
        {BYTES("a/b"), "a%2Fb"},    {BYTES("a\0b"), "a%00b"}, {BYTES("\xff"), "%FF"},
        {BYTES("a b\n"), "a b%0A"}, {BYTES("%41"), "%2541"},  {BYTES(".shelvefs"), "%2Eshelvefs"},
        {BYTES("100%"), "100%"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer key = BUFFER_INIT;

        assert_int_equal(echo(world, rows[i].name, TO, "v\n"), 0);
        assert_int_equal(store_exists(world->store, rows[i].key), 1);
        assert_shows(world, rows[i].name, "v\n");
        assert_int_equal(
            tree_getxattr(world->tree, find(world, rows[i].name), "user.shelvefs.key", &key), 0);
        assert_true(bytes_equal(buffer_bytes(&key), rows[i].key));
        buffer_release(&key);
        assert_int_equal(unlink_file(world, rows[i].name), 0);
        assert_int_equal(store_exists(world->store, rows[i].key), 0);
    }
}

static void test_keys_of_c_programs(void **state)
{
    static const struct {
        struct bytes key;
        const char *name;
    } rows[] = {
        {BYTES("a\0"), "a"},      {BYTES("a"), "a%-"}, {BYTES("\0"), "%"},
        {BYTES("a\0\0"), "a%00"}, {BYTES(""), "%%-"},  {BYTES(".shelvefs"), "%2Eshelvefs%-"},
    };
    struct world *world = *state;
    struct listing listing;

    world->options.names = KEYNAME_NUL_HIDDEN;
    world_remount(world);
    assert_shows(world, "k", NULL);
    assert_shows(world, "k%-", "old\n");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(echo(world, rows[i].name, TO, "v\n"), 0);
        assert_int_equal(store_exists(world->store, rows[i].key), 1);
        assert_shows(world, rows[i].name, "v\n");
    }
    listing = list(world, "", true);
    assert_int_equal(listing.count, 4 + ARRAY_SIZE(rows));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_non_null(entry_of(&listing, rows[i].name));
    assert_int_equal(rename_file(world, "a", "b"), 0);
    assert_int_equal(store_exists(world->store, BYTES("b\0")), 1);
    assert_int_equal(store_exists(world->store, BYTES("a")), 1);
    assert_int_equal(rename_file(world, "a%-", "a"), 0);
    assert_int_equal(store_exists(world->store, BYTES("a")), 0);
    assert_int_equal(store_exists(world->store, BYTES("a\0")), 1);
}

static void test_names_that_no_key_has(void **state)
{
    struct world *world = *state;
    char name[300];
    struct tree_handle *handle;
    struct stat stat;

    memset(name, 'x', sizeof name);
    name[256] = 0;
    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, name, &stat), -ENAMETOOLONG);
    assert_int_equal(open_file(world, name, O_CREAT | O_RDWR, &handle), -ENAMETOOLONG);
    assert_int_equal(rename_file(world, "k", name), -ENAMETOOLONG);
    name[255] = 0;
    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, name, &stat), -ENOENT);
    assert_int_equal(open_file(world, name, O_CREAT | O_RDWR, &handle), -ENAMETOOLONG);
    assert_int_equal(rename_file(world, "k", name), -ENAMETOOLONG);
    name[240] = 0;
    assert_int_equal(echo(world, name, TO, "v\n"), 0);
    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, "a%2fb", &stat), -ENOENT);
    assert_int_equal(open_file(world, "a%2fb", O_CREAT | O_RDWR, &handle), -EINVAL);
    assert_int_equal(rename_file(world, "k", "a%2fb"), -EINVAL);
    assert_stored(world, "k", "old\n");
}

static void test_what_cant_be(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;
    uint64_t k = find(world, "k"), control = find(world, ".shelvefs"),
             raw = find(world, ".shelvefs/raw");

    assert_int_equal(tree_mkdir(world->tree, TREE_ROOT, "dir", 0755, &world->caller, &stat),
                     -EPERM);
    assert_int_equal(tree_rmdir(world->tree, TREE_ROOT, "k"), -ENOTDIR);
    assert_int_equal(tree_rmdir(world->tree, TREE_ROOT, "absent"), -ENOENT);
    assert_int_equal(tree_rmdir(world->tree, TREE_ROOT, ".shelvefs"), -EPERM);
    assert_int_equal(tree_unlink(world->tree, TREE_ROOT, ".shelvefs"), -EISDIR);
    assert_int_equal(tree_unlink(world->tree, control, "status"), -EPERM);
    assert_int_equal(tree_unlink(world->tree, TREE_ROOT, "absent"), -ENOENT);
    assert_int_equal(tree_unlink(world->tree, k, "x"), -ENOTDIR);
    assert_int_equal(tree_lookup(world->tree, 12345, "x", &stat), -ENOENT);
    assert_int_equal(tree_open(world->tree, TREE_ROOT, O_RDONLY, &handle, &cache), -EISDIR);
    assert_int_equal(open_file(world, ".shelvefs/status", O_WRONLY, &handle), -EACCES);
    assert_int_equal(open_file(world, ".shelvefs/new", O_CREAT | O_WRONLY, &handle), -EPERM);
    assert_int_equal(open_file(world, ".shelvefs/rejected/new", O_CREAT | O_WRONLY, &handle),
                     -EPERM);
    assert_int_equal(rename_file(world, "absent", "k"), -ENOENT);
    assert_int_equal(rename_file(world, "absent", "absent2"), -ENOENT);
    assert_int_equal(rename_file(world, "absent", "absent~"), -ENOENT);
    assert_int_equal(rename_file(world, "k", ".shelvefs"), -EISDIR);
    assert_int_equal(rename_file(world, ".shelvefs", "x"), -EPERM);
    assert_int_equal(rename_file(world, ".shelvefs/status", ".shelvefs/errors"), -EPERM);
    assert_int_equal(rename_file(world, "k", ".shelvefs/raw/k"), -EXDEV);
    assert_int_equal(rename_file(world, "k", "k"), 0);
    assert_int_equal(tree_rename(world->tree, TREE_ROOT, "k", TREE_ROOT, "absent", RENAME_EXCHANGE),
                     -ENOENT);
    assert_int_equal(
        tree_rename(world->tree, TREE_ROOT, "k", TREE_ROOT, ".shelvefs", RENAME_EXCHANGE), -EINVAL);
    assert_int_equal(tree_rename(world->tree, TREE_ROOT, "k", TREE_ROOT, "list",
                                 RENAME_EXCHANGE | RENAME_NOREPLACE),
                     -EINVAL);
    assert_int_equal(tree_rename(world->tree, TREE_ROOT, "k", TREE_ROOT, "list", RENAME_NOREPLACE),
                     -EEXIST);
    assert_int_equal(tree_rename(world->tree, raw, "k", raw, "new", RENAME_NOREPLACE), 0);
    assert_stored(world, "new", "old\n");
    assert_stored(world, "list", "[1, 2]\n");
    assert_shows(world, "k", NULL);
    assert_shows(world, "new", "old\n");
}

/* --- attributes --- */

static void test_default_attributes(void **state)
{
    struct world *world = *state;
    struct stat file = stat_of(world, "list"), root = stat_of(world, ".shelvefs"), top;

    assert_int_equal(file.st_mode, S_IFREG | 0600); /* a store in memory has no file */
    assert_int_equal(file.st_nlink, 1);
    assert_int_equal(file.st_uid, getuid());
    assert_int_equal(file.st_gid, getgid());
    assert_int_equal(file.st_size, 7);
    assert_int_equal(file.st_blocks, 1);
    assert_int_equal(file.st_blksize, 4096);
    assert_true(file.st_ino == find(world, "list"));
    assert_int_equal(root.st_mode, S_IFDIR | 0700);
    assert_int_equal(root.st_nlink, 2);
    assert_int_equal(tree_getattr(world->tree, TREE_ROOT, &top), 0);
    assert_int_equal(top.st_ino, TREE_ROOT);
    assert_int_equal(stat_of(world, ".shelvefs/status").st_mode, S_IFREG | 0400);
}

static void test_directories(void **state)
{
    struct world *world = *state;
    struct stat in = {.st_mode = 0755, .st_mtim = {1000, 5}}, out;

    assert_int_equal(tree_setattr(world->tree, TREE_ROOT, NULL, &in, TREE_SET_MODE | TREE_SET_MTIME,
                                  &world->caller, &out),
                     0);
    assert_int_equal(out.st_mode, S_IFDIR | 0755);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    assert_int_equal(echo(world, "k", TO, "x\n"), 0);
    assert_int_equal(tree_getattr(world->tree, TREE_ROOT, &out), 0);
    assert_int_equal(out.st_mtim.tv_sec, 1000);
    assert_int_equal(echo(world, "new", TO, "x\n"), 0);
    assert_int_equal(tree_getattr(world->tree, TREE_ROOT, &out), 0);
    assert_true(out.st_mtim.tv_sec > 1000);
    assert_int_equal(out.st_mode, S_IFDIR | 0755);
}

static void test_access(void **state)
{
    struct world *world = *state;
    struct tree_caller owner = {.uid = 1000, .gid = 1000}, group = {.uid = 1001, .gid = 1000},
                       other = {.uid = 1001, .gid = 1001}, root = {.uid = 0};
    struct tree_handle *handle;
    const struct {
        const struct tree_caller *caller;
        int mask, code;
    } rows[] = {
        {&owner, R_OK | W_OK, 0}, {&owner, X_OK, -EACCES}, {&group, R_OK, 0},
        {&group, W_OK, -EACCES},  {&other, R_OK, -EACCES}, {&other, F_OK, 0},
        {&root, R_OK | W_OK, 0},  {&root, X_OK, -EACCES},
    };
    struct stat stat;
    enum tree_cache cache;

    assert_int_equal(
        tree_create(world->tree, TREE_ROOT, "f", 0640, O_WRONLY, &owner, &stat, &handle, &cache),
        0);
    tree_release(handle);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(tree_access(world->tree, stat.st_ino, rows[i].mask, rows[i].caller),
                         rows[i].code);
}

static void test_read_only(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;
    struct stat stat = {.st_mode = 0600};
    uint64_t k;

    world->options.read_only = true;
    world_remount(world);
    k = find(world, "k");
    assert_shows(world, "k", "old\n");
    assert_int_equal(open_file(world, "k", O_WRONLY, &handle), -EROFS);
    assert_int_equal(open_file(world, "k", O_RDONLY | O_TRUNC, &handle), -EROFS);
    assert_int_equal(open_file(world, "new", O_WRONLY | O_CREAT, &handle), -EROFS);
    assert_int_equal(unlink_file(world, "k"), -EROFS);
    assert_int_equal(rename_file(world, "k", "l"), -EROFS);
    assert_int_equal(set_attributes(world, "k", stat, TREE_SET_MODE), -EROFS);
    assert_int_equal(tree_mkdir(world->tree, TREE_ROOT, "d", 0755, &world->caller, &stat), -EROFS);
    assert_int_equal(tree_rmdir(world->tree, TREE_ROOT, "k"), -EROFS);
    assert_int_equal(tree_symlink(world->tree, TREE_ROOT, ".#k", "x", &world->caller, &stat),
                     -EROFS);
    assert_int_equal(tree_access(world->tree, k, W_OK, &world->caller), -EROFS);
    assert_int_equal(tree_access(world->tree, k, R_OK, &world->caller), 0);
    assert_int_equal(stat_of(world, "k").st_mode, S_IFREG | 0400);
    assert_int_equal(stat_of(world, ".shelvefs").st_mode, S_IFDIR | 0500);
    assert_non_null(strstr(cat(world, ".shelvefs/status"), "read-only: yes"));
}

static void test_extended_attributes(void **state)
{
    struct world *world = *state;
    uint64_t k = find(world, "k");
    struct buffer value = BUFFER_INIT;

    assert_int_equal(tree_listxattr(world->tree, k, &value), 0);
    assert_true(bytes_equal(buffer_bytes(&value),
                            BYTES("user.shelvefs.key\0user.shelvefs.codec\0user.shelvefs.type\0")));
    buffer_clear(&value);
    assert_int_equal(tree_getxattr(world->tree, k, "user.shelvefs.codec", &value), 0);
    assert_true(bytes_equal(buffer_bytes(&value), BYTES("pickle protocol 4")));
    buffer_clear(&value);
    /* Also of a text that a user wrote. */
    assert_int_equal(echo(world, "k", TO, "new"), 0);
    assert_int_equal(tree_getxattr(world->tree, k, "user.shelvefs.type", &value), 0);
    assert_true(bytes_equal(buffer_bytes(&value), BYTES("str")));
    assert_int_equal(tree_getxattr(world->tree, k, "user.other", &value), -ENODATA);
    assert_int_equal(tree_getxattr(world->tree, k, "system.posix_acl_access", &value), -ENOTSUP);
    assert_int_equal(tree_getxattr(world->tree, k, "user.shelvefs.error", &value), -ENODATA);
    assert_int_equal(tree_getxattr(world->tree, TREE_ROOT, "user.shelvefs.key", &value), -ENODATA);
    buffer_clear(&value);
    assert_int_equal(tree_listxattr(world->tree, TREE_ROOT, &value), 0);
    assert_int_equal(value.size, 0);
    buffer_release(&value);
}

static void test_statfs(void **state)
{
    struct world *world = *state;
    struct statvfs out;

    assert_int_equal(tree_statfs(world->tree, &out), 0);
    assert_int_equal(out.f_namemax, 255);
    assert_int_equal(out.f_bsize, 4096);
}

/* --- listings --- */

static void test_a_plain_listing_touches_keys_only(void **state)
{
    struct world *world = *state;
    struct listing listing;

    put(world, "a/b", "x\n");
    forget_log(world);
    listing = list(world, "", false);
    assert_int_equal(listing.count, 5);
    assert_int_equal(calls(world, "fetch"), 0);
    assert_int_equal(calls(world, "exists"), 0);
    assert_int_equal(calls(world, "visit"), 1);
    assert_string_equal(listing.names[0], ".");
    assert_string_equal(listing.names[1], "..");
    assert_int_equal(entry_of(&listing, ".")->st_ino, TREE_ROOT);
    assert_true(S_ISREG(entry_of(&listing, "a%2Fb")->st_mode));
    assert_true(entry_of(&listing, "k")->st_ino == find(world, "k"));
    assert_null(entry_of(&listing, ".shelvefs"));
}

static void test_listing_plus_is_complete(void **state)
{
    struct world *world = *state;
    struct listing listing = list(world, "", true);
    struct stat stat;

    assert_int_equal(entry_of(&listing, "k")->st_size, 4);
    assert_int_equal(entry_of(&listing, "list")->st_size, 7);
    assert_int_equal(entry_of(&listing, "list")->st_mode, S_IFREG | 0600);
    /* Each entry got a reference. */
    assert_int_equal(tree_getattr(world->tree, entry_of(&listing, "k")->st_ino, &stat), 0);
    tree_forget(world->tree, entry_of(&listing, "k")->st_ino, 1);
    assert_int_equal(tree_getattr(world->tree, entry_of(&listing, "k")->st_ino, &stat), -ESTALE);
}

static void test_listing_in_pieces(void **state)
{
    struct world *world = *state;
    struct tree_listing *directory;
    struct listing all = {.room = 64}, piece;
    char name[16];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "key%d", i);
        put(world, name, "x\n");
    }
    directory = open_directory(world, "");
    assert_int_equal(tree_readdir(directory, 0, NULL, take_entry, &all), 0);
    assert_int_equal(all.count, 24);
    /* What happens meanwhile neither repeats nor skips a name; what has gone is left out with attributes. */
    assert_int_equal(unlink_file(world, all.names[10]), 0);
    put(world, "later", "x\n");
    for (size_t i = 0; i < all.count; i += piece.count) {
        piece = (struct listing){.room = 3};
        assert_int_equal(
            tree_readdir(directory, i ? all.next[i - 1] : 0, NULL, take_entry, &piece), 0);
        for (size_t n = 0; n < piece.count; n++)
            assert_string_equal(piece.names[n], all.names[i + n]);
    }
    piece = (struct listing){.room = 64};
    assert_int_equal(tree_readdir(directory, 0, &some_room, take_entry, &piece), 0);
    assert_int_equal(piece.count, 23);
    assert_null(entry_of(&piece, all.names[10]));
    assert_int_equal(tree_readdir(directory, all.next[23], NULL, take_entry, &piece), 0);
    assert_int_equal(tree_readdir(directory, -1, NULL, take_entry, &piece), -EINVAL);
    tree_closedir(directory);
}

static void test_entries_without_room_get_no_reference(void **state)
{
    struct world *world = *state;
    struct tree_listing *directory = open_directory(world, "");
    struct listing piece = {.room = 2};
    struct stat stat;

    assert_int_equal(tree_readdir(directory, 0, &some_room, take_entry, &piece), 0);
    assert_int_equal(piece.count, 2);
    piece = (struct listing){.room = 64};
    assert_int_equal(tree_readdir(directory, 0, NULL, take_entry, &piece), 0);
    for (size_t i = 2; i < piece.count; i++)
        assert_int_equal(tree_getattr(world->tree, piece.stats[i].st_ino, &stat), -ESTALE);
    tree_closedir(directory);
}

static void test_keys_with_very_long_paths_are_told(void **state)
{
    struct world *world = *state;
    char key[4500];
    const char *status;

    memset(key, 'y', sizeof key);
    key[0] = '\n';
    key[399] = 0;
    put(world, key, "x\n");
    key[399] = 'y';
    key[4499] = 0;
    put(world, key, "x\n");
    status = cat(world, ".shelvefs/status");
    assert_non_null(strstr(status, "keys: 4\n"));
    assert_non_null(strstr(status, "keys in folded directories: 2\n"));
    assert_non_null(strstr(status, "keys with a path of 4096 bytes or more: 1\n"));
    assert_non_null(strstr(status, "  (4499 bytes) %0Ayyyy"));
}

static void test_a_scratch_file_shadows_a_key_made_elsewhere(void **state)
{
    struct world *world = *state;
    struct listing listing;

    assert_int_equal(echo(world, "a~", TO, "mine\n"), 0);
    put(world, "a~", "theirs\n");
    listing = list(world, "", false);
    assert_non_null(entry_of(&listing, "a~"));
    assert_shows(world, "a~", "mine\n");
}

/* --- .shelvefs --- */

static void test_control_directory(void **state)
{
    struct world *world = *state;
    struct listing listing = list(world, ".shelvefs", true);

    assert_int_equal(listing.count, 7);
    assert_true(S_ISREG(entry_of(&listing, "status")->st_mode));
    assert_true(S_ISREG(entry_of(&listing, "errors")->st_mode));
    assert_true(S_ISDIR(entry_of(&listing, "rejected")->st_mode));
    assert_true(S_ISDIR(entry_of(&listing, "raw")->st_mode));
    assert_true(S_ISDIR(entry_of(&listing, "dis")->st_mode));
    assert_int_equal(entry_of(&listing, "..")->st_ino, TREE_ROOT);
    assert_int_equal(echo(world, "a~", TO, "x\n"), 0);
    assert_non_null(strstr(cat(world, ".shelvefs/status"), "companion: a~\n"));
    assert_non_null(strstr(cat(world, ".shelvefs/status"), "engine: memory\n"));
    assert_shows(world, ".shelvefs/errors", "");
    assert_int_equal(echo(world, "list", TO, "[1"), -EINVAL);
    listing = list(world, ".shelvefs/rejected", false);
    assert_non_null(entry_of(&listing, "list"));
    assert_int_equal(listing.count, 3);
}

static void test_raw_bytes(void **state)
{
    struct world *world = *state;
    struct buffer stored = BUFFER_INIT;
    struct listing listing = list(world, ".shelvefs/raw", true);
    struct tree_handle *handle;

    assert_non_null(entry_of(&listing, "k"));
    assert_int_equal(store_fetch(world->store, BYTES("k"), &stored), 0);
    assert_non_null(cat(world, ".shelvefs/raw/k"));
    assert_int_equal(world->read.size - 1, stored.size);
    assert_memory_equal(world->read.data, stored.data, stored.size);
    buffer_clear(&stored);
    assert_int_equal(echo(world, ".shelvefs/raw/n", TO, "bytes"), 0);
    assert_int_equal(store_fetch(world->store, BYTES("n"), &stored), 0);
    assert_true(bytes_equal(buffer_bytes(&stored), BYTES("bytes")));
    /* Both views show what the other one saved. */
    buffer_clear(&stored);
    assert_int_equal(store_fetch(world->store, BYTES("list"), &stored), 0);
    assert_shows(world, "k", "old\n");
    assert_int_equal(open_file(world, ".shelvefs/raw/k", O_WRONLY | O_TRUNC, &handle), 0);
    assert_int_equal(tree_write(handle, 0, buffer_bytes(&stored)), 0);
    tree_release(handle);
    buffer_release(&stored);
    assert_shows(world, "k", "[1, 2]\n");
    assert_int_equal(unlink_file(world, ".shelvefs/raw/k"), 0);
    assert_shows(world, "k", NULL);
}

static void test_a_damaged_record_can_be_removed(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;

    world->trace.fail_code = -EIO;
    world->trace.fail_at = world->trace.calls + 1; /* stamp, fetch */
    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, "k", &stat), 0);
    assert_int_equal(stat.st_size, 0);
    world->trace.fail_at = world->trace.calls + 1;
    assert_int_equal(tree_open(world->tree, stat.st_ino, O_RDONLY, &handle, &cache), -EIO);
    world->trace.fail_at = SIZE_MAX;
    assert_shows(world, "k", "old\n");
    assert_int_equal(unlink_file(world, "k"), 0);
}

static void test_a_value_that_is_too_large(void **state)
{
    struct world *world = *state;
    struct buffer large = BUFFER_INIT;
    struct tree_handle *handle;
    struct stat stat;

    buffer_resize(&large, MAX_VALUE + 1);
    assert_int_equal(store_store(world->store, BYTES("big"), buffer_bytes(&large), STORE_REPLACE),
                     0);
    buffer_release(&large);
    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, "big", &stat), 0);
    assert_int_equal(open_file(world, "big", O_RDONLY, &handle), -EFBIG);
    assert_int_equal(rename_file(world, "big", "big2"), 0);
    assert_int_equal(echo(world, "big2", TO, "small\n"), 0);
    assert_stored(world, "big2", "small\n");
    assert_shows(world, "big2", "small\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_CASE(test_keys_of_any_bytes),
        WORLD_CASE(test_keys_of_c_programs),
        WORLD_CASE(test_names_that_no_key_has),
        WORLD_CASE(test_what_cant_be),
        WORLD_CASE(test_default_attributes),
        WORLD_CASE(test_directories),
        WORLD_CASE(test_access),
        WORLD_CASE(test_read_only),
        WORLD_CASE(test_extended_attributes),
        WORLD_CASE(test_statfs),
        WORLD_CASE(test_a_plain_listing_touches_keys_only),
        WORLD_CASE(test_listing_plus_is_complete),
        WORLD_CASE(test_listing_in_pieces),
        WORLD_CASE(test_entries_without_room_get_no_reference),
        WORLD_CASE(test_keys_with_very_long_paths_are_told),
        WORLD_CASE(test_a_scratch_file_shadows_a_key_made_elsewhere),
        WORLD_CASE(test_control_directory),
        WORLD_CASE(test_raw_bytes),
        WORLD_CASE(test_a_damaged_record_can_be_removed),
        WORLD_CASE(test_a_value_that_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
