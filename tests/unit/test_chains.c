/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/chains.h"

#include "src/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct member {
    struct chain_link link;
    int number;
};

static struct member *member_of(struct chain_link *link)
{
    return CONTAINER_OF(link, struct member, link);
}

static void test_members_of_one_hash_are_all_found(void **state)
{
    struct member members[5] = {
        {.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct chain_link *link;
    struct chains chains;
    int found = 0;

    assert_int_equal(chains_init(&chains), 0);
    for (int i = 0; i < 5; i++)
        chains_add(&chains, &members[i].link,
                   i == 2 ? 64 : 0); /* 64: another hash in the same bucket */
    for (link = chains_find(&chains, 0); link; link = chains_next(link))
        found |= 1 << member_of(link)->number;
    assert_int_equal(found, 0x1b);
    assert_int_equal(member_of(chains_find(&chains, 64))->number, 2);
    chains_remove(&chains, &members[2].link);
    assert_null(chains_find(&chains, 64));
    assert_null(chains_find(&chains, 1));
    assert_int_equal(chains.count, 4);
    chains_release(&chains);
}

static void test_grows_and_shrinks(void **state)
{
    enum { MANY = 10000 };
    struct member *members = calloc(MANY, sizeof *members);
    struct chain_link *link;
    struct chains chains;

    assert_non_null(members);
    assert_int_equal(chains_init(&chains), 0);
    for (int i = 0; i < MANY; i++) {
        members[i].number = i;
        chains_add(&chains, &members[i].link, (uint64_t)i * 0x9e3779b97f4a7c15);
    }
    assert_true(chains.mask >= MANY / 2);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(member_of(chains_find(&chains, (uint64_t)i * 0x9e3779b97f4a7c15))->number,
                         i);
    /* What is added meanwhile, in a part that was emptied, is found as well. */
    for (int i = 0; (link = chains_any(&chains)); i++) {
        chains_remove(&chains, link);
        if (i % 1000 == 999 && i < MANY)
            chains_add(&chains, link, (uint64_t)i / 1000);
    }
    assert_int_equal(chains.count, 0);
    assert_in_range(chains.mask, 1, 1000);
    chains_release(&chains);
    free(members);
}

static void test_list_members_leave_from_anywhere(void **state)
{
    struct list head, a, b, c;

    list_init(&head);
    list_init(&b);
    list_append(&head, &a);
    list_append(&head, &b);
    list_append(&head, &c);
    list_leave(&b);
    list_leave(&b);
    assert_ptr_equal(head.next, &a);
    assert_ptr_equal(a.next, &c);
    assert_ptr_equal(head.previous, &c);
    assert_true(list_empty(&b));
    list_leave(&a);
    list_leave(&c);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_of_one_hash_are_all_found),
        cmocka_unit_test(test_grows_and_shrinks),
        cmocka_unit_test(test_list_members_leave_from_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
