/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/*
 * As str.isprintable() of CPython says; points that some Unicode version left unassigned are not
 * in here.
 */
static void test_points(void **state)
{
    static const struct {
        uint32_t point;
        bool printable;
    } rows[] = {
        {0, false},          {0x1F, false},    {' ', true},       {'~', true},
        {0x7F, false},       {0x85, false},    {0xA0, false},     {0xA1, true},
        {0xAD, false},       {0xE9, true},     {0x378, false},    {0x200B, false},
        {0x200E, false},     {0x2028, false},  {0x202E, false},   {0x20AC, true},
        {0x3000, false},     {0x4E00, true},   {0xD800, false},   {0xDFFF, false},
        {0xE000, false},     {0xFEFF, false},  {0xFFFD, true},    {0xFFFF, false},
        {0x1F600, true},     {0xE0001, false}, {0x10FFFF, false}, {0x110000, false},
        {UINT32_MAX, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(printable(rows[i].point), rows[i].printable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_points)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
