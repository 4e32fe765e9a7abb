/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct bytes number_key(char text[16], unsigned number)
{
    snprintf(text, 16, "%u", number);
    return bytes_of_string(text);
}

/*
 * A window of living keys moves through many more than there ever are: compaction keeps the order
 * and the room.
 */
static void test_churn(void **state)
{
    enum { ALL = 20000, LIVING = 100 };
    struct table table;
    struct table_entry *entry;
    uint32_t position = 0;
    char text[16];

    assert_int_equal(table_init(&table), 0);
    for (unsigned i = 0; i < ALL; i++) {
        entry = table_add(&table, number_key(text, i));
        assert_non_null(entry);
        entry->offset = i;
        if (i < LIVING)
            continue;
        entry = table_find(&table, number_key(text, i - LIVING));
        assert_non_null(entry);
        assert_int_equal(entry->offset, i - LIVING);
        table_remove(&table, entry);
        assert_null(table_find(&table, number_key(text, i - LIVING)));
        assert_int_equal(table.keys, LIVING);
    }
    assert_true(table.capacity <= 8 * LIVING);
    for (unsigned i = ALL - LIVING; i < ALL; i++) {
        entry = table_next(&table, &position);
        assert_non_null(entry);
        assert_true(bytes_equal(table_key(entry), number_key(text, i)));
        assert_ptr_equal(table_find(&table, number_key(text, i)), entry);
    }
    assert_null(table_next(&table, &position));
    table_release(&table);
}

static void test_find_or_add(void **state)
{
    enum { ALL = 1000 };
    struct table table;
    char text[16];
    bool added;

    assert_int_equal(table_init(&table), 0);
    for (unsigned i = 0; i < 2 * ALL; i++) {
        struct bytes key = number_key(text, i % ALL);
        struct table_entry *entry = table_find_or_add(&table, key, table_hash(&table, key), &added);

        assert_non_null(entry);
        assert_int_equal(added, i < ALL);
        assert_true(bytes_equal(table_key(entry), key));
        assert_ptr_equal(table_find(&table, key), entry);
    }
    assert_int_equal(table.keys, ALL);
    table_release(&table);
}

static void test_lines_are_not_keys(void **state)
{
    struct table table;
    struct table_entry *line;
    uint32_t position = 0;

    assert_int_equal(table_init(&table), 0);
    assert_null(table_find(&table, BYTES("a")));
    line = table_add_line(&table, BYTES("a"));
    assert_non_null(line);
    assert_null(table_find(&table, BYTES("a")));
    assert_int_equal(table.keys, 0);
    assert_non_null(table_add(&table, BYTES("a")));
    assert_non_null(table_add(&table, BYTES("")));
    assert_false(table_find(&table, BYTES("a"))->is_line);
    assert_true(table_next(&table, &position)->is_line);
    assert_int_equal(table.keys, 2);
    table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_churn),
        cmocka_unit_test(test_find_or_add),
        cmocka_unit_test(test_lines_are_not_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
