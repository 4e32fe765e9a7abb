/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/io.h"
#include "src/io_draft.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

struct folder {
    char path[64], file[96], other[96];
};

static int set_up(void **state)
{
    static struct folder folder;

    folder_make(folder.path, sizeof folder.path);
    snprintf(folder.file, sizeof folder.file, "%s/file", folder.path);
    snprintf(folder.other, sizeof folder.other, "%s/other", folder.path);
    *state = &folder;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *folder = *state;

    unlink(folder->file);
    unlink(folder->other);
    /* Fails if anything else was left behind. */
    assert_int_equal(rmdir(folder->path), 0);
    return 0;
}

static void assert_content(const char *path, struct bytes content)
{
    struct buffer file = BUFFER_INIT;

    assert_int_equal(io_read_file(path, &file), 0);
    assert_true(bytes_equal(buffer_bytes(&file), content));
    buffer_release(&file);
}

static void test_replace(void **state)
{
    struct folder *folder = *state;
    struct stat before, after;

    assert_int_equal(io_write_file(folder->file, BYTES("one"), IO_CREATE), 0);
    assert_content(folder->file, BYTES("one"));
    assert_int_equal(chmod(folder->file, 0640), 0);
    assert_int_equal(stat(folder->file, &before), 0);
    assert_int_equal(io_write_file(folder->file, BYTES("a longer text"), IO_REPLACE), 0);
    assert_content(folder->file, BYTES("a longer text"));
    assert_int_equal(stat(folder->file, &after), 0);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_uid, before.st_uid);
    assert_int_not_equal(after.st_ino, before.st_ino);
}

static void test_create_never_replaces(void **state)
{
    struct folder *folder = *state;

    assert_int_equal(io_write_file(folder->file, BYTES("one"), IO_CREATE), 0);
    assert_int_equal(io_write_file(folder->file, BYTES("two"), IO_CREATE), -EEXIST);
    assert_content(folder->file, BYTES("one"));
}

static void test_create_obeys_umask(void **state)
{
    struct folder *folder = *state;
    mode_t mask = umask(027);
    struct stat stat_buffer;

    assert_int_equal(io_write_file(folder->file, BYTES(""), IO_CREATE), 0);
    umask(mask);
    assert_int_equal(stat(folder->file, &stat_buffer), 0);
    assert_int_equal(stat_buffer.st_mode & 0777, 0640);
}

static void test_replace_follows_links(void **state)
{
    struct folder *folder = *state;
    struct stat stat_buffer;

    assert_int_equal(io_write_file(folder->other, BYTES("one"), IO_CREATE), 0);
    assert_int_equal(symlink("other", folder->file), 0);
    assert_int_equal(io_write_file(folder->file, BYTES("two"), IO_REPLACE), 0);
    assert_content(folder->other, BYTES("two"));
    assert_int_equal(lstat(folder->file, &stat_buffer), 0);
    assert_true(S_ISLNK(stat_buffer.st_mode));
}

static void test_named_draft(void **state)
{
    struct folder *folder = *state;
    struct io_draft draft;

    assert_int_equal(io_draft_open(folder->file, &draft), 0);
    assert_int_equal(io_draft_name(&draft), 0);
    assert_int_equal(io_write(draft.fd, BYTES("text"), 0), 0);
    assert_content(draft.temporary, BYTES("text"));
    assert_int_equal(access(folder->file, F_OK), -1);
    assert_int_equal(io_draft_publish(&draft, IO_CREATE), 0);
    assert_content(folder->file, BYTES("text"));
    assert_int_equal(io_draft_open(folder->file, &draft), 0);
    assert_int_equal(io_draft_name(&draft), 0);
    assert_int_equal(io_draft_publish(&draft, IO_CREATE), -EEXIST);
    assert_int_equal(io_draft_open(folder->other, &draft), 0);
    io_draft_discard(&draft);
    assert_int_equal(access(folder->other, F_OK), -1);
}

static void test_only_regular_files(void **state)
{
    struct folder *folder = *state;
    struct buffer file = BUFFER_INIT;

    assert_int_equal(io_read_file(folder->file, &file), -ENOENT);
    assert_int_equal(io_read_file(folder->path, &file), -EISDIR);
    assert_int_equal(mkfifo(folder->file, 0600), 0);
    assert_int_equal(io_read_file(folder->file, &file), -ENOTSUP);
    assert_int_equal(file.size, 0);
    buffer_release(&file);
}

static void test_read_and_write(void **state)
{
    struct folder *folder = *state;
    struct buffer file = BUFFER_INIT, small;
    struct stat stat_buffer;
    uint8_t part[8];
    size_t done;
    int fd;

    buffer_add(&file, BYTES("before"));
    buffer_resize(&file, 200000);
    assert_int_equal(io_write_file(folder->file, buffer_bytes(&file), IO_CREATE), 0);
    assert_int_equal(io_open_regular(folder->file, O_RDWR, &stat_buffer, &fd), 0);
    assert_int_equal(stat_buffer.st_size, 200000);
    assert_int_equal(io_read(fd, part, sizeof part, 199997, &done), 0);
    assert_int_equal(done, 3);
    assert_int_equal(io_write(fd, BYTES("end"), 199999), 0);
    buffer_clear(&file);
    buffer_add(&file, BYTES("x"));
    assert_int_equal(io_read_all(fd, &file), 0);
    assert_int_equal(file.size, 200003);
    assert_memory_equal(file.data, "xbefore", 7);
    assert_memory_equal(file.data + 200000, "end", 3);
    buffer_init(&small, 1000);
    buffer_add(&small, BYTES("x"));
    assert_int_equal(io_read_all(fd, &small), -EFBIG);
    assert_int_equal(small.size, 1);
    close(fd);
    buffer_release(&file);
    buffer_release(&small);
}

/* What happens between the exchange and the look at what was there. */
struct meanwhile {
    const struct folder *folder;
    ino_t expected;
    unsigned replaced; /* so often, by files that say "newer" and a number */
};

static bool is_expected(const void *context, const struct stat *file)
{
    const struct meanwhile *meanwhile = context;

    for (unsigned i = 1; i <= meanwhile->replaced; i++) {
        char text[32];

        snprintf(text, sizeof text, "newer %u", i);
        assert_int_equal(io_write_file(meanwhile->folder->file, bytes_of_string(text), IO_REPLACE), 0);
    }
    return file->st_ino == meanwhile->expected;
}

static int exchange(const struct folder *folder, const struct meanwhile *meanwhile)
{
    struct io_draft draft;
    int status;

    assert_int_equal(io_draft_open(folder->file, &draft), 0);
    assert_int_equal(io_write(draft.fd, BYTES("draft"), 0), 0);
    status = io_draft_exchange(&draft, is_expected, meanwhile, folder->other);
    io_draft_discard(&draft);
    return status;
}

static void test_exchange(void **state)
{
    const struct folder *folder = *state;
    struct meanwhile meanwhile = {.folder = folder};
    struct stat stat;

    assert_int_equal(exchange(folder, &meanwhile), -ESTALE);
    assert_int_equal(io_write_file(folder->file, BYTES("one"), IO_CREATE), 0);
    assert_int_equal(lstat(folder->file, &stat), 0);
    meanwhile.expected = stat.st_ino;
    assert_int_equal(exchange(folder, &meanwhile), 0);
    assert_content(folder->file, BYTES("draft"));
    assert_content(folder->other, BYTES("one"));
}

/* Nobody's file is lost, however many come in between. */
static void test_exchange_of_another_file(void **state)
{
    const struct folder *folder = *state;
    static const char *const left[] = {"one", "newer 1", "newer 2"};

    for (unsigned i = 0; i < ARRAY_SIZE(left); i++) {
        struct meanwhile meanwhile = {.folder = folder, .replaced = i};

        assert_int_equal(io_write_file(folder->file, BYTES("one"), IO_REPLACE), 0);
        assert_int_equal(exchange(folder, &meanwhile), -ESTALE);
        assert_content(folder->file, bytes_of_string(left[i]));
        assert_int_equal(access(folder->other, F_OK), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replace, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_create_never_replaces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_create_obeys_umask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replace_follows_links, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_named_draft, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exchange, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exchange_of_another_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_regular_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_and_write, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
