/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Walks are found in each order, and what is pushed is bounded; nothing is pushed for who opens a file here and there. */
#include "fs/ahead.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { FILES = 10000 };

struct pushes {
    unsigned count, wakes;
    size_t size; /* of each text */
    uint64_t last;
    bool seen[FILES];
};

/* As many as FILES, scattered: neither numbers nor names are in the order of the listing. */
static uint64_t node_of(unsigned i)
{
    return 2 + (uint64_t)i * 7919 % FILES;
}

static unsigned name_of(unsigned i)
{
    return i * 6007 % FILES;
}

static size_t push(void *context, uint64_t node)
{
    struct pushes *pushes = context;

    assert_in_range(node, 2, FILES + 1);
    assert_false(pushes->seen[node - 2]);
    pushes->seen[node - 2] = true;
    pushes->count++;
    pushes->last = node;
    return pushes->size;
}

static void wake(void *context)
{
    struct pushes *pushes = context;

    pushes->wakes++;
}

static const struct ahead_ops ops = {push, wake};

static struct ahead *listed(struct pushes *pushes, uint32_t window)
{
    struct ahead *ahead;
    char name[16];

    *pushes = (struct pushes){.size = 100};
    assert_int_equal(ahead_new(&ops, pushes, window, &ahead), 0);
    ahead_begin(ahead, 1);
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%05u", name_of(i));
        ahead_add(ahead, node_of(i), name);
    }
    return ahead;
}

/* The orders of a roll are found out after the first file was opened. */
static void first_open(struct ahead *ahead, struct pushes *pushes)
{
    ahead_opened(ahead, 2);
    assert_int_equal(pushes->wakes, 1);
    assert_false(ahead_step(ahead));
    assert_int_equal(pushes->count, 0);
}

/* Opens all files in that order; whoever opens finds that it was pushed, but for the first few. */
static void assert_followed(const unsigned order[FILES])
{
    struct pushes pushes;
    struct ahead *ahead = listed(&pushes, AHEAD_OF_OPENS);
    unsigned missed = 0;

    first_open(ahead, &pushes);
    for (unsigned at = 0; at < FILES; at++) {
        uint64_t node = node_of(order[at]);

        if (!pushes.seen[node - 2])
            missed++;
        ahead_opened(ahead, node);
        assert_true(pushes.count <= at + 4096 + 1);
        while (ahead_step(ahead))
            ;
    }
    assert_in_range(missed, 8 + 15, 12 + 15);
    assert_int_equal(pushes.count, FILES - missed);
    ahead_free(ahead);
}

static void orders(unsigned listing[FILES], unsigned by_node[FILES], unsigned by_name[FILES])
{
    for (unsigned i = 0; i < FILES; i++) {
        listing[i] = i;
        by_node[node_of(i) - 2] = i;
        by_name[name_of(i)] = i;
    }
}

static void test_orders(void **state)
{
    static unsigned listing[FILES], by_node[FILES], by_name[FILES];

    orders(listing, by_node, by_name);
    assert_followed(listing);
    assert_followed(by_node);
    assert_followed(by_name);
}

/* Looks up all names in that order; all but those of the first few are told before, and each once. */
static void assert_looked(const unsigned order[FILES])
{
    static bool told[FILES];
    struct pushes pushes;
    struct ahead *ahead = listed(&pushes, AHEAD_OF_OPENS);
    struct buffer names = BUFFER_INIT;
    unsigned missed = 0, batches = 0, count = 0;

    memset(told, 0, sizeof told);
    ahead_looked(ahead, 1, 2, &names);
    assert_int_equal(pushes.wakes, 1);
    assert_false(ahead_step(ahead));
    for (unsigned at = 0; at < FILES; at++) {
        missed += !told[name_of(order[at])];
        ahead_looked(ahead, 1, node_of(order[at]), &names);
        batches += names.size > 0;
        for (size_t i = 0; i < names.size; i += 6) {
            unsigned name = (unsigned)atoi((const char *)names.data + i);

            assert_false(told[name]);
            told[name] = true;
            count++;
        }
        assert_true(count <= at + 128);
        buffer_clear(&names);
    }
    assert_in_range(batches, FILES / 128, FILES / 100);
    assert_true(missed <= batches + 9);
    assert_int_equal(pushes.wakes, 1);
    /* In another directory such a number is another file. */
    ahead_looked(ahead, 7, node_of(order[0]), &names);
    assert_int_equal(names.size, 0);
    buffer_release(&names);
    ahead_free(ahead);
}

static void test_names(void **state)
{
    static unsigned listing[FILES], by_node[FILES], by_name[FILES];

    orders(listing, by_node, by_name);
    assert_looked(listing);
    assert_looked(by_node);
    assert_looked(by_name);
}

/* What nobody walks through goes, and not while somebody does. */
static void test_rest(void **state)
{
    struct pushes pushes;
    struct ahead *ahead = listed(&pushes, AHEAD_OF_OPENS);

    first_open(ahead, &pushes);
    for (unsigned i = 0; i < 20; i++) {
        ahead_opened(ahead, node_of(i));
        ahead_tick(ahead);
    }
    assert_true(ahead_step(ahead));
    for (unsigned i = 0; i < 10; i++)
        ahead_tick(ahead);
    assert_false(ahead_step(ahead));
    ahead_free(ahead);
}

static void test_no_walk(void **state)
{
    struct pushes pushes;
    struct ahead *ahead = listed(&pushes, AHEAD_OF_OPENS);

    first_open(ahead, &pushes);
    srandom(1);
    for (unsigned i = 0; i < 1000; i++) {
        ahead_opened(ahead, 2 + (uint64_t)random() % FILES);
        assert_false(ahead_step(ahead));
    }
    assert_int_equal(pushes.count, 0);
    ahead_opened(ahead, 99999999);
    assert_int_equal(pushes.wakes, 1);
    ahead_free(ahead);
}

/* A walk that ends leaves no more than what is ahead of it. */
static void test_bound(void **state)
{
    struct pushes pushes;
    struct ahead *ahead = listed(&pushes, AHEAD_OF_OPENS);

    first_open(ahead, &pushes);
    for (unsigned i = 0; i < 20; i++)
        ahead_opened(ahead, node_of(i));
    assert_true(pushes.wakes > 1);
    while (ahead_step(ahead))
        ;
    assert_in_range(pushes.count, 4000, 4096);
    assert_false(pushes.seen[node_of(19) - 2]);
    assert_true(pushes.seen[node_of(30) - 2]);
    ahead_free(ahead);
}

/* Only who was not pushed a text is heard of. That is enough to find it again when a window is over. */
static void test_unasked(void **state)
{
    enum { WINDOW = 1000 };
    struct pushes pushes;
    struct ahead *ahead = listed(&pushes, WINDOW);
    unsigned heard = 0, before = 0;

    first_open(ahead, &pushes);
    for (unsigned i = 0; i < FILES; i++) {
        if (!pushes.seen[node_of(i) - 2]) {
            ahead_opened(ahead, node_of(i));
            heard++;
            before = i;
        }
        while (ahead_step(ahead))
            ;
        assert_true(pushes.last == 0 || pushes.count + heard <= before + WINDOW + 1);
    }
    assert_in_range(heard, FILES / WINDOW * 8, FILES / WINDOW * 30);
    assert_int_equal(pushes.count + heard, FILES);
    ahead_free(ahead);
}

/* Texts of 64 KiB: 1024 are 64 MiB. */
static void test_bytes(void **state)
{
    struct pushes pushes;
    struct ahead *ahead = listed(&pushes, FILES);

    pushes.size = 64 << 10;
    first_open(ahead, &pushes);
    for (unsigned i = 0; i < 20; i++)
        ahead_opened(ahead, node_of(i));
    while (ahead_step(ahead))
        ;
    assert_in_range(pushes.count, 1024, 1024 + 32);
    ahead_free(ahead);
}

static void test_no_listing(void **state)
{
    struct pushes pushes = {0};
    struct ahead *ahead;

    assert_int_equal(ahead_new(&ops, &pushes, AHEAD_OF_OPENS, &ahead), 0);
    ahead_add(ahead, 5, "five");
    ahead_opened(ahead, 5);
    assert_false(ahead_step(ahead));
    ahead_begin(ahead, 1);
    ahead_add(ahead, 5, "five");
    ahead_opened(ahead, 5);
    assert_false(ahead_step(ahead));
    assert_int_equal(pushes.wakes + pushes.count, 0);
    ahead_free(ahead);
    ahead_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_no_walk),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_no_listing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
