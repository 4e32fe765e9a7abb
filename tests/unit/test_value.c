/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/value.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_references(void **state)
{
    struct document document;
    struct value *list, *tuple, *number;

    document_init(&document, SIZE_MAX);
    list = value_new(&document, VALUE_LIST);
    tuple = value_new(&document, VALUE_TUPLE);
    number = value_new_int(&document, 5);
    assert_true(value_list_add(&document, &tuple->items, list));
    assert_true(value_list_add(&document, &tuple->items, number));
    assert_true(value_list_add(&document, &list->items, tuple));
    assert_true(value_add_step(&document, list, STEP_BUILD, &number, 1));
    document.root = list;
    assert_int_equal(value_count_references(&document), 0);
    assert_int_equal(list->references, 2);
    assert_int_equal(tuple->references, 1);
    assert_int_equal(number->references, 2);
    assert_int_equal(value_count_references(&document), 0);
    assert_int_equal(list->references, 2);
    document_release(&document);
}

static void test_steps_keep_their_order(void **state)
{
    static const struct {
        enum value_step_kind kind;
        uint32_t count;
    } EXPECTED[] = {{STEP_APPEND, 2}, {STEP_BUILD, 1}, {STEP_BUILD, 1}, {STEP_APPEND, 1}};
    struct document document;
    struct value *call, *item;
    struct value_step *step;
    size_t i = 0;

    document_init(&document, SIZE_MAX);
    call = value_new(&document, VALUE_CALL);
    item = value_new(&document, VALUE_NONE);
    assert_null(value_first_step(call));
    value_add_step(&document, call, STEP_APPEND, &item, 1);
    value_add_step(&document, call, STEP_APPEND, &item, 1);
    value_add_step(&document, call, STEP_BUILD, &item, 1);
    value_add_step(&document, call, STEP_BUILD, &item, 1);
    value_add_step(&document, call, STEP_APPEND, &item, 1);
    for (step = value_first_step(call); step; step = value_next_step(call, step), i++) {
        assert_int_equal(step->kind, EXPECTED[i].kind);
        assert_int_equal(step->items.count, EXPECTED[i].count);
    }
    assert_int_equal(i, ARRAY_SIZE(EXPECTED));
    document_release(&document);
}

static void test_walks_start_from_zero(void **state)
{
    struct document document;
    struct value *value;

    document_init(&document, SIZE_MAX);
    value = value_new(&document, VALUE_NONE);
    value_start_walk(&document);
    assert_int_equal(value_mark(&document, value), 0);
    value_set_mark(&document, value, 7);
    assert_int_equal(value_mark(&document, value), 7);
    value_start_walk(&document);
    assert_int_equal(value_mark(&document, value), 0);
    document_release(&document);
}

static void test_a_million_levels(void **state)
{
    struct document document;
    struct value *inner;

    document_init(&document, SIZE_MAX);
    inner = value_new(&document, VALUE_LIST);
    for (int i = 0; i < 1000000; i++) {
        struct value *outer = value_new(&document, VALUE_LIST);

        assert_true(value_list_add(&document, &outer->items, inner));
        inner = outer;
    }
    document.root = inner;
    assert_int_equal(value_count_references(&document), 0);
    document_release(&document);
}

static void test_limit(void **state)
{
    struct document document;

    document_init(&document, 8192);
    while (value_new(&document, VALUE_NONE))
        ;
    assert_int_equal(arena_status(&document.arena), -EFBIG);
    document_release(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_steps_keep_their_order),
        cmocka_unit_test(test_walks_start_from_zero),
        cmocka_unit_test(test_a_million_levels),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
