/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/floattext.h"

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* The texts are what repr() of CPython 3.13 gives. */
static const struct {
    uint64_t bits;
    const char *text;
} numbers[] = {
    {0x0000000000000000, "0.0"},
    {0x8000000000000000, "-0.0"},
    {0x3FF0000000000000, "1.0"},
    {0xBFF8000000000000, "-1.5"},
    {0x3FB999999999999A, "0.1"},
    {0x3FD3333333333334, "0.30000000000000004"},
    {0x400921FB54442D18, "3.141592653589793"},
    {0x3F1A36E2EB1C432D, "0.0001"},
    {0x3F1A36E2EB1C432C, "9.999999999999999e-05"},
    {0x3EE4F8B588E368F1, "1e-05"},
    {0x430C6BF526340000, "1000000000000000.0"},
    {0x4341C37937E07FFF, "9999999999999998.0"},
    {0x4341C37937E08000, "1e+16"},
    {0x4415AF1D78B58C40, "1e+20"},
    {0x54B249AD2594C37D, "1e+100"},
    {0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"},
    {0x0000000000000001, "5e-324"},
    {0x000FFFFFFFFFFFFF, "2.225073858507201e-308"},
    {0x0010000000000000, "2.2250738585072014e-308"},
    {0x0420000000000000,
     "8.209073602596753e-289"}, /* 2^-957: the nearest 16 digits don't read back */
    {0x4340000000000000, "9007199254740992.0"},
    {0x7FF0000000000000, "inf"},
    {0xFFF0000000000000, "-inf"},
    {0x7FF8000000000000, "nan"},
    {0xFFF8000000000001, "nan"},
};

static void test_print(void **state)
{
    char out[FLOATTEXT_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        assert_int_equal(floattext_print(numbers[i].bits, out), strlen(numbers[i].text));
        assert_string_equal(out, numbers[i].text);
    }
}

static void check_parse(const char *text, uint64_t expected)
{
    uint64_t bits = 1;

    assert_true(floattext_parse(bytes_of_string(text), &bits));
    if (bits != expected)
        print_error("%s\n", text);
    assert_int_equal(bits, expected);
}

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        uint64_t bits;
    } rows[] = {
        {"1", 0x3FF0000000000000},
        {"1.", 0x3FF0000000000000},
        {".5", 0x3FE0000000000000},
        {"+1e0", 0x3FF0000000000000},
        {"1E+3", 0x408F400000000000},
        {"100e-2", 0x3FF0000000000000},
        {"1e999", 0x7FF0000000000000},
        {"-1e999", 0xFFF0000000000000},
        {"1e-999", 0},
        {"-1e-999", 0x8000000000000000},
        {"Infinity", 0x7FF0000000000000},
        {"-INF", 0xFFF0000000000000},
        {"NaN", 0x7FF8000000000000},
        {"-nan", 0xFFF8000000000000},
        {"0e99999999999999999999", 0},
        {"1e99999999999999999999", 0x7FF0000000000000},
        {"1e-99999999999999999999", 0},
        {"0.1e1", 0x3FF0000000000000},
        {"9007199254740993", 0x4340000000000000},
        {"9007199254740993.00000000000000000000000000001", 0x4340000000000001},
        {"123456789012345678901234567890", 0x45F8EE90FF6C373E},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        check_parse(rows[i].text, rows[i].bits);
    for (size_t i = 0; i < ARRAY_SIZE(numbers) - 1; i++)
        check_parse(numbers[i].text, numbers[i].bits);
}

static void test_refuse(void **state)
{
    static const char *const rows[] = {"",        "-",      ".",     "e5",  "1e",    "1e+", "+-1",
                                       "1 ",      " 1",     "1_0",   "0x1", "1.2.3", "1,5", "in",
                                       "infinit", "nan(1)", "1e5.0", "1f",  "--1",   "1e 5"};
    uint64_t bits = 1;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_false(floattext_parse(bytes_of_string(rows[i]), &bits));
        assert_int_equal(bits, 1);
    }
}

/* 10^100000 digits are no reason to lose precision: the exponent takes them back. */
static void test_long(void **state)
{
    enum { ZEROS = 100000 };
    struct buffer text = BUFFER_INIT;
    uint64_t bits;

    buffer_add_string(&text, "0.");
    for (int i = 0; i < ZEROS; i++)
        buffer_add_byte(&text, '0');
    buffer_add_string(&text, "15e100001");
    assert_int_equal(buffer_status(&text), 0);
    assert_true(floattext_parse(buffer_bytes(&text), &bits));
    assert_int_equal(bits, 0x3FF8000000000000);
    buffer_release(&text);
}

static void test_locale(void **state)
{
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "ru_RU.UTF-8"};

    for (size_t i = 0; i < ARRAY_SIZE(commas); i++)
        if (setlocale(LC_NUMERIC, commas[i])) {
            test_print(state);
            test_parse(state);
            setlocale(LC_NUMERIC, "C");
            return;
        }
    skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print), cmocka_unit_test(test_parse),  cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_long),  cmocka_unit_test(test_locale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
