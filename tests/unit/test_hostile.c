/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done with each row of tests/unit/hostile.c takes at most 64 bytes of memory for a byte of what goes in, plus a mebibyte, and less
 * stack than the nesting in it would need if anything recursed.
 *
 * Memory is what the process had in RAM at most, of a child for each row, so that room which is never touched costs nothing.
 * HOSTILE_SIZE=10000000 makes the rows larger (16384), HOSTILE_FIGURES=1 prints what was measured.
 */
#include "tests/unit/amount.h"
#include "tests/unit/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum {
    MANY = 1 << 14,
    PER_BYTE = 64,
    SLACK_KIB = 1024,
    STACK = 128 << 10, /* eight bytes for each of so many levels */
};

static long most_kib(void)
{
    char line[256];
    long size = -1;
    FILE *file = fopen("/proc/self/status", "r");

    while (file && size < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            size = atol(line + 6);
    if (file)
        fclose(file);
    return size;
}

/* Begins to measure at what is in RAM now, which is no more than what is in use. */
static void forget_most(void)
{
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    malloc_trim(0);
    if (file >= 0 && write(file, "5", 1) != 1)
        perror("clear_refs");
    if (file >= 0)
        close(file);
}

/* Valgrind's is many times that: SHELVEFS_SMALLER is for looking how it is used. */
static bool is_bounded(void)
{
    return !getenv("SHELVEFS_SMALLER");
}

/* 0 if it stays within the bound, 1 if not, 2 if it fails. */
static int measure(const struct hostile_row *row, const struct hostile_value *value, enum hostile_work work)
{
    size_t input = hostile_input(row, value, work), bound = input * PER_BYTE / 1024 + SLACK_KIB;
    struct buffer out = BUFFER_INIT;
    long before, most;
    int status;

    if (!input)
        return 0;
    forget_most();
    before = most_kib();
    status = hostile_do(row, value, work, &out);
    most = most_kib() - before;
    /* A listing has a line an instruction, and ends where its buffer does. That may be copied when it grows. */
    if (work == WORK_LIST)
        bound += 2 * out.size / 1024;
    if ((is_bounded() && (size_t)most > bound) || getenv("HOSTILE_FIGURES"))
        fprintf(stderr, "%s, %s: %zu bytes in, %zu out, %ld KiB of %zu at most: %.1f a byte%s\n", row->name,
                hostile_work_names[work], input, out.size, most, bound, (double)most * 1024 / (double)input,
                (size_t)most > bound ? " TOO MUCH" : "");
    buffer_release(&out);
    if (status && status != -EINVAL && status != -EFBIG && status != -EPERM)
        return 2;
    return is_bounded() && (size_t)most > bound;
}

/* In the child. */
static int measure_all(const struct hostile_row *row)
{
    const struct rlimit stack = {STACK, STACK};
    struct hostile_value value;
    int status = 0;

    if (is_bounded() && setrlimit(RLIMIT_STACK, &stack))
        return 3;
    hostile_value_init(&value, row, amount("HOSTILE_SIZE", reduced(MANY)));
    for (enum hostile_work work = 0; work < HOSTILE_WORKS && !status; work++)
        status = measure(row, &value, work);
    hostile_value_release(&value);
    return status;
}

/* Whether it went well, in a child of its own. */
static bool check(const struct hostile_row *row)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (!child)
        _exit(measure_all(row));
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status)
        print_error("%s: wait status %d\n", row->name, status);
    return status == 0;
}

static bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#else
    return false;
#endif
}

static void test_memory(void **state)
{
    unsigned failed = 0;

    if (is_sanitized()) {
        print_message("skipped: AddressSanitizer takes memory of its own\n");
        skip();
    }
    for (size_t i = 0; i < hostile_row_count; i++)
        failed += !check(&hostile_rows[i]);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
