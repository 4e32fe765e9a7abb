/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* What is valid where; offsets of the first invalid byte, strictly and with surrogates. */
static const struct {
    struct bytes text;
    size_t strict, surrogates;
} CASES[] = {
    {BYTES(""), 0, 0},
    {BYTES("plain ascii, longer than a word"), 31, 31},
    {BYTES("\xc3\xa9"), 2, 2},
    {BYTES("\xe2\x82\xac"), 3, 3},
    {BYTES("\xf0\x9f\x98\x80"), 4, 4},
    {BYTES("\xf4\x8f\xbf\xbf"), 4, 4},
    {BYTES("a\xed\xa0\x80"), 1, 4},
    {BYTES("\xed\xbf\xbf"), 0, 3},
    {BYTES("\xc0\x80"), 0, 0},
    {BYTES("\xc1\xbf"), 0, 0},
    {BYTES("\xe0\x9f\xbf"), 0, 0},
    {BYTES("\xf0\x8f\xbf\xbf"), 0, 0},
    {BYTES("\xf4\x90\x80\x80"), 0, 0},
    {BYTES("\xf5\x80\x80\x80"), 0, 0},
    {BYTES("12345678\x80"), 8, 8},
    {BYTES("\xc3"), 0, 0},
    {BYTES("ab\xe2\x82"), 2, 2},
    {BYTES("\xff"), 0, 0},
};

static void test_validity(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
        assert_int_equal(utf8_find_invalid(CASES[i].text, UTF8_STRICT), CASES[i].strict);
        assert_int_equal(utf8_find_invalid(CASES[i].text, UTF8_SURROGATES), CASES[i].surrogates);
    }
}

static void test_every_point_reads_back(void **state)
{
    for (uint32_t point = 0; point < 0x110000; point++) {
        uint8_t out[4];
        unsigned length = utf8_encode(point, out);
        struct utf8_point read = utf8_decode(bytes_of(out, length), 0, UTF8_SURROGATES);

        assert_int_equal(read.point, point);
        assert_int_equal(read.length, length);
    }
}

static void test_controls(void **state)
{
    static const uint32_t CONTROLS[] = {0, 0x1F, 0x7F, 0x9F, 0x200E, 0x202E, 0x2066, 0x2069, 0x61C};
    static const uint32_t OTHERS[] = {' ', '~', 0xA0, 0x200D, 0x2010, 0x202F, 0x206A, 0x1F600};

    for (size_t i = 0; i < ARRAY_SIZE(CONTROLS); i++)
        assert_true(utf8_is_control(CONTROLS[i]));
    for (size_t i = 0; i < ARRAY_SIZE(OTHERS); i++)
        assert_false(utf8_is_control(OTHERS[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_every_point_reads_back),
        cmocka_unit_test(test_controls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
