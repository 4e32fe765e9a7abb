/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/bytes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_order(void **state)
{
    static const struct {
        const char *a, *b;
        int order;
    } CASES[] = {{"", "", 0}, {"a", "a", 0}, {"a", "b", -1}, {"a", "aa", -1}, {"b", "aa", 1}};

    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        struct bytes a = bytes_of_string(CASES[i].a), b = bytes_of_string(CASES[i].b);
        int order = bytes_compare(a, b);

        assert_int_equal((order > 0) - (order < 0), CASES[i].order);
        assert_int_equal(bytes_equal(a, b), CASES[i].order == 0);
    }
}

static void test_parts(void **state)
{
    struct bytes text = BYTES("hello");

    assert_true(bytes_equal(bytes_part(text, 1, 3), BYTES("ell")));
    assert_true(bytes_equal(bytes_part(text, 3, SIZE_MAX), BYTES("lo")));
    assert_int_equal(bytes_part(text, 6, 1).size, 0);
    assert_true(bytes_start_with(text, BYTES("he")));
    assert_false(bytes_start_with(BYTES("h"), BYTES("he")));
    assert_true(bytes_end_with(text, BYTES("lo")));
    assert_true(bytes_end_with(text, BYTES("")));
    assert_false(bytes_end_with(BYTES("o"), BYTES("lo")));
    assert_int_equal(bytes_find_byte(text, 'l'), 2);
    assert_int_equal(bytes_find_byte(text, 'x'), 5);
}

static void test_buffer_grows_and_keeps(void **state)
{
    struct buffer buffer = BUFFER_INIT, other = BUFFER_INIT;

    for (int i = 0; i < 1000; i++)
        buffer_printf(&buffer, "%d,", i);
    assert_int_equal(buffer_status(&buffer), 0);
    assert_int_equal(buffer.size, 10 * 2 + 90 * 3 + 900 * 4);
    assert_memory_equal(buffer.data + buffer.size - 8, "998,999,", 8);
    buffer_resize(&buffer, 2);
    buffer_resize(&buffer, 5);
    assert_memory_equal(buffer.data, "0,\0\0\0", 5);
    buffer_take(&other, &buffer);
    assert_int_equal(buffer.size, 0);
    assert_null(buffer.data);
    assert_int_equal(other.size, 5);
    buffer_release(&other);
}

static void test_limit_sticks(void **state)
{
    struct buffer buffer;

    buffer_init(&buffer, 4);
    buffer_add_string(&buffer, "abc");
    buffer_add_string(&buffer, "de");
    assert_int_equal(buffer_status(&buffer), -EFBIG);
    assert_int_equal(buffer.size, 3);
    buffer_add_byte(&buffer, 'd');
    assert_int_equal(buffer.size, 3);
    assert_null(buffer_extend(&buffer, 1));
    buffer_clear(&buffer);
    buffer_add_string(&buffer, "abcd");
    assert_int_equal(buffer_status(&buffer), 0);
    buffer_release(&buffer);
}

/* Room that is there already may be used, and is not taken away. */
static void test_lowered_limit(void **state)
{
    struct buffer buffer = BUFFER_INIT;

    buffer_expect(&buffer, 100);
    buffer_add(&buffer, BYTES("0123456789"));
    buffer.limit = 4;
    for (int i = 0; i < 1000; i++)
        buffer_add_byte(&buffer, 'x');
    assert_int_equal(buffer_status(&buffer), -EFBIG);
    assert_true(buffer.size <= buffer.capacity);
    buffer_clear(&buffer);
    buffer_expect(&buffer, 1000);
    assert_int_equal(buffer.capacity, 100);
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_buffer_grows_and_keeps),
        cmocka_unit_test(test_limit_sticks),
        cmocka_unit_test(test_lowered_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
