/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/locks.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

/* Lines as proc_locks(5) shows them; the file is fd:01, inode 5678. */
static const struct {
    const char *line;
    bool matches;
    struct lock_holder holder;
} lines[] = {
    {"1: POSIX  ADVISORY  WRITE 1234 fd:01:5678 0 EOF", true, {1234, true, false, false, 0}},
    {"1: FLOCK  ADVISORY  READ 7 fd:01:5678 0 EOF", true, {7, false, false, true, 0}},
    {"1: -> POSIX  ADVISORY  WRITE 9 fd:01:5678 4 7", true, {9, true, true, false, 4}},
    {"17: OFDLCK ADVISORY  READ -1 fd:01:5678 1073741826 EOF",
     true,
     {-1, false, false, false, 1073741826}},
    {"1: POSIX  ADVISORY  WRITE 1234 fd:02:5678 0 EOF", false, {0}},
    {"1: POSIX  ADVISORY  WRITE 1234 fd:01:567 0 EOF", false, {0}},
    {"1: LEASE  ACTIVE    READ  1234", false, {0}},
    {"1: ->", false, {0}},
    {"", false, {0}},
    {"1", false, {0}},
};

static void test_lines(void **state)
{
    struct stat file = {.st_dev = makedev(0xFD, 1), .st_ino = 5678};

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct lock_holder holder = {0};

        assert_int_equal(locks_parse(lines[i].line, &file, &holder), lines[i].matches);
        assert_int_equal(holder.process, lines[i].holder.process);
        assert_int_equal(holder.writes, lines[i].holder.writes);
        assert_int_equal(holder.waits, lines[i].holder.waits);
        assert_int_equal(holder.is_flock, lines[i].holder.is_flock);
        assert_int_equal(holder.from, lines[i].holder.from);
    }
}

static void find_self(void *context, const struct lock_holder *holder)
{
    if (holder->process == getpid() && holder->writes && holder->is_flock)
        ++*(int *)context;
}

static void test_own_lock(void **state)
{
    char path[128];
    struct stat file;
    int fd, found = 0;

    snprintf(path, sizeof path, "%s/shelvefs-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(fstat(fd, &file), 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    if (locks_visit(&file, find_self, &found))
        skip(); /* no /proc/locks */
    /* While others lock and unlock, the kernel may tell of one twice, or leave it out. */
    for (int tries = 0; !found && tries < 100; tries++)
        assert_int_equal(locks_visit(&file, find_self, &found), 0);
    assert_true(found > 0);
    assert_int_equal(flock(fd, LOCK_UN), 0);
    found = 0;
    assert_int_equal(locks_visit(&file, find_self, &found), 0);
    assert_int_equal(found, 0);
    close(fd);
}

/* Also under valgrind, where the kernel knows another program. */
static void test_names(void **state)
{
    struct buffer text = BUFFER_INIT;
    char expected[64];

    assert_int_equal(prctl(PR_SET_NAME, "test_locks"), 0);
    locks_add_process(getpid(), &text);
    snprintf(expected, sizeof expected, "process %ld (test_locks)", (long)getpid());
    assert_true(bytes_equal(buffer_bytes(&text), bytes_of_string(expected)));
    buffer_clear(&text);
    locks_add_process(-1, &text);
    assert_true(bytes_equal(buffer_bytes(&text), BYTES("a process that the kernel does not name")));
    buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_own_lock),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
