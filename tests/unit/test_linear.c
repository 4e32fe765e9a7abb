/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done with each row of tests/unit/hostile.c takes time that grows as its input does. Time is steps, which no busy machine
 * changes: blocks of instructions that are run, counted by what the compiler inserts into the codecs and all below them
 * (-fsanitize-coverage=trace-pc), and the bytes that the C library copies, compares or searches for them.
 * LINEAR_FIGURES=1 prints how many.
 */
#include "tests/unit/hostile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    SIZE = 1 << 10,
    /* The limits have a constant part, and what is just beyond one is tried in several ways: there, only larger sizes tell. */
    LARGER_SIZE = 16 * SIZE,
    AT_ONCE = 16,     /* bytes that the C library handles in a step */
    CONSTANT = 20000, /* steps that tables which grow by doubling may take more */
};

/* Of 2: sorting n things takes n log n, and tables are between half and fully used. Anything quadratic makes it 4. */
static const double MOST = 2.6;

static uint64_t steps;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    steps++;
}

/* The C library's, which the linker calls by these names. */
#define COUNTED(result, name, parameters, arguments, size)                                                             \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        steps += 1 + (size) / AT_ONCE;                                                                                 \
        return __real_##name arguments;                                                                                \
    }
COUNTED(void *, memcpy, (void *to, const void *from, size_t size), (to, from, size), size)
COUNTED(void *, memmove, (void *to, const void *from, size_t size), (to, from, size), size)
COUNTED(void *, memset, (void *to, int byte, size_t size), (to, byte, size), size)
COUNTED(int, memcmp, (const void *a, const void *b, size_t size), (a, b, size), size)
COUNTED(void *, realloc, (void *old, size_t size), (old, size), size)
COUNTED(void *, calloc, (size_t count, size_t size), (count, size), count *size)

void *__real_memchr(const void *in, int byte, size_t size);
void *__wrap_memchr(const void *in, int byte, size_t size);
void *__wrap_memchr(const void *in, int byte, size_t size)
{
    const char *found = __real_memchr(in, byte, size);

    steps += 1 + (found ? (size_t)(found - (const char *)in) : size) / AT_ONCE;
    return (void *)found;
}

/* How many steps it takes. */
static uint64_t count(const struct hostile_row *row, size_t size, enum hostile_work work)
{
    struct hostile_value value;
    struct buffer out = BUFFER_INIT;

    hostile_value_init(&value, row, size);
    steps = 0;
    if (hostile_input(row, &value, work))
        (void)!hostile_do(row, &value, work, &out);
    buffer_release(&out);
    hostile_value_release(&value);
    return steps;
}

/* Whether twice the size takes twice the steps. */
static bool doubles(const struct hostile_row *row, enum hostile_work work, size_t size, bool quietly)
{
    uint64_t once = count(row, size, work), twice = count(row, 2 * size, work);
    bool linear = (double)twice <= (double)once * MOST + CONSTANT;

    if ((!linear && !quietly) || getenv("LINEAR_FIGURES"))
        fprintf(stderr, "%s, %s: %llu steps for %zu units, %llu for %zu%s\n", row->name, hostile_work_names[work],
                (unsigned long long)once, size, (unsigned long long)twice, 2 * size, linear ? "" : ": MORE THAN TWICE");
    return linear;
}

static void test_steps(void **state)
{
    unsigned failed = 0, counted = 0;

    for (size_t i = 0; i < hostile_row_count; i++)
        for (enum hostile_work work = 0; work < HOSTILE_WORKS; work++) {
            failed += !doubles(&hostile_rows[i], work, SIZE, true) &&
                      !doubles(&hostile_rows[i], work, LARGER_SIZE, false);
            counted += steps > SIZE;
        }
    assert_int_equal(failed, 0);
    assert_true(counted > hostile_row_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
