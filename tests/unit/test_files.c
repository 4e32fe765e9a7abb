/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Open files: drafts, commit points, refusals, what several handles see. */
#include "tests/unit/world.h"

static struct tree_handle *opened(struct world *world, const char *path, int flags)
{
    struct tree_handle *handle;

    assert_int_equal(open_file(world, path, flags, &handle), 0);
    return handle;
}

static int write_at(struct tree_handle *handle, off_t offset, const char *text)
{
    return tree_write(handle, offset, bytes_of_string(text));
}

static off_t size_of(struct world *world, const char *path)
{
    struct stat stat;

    assert_int_equal(tree_getattr(world->tree, find(world, path), &stat), 0);
    return stat.st_size;
}

static int truncate_to(struct world *world, const char *path, struct tree_handle *handle,
                       off_t size)
{
    struct stat in = {.st_size = size}, out;

    return tree_setattr(world->tree, find(world, path), handle, &in, TREE_SET_SIZE, &world->caller,
                        &out);
}

/* --- commit points --- */

static void test_nothing_is_saved_before_a_commit_point(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_WRONLY | O_TRUNC);

    assert_stored(world, "k", "old\n");
    assert_int_equal(size_of(world, "k"), 0);
    assert_int_equal(tree_flush(handle), 0); /* the shell closes its duplicate */
    assert_stored(world, "k", "old\n");
    assert_int_equal(write_at(handle, 0, "ne"), 0);
    assert_int_equal(write_at(handle, 2, "w\n"), 0);
    assert_stored(world, "k", "old\n");
    assert_int_equal(tree_flush(handle), 0);
    assert_stored(world, "k", "new\n");
    forget_log(world);
    assert_int_equal(tree_flush(handle), 0);
    tree_release(handle);
    assert_int_equal(changes(world), 0);
    assert_shows(world, "k", "new\n");
}

static void test_a_new_file_is_inserted(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "new", TO | O_WRONLY);

    assert_int_equal(write_at(handle, 0, "text\n"), 0);
    forget_log(world);
    assert_int_equal(tree_flush(handle), 0);
    /* The store is not asked for the old value of what has none. */
    assert_int_equal(calls(world, "insert"), 1);
    assert_int_equal(calls(world, "fetch"), 0);
    assert_int_equal(write_at(handle, 0, "T"), 0);
    assert_int_equal(tree_flush(handle), 0);
    assert_int_equal(calls(world, "insert"), 1);
    assert_int_equal(calls(world, "store"), 1);
    tree_release(handle);
    assert_stored(world, "new", "Text\n");
}

static void test_truncated_only(void **state)
{
    /* How often it is flushed, what happens then, and whether the empty value is stored. */
    const struct {
        int flushes;
        bool sync, release, stored;
    } rows[] = {
        {1, false, false, false}, {2, false, false, true}, {0, true, false, true},
        {0, false, true, true},   {1, false, true, true},
    };
    struct world *world = *state;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct tree_handle *handle;

        put(world, "k", "old\n");
        handle = opened(world, "k", O_WRONLY | O_TRUNC);
        for (int n = 0; n < rows[i].flushes; n++)
            assert_int_equal(tree_flush(handle), 0);
        if (rows[i].sync)
            assert_int_equal(tree_fsync(handle), 0);
        if (rows[i].release)
            tree_release(handle);
        assert_stored(world, "k", rows[i].stored ? "" : "old\n");
        if (!rows[i].release)
            tree_release(handle);
        assert_stored(world, "k", "");
    }
}

static void test_the_last_writer_saves_without_flush(void **state)
{
    struct world *world = *state;
    struct tree_handle *a = opened(world, "k", O_WRONLY), *b = opened(world, "k", O_WRONLY);
    struct tree_handle *reader = opened(world, "k", O_RDONLY);

    assert_int_equal(write_at(a, 0, "O"), 0);
    tree_release(a);
    assert_stored(world, "k", "old\n");
    tree_release(b);
    assert_stored(world, "k", "Old\n");
    assert_string_equal(read_handle(world, reader), "Old\n");
    tree_release(reader);
}

static void test_fsync_syncs_the_store(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_RDWR);

    assert_int_equal(write_at(handle, 0, "x"), 0);
    forget_log(world);
    assert_int_equal(tree_fsync(handle), 0);
    assert_int_equal(calls(world, "store k"), 1);
    assert_int_equal(calls(world, "sync"), 1);
    tree_release(handle);
}

static void test_truncation_by_path_is_saved_at_once(void **state)
{
    struct world *world = *state;

    assert_int_equal(truncate_to(world, "k", NULL, 2), 0);
    assert_stored(world, "k", "ol\n"); /* 'ol', whose text has a final newline */
    assert_int_equal(truncate_to(world, "k", NULL, 0), 0);
    assert_stored(world, "k", "");
    assert_int_equal(truncate_to(world, "k", NULL, -1), -EINVAL);
    assert_int_equal(truncate_to(world, "k", NULL, MAX_VALUE + 1), -EFBIG);
    assert_stored(world, "k", "");
}

static void test_ftruncate_is_a_write(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_RDWR), *reader;

    assert_int_equal(truncate_to(world, "k", handle, 1), 0);
    assert_stored(world, "k", "old\n");
    assert_int_equal(tree_flush(handle), 0);
    assert_stored(world, "k", "o\n");
    tree_release(handle);
    reader = opened(world, "k", O_RDONLY);
    assert_int_equal(truncate_to(world, "k", reader, 0), -EINVAL);
    tree_release(reader);
}

static void test_one_store_operation_a_save(void **state)
{
    struct world *world = *state;

    forget_log(world);
    assert_int_equal(echo(world, "k", TO, "new\n"), 0);
    assert_int_equal(changes(world), 1);
    assert_int_equal(calls(world, "store k"), 1);
    forget_log(world);
    assert_int_equal(echo(world, "k", TO, "new\n"), 0); /* means what is stored */
    assert_int_equal(changes(world), 0);
    forget_log(world);
    assert_int_equal(echo(world, "fresh", TO, "v\n"), 0);
    assert_int_equal(changes(world), 1);
    forget_log(world);
    assert_int_equal(rename_file(world, "fresh", "k"), 0);
    assert_int_equal(calls(world, "rename fresh -> k"), 1);
    assert_int_equal(changes(world), 1);
}

static void test_a_refetch_only_when_something_changed(void **state)
{
    struct world *world = *state;

    assert_shows(world, "k", "old\n");
    forget_log(world);
    assert_shows(world, "k", "old\n");
    assert_int_equal(calls(world, "fetch"), 0);
    put(world, "other", "x\n");
    forget_log(world);
    assert_shows(world, "k", "old\n");
    assert_int_equal(calls(world, "fetch k"), 1);
}

/* --- what is written --- */

static void test_writes_land_where_they_should(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_RDWR);
    struct bytes sparse = BYTES("o\0\0\0\0z");

    assert_int_equal(truncate_to(world, "k", handle, 1), 0);
    assert_int_equal(write_at(handle, 5, "z"), 0);
    read_handle(world, handle);
    assert_int_equal(world->read.size - 1, sparse.size);
    assert_memory_equal(world->read.data, sparse.data, sparse.size);
    assert_int_equal(size_of(world, "k"), 6);
    assert_int_equal(write_at(handle, -1, "z"), -EINVAL);
    assert_int_equal(write_at(handle, MAX_VALUE, "z"), -EFBIG);
    assert_int_equal(write_at(handle, MAX_VALUE - 1, "zz"), -EFBIG);
    assert_int_equal(size_of(world, "k"), 6);
    assert_int_equal(truncate_to(world, "k", handle, 0), 0);
    tree_release(handle);
}

static void test_append_goes_to_the_end(void **state)
{
    struct world *world = *state;
    struct tree_handle *a = opened(world, "k", O_WRONLY | O_APPEND);
    struct tree_handle *b = opened(world, "k", O_WRONLY | O_APPEND);

    assert_int_equal(write_at(a, 0, "1\n"), 0);
    assert_int_equal(write_at(b, 0, "2\n"), 0);
    assert_int_equal(write_at(a, 1, "3\n"), 0);
    tree_release(a);
    tree_release(b);
    assert_stored(world, "k", "old\n1\n2\n3\n");
}

static void test_handles_share_the_draft(void **state)
{
    struct world *world = *state;
    struct tree_handle *reader = opened(world, "k", O_RDONLY), *writer = opened(world, "k", O_RDWR);

    assert_int_equal(tree_write(reader, 0, BYTES("x")), -EBADF);
    assert_int_equal(write_at(writer, 0, "NEW"), 0);
    assert_string_equal(read_handle(world, reader), "NEW\n");
    tree_release(writer);
    assert_string_equal(read_handle(world, reader), "NEW\n");
    tree_release(reader);
}

static void test_a_write_of_nothing_changes_nothing(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_RDWR);

    forget_log(world);
    assert_int_equal(write_at(handle, 0, ""), 0);
    assert_int_equal(tree_flush(handle), 0);
    tree_release(handle);
    assert_int_equal(changes(world), 0);
}

static void test_the_text_stays_as_it_was_written(void **state)
{
    struct world *world = *state;

    assert_int_equal(echo(world, "list", TO, "[1,2,3]"), 0);
    assert_stored(world, "list", "[1, 2, 3]\n");
    assert_shows(world, "list", "[1,2,3]");
    world_remount(world);
    assert_shows(world, "list", "[1, 2, 3]\n");
}

/* --- others --- */

static void test_what_others_change(void **state)
{
    struct world *world = *state;
    struct tree_handle *old = opened(world, "k", O_RDONLY), *new, *writer;
    struct stat before, after;

    assert_int_equal(tree_getattr(world->tree, find(world, "k"), &before), 0);
    put(world, "k", "theirs\n");
    new = opened(world, "k", O_RDONLY);
    assert_string_equal(read_handle(world, new), "theirs\n");
    assert_string_equal(read_handle(world, old), "old\n");
    assert_int_equal(tree_getattr(world->tree, find(world, "k"), &after), 0);
    assert_true(after.st_mtim.tv_sec > before.st_mtim.tv_sec ||
                (after.st_mtim.tv_sec == before.st_mtim.tv_sec &&
                 after.st_mtim.tv_nsec > before.st_mtim.tv_nsec));
    assert_int_equal(world->invalidated, 1);
    tree_release(new);
    tree_release(old);
    /* The last writer wins. */
    writer = opened(world, "k", O_WRONLY | O_TRUNC);
    put(world, "k", "[1]\n");
    assert_int_equal(write_at(writer, 0, "mine\n"), 0);
    assert_int_equal(tree_flush(writer), 0);
    assert_stored(world, "k", "mine\n");
    /* But what the text may be is decided over what is stored now. */
    put(world, "k", "[1]\n");
    assert_int_equal(write_at(writer, 0, "[1, \n"), 0);
    assert_int_equal(tree_flush(writer), -EINVAL);
    assert_stored(world, "k", "[1]\n");
    tree_release(writer);
}

static void test_what_others_remove(void **state)
{
    struct world *world = *state;
    struct tree_handle *reader = opened(world, "k", O_RDONLY),
                       *writer = opened(world, "list", O_RDWR);
    struct stat stat;
    uint64_t id = find(world, "k");

    assert_int_equal(store_remove(world->store, BYTES("k")), 0);
    assert_int_equal(tree_lookup(world->tree, TREE_ROOT, "k", &stat), -ENOENT);
    assert_string_equal(read_handle(world, reader), "old\n");
    assert_int_equal(tree_getattr(world->tree, id, &stat), 0);
    assert_int_equal(stat.st_nlink, 0);
    tree_release(reader);
    assert_int_equal(write_at(writer, 0, "[3"), 0);
    assert_int_equal(store_remove(world->store, BYTES("list")), 0);
    tree_release(writer);
    assert_stored(world, "list", "[3, 2]\n");
}

/* --- refusals --- */

static void assert_refused(struct world *world, const char *path, const char *rejected,
                           const char *text)
{
    char value[256];
    struct buffer reason = BUFFER_INIT;

    assert_shows(world, rejected, text);
    assert_int_equal(tree_getxattr(world->tree, find(world, path), "user.shelvefs.error", &reason),
                     0);
    assert_true(reason.size > 0);
    snprintf(value, sizeof value, "%.*s", (int)reason.size, (char *)reason.data);
    assert_non_null(strstr(cat(world, ".shelvefs/errors"), value));
    buffer_release(&reason);
}

static void test_a_refused_text_changes_nothing(void **state)
{
    struct world *world = *state;
    struct buffer reason = BUFFER_INIT;

    forget_log(world);
    assert_int_equal(echo(world, "list", TO, "[1, 2"), -EINVAL);
    assert_int_equal(changes(world), 0);
    assert_stored(world, "list", "[1, 2]\n");
    assert_shows(world, "list", "[1, 2]\n");
    assert_refused(world, "list", ".shelvefs/rejected/list", "[1, 2");
    assert_int_equal(echo(world, "list", TO, "[3]\n"), 0);
    assert_int_equal(
        tree_getxattr(world->tree, find(world, "list"), "user.shelvefs.error", &reason), -ENODATA);
    assert_shows(world, ".shelvefs/rejected/list", NULL);
    assert_int_equal(echo(world, "list", TO, "[1, 2"), -EINVAL);
    /* The reason outlives the node. */
    tree_forget(world->tree, find(world, "list"), 100);
    assert_refused(world, "list", ".shelvefs/rejected/list", "[1, 2");
    assert_int_equal(unlink_file(world, ".shelvefs/rejected/list"), 0);
    assert_shows(world, ".shelvefs/rejected/list", NULL);
    assert_shows(world, "list", "[3]\n");
}

static void test_a_refused_draft_can_be_mended(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "list", O_RDWR);

    assert_int_equal(truncate_to(world, "list", handle, 3), 0);
    assert_int_equal(tree_flush(handle), -EINVAL);
    assert_int_equal(tree_flush(handle), -EINVAL); /* the same answer without another try */
    assert_string_equal(read_handle(world, handle), "[1,");
    assert_int_equal(write_at(handle, 3, " 7]\n"), 0);
    assert_int_equal(tree_flush(handle), 0);
    assert_stored(world, "list", "[1, 7]\n");
    tree_release(handle);
}

static void test_what_is_too_large_is_not_saved_in_part(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_WRONLY | O_TRUNC);

    assert_int_equal(write_at(handle, 0, "head\n"), 0);
    assert_int_equal(write_at(handle, MAX_VALUE, "tail\n"), -EFBIG);
    assert_int_equal(tree_flush(handle), -EFBIG);
    tree_release(handle);
    assert_stored(world, "k", "old\n");
    assert_refused(world, "k", ".shelvefs/rejected/k", "head\n");
    handle = opened(world, "k", O_WRONLY | O_TRUNC);
    assert_int_equal(write_at(handle, MAX_VALUE, "tail\n"), -EFBIG);
    tree_release(handle);
    assert_stored(world, "k", "old\n");
}

static void test_a_full_disk_keeps_both(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_WRONLY | O_TRUNC);

    assert_int_equal(write_at(handle, 0, "precious\n"), 0);
    world->trace.fail_at = world->trace.calls + 1; /* fetch, store */
    assert_int_equal(tree_flush(handle), -ENOSPC);
    world->trace.fail_at = SIZE_MAX;
    tree_release(handle);
    assert_stored(world, "k", "old\n");
    assert_shows(world, "k", "old\n");
    assert_refused(world, "k", ".shelvefs/rejected/k", "precious\n");
}

static void test_a_refused_new_file_stays_scratch(void **state)
{
    struct world *world = *state;
    struct buffer report = BUFFER_INIT;

    assert_int_equal(echo(world, "evil", TO, "os.system('rm')\n"), -EPERM);
    assert_stored(world, "evil", NULL);
    assert_shows(world, "evil", "os.system('rm')\n");
    assert_int_equal(echo(world, "evil", TO, "good\n"), 0);
    assert_stored(world, "evil", "good\n");
    assert_int_equal(echo(world, "worse", TO, "os.system('rm')\n"), -EPERM);
    tree_finish(world->tree, &report);
    buffer_add_byte(&report, 0);
    assert_non_null(strstr((char *)report.data, "worse"));
    assert_stored(world, "worse", NULL);
    buffer_release(&report);
}

static void test_rejected_texts_are_bounded(void **state)
{
    struct world *world = *state;
    char name[32];

    for (int i = 0; i < 120; i++) {
        snprintf(name, sizeof name, "bad%d", i);
        assert_int_equal(echo(world, name, TO, "os.system('rm')\n"), -EPERM);
    }
    assert_shows(world, ".shelvefs/rejected/bad19", NULL);
    assert_shows(world, ".shelvefs/rejected/bad20", "os.system('rm')\n");
    assert_null(strstr(cat(world, ".shelvefs/errors"), "bad19:"));
    assert_non_null(strstr(cat(world, ".shelvefs/errors"), "bad119:"));
}

/* --- removed while open --- */

static void test_unlink_while_open(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_RDWR);
    struct stat stat;
    uint64_t id = find(world, "k");

    assert_int_equal(unlink_file(world, "k"), 0);
    assert_stored(world, "k", NULL);
    assert_string_equal(read_handle(world, handle), "old\n");
    assert_int_equal(write_at(handle, 0, "x"), 0);
    assert_int_equal(tree_flush(handle), 0);
    assert_int_equal(tree_fsync(handle), 0);
    assert_int_equal(tree_getattr(world->tree, id, &stat), 0);
    assert_int_equal(stat.st_nlink, 0);
    assert_string_equal(read_handle(world, handle), "xld\n");
    tree_release(handle);
    assert_stored(world, "k", NULL);
    assert_shows(world, "k", NULL);
}

static void test_rename_over_an_open_file(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_RDWR);

    assert_int_equal(rename_file(world, "list", "k"), 0);
    assert_string_equal(read_handle(world, handle), "old\n");
    assert_int_equal(write_at(handle, 0, "x"), 0);
    assert_int_equal(tree_flush(handle), 0);
    tree_release(handle);
    assert_stored(world, "k", "[1, 2]\n");
    assert_shows(world, "k", "[1, 2]\n");
    assert_shows(world, "list", NULL);
}

static void test_renaming_an_open_file_saves_it(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle = opened(world, "k", O_RDWR);

    assert_int_equal(write_at(handle, 0, "x"), 0);
    assert_int_equal(rename_file(world, "k", "list"), 0);
    assert_stored(world, "list", "xld\n");
    assert_int_equal(write_at(handle, 0, "y"), 0);
    tree_release(handle);
    assert_stored(world, "list", "yld\n");
    assert_stored(world, "k", NULL);
}

static void test_unmounting_saves_what_was_written(void **state)
{
    struct world *world = *state;
    struct tree_handle *written = opened(world, "k", O_RDWR);
    struct tree_handle *emptied = opened(world, "list", O_WRONLY | O_TRUNC);
    struct buffer report = BUFFER_INIT;

    assert_int_equal(write_at(written, 4, "more\n"), 0);
    assert_non_null(emptied);
    assert_int_equal(tree_finish(world->tree, &report), 0);
    assert_stored(world, "k", "old\nmore\n");
    assert_stored(world, "list", "[1, 2]\n");
    assert_int_equal(report.size, 0);
    buffer_release(&report);
}

static void test_exclusive_creation(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;
    enum tree_cache cache;
    struct stat stat;

    assert_int_equal(tree_create(world->tree, TREE_ROOT, "k", 0644, O_RDWR | O_CREAT | O_EXCL,
                                 &world->caller, &stat, &handle, &cache),
                     -EEXIST);
    /* Without O_EXCL another process may have been faster. */
    assert_int_equal(tree_create(world->tree, TREE_ROOT, "k", 0644, O_RDWR | O_CREAT,
                                 &world->caller, &stat, &handle, &cache),
                     0);
    assert_int_equal(stat.st_size, 4);
    assert_string_equal(read_handle(world, handle), "old\n");
    tree_release(handle);
    assert_int_equal(tree_create(world->tree, TREE_ROOT, "n", 0640, O_RDWR | O_CREAT | O_EXCL,
                                 &world->caller, &stat, &handle, &cache),
                     0);
    assert_int_equal(stat.st_mode, S_IFREG | 0640);
    assert_int_equal(write_at(handle, 0, "n\n"), 0);
    tree_release(handle);
    assert_int_equal(tree_getattr(world->tree, stat.st_ino, &stat), 0);
    assert_int_equal(stat.st_mode, S_IFREG | 0640);
    assert_int_equal(stat.st_uid, getuid());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_CASE(test_nothing_is_saved_before_a_commit_point),
        WORLD_CASE(test_a_new_file_is_inserted),
        WORLD_CASE(test_truncated_only),
        WORLD_CASE(test_the_last_writer_saves_without_flush),
        WORLD_CASE(test_fsync_syncs_the_store),
        WORLD_CASE(test_truncation_by_path_is_saved_at_once),
        WORLD_CASE(test_ftruncate_is_a_write),
        WORLD_CASE(test_one_store_operation_a_save),
        WORLD_CASE(test_a_refetch_only_when_something_changed),
        WORLD_CASE(test_writes_land_where_they_should),
        WORLD_CASE(test_append_goes_to_the_end),
        WORLD_CASE(test_handles_share_the_draft),
        WORLD_CASE(test_a_write_of_nothing_changes_nothing),
        WORLD_CASE(test_the_text_stays_as_it_was_written),
        WORLD_CASE(test_what_others_change),
        WORLD_CASE(test_what_others_remove),
        WORLD_CASE(test_a_refused_text_changes_nothing),
        WORLD_CASE(test_a_refused_draft_can_be_mended),
        WORLD_CASE(test_what_is_too_large_is_not_saved_in_part),
        WORLD_CASE(test_a_full_disk_keeps_both),
        WORLD_CASE(test_a_refused_new_file_stays_scratch),
        WORLD_CASE(test_rejected_texts_are_bounded),
        WORLD_CASE(test_unlink_while_open),
        WORLD_CASE(test_rename_over_an_open_file),
        WORLD_CASE(test_renaming_an_open_file_saves_it),
        WORLD_CASE(test_unmounting_saves_what_was_written),
        WORLD_CASE(test_exclusive_creation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
