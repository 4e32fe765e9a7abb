/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tests/interop/test_numbers.py compares some 900,000 numbers with CPython; here are those at the edges, and the table. */
#include "src/digits.h"
#include "src/shortest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_edges(void **state)
{
    static const struct {
        uint64_t bits, digits;
        int exponent;
    } rows[] = {
        {0x0000000000000001, 5, -324}, /* both 4 and 5 read back; 5 is closer */
        {0x0000000000000002, 1, -323}, /* 9.88e-324 */
        {0x000FFFFFFFFFFFFF, 2225073858507201, -323},
        {0x0010000000000000, 22250738585072014, -324},
        {0x7FEFFFFFFFFFFFFF, 17976931348623157, 292},
        {0x3FF0000000000000, 1, 0},
        {0x4480F0CF064DD592, 1, 22},
        {0x44B52D02C7E14AF6, 1, 23}, /* an end of its interval, which belongs to it */
        {0x0420000000000000, 8209073602596753, -304}, /* a power of two */
        {0x4340000000000000, 9007199254740992, 0},
        {0x4340000000000001, 9007199254740994, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct shortest found = shortest_decimal(rows[i].bits);

        while (found.digits % 10 == 0) {
            found.digits /= 10;
            found.exponent++;
        }
        if (found.digits != rows[i].digits)
            print_error("%llx\n", (unsigned long long)rows[i].bits);
        assert_int_equal(found.digits, rows[i].digits);
        assert_int_equal(found.exponent, rows[i].exponent);
        found = shortest_decimal(rows[i].bits | UINT64_C(1) << 63);
        assert_true(found.digits % rows[i].digits == 0);
    }
}

/* All exponents, so all of the table: what is printed reads back. */
static void test_reads_back(void **state)
{
    for (uint64_t exponent = 0; exponent < 0x7FF; exponent++)
        for (uint64_t step = 0; step < 64; step++) {
            uint64_t bits = exponent << 52 | (step * UINT64_C(0x9E3779B97F4A7C15) >> 12);
            struct shortest found;
            char text[64];
            double number;

            if (!bits)
                continue;
            found = shortest_decimal(bits);
            snprintf(text, sizeof text, "%llue%d", (unsigned long long)found.digits, found.exponent);
            number = strtod(text, NULL);
            assert_memory_equal(&number, &bits, sizeof bits);
        }
}

static void test_digits(void **state)
{
    static const uint64_t rows[] = {0,        9,         10,        99,          100,                101,
                                    12345,    99999999,  100000000, 1000000099,  9999999999999999,   10000000000000000,
                                    10000001, 987654321, INT64_MAX, 10203040506, 100000000000000000, UINT64_MAX};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char room[DIGITS_MAX + 1] = "", expected[DIGITS_MAX + 1];

        snprintf(expected, sizeof expected, "%llu", (unsigned long long)rows[i]);
        assert_string_equal(digits_before(room + DIGITS_MAX, rows[i]), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_edges), cmocka_unit_test(test_reads_back),
                                       cmocka_unit_test(test_digits)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
