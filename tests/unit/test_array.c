/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/array.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Grows an array of numbers from room of the caller's and finds all of them again. */
static void test_growth(void **state)
{
    enum { COUNT = 1000 };
    uint32_t first[4], *at = first;
    size_t capacity = ARRAY_SIZE(first);

    for (uint32_t i = 0; i < COUNT; i++) {
        if (i == capacity) {
            at = array_double(at, first, &capacity, sizeof *at);
            assert_non_null(at);
            assert_ptr_not_equal(at, first);
            assert_true(capacity > i);
        }
        at[i] = i;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(at[i], i);
    array_free(at, first);
    array_free(first, first);
}

static void test_none(void **state)
{
    size_t capacity = 0;
    uint8_t *at = array_double(NULL, NULL, &capacity, 1);

    assert_non_null(at);
    assert_true(capacity >= 16);
    array_free(at, NULL);
    array_free(NULL, NULL);
}

/* Sizes that no machine has fail, and change nothing. */
static void test_too_large(void **state)
{
    size_t capacity = SIZE_MAX / 8;
    uint64_t one = 1;

    assert_null(array_double(&one, &one, &capacity, sizeof one));
    assert_int_equal(capacity, SIZE_MAX / 8);
}

static void test_limit(void **state)
{
    struct arena arena;
    uint64_t first[2] = {1, 2}, *at = first, *larger;
    size_t capacity = ARRAY_SIZE(first);

    arena_init(&arena, 1000);
    at = array_double_in(&arena, at, first, &capacity, sizeof *at);
    assert_non_null(at);
    assert_int_equal(at[1], 2);
    assert_int_equal(arena.used, capacity * sizeof *at);
    while ((larger = array_double_in(&arena, at, first, &capacity, sizeof *at)))
        at = larger;
    assert_int_equal(arena_status(&arena), -EFBIG);
    assert_true(arena.used <= 1000);
    array_free_in(&arena, at, first, capacity, sizeof *at);
    assert_int_equal(arena.used, 0);
    arena_release(&arena);
    at = array_new_in(&arena, 100, sizeof *at);
    assert_non_null(at);
    assert_int_equal(at[99], 0);
    assert_int_equal(arena.used, 800);
    assert_null(array_new_in(&arena, 100, sizeof *at));
    assert_int_equal(arena_status(&arena), -EFBIG);
    array_free_in(&arena, at, NULL, 100, sizeof *at);
    assert_int_equal(arena.used, 0);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_growth), cmocka_unit_test(test_none),
                                       cmocka_unit_test(test_too_large), cmocka_unit_test(test_limit)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
