/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/datetime_call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct {
    enum datetime_class class;
    struct bytes state;
    struct datetime_fields fields;
} rows[] = {
    {DATETIME_DATE, BYTES("\x07\xEA\x0B\x15"), {{2026, 11, 21}}},
    {DATETIME_DATE, BYTES("\0\x01\x01\x01"), {{1, 1, 1}}},
    {DATETIME_DATE, BYTES("\x07\xE8\x02\x1D"), {{2024, 2, 29}}},
    {DATETIME_DATE, BYTES("\x07\xD0\x02\x1D"), {{2000, 2, 29}}},
    {DATETIME_TIME, BYTES("\x17\x3B\x3B\x0F\x42\x3F"), {{0, 0, 0, 23, 59, 59, 999999}}},
    {DATETIME_TIME, BYTES("\x81\x02\0\0\0\0"), {{0, 0, 0, 1, 2, 0, 0, 1}}},
    {DATETIME_DATETIME, BYTES("\x07\xEA\x0B\x15\x05\x25\0\0\0\0"), {{2026, 11, 21, 5, 37}}},
    {DATETIME_DATETIME, BYTES("\x27\x0F\x8C\x1F\0\0\0\0\0\x01"), {{9999, 12, 31, 0, 0, 0, 1, 1}}},
};

static void test_both_ways(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct datetime_fields fields;
        uint8_t packed[DATETIME_STATE];
        size_t size;

        assert_true(datetime_unpack(rows[i].class, rows[i].state, 4, &fields));
        assert_memory_equal(&fields, &rows[i].fields, sizeof fields);
        assert_null(datetime_pack(rows[i].class, &fields, packed, &size));
        assert_int_equal(size, rows[i].state.size);
        assert_memory_equal(packed, rows[i].state.data, size);
        /*
         * Before protocol 4 there is no fold, and the bit is part of a month or hour that doesn't
         * exist.
         */
        assert_int_equal(datetime_unpack(rows[i].class, rows[i].state, 3, &fields),
                         !rows[i].fields.at[DATETIME_FOLD]);
    }
}

static void test_unpack_refuses(void **state)
{
    static const struct {
        enum datetime_class class;
        struct bytes state;
    } states[] = {
        {DATETIME_OTHER, BYTES("\x07\xEA\x0B\x15")},
        {DATETIME_DATE, BYTES("")},
        {DATETIME_DATE, BYTES("\x07\xEA\x0B")},
        {DATETIME_DATE, BYTES("\x07\xEA\x0B\x15\0")},
        {DATETIME_DATE, BYTES("\0\0\x01\x01")},
        {DATETIME_DATE, BYTES("\x27\x10\x01\x01")},
        {DATETIME_DATE, BYTES("\x07\xEA\0\x01")},
        {DATETIME_DATE, BYTES("\x07\xEA\x0D\x01")},
        {DATETIME_DATE, BYTES("\x07\xEA\x8B\x15")},
        {DATETIME_DATE, BYTES("\x07\xEA\x02\x1D")},
        {DATETIME_DATE, BYTES("\x07\x6C\x02\x1D")},
        {DATETIME_TIME, BYTES("\x18\0\0\0\0\0")},
        {DATETIME_TIME, BYTES("\0\x3C\0\0\0\0")},
        {DATETIME_TIME, BYTES("\0\0\x3C\0\0\0")},
        {DATETIME_TIME, BYTES("\0\0\0\x0F\x42\x40")},
        {DATETIME_DATETIME, BYTES("\x07\xEA\x0B\x15\x18\0\0\0\0\0")},
    };

    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        struct datetime_fields fields = {{77}};

        assert_false(datetime_unpack(states[i].class, states[i].state, 4, &fields));
        assert_int_equal(fields.at[0], 77);
    }
}

static void test_pack_refuses(void **state)
{
    static const struct {
        enum datetime_class class;
        struct datetime_fields fields;
        const char *wrong;
    } given[] = {
        {DATETIME_DATE, {{10000, 1, 1}}, "year"},
        {DATETIME_DATE, {{2026, 13, 1}}, "month"},
        {DATETIME_DATE, {{2026, INT64_MIN, 1}}, "month"},
        {DATETIME_DATE, {{2026, 4, 31}}, "day"},
        {DATETIME_DATETIME, {{2026, 2, 29}}, "day"},
        {DATETIME_TIME, {{0, 0, 0, 24}}, "hour"},
        {DATETIME_TIME, {{0, 0, 0, 0, -1}}, "minute"},
        {DATETIME_TIME, {{0, 0, 0, 0, 0, 60}}, "second"},
        {DATETIME_TIME, {{0, 0, 0, 0, 0, 0, 1000000}}, "microsecond"},
        {DATETIME_TIME, {{0, 0, 0, 0, 0, 0, 0, 2}}, "fold"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
        uint8_t packed[DATETIME_STATE];
        size_t size;
        const char *wrong = datetime_pack(given[i].class, &given[i].fields, packed, &size);

        assert_non_null(wrong);
        assert_string_equal(wrong, given[i].wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_ways),
                                       cmocka_unit_test(test_unpack_refuses),
                                       cmocka_unit_test(test_pack_refuses)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
