/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/attributes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 20000, MUTATIONS = 20000 };

static const struct digest_key secret = {{1, 2}};

static struct attribute_table new_table(void)
{
    struct attribute_table table;

    assert_int_equal(attribute_table_init(&table, &secret), 0);
    return table;
}

static struct bytes key_of(char *room, size_t size, unsigned number)
{
    snprintf(room, size, "key %u", number);
    return bytes_of_string(room);
}

/* Some combination of what can be set. */
static struct attributes some_attributes(unsigned number)
{
    return (struct attributes){
        .set = number % (ATTRIBUTES_ALL + 1),
        .mode = number * 7 % 01000,
        .uid = number * 1000003,
        .gid = number * 3,
        .atime = {-(time_t)number, number},
        .mtime = {(time_t)number << 20, 999999999 - number},
        .value = {{number * UINT64_C(0x9e3779b97f4a7c15) >> 24}}, /* what a table keeps of one */
        .ctime = {(time_t)number << 10, number * 3},
    };
}

static void assert_same(const struct attributes *a, const struct attributes *b)
{
    struct buffer left = BUFFER_INIT, right = BUFFER_INIT;

    attributes_pack(a, &left);
    attributes_pack(b, &right);
    assert_true(left.size > 0 && bytes_equal(buffer_bytes(&left), buffer_bytes(&right)));
    buffer_release(&left);
    buffer_release(&right);
}

static void fill(struct attribute_table *table, unsigned count)
{
    char room[32];

    for (unsigned i = 0; i < count; i++) {
        struct attributes attributes = some_attributes(i);

        assert_int_equal(attributes_set(table, key_of(room, sizeof room, i), &attributes), 0);
    }
}

static void assert_filled(const struct attribute_table *table, unsigned step)
{
    char room[32];

    for (unsigned i = 0; i < KEYS; i++) {
        struct attributes found, wanted = some_attributes(i);

        if (i % step) {
            assert_false(attributes_find(table, key_of(room, sizeof room, i), &found));
            continue;
        }
        assert_true(attributes_find(table, key_of(room, sizeof room, i), &found));
        assert_same(&found, &wanted);
    }
}

/* No hashes, as a sidecar that somebody made may have them: all in one page, in heaps at its ends and close to one. */
static struct digest uneven_key(uint64_t i)
{
    uint64_t number = i % 3 == 0   ? i
                      : i % 3 == 1 ? (UINT64_C(1) << 40) + i * i
                                   : UINT64_MAX / ATTRIBUTE_PAGES - i;

    return (struct digest){{number * ATTRIBUTE_PAGES}};
}

static void test_keys_that_are_not_spread(void **state)
{
    struct attribute_table table = new_table();

    for (unsigned i = 0; i < KEYS; i++) {
        struct attributes attributes = some_attributes(i);

        assert_int_equal(attributes_set_digest(&table, uneven_key(i), &attributes), 0);
    }
    assert_int_equal(table.count, KEYS);
    for (unsigned i = 0; i < KEYS; i++) {
        struct attributes found, wanted = some_attributes(i);
        struct digest absent = uneven_key(i);

        assert_true(attributes_find_digest(&table, uneven_key(i), &found));
        assert_same(&found, &wanted);
        absent.words[0] += ATTRIBUTE_PAGES / 2;
        assert_false(attributes_find_digest(&table, absent, &found));
    }
    attribute_table_release(&table);
}

static void test_find_and_drop(void **state)
{
    struct attribute_table table = new_table();
    struct attributes found;
    char room[32];

    assert_false(attributes_find(&table, BYTES(""), &found));
    attributes_drop(&table, BYTES("absent"));
    fill(&table, KEYS);
    assert_int_equal(table.count, KEYS);
    assert_filled(&table, 1);
    for (unsigned i = 0; i < KEYS; i++) {
        if (i % 2)
            attributes_drop(&table, key_of(room, sizeof room, i));
    }
    assert_filled(&table, 2);
    attribute_table_gather(&table);
    assert_filled(&table, 2);
    for (unsigned i = 0; i < KEYS; i += 4)
        attributes_mark(&table, key_of(room, sizeof room, i));
    attributes_mark(&table, BYTES("absent"));
    attributes_drop_unmarked(&table);
    assert_filled(&table, 4);
    assert_int_equal(table.count, KEYS / 4);
    attributes_drop_unmarked(&table); /* the marks were for once */
    assert_int_equal(table.count, 0);
    attribute_table_release(&table);
}

/* A table keeps a part of the value's digest, by which it is known all the same. Other attributes are kept once, and let go. */
static void test_values(void **state)
{
    struct attribute_table table = new_table();
    const struct digest value = {{UINT64_C(0xfedcba9876543210), 7}};
    struct attributes found, attributes = {.set = ATTRIBUTE_VALUE, .value = value};
    char room[32];

    for (unsigned i = 0; i < KEYS; i++) {
        attributes.set = ATTRIBUTE_VALUE | ATTRIBUTE_MTIME;
        attributes.mtime.tv_sec = i;
        assert_int_equal(attributes_set(&table, key_of(room, sizeof room, i % 3), &attributes), 0);
        assert_true(attributes_find(&table, key_of(room, sizeof room, i % 3), &found));
        assert_int_equal(found.mtime.tv_sec, i);
        assert_true(attributes_are_of(&found, value));
        for (unsigned bit = 0; bit < 40; bit++)
            assert_false(attributes_are_of(
                &found, (struct digest){{value.words[0] ^ UINT64_C(1) << bit, 7}}));
    }
    assert_int_equal(table.alikes.all.count, 3);
    assert_in_range(table.alikes.used, 1, 8); /* numbers are used again */
    attribute_table_release(&table);
}

/* Packs every changed page of `from` into the same page of `to`. Returns how many. */
static unsigned copy_pages(struct attribute_table *from, struct attribute_table *to)
{
    struct buffer packed = BUFFER_INIT;
    unsigned copied = 0;

    for (unsigned page = 0; (page = attribute_page_changed(from, page)) < ATTRIBUTE_PAGES;) {
        buffer_clear(&packed);
        attribute_page_pack(from, page, &packed);
        assert_int_equal(attribute_page_unpack(to, page, buffer_bytes(&packed)), 0);
        copied++;
    }
    buffer_release(&packed);
    return copied;
}

static void test_pages(void **state)
{
    struct attribute_table table = new_table(), copy = new_table();
    struct attributes found;
    char room[32];

    assert_int_equal(copy_pages(&table, &copy), 0);
    fill(&table, KEYS);
    assert_true(copy_pages(&table, &copy) > ATTRIBUTE_PAGES / 2);
    assert_filled(&copy, 1);
    assert_int_equal(copy.count, KEYS);
    /* Read pages are unchanged; one change is one page, a look is none. */
    assert_int_equal(attribute_page_changed(&copy, 0), ATTRIBUTE_PAGES);
    assert_true(attributes_find(&copy, key_of(room, sizeof room, 5), &found));
    assert_int_equal(attribute_page_changed(&copy, 0), ATTRIBUTE_PAGES);
    attributes_drop(&copy, key_of(room, sizeof room, 5));
    assert_in_range(attribute_page_changed(&copy, 0), 0, ATTRIBUTE_PAGES - 1);
    assert_int_equal(attribute_page_changed(&copy, attribute_page_changed(&copy, 0) + 1),
                     ATTRIBUTE_PAGES);
    attribute_table_taint(&copy);
    assert_true(attribute_page_changed(&copy, 1) < 10);
    attribute_table_release(&table);
    attribute_table_release(&copy);
}

/* What is accepted is what would be written, but for the second words of digests: anything else enters nothing. */
static void check_page(unsigned page, struct bytes packed, unsigned *accepted)
{
    struct attribute_table table = new_table(), copy = new_table();
    struct buffer again = BUFFER_INIT, copied = BUFFER_INIT;
    int code = attribute_page_unpack(&table, page, packed);

    if (code == 0) {
        attribute_page_pack(&table, page, &again);
        assert_int_equal(again.size, packed.size);
        assert_int_equal(attribute_page_unpack(&copy, page, buffer_bytes(&again)), 0);
        attribute_page_pack(&copy, page, &copied);
        assert_true(bytes_equal(buffer_bytes(&again), buffer_bytes(&copied)));
        ++*accepted;
    } else {
        assert_int_equal(code, -EUCLEAN);
        assert_int_equal(table.count, 0);
    }
    buffer_release(&again);
    buffer_release(&copied);
    attribute_table_release(&table);
    attribute_table_release(&copy);
}

static void test_hostile_pages(void **state)
{
    struct attribute_table table = new_table();
    struct buffer packed = BUFFER_INIT;
    unsigned accepted = 0, page;

    fill(&table, KEYS);
    page = attribute_page_changed(&table, 0);
    attribute_page_pack(&table, page, &packed);
    check_page(page, buffer_bytes(&packed), &accepted);
    assert_int_equal(accepted, 1);
    check_page(page + 1, buffer_bytes(&packed), &accepted);
    assert_int_equal(accepted, 1);
    srand(20261121);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        struct bytes part = buffer_bytes(&packed);
        size_t at = (size_t)rand() % packed.size, other = (size_t)rand() % packed.size;
        uint8_t before = packed.data[at], old = packed.data[other];

        packed.data[at] = (uint8_t)rand();
        if (i % 3 == 0)
            packed.data[other] = (uint8_t)rand();
        if (i % 5 == 0)
            part = bytes_part(part, other, SIZE_MAX);
        if (i % 7 == 0)
            part.size = at < part.size ? at : part.size;
        check_page(page, part, &accepted);
        packed.data[other] = old;
        packed.data[at] = before;
    }
    assert_in_range(accepted, 100, MUTATIONS); /* a changed time is a time */
    buffer_release(&packed);
    attribute_table_release(&table);
}

static void test_unpack(void **state)
{
    static const struct {
        struct bytes packed;
        bool accepted;
        size_t left;
    } rows[] = {
        {{NULL, 0}, false, 0},
        {BYTES("\0"), true, 0},
        {BYTES("\0rest"), true, 4},
        {BYTES("\1\xff\1"), true, 0},
        {BYTES("\1\0\2"), false, 0}, /* a mode above 0777 */
        {BYTES("\1\0"), false, 0},
        {BYTES("\x80"), false, 0}, /* what no version knows */
        {BYTES("\x40"), false, 0},
        {BYTES("\x40\1\0\0\0\0\0\0\0\2\0\0\0"), true, 0},
        {BYTES("\x10\0\0\0\0\0\0\0\0\xff\xc9\x9a\x3b"), true, 0},
        {BYTES("\x10\0\0\0\0\0\0\0\0\0\xca\x9a\x3b"), false, 0}, /* a second has no 10^9 ns */
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bytes packed = rows[i].packed;
        struct attributes attributes = {.set = 99};

        assert_int_equal(attributes_unpack(&packed, &attributes), rows[i].accepted);
        assert_int_equal(packed.size, rows[i].accepted ? rows[i].left : rows[i].packed.size);
        assert_int_equal(attributes.set == 99, !rows[i].accepted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_and_drop),
        cmocka_unit_test(test_keys_that_are_not_spread), cmocka_unit_test(test_values),
        cmocka_unit_test(test_pages),         cmocka_unit_test(test_hostile_pages),
        cmocka_unit_test(test_unpack),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
