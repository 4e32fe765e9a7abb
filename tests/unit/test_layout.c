/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/layout.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
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

/* What layout.h says, done naively: a script of the same letters, but for bytes literals. */
struct plain {
    const char *script;
    size_t width, column, level, flat;
    struct buffer *out;
};

/* The columns of what the letter adds to a line that is not broken. */
static size_t plain_columns(char letter)
{
    return letter == ',' ? 2 : letter != '{' && letter != '}';
}

/* Whether what opens at `script` fits: up to its end, and behind it up to the next break. */
static bool plain_fits(const struct plain *plain, const char *script)
{
    size_t room = plain->width > plain->column ? plain->width - plain->column : 0, used = 0, depth = 0;

    for (;; script++) {
        depth += *script == '(' || *script == '{';
        if (depth == 0 && (!*script || strchr(",)}", *script)))
            return used + (*script == ',' || *script == ')') <= room;
        used += plain_columns(*script);
        depth -= *script == ')' || *script == '}';
        /* Behind a group the next one begins with a word and a break. */
        if (depth == 0 && script[1] == '(')
            return used + 1 <= room;
        if (depth == 0 && script[1] == '{')
            return used + 1 <= room;
    }
}

static void plain_newline(struct plain *plain)
{
    buffer_add_byte(plain->out, '\n');
    for (plain->column = 0; plain->column < plain->level * LAYOUT_INDENT; plain->column++)
        buffer_add_byte(plain->out, ' ');
}

static void plain_add(struct plain *plain, const char *text)
{
    buffer_add_string(plain->out, text);
    plain->column += strlen(text);
}

static void plain_letter(struct plain *plain)
{
    char letter = *plain->script, word[] = {letter, '\0'};
    bool broken;

    switch (letter) {
    case '(':
    case '{':
        broken = !plain->flat && plain->level < LAYOUT_LEVELS && !plain_fits(plain, plain->script);
        plain->level += broken;
        plain->flat += !broken;
        if (letter == '(' || broken)
            plain_add(plain, letter == '(' ? "[" : "(");
        if (broken)
            plain_newline(plain);
        return;
    case ',':
        plain_add(plain, plain->flat ? ", " : ",");
        if (!plain->flat)
            plain_newline(plain);
        return;
    case ')':
    case '}':
        broken = !plain->flat;
        plain->level -= broken;
        plain->flat -= !broken;
        if (broken && letter == ')')
            plain_add(plain, ",");
        if (broken)
            plain_newline(plain);
        if (letter == ')' || broken)
            plain_add(plain, letter == ')' ? "]" : ")");
        return;
    default:
        plain_add(plain, word);
    }
}

/* A group of random words, breaks and groups, at `script`, which is moved behind it. */
static char *random_script(char *script, unsigned depth)
{
    bool parentheses = depth && rand() % 6 == 0;
    int parts = rand() % 6;

    *script++ = parentheses ? '{' : '(';
    for (int i = 0; i <= parts; i++) {
        if (i && !parentheses)
            *script++ = ',';
        for (int letters = rand() % 9; letters; letters--)
            *script++ = 'x';
        if (depth < 5 && rand() % 3 == 0)
            script = random_script(script, depth + 1);
        for (int letters = rand() % 3; letters; letters--)
            *script++ = 'y';
    }
    *script++ = parentheses ? '}' : ')';
    *script = '\0';
    return script;
}

static void test_definition(void **state)
{
    enum { SCRIPTS = 20000, LONGEST = 1 << 20 };
    char *script = malloc(LONGEST);

    assert_non_null(script);
    srand(1);
    for (int i = 0; i < SCRIPTS; i++) {
        struct buffer out = BUFFER_INIT, plain_out = BUFFER_INIT;
        struct plain plain = {.script = script, .width = (size_t)(rand() % 60) + 4, .out = &plain_out};

        random_script(script, 0);
        assert_int_equal(lay_out(script, plain.width, &out), 0);
        for (; *plain.script; plain.script++)
            plain_letter(&plain);
        if (!bytes_equal(buffer_bytes(&out), buffer_bytes(&plain_out)))
            fail_msg("%s in %zu:\n%.*s\nand not\n%.*s", script, plain.width, (int)out.size,
                     (const char *)out.data, (int)plain_out.size, (const char *)plain_out.data);
        buffer_release(&out);
        buffer_release(&plain_out);
    }
    free(script);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_breaks), cmocka_unit_test(test_definition),
                                       cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_limit)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
