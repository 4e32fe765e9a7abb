/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that are read through memory, while others change and cut them. */
#include "src/mapped.h"

#include "src/io.h"
#include "src/lost_pages.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

enum { PAGES = 8, SIZE = PAGES * 4096 };

struct fixture {
    char folder[64], path[80];
    int fd;
    struct mapped mapped;
};

/* Each byte tells where it is. */
static uint8_t byte_at(size_t offset)
{
    return (uint8_t)(offset * 7 + offset / 4096);
}

static void fill(int fd)
{
    uint8_t bytes[SIZE];

    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = byte_at(i);
    assert_int_equal(io_write(fd, bytes_of(bytes, SIZE), 0), 0);
}

static void map(struct fixture *fixture)
{
    struct stat stat;

    assert_int_equal(fstat(fixture->fd, &stat), 0);
    mapped_set(&fixture->mapped, fixture->fd, &stat);
    mapped_begin(&fixture->mapped, stat.st_size, MAPPED_FLOCK);
    assert_non_null(fixture->mapped.data);
}

static void expect(struct fixture *fixture, size_t size, off_t offset)
{
    uint8_t bytes[SIZE];

    assert_int_equal(mapped_read(&fixture->mapped, bytes, size, offset), 0);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], byte_at((size_t)offset + i));
}

static void test_any_piece(void **state)
{
    struct fixture *fixture = *state;
    uint8_t byte;

    for (int mapped = 0; mapped < 2; mapped++) {
        expect(fixture, SIZE, 0);
        expect(fixture, 5000, 4000);
        expect(fixture, 1, SIZE - 1);
        expect(fixture, 0, SIZE);
        assert_int_equal(mapped_read(&fixture->mapped, &byte, 1, SIZE), -EUCLEAN);
        map(fixture);
    }
}

static void test_what_others_write_is_seen(void **state)
{
    struct fixture *fixture = *state;
    uint8_t byte;

    map(fixture);
    assert_int_equal(io_write(fixture->fd, BYTES("!"), 5000), 0);
    assert_int_equal(mapped_read(&fixture->mapped, &byte, 1, 5000), 0);
    assert_int_equal(byte, '!');
    /* Behind what was mapped. */
    assert_int_equal(io_write(fixture->fd, BYTES("?"), SIZE), 0);
    assert_int_equal(mapped_read(&fixture->mapped, &byte, 1, SIZE), 0);
    assert_int_equal(byte, '?');
}

static void test_cut_while_it_is_mapped(void **state)
{
    struct fixture *fixture = *state;
    unsigned lost = lost_pages_count();
    uint8_t bytes[100];

    map(fixture);
    expect(fixture, 100, SIZE - 100);
    assert_int_equal(io_truncate(fixture->fd, 4096), 0);
    assert_int_equal(mapped_read(&fixture->mapped, bytes, sizeof bytes, SIZE - 100), -EUCLEAN);
    assert_int_equal(lost_pages_count(), lost + 1);
    assert_null(fixture->mapped.data);
    expect(fixture, 4096, 0);
    assert_int_equal(mapped_read(&fixture->mapped, bytes, sizeof bytes, 4090), -EUCLEAN);
    /* It is whole again, and what stood for the lost page is nowhere. */
    fill(fixture->fd);
    map(fixture);
    expect(fixture, SIZE, 0);
}

static void test_stays_mapped_while_it_is_the_same(void **state)
{
    struct fixture *fixture = *state;
    struct mapped *mapped = &fixture->mapped;
    const uint8_t *data;
    struct stat stat;
    int other;

    map(fixture);
    data = mapped->data;
    other = io_open(fixture->path, O_RDONLY, 0);
    assert_int_equal(fstat(other, &stat), 0);
    mapped_set(mapped, other, &stat);
    assert_ptr_equal(mapped->data, data);
    stat.st_ino++;
    mapped_set(mapped, other, &stat);
    assert_null(mapped->data);
    stat.st_ino--;
    mapped_set(mapped, other, &stat);
    mapped_begin(mapped, SIZE, MAPPED_FLOCK);
    assert_non_null(mapped->data);
    stat.st_size++;
    mapped_set(mapped, other, &stat);
    assert_null(mapped->data);
    close(other);
}

static void test_locks_end_when_they_end(void **state)
{
    struct fixture *fixture = *state;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int other = io_open(fixture->path, O_RDWR, 0), status;
    pid_t child;

    assert_int_equal(flock(fixture->fd, LOCK_SH), 0);
    map(fixture);
    close(fixture->fd);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(flock(other, LOCK_UN), 0);
    mapped_end(&fixture->mapped);
    fixture->fd = other;
    /* Nor do they end before that. */
    assert_int_equal(fcntl(other, F_SETLK, &lock), 0);
    fixture->mapped.fd = other;
    mapped_begin(&fixture->mapped, SIZE, MAPPED_POSIX);
    assert_non_null(fixture->mapped.data);
    mapped_end(&fixture->mapped);
    child = fork();
    if (child == 0)
        _exit(fcntl(other, F_SETLK, &lock) == 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_not_to_be_mapped(void **state)
{
    struct fixture *fixture = *state;
    int ends[2];
    uint8_t byte;

    mapped_begin(&fixture->mapped, 0, MAPPED_FLOCK);
    assert_null(fixture->mapped.data);
    assert_int_equal(pipe(ends), 0);
    fixture->mapped.fd = ends[0];
    mapped_begin(&fixture->mapped, 1, MAPPED_POSIX);
    assert_null(fixture->mapped.data);
    assert_int_equal(mapped_read(&fixture->mapped, &byte, 1, 0), -ESPIPE);
    close(ends[0]);
    close(ends[1]);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct stat stat;

    folder_make(fixture.folder, sizeof fixture.folder);
    snprintf(fixture.path, sizeof fixture.path, "%s/file", fixture.folder);
    fixture.fd = io_open(fixture.path, O_RDWR | O_CREAT, 0600);
    fill(fixture.fd);
    fixture.mapped = MAPPED_INIT;
    assert_int_equal(fstat(fixture.fd, &stat), 0);
    mapped_set(&fixture.mapped, fixture.fd, &stat);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    mapped_end(&fixture->mapped);
    close(fixture->fd);
    folder_remove(fixture->folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_piece, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_others_write_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_while_it_is_mapped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stays_mapped_while_it_is_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_locks_end_when_they_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_to_be_mapped, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
