/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

/*
 * A script: letters and other characters are words, ( opens a list and ) closes it, a comma
 * separates; { and } are a group that gets parentheses when it breaks, * a bytes literal of ten
 * bytes.
 */
static int lay_out(const char *script, size_t width, struct buffer *out)
{
    struct layout layout;
    int status;

    layout_init(&layout, out, width);
    for (; *script; script++) {
        char word[] = {*script, '\0'};

        switch (*script) {
        case '(':
            layout_open(&layout);
            layout_add(&layout, "[");
            layout_break(&layout, BREAK_FIRST);
            break;
        case ')':
            layout_break(&layout, BREAK_LAST);
            layout_add(&layout, "]");
            layout_close(&layout);
            break;
        case ',':
            layout_break(&layout, BREAK_NEXT);
            break;
        case '{':
            layout_open(&layout);
            layout_break(&layout, BREAK_OPEN);
            break;
        case '}':
            layout_break(&layout, BREAK_CLOSE);
            layout_close(&layout);
            break;
        case '*':
            layout_bytes(&layout, BYTES("0123456789"));
            break;
        default:
            layout_add(&layout, word);
            break;
        }
    }
    status = layout_finish(&layout);
    layout_release(&layout);
    return status;
}

static void test_breaks(void **state)
{
    static const struct {
        const char *script;
        size_t width;
        const char *text;
    } rows[] = {
        {"(a,b,c)", 9, "[a, b, c]"},
        {"(a,b,c)", 8, "[\n    a,\n    b,\n    c,\n]"},
        {"((a,b),c)", 11, "[[a, b], c]"},
        {"((a,b),cdefgh)", 15, "[\n    [a, b],\n    cdefgh,\n]"},
        {"((a,b,c),d)", 13, "[\n    [\n        a,\n        b,\n        c,\n    ],\n    d,\n]"},
        {"((a,b,c),d)", 14, "[[a, b, c], d]"},
        /* What follows a group must fit too, up to the next place where the line may end. */
        {"(a,b)xyz", 9, "[a, b]xyz"},
        {"(a,b)xyz", 8, "[\n    a,\n    b,\n]xyz"},
        {"(a,b)<(c,d)", 13, "[a, b]<[c, d]"},
        {"(a,b)<(c,d)", 12, "[a, b]<[\n    c,\n    d,\n]"},
        {"(a,b)<(c,d)", 7, "[\n    a,\n    b,\n]<[\n    c,\n    d,\n]"},
        {"x(a,b)", 7, "x[a, b]"},
        /* A word is never broken. */
        {"(abcdefghijklm)", 5, "[\n    abcdefghijklm,\n]"},
        {"{*}", 13, "b'0123456789'"},
        {"{*}", 12, "(\n    b'01234'\n    b'56789'\n)"},
        {"({*},a)", 18, "[b'0123456789', a]"},
        {"({*},abcd)", 20, "[\n    b'0123456789',\n    abcd,\n]"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer out = BUFFER_INIT;

        assert_int_equal(lay_out(rows[i].script, rows[i].width, &out), 0);
        buffer_add_byte(&out, '\0');
        assert_string_equal((const char *)out.data, rows[i].text);
        buffer_release(&out);
    }
}

/* Groups deeper than LAYOUT_LEVELS stay on their line. */
static void test_levels(void **state)
{
    enum { DEEP = 1000 };
    struct buffer script = BUFFER_INIT, out = BUFFER_INIT;
    size_t newlines = 0;

    for (int i = 0; i < DEEP; i++)
        buffer_add_byte(&script, '(');
    buffer_add_byte(&script, 'x');
    for (int i = 0; i < DEEP; i++)
        buffer_add_byte(&script, ')');
    buffer_add_byte(&script, '\0');
    assert_int_equal(lay_out((const char *)script.data, 79, &out), 0);
    for (size_t i = 0; i < out.size; i++)
        newlines += out.data[i] == '\n';
    assert_int_equal(newlines, 2 * LAYOUT_LEVELS);
    buffer_release(&script);
    buffer_release(&out);
}

static void test_limit(void **state)
{
    for (size_t limit = 0; limit < 9; limit++) {
        struct buffer out;

        buffer_init(&out, limit);
        assert_int_equal(lay_out("(a,b,c)", 79, &out), -EFBIG);
        buffer_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_breaks), cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_limit)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
