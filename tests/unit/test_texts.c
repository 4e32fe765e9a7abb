/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct text *text_of(size_t size, uint64_t edition)
{
    struct buffer bytes = BUFFER_INIT;
    struct text *text;

    buffer_resize(&bytes, size);
    assert_int_equal(text_new(&bytes, (struct text_id){.edition = edition, .valid = true}, &text),
                     0);
    assert_int_equal(text->bytes.size, size);
    assert_null(bytes.data);
    return text;
}

/* The cache takes the only reference. */
static void keep(struct texts *texts, struct cached_text *cached, struct text *text)
{
    cached_text_init(cached);
    texts_set(texts, cached, text);
    text_release(text);
}

static void test_the_longest_unused_go_first(void **state)
{
    struct cached_text a, b, c;
    struct texts texts;

    texts_init(&texts, 100);
    keep(&texts, &a, text_of(40, 0));
    keep(&texts, &b, text_of(40, 0));
    keep(&texts, &c, text_of(40, 7));
    texts_idle(&texts, &a);
    texts_idle(&texts, &b);
    texts_idle(&texts, &a); /* used again */
    texts_idle(&texts, &c);
    assert_non_null(a.text);
    assert_null(b.text);
    assert_non_null(c.text);
    assert_int_equal(texts.bytes, 80);
    /* The size of a canonical text is still known. */
    assert_true(b.sized && b.size == 40);
    assert_false(c.sized);
    texts_set(&texts, &a, NULL);
    texts_set(&texts, &c, NULL);
    assert_int_equal(texts.bytes, 0);
}

static void test_what_is_open_stays(void **state)
{
    struct cached_text a, b;
    struct texts texts;

    texts_init(&texts, 10);
    keep(&texts, &a, text_of(1000, 0));
    assert_non_null(a.text);
    keep(&texts, &b, text_of(11, 0));
    texts_idle(&texts, &b); /* larger than the cache */
    assert_null(b.text);
    assert_non_null(a.text);
    texts_idle(&texts, &a);
    assert_null(a.text);
    assert_int_equal(texts.bytes, 0);
}

static void test_a_reader_outlives_the_cache(void **state)
{
    struct text *text = text_of(5, 0);
    struct cached_text a;
    struct texts texts;

    texts_init(&texts, 1);
    text_reference(text);
    keep(&texts, &a, text);
    texts_idle(&texts, &a);
    assert_null(a.text);
    assert_int_equal(text->bytes.size, 5);
    text_release(text);
}

static void test_ids_tell_content_apart(void **state)
{
    struct text_id a = {.stored = {{1, 2}}, .valid = true};
    const struct {
        struct text_id other;
        bool equal;
    } rows[] = {
        {{.stored = {{1, 2}}, .valid = true}, true},
        {{.stored = {{1, 3}}, .valid = true}, false},
        {{.stored = {{0, 2}}, .valid = true}, false},
        {{.stored = {{1, 2}}, .edition = 1, .valid = true}, false},
        {{.stored = {{1, 2}}}, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(text_id_equal(a, rows[i].other), rows[i].equal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_unused_go_first),
        cmocka_unit_test(test_what_is_open_stays),
        cmocka_unit_test(test_a_reader_outlives_the_cache),
        cmocka_unit_test(test_ids_tell_content_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
