/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process that is killed at each of its writes, or in the middle of it, while it changes a TDB that grows: each value is the old or the
 * new one, and what libtdb's own check finds wrong afterwards is mended.
 *
 * SHELVEFS_STRIDE is how many writes lie between two that are tried; 1 tries all.
 */
#include "src/tdbfile.h"

#include "src/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/folder.h"
#include "tests/unit/amount.h"

/* --- system calls, also those that libtdb makes: this program's symbols come first --- */

enum { KILLED = 9, STRIDE = 11 };

static unsigned calls_left = UINT_MAX;
static bool in_the_middle;

static ssize_t write_or_die(int fd, const void *data, size_t size, off_t offset)
{
    if (calls_left-- == 0) {
        /* What lies in one page the kernel copies as a whole. */
        if (in_the_middle && size > 64)
            syscall(SYS_pwrite64, fd, data, size / 2, offset);
        _exit(KILLED);
    }
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite_of_library(int fd, const void *data, size_t size, off_t offset) __asm__("pwrite");
ssize_t pwrite_of_library(int fd, const void *data, size_t size, off_t offset)
{
    return write_or_die(fd, data, size, offset);
}

ssize_t pwrite_of_ours(int fd, const void *data, size_t size, off_t offset) __asm__("pwrite64");
ssize_t pwrite_of_ours(int fd, const void *data, size_t size, off_t offset)
{
    return write_or_die(fd, data, size, offset);
}

int ftruncate_of_library(int fd, off_t size) __asm__("ftruncate");
int ftruncate_of_library(int fd, off_t size)
{
    if (calls_left-- == 0)
        _exit(KILLED);
    return (int)syscall(SYS_ftruncate, fd, size);
}

/* No power is cut here. */
int fdatasync(int fd)
{
    return 0;
}

/* --- a file and its changes --- */

struct fixture {
    char folder[64];
    char path[128];
    struct buffer before; /* the file */
    unsigned *done;       /* changes that were acknowledged; shared with the child */
};

enum { KEYS = 5, CHANGES = 6 };

/* After so many changes; 0: no such key. */
static const size_t sizes[CHANGES + 1][KEYS] = {
    {10, 300, 5000, 70, 0},      {10, 300, 9000, 70, 0},   {10, 60000, 9000, 70, 0},
    {10, 60000, 9000, 70, 3000}, {0, 60000, 90, 70, 3000}, {7, 60000, 90, 150000, 3000},
    {7, 60000, 200000, 0, 3000},
};

static struct bytes key_of(int i)
{
    static const char *const keys[KEYS] = {"alpha", "beta", "gamma", "delta", "epsilon"};

    return bytes_of_string(keys[i]);
}

/* Of that size and for that key. */
static struct bytes value_of(int key, size_t size)
{
    static uint8_t values[KEYS][1 << 18];

    memset(values[key], 'a' + key, size);
    return bytes_of(values[key], size);
}

static int change_to(struct tdbfile *file, unsigned state)
{
    int status = tdbfile_begin(file, 1);

    for (int i = 0; !status && i < KEYS; i++) {
        size_t size = sizes[state][i];

        if (size)
            status = tdbfile_put(file, key_of(i), value_of(i, size), false);
        else if (tdbfile_exists(file, key_of(i)) == 1)
            status = tdbfile_remove(file, key_of(i));
    }
    return tdbfile_end(file, status);
}

static struct tdbfile *open_file(const struct fixture *fixture)
{
    struct tdbfile *file;

    assert_int_equal(tdbfile_open(fixture->path, 0, &file), 0);
    return file;
}

static bool has_state(struct tdbfile *file, unsigned state)
{
    bool same = true;

    for (int i = 0; i < KEYS; i++) {
        struct buffer value = BUFFER_INIT;
        int status = tdbfile_fetch(file, key_of(i), &value);

        if (status != -ENOENT)
            assert_int_equal(status, 0);
        same &= bytes_equal(buffer_bytes(&value), value_of(i, sizes[state][i]));
        buffer_release(&value);
    }
    return same;
}

/* Whether somebody was killed who may make so many calls. */
static bool in_child(struct fixture *fixture, unsigned calls, void (*work)(struct fixture *fixture))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        calls_left = calls;
        work(fixture);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED));
    return WEXITSTATUS(status) == KILLED;
}

static void change(struct fixture *fixture)
{
    struct tdbfile *file;

    if (tdbfile_open(fixture->path, 0, &file))
        _exit(1);
    while (*fixture->done < CHANGES) {
        if (change_to(file, *fixture->done + 1))
            _exit(2);
        ++*fixture->done;
    }
    tdbfile_close(file);
}

static void restore(struct fixture *fixture, const struct buffer *content)
{
    int fd = open(fixture->path, O_WRONLY | O_TRUNC);

    assert_true(fd >= 0);
    assert_int_equal(io_write(fd, buffer_bytes(content), 0), 0);
    close(fd);
}

static bool change_and_die(struct fixture *fixture, unsigned calls)
{
    restore(fixture, &fixture->before);
    *fixture->done = 0;
    return in_child(fixture, calls, change);
}

/* The state that was acknowledged last or the next one; it can be changed, and libtdb's check is content. */
static void assert_whole(struct fixture *fixture, struct tdbfile *file)
{
    unsigned done = *fixture->done;

    assert_int_equal(tdbfile_check(file), 0);
    assert_true(has_state(file, done) || (done < CHANGES && has_state(file, done + 1)));
    for (unsigned state = 0; state <= CHANGES; state++) {
        assert_int_equal(change_to(file, state), 0);
        assert_true(has_state(file, state));
    }
    assert_int_equal(tdbfile_check(file), 0);
}

/* --- tests --- */

static void test_killed_at_each_write(void **state)
{
    struct fixture *fixture = *state;
    unsigned kills = 0, mended = 0;

    for (int half = 0; half < 2; half++) {
        in_the_middle = half;
        for (unsigned calls = 0; change_and_die(fixture, calls); calls += amount("SHELVEFS_STRIDE", STRIDE)) {
            struct tdbfile *file = open_file(fixture);
            int status = tdbfile_mend(file, 1);

            assert_in_range(status, 0, 1);
            kills++;
            mended += (unsigned)status;
            assert_whole(fixture, file);
            assert_int_equal(tdbfile_close(file), 0);
        }
        assert_int_equal(*fixture->done, CHANGES);
    }
    print_message("%u kills, %u files mended\n", kills, mended);
    assert_true(mended > 0);
}

/* Another program, which mends nothing, opens and changes the file first. */
static void test_others_come_first(void **state)
{
    struct fixture *fixture = *state;
    unsigned mended = 0;

    in_the_middle = false;
    for (unsigned calls = 0; change_and_die(fixture, calls); calls += 3 * amount("SHELVEFS_STRIDE", STRIDE)) {
        struct tdbfile *file = open_file(fixture);
        unsigned done = *fixture->done;
        int status;

        if (!has_state(file, done))
            done++;
        for (unsigned i = 0; i < 2 && done + i <= CHANGES; i++) {
            assert_int_equal(change_to(file, done + i), 0);
            *fixture->done = done + i;
        }
        assert_int_equal(tdbfile_close(file), 0);
        file = open_file(fixture);
        status = tdbfile_mend(file, 1);
        assert_in_range(status, 0, 1);
        mended += (unsigned)status;
        assert_whole(fixture, file);
        assert_int_equal(tdbfile_close(file), 0);
    }
    assert_true(mended > 0);
}

static void mend(struct fixture *fixture)
{
    struct tdbfile *file;

    if (tdbfile_open(fixture->path, 0, &file) || tdbfile_mend(file, 1) < 0)
        _exit(1);
    tdbfile_close(file);
}

static void test_killed_while_mending(void **state)
{
    struct fixture *fixture = *state;
    struct buffer broken = BUFFER_INIT;
    unsigned mended = 0;

    in_the_middle = true;
    for (unsigned calls = 0; change_and_die(fixture, calls); calls += 7 * amount("SHELVEFS_STRIDE", STRIDE)) {
        bool killed = true;

        buffer_clear(&broken);
        assert_int_equal(io_read_file(fixture->path, &broken), 0);
        for (unsigned kept = 0; killed; kept++) {
            struct tdbfile *file;

            restore(fixture, &broken);
            killed = in_child(fixture, kept, mend);
            file = open_file(fixture);
            mended += tdbfile_mend(file, 1) == 1;
            assert_whole(fixture, file);
            assert_int_equal(tdbfile_close(file), 0);
        }
    }
    buffer_release(&broken);
    assert_true(mended > 0);
}

/* What refers to nonsense is left alone. */
static void test_damage_is_not_mended(void **state)
{
    struct fixture *fixture = *state;
    struct buffer after = BUFFER_INIT;
    unsigned refused = 0;

    for (size_t at = 168; at < 168 + 132 * 4; at += 4) {
        struct tdbfile *file;

        restore(fixture, &fixture->before);
        file = open_file(fixture);
        if (memcmp(fixture->before.data + at, "\0\0\0", 4) != 0) {
            int fd = open(fixture->path, O_RDWR);
            struct buffer damaged = BUFFER_INIT;

            assert_int_equal(io_write(fd, BYTES("\x04"), (off_t)at), 0);
            assert_int_equal(io_read_file(fixture->path, &damaged), 0);
            assert_int_equal(tdbfile_mend(file, 1), -EUCLEAN);
            buffer_clear(&after);
            assert_int_equal(io_read_file(fixture->path, &after), 0);
            assert_true(bytes_equal(buffer_bytes(&damaged), buffer_bytes(&after)));
            buffer_release(&damaged);
            close(fd);
            refused++;
        }
        tdbfile_close(file);
    }
    buffer_release(&after);
    assert_true(refused >= 4);
}

static void write_word(struct fixture *fixture, size_t at, uint32_t word)
{
    int fd = open(fixture->path, O_WRONLY);

    assert_int_equal(io_write(fd, bytes_of(&word, sizeof word), (off_t)at), 0);
    close(fd);
}

static bool count(void *context, struct bytes key, struct bytes value)
{
    ++*(unsigned *)context;
    return true;
}

/* A head of a chain, or the length of the key of the chain's first record; libtdb then may have an older error still. */
static void test_a_walk_goes_on_behind_damage(void **state)
{
    static const uint32_t nonsense[] = {0x08000004, 0xffffffff};
    struct fixture *fixture = *state;
    unsigned damaged = 0;

    for (size_t at = 172; at < 172 + 131 * 4; at += 4) {
        uint32_t first;

        memcpy(&first, fixture->before.data + at, sizeof first);
        for (size_t i = 0; first && i < 2 * ARRAY_SIZE(nonsense); i++) {
            unsigned seen = 0;
            struct tdbfile *file;

            restore(fixture, &fixture->before);
            write_word(fixture, i % 2 ? at : first + 8, nonsense[i / 2]);
            file = open_file(fixture);
            assert_int_equal(tdbfile_exists(file, BYTES("another absent one")), 0);
            assert_int_equal(tdbfile_visit(file, count, &seen), -EIO);
            assert_int_equal(seen, 3);
            assert_int_equal(tdbfile_close(file), 0);
            damaged++;
        }
    }
    assert_int_equal(damaged, 4 * 2 * ARRAY_SIZE(nonsense));
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct tdbfile *file;

    folder_make(fixture.folder, sizeof fixture.folder);
    snprintf(fixture.path, sizeof fixture.path, "%s/db", fixture.folder);
    fixture.done =
        mmap(NULL, sizeof *fixture.done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(fixture.done, MAP_FAILED);
    assert_int_equal(tdbfile_make(fixture.path, 131), 0);
    file = open_file(&fixture);
    assert_int_equal(change_to(file, 0), 0);
    assert_int_equal(tdbfile_close(file), 0);
    buffer_init(&fixture.before, SIZE_MAX);
    assert_int_equal(io_read_file(fixture.path, &fixture.before), 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    munmap(fixture->done, sizeof *fixture->done);
    buffer_release(&fixture->before);
    folder_remove(fixture->folder);
    return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_killed_at_each_write),
        CASE(test_others_come_first),
        CASE(test_killed_while_mending),
        CASE(test_damage_is_not_mended),
        CASE(test_a_walk_goes_on_behind_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
