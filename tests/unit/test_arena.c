/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/arena.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_pieces_are_aligned_and_apart(void **state)
{
    struct arena arena;
    uint8_t *last = NULL;

    arena_init(&arena, SIZE_MAX);
    for (size_t size = 0; size < 3000; size += 7) {
        uint8_t *piece = arena_alloc(&arena, size);

        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % 8, 0);
        assert_ptr_not_equal(piece, last);
        memset(piece, (int)size, size);
        last = piece;
    }
    arena_release(&arena);
    assert_int_equal(arena.used, 0);
}

static void test_growing_keeps_the_content(void **state)
{
    struct arena arena;
    char *first, *grown;

    arena_init(&arena, SIZE_MAX);
    first = arena_alloc(&arena, 8);
    memcpy(first, "content", 8);
    assert_ptr_equal(arena_grow(&arena, first, 8, 16), first);
    (void)arena_alloc(&arena, 8);
    grown = arena_grow(&arena, first, 16, 1 << 16);
    assert_ptr_not_equal(grown, first);
    assert_string_equal(grown, "content");
    assert_non_null(arena_grow(&arena, NULL, 0, 24));
    arena_release(&arena);
}

static void test_limit_sticks(void **state)
{
    struct arena arena;

    arena_init(&arena, 8192);
    assert_non_null(arena_alloc(&arena, 4000));
    assert_null(arena_alloc(&arena, 8000));
    assert_int_equal(arena_status(&arena), -EFBIG);
    assert_null(arena_alloc(&arena, 1));
    assert_null(arena_copy(&arena, BYTES("x")).data);
    arena_release(&arena);
    assert_non_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_int_equal(arena_status(&arena), -ENOMEM);
    arena_release(&arena);
}

static void test_another_pays(void **state)
{
    struct arena payer, arena = {0};

    arena_init(&payer, 8192);
    assert_non_null(arena_alloc(&payer, 100));
    arena_start_at(&arena, &payer);
    assert_non_null(arena_alloc(&arena, 3000));
    assert_int_equal(payer.used, 4096 + arena.used);
    assert_null(arena_alloc(&arena, 3500));
    assert_int_equal(arena_status(&arena), -EFBIG);
    assert_int_equal(arena_status(&payer), -EFBIG);
    arena_release(&arena);
    assert_int_equal(payer.used, 4096);
    arena_release(&payer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_growing_keeps_the_content),
        cmocka_unit_test(test_limit_sticks),
        cmocka_unit_test(test_another_pays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
