/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/bigint.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static struct bytes view(const struct buffer *buffer)
{
    return buffer_bytes(buffer);
}

#define assert_bytes(actual, expected)                                                             \
    do {                                                                                           \
        struct bytes actual_ = (actual), expected_ = (expected);                                   \
        assert_int_equal(actual_.size, expected_.size);                                            \
        if (actual_.size)                                                                          \
            assert_memory_equal(actual_.data, expected_.data, actual_.size);                       \
    } while (0)

static void test_minimal(void **state)
{
    static const struct {
        struct bytes bytes, minimal;
    } rows[] = {
        {BYTES(""), BYTES("")},
        {BYTES("\0"), BYTES("")},
        {BYTES("\0\0\0\0"), BYTES("")},
        {BYTES("\x01\0\0"), BYTES("\x01")},
        {BYTES("\x7F\0"), BYTES("\x7F")},
        {BYTES("\x80\0"), BYTES("\x80\0")},
        {BYTES("\x80\0\0"), BYTES("\x80\0")},
        {BYTES("\xFF\xFF"), BYTES("\xFF")},
        {BYTES("\x80\xFF"), BYTES("\x80")},
        {BYTES("\x7F\xFF"), BYTES("\x7F\xFF")},
        {BYTES("\0\xFF"), BYTES("\0\xFF")},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_bytes(bigint_minimal(rows[i].bytes), rows[i].minimal);
}

static void test_int64(void **state)
{
    static const int64_t rows[] = {0,   1,   -1,    127,     128,        -128,      -129,
                                   255, 256, 65535, 1 << 30, -(1 << 30), INT64_MAX, INT64_MIN};
    struct buffer buffer = BUFFER_INIT;
    int64_t integer = 77;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        buffer_clear(&buffer);
        bigint_from_int64(rows[i], &buffer);
        assert_bytes(bigint_minimal(view(&buffer)), view(&buffer));
        assert_true(bigint_to_int64(view(&buffer), &integer));
        assert_int_equal(integer, rows[i]);
    }
    integer = 77;
    assert_false(bigint_to_int64(BYTES("\0\0\0\0\0\0\0\x80\0"), &integer));
    assert_false(bigint_to_int64(BYTES("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\xFF"), &integer));
    assert_int_equal(integer, 77);
    assert_true(bigint_to_int64(BYTES("\x05\0\0\0\0\0\0\0\0\0\0"), &integer));
    assert_int_equal(integer, 5);
    buffer_release(&buffer);
}

static void test_negate(void **state)
{
    static const struct {
        struct bytes bytes, negative;
    } rows[] = {
        {BYTES(""), BYTES("")},
        {BYTES("\x01"), BYTES("\xFF")},
        {BYTES("\x80\0"), BYTES("\x80")},
        {BYTES("\0\x80"), BYTES("\0\x80\0")},
        {BYTES("\0\0\0\0\0\0\0\0\x01"), BYTES("\0\0\0\0\0\0\0\0\xFF")},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer out = BUFFER_INIT;

        bigint_negate(rows[i].bytes, &out);
        assert_bytes(view(&out), rows[i].negative);
        buffer_clear(&out);
        bigint_negate(rows[i].negative, &out);
        assert_bytes(view(&out), rows[i].bytes);
        buffer_release(&out);
    }
}

static const struct {
    struct bytes bytes;
    const char *decimal, *hexadecimal;
} numbers[] = {
    {BYTES(""), "0", "0"},
    {BYTES("\x01"), "1", "1"},
    {BYTES("\xFF"), "-1", "-1"},
    {BYTES("\x80"), "-128", "-80"},
    {BYTES("\0\0\0\x80"), "-2147483648", "-80000000"},
    {BYTES("\0\xCA\x9A\x3B"), "1000000000", "3b9aca00"},
    {BYTES("\xFF\xC9\x9A\x3B"), "999999999", "3B9AC9FF"},
    {BYTES("\0\0\0\0\0\0\0\x80\0"), "9223372036854775808", "8000000000000000"},
    {BYTES("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\xFF"), "-9223372036854775809", "-8000000000000001"},
    {BYTES("\0\0\0\0\0\0\0\0\x01"), "18446744073709551616", "10000000000000000"},
    {BYTES("\0\0\0\0\0\0\0\0\xFF"), "-18446744073709551616", "-10000000000000000"},
    {BYTES("\0\0\0\0\0\0\0\0\x40"), "1180591620717411303424", "400000000000000000"},
    {BYTES("\0\0\0\0\0\0\0\0\0\x80"), "-604462909807314587353088", "-80000000000000000000"},
};

static void test_print(void **state)
{
    struct buffer text = BUFFER_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        buffer_clear(&text);
        bigint_print(numbers[i].bytes, &text);
        assert_bytes(view(&text), bytes_of_string(numbers[i].decimal));
        buffer_clear(&text);
        bigint_print_decimal(numbers[i].bytes, &text);
        assert_bytes(view(&text), bytes_of_string(numbers[i].decimal));
    }
    buffer_release(&text);
}

static void check_parse(const char *text, unsigned base, struct bytes expected)
{
    bool negative = text[0] == '-';
    struct buffer out = BUFFER_INIT;

    buffer_add_byte(&out, 0x55);
    assert_int_equal(bigint_parse(bytes_of_string(text + negative), base, negative, &out), 0);
    assert_int_equal(out.data[0], 0x55);
    assert_bytes(bytes_part(view(&out), 1, SIZE_MAX), expected);
    buffer_release(&out);
}

static void test_parse(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        check_parse(numbers[i].decimal, 10, numbers[i].bytes);
        check_parse(numbers[i].hexadecimal, 16, numbers[i].bytes);
    }
    check_parse("0000", 8, BYTES(""));
    check_parse("-0", 10, BYTES(""));
    check_parse("777", 8, BYTES("\xFF\x01"));
    check_parse("77777777777777777777777", 8, BYTES("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x1F"));
    check_parse("10000000", 2, BYTES("\x80\0"));
    check_parse("-10000000", 2, BYTES("\x80"));
    check_parse("000000000000000000000000000000000000001", 10, BYTES("\x01"));
}

static void test_refuse(void **state)
{
    static const struct {
        const char *digits;
        unsigned base;
    } rows[] = {{"", 10}, {"-1", 10}, {"12a", 10}, {"8", 8},
                {"2", 2}, {"g", 16},  {"1_0", 10}, {"`", 16}};
    struct buffer out = BUFFER_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(bigint_parse(bytes_of_string(rows[i].digits), rows[i].base, false, &out),
                         -EINVAL);
        assert_int_equal(out.size, 0);
    }
    buffer_release(&out);
}

/* 10^4300 is the first number that is printed in hexadecimal, since CPython would not read it. */
static void test_long(void **state)
{
    static char digits[BIGINT_DECIMAL_DIGITS + 2];
    struct buffer bytes = BUFFER_INIT, text = BUFFER_INIT, again = BUFFER_INIT;

    memset(digits, '9', BIGINT_DECIMAL_DIGITS);
    assert_int_equal(bigint_parse(bytes_of_string(digits), 10, true, &bytes), 0);
    bigint_print(view(&bytes), &text);
    assert_int_equal(text.data[0], '-');
    assert_bytes(bytes_part(view(&text), 1, SIZE_MAX), bytes_of_string(digits));

    /* -(10^4300 - 1) minus one, in two's complement: borrow from the lowest byte, which is 01. */
    assert_int_equal(bytes.data[0], 1);
    bytes.data[0] = 0;
    buffer_clear(&text);
    bigint_print(view(&bytes), &text);
    assert_true(bytes_start_with(view(&text), BYTES("-0x")));
    assert_int_equal(bigint_parse(bytes_part(view(&text), 3, SIZE_MAX), 16, true, &again), 0);
    assert_bytes(view(&again), view(&bytes));
    buffer_clear(&text);
    bigint_print_decimal(view(&bytes), &text);
    assert_int_equal(text.size, 1 + BIGINT_DECIMAL_DIGITS + 1);
    assert_int_equal(text.data[1], '1');
    assert_int_equal(text.data[2], '0');
    assert_int_equal(text.data[text.size - 1], '0');

    digits[BIGINT_DECIMAL_DIGITS] = '0';
    assert_int_equal(bigint_parse(bytes_of_string(digits), 10, false, &bytes), -EINVAL);
    buffer_release(&bytes);
    buffer_release(&text);
    buffer_release(&again);
}

static void test_limit(void **state)
{
    struct buffer text;

    buffer_init(&text, 5);
    bigint_print(BYTES("\0\0\0\0\0\0\0\0\x01"), &text);
    assert_int_equal(buffer_status(&text), -EFBIG);
    buffer_release(&text);
    buffer_init(&text, 3);
    assert_int_equal(bigint_parse(BYTES("ffffffffffffffff"), 16, false, &text), -EFBIG);
    buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minimal), cmocka_unit_test(test_int64), cmocka_unit_test(test_negate),
        cmocka_unit_test(test_print),   cmocka_unit_test(test_parse), cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_long),    cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
