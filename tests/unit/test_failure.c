/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/failure.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void test_the_first_sticks(void **state)
{
    struct failure failure = {0};

    assert_int_equal(failure_set(&failure, -EINVAL, 7, "first %d", 1), -EINVAL);
    assert_int_equal(failure_set(&failure, -EIO, 8, "second"), -EIO);
    assert_int_equal(failure.code, -EINVAL);
    assert_int_equal(failure.offset, 7);
    assert_string_equal(failure.message, "first 1");
    assert_int_equal(failure_set(NULL, -EIO, 0, "nobody listens"), -EIO);
}

static void test_messages_are_harmless(void **state)
{
    struct failure failure = {0}, full = {0};
    char long_name[400];

    failure_set(&failure, -EIO, 0, "%s", "a\033[31mb\n\xff\xe2\x80\xae" "c\xc3\xa9");
    assert_string_equal(failure.message, "a?[31mb??" "???" "c\xc3\xa9");
    /* Cut in the middle of a character. */
    memset(long_name, 'x', sizeof long_name);
    strcpy(long_name + sizeof full.message - 2, "\xc3\xa9");
    failure_set(&full, -EIO, 0, "%s", long_name);
    assert_int_equal(strlen(full.message), sizeof full.message - 1);
    assert_int_equal(full.message[sizeof full.message - 2], '?');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_sticks),
        cmocka_unit_test(test_messages_are_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
