/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/literal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* What repr() gives: of the text, and of the same bytes without their b. */
static const struct {
    struct bytes content;
    const char *text, *bytes;
} rows[] = {
    {BYTES(""), "''", "''"},
    {BYTES("abc"), "'abc'", "'abc'"},
    {BYTES("it's"), "\"it's\"", "\"it's\""},
    {BYTES("\""), "'\"'", "'\"'"},
    {BYTES("'\""), "'\\'\"'", "'\\'\"'"},
    {BYTES("\\ \t\r\n"), "'\\\\ \\t\\r\\n'", "'\\\\ \\t\\r\\n'"},
    {BYTES("\0\x1F\x7F"), "'\\x00\\x1f\\x7f'", "'\\x00\\x1f\\x7f'"},
    {BYTES("Zo\xC3\xAB"), "'Zo\xC3\xAB'", "'Zo\\xc3\\xab'"},
    {BYTES("\xC2\xA0\xC2\xAD"), "'\\xa0\\xad'", "'\\xc2\\xa0\\xc2\\xad'"},
    {BYTES("\xE2\x80\xAE"), "'\\u202e'", "'\\xe2\\x80\\xae'"},
    {BYTES("\xED\xA0\x80"), "'\\ud800'", "'\\xed\\xa0\\x80'"},
    {BYTES("\xF3\xA0\x80\x81"), "'\\U000e0001'", "'\\xf3\\xa0\\x80\\x81'"},
    {BYTES("\xF0\x9F\x98\x80"), "'\xF0\x9F\x98\x80'", "'\\xf0\\x9f\\x98\\x80'"},
};

static void test_print(void **state)
{
    struct buffer out = BUFFER_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        buffer_clear(&out);
        literal_print_text(rows[i].content, &out);
        buffer_add_byte(&out, '\0');
        assert_string_equal((const char *)out.data, rows[i].text);
        buffer_clear(&out);
        literal_print_bytes(rows[i].content, &out);
        buffer_add_byte(&out, '\0');
        assert_string_equal((const char *)out.data, rows[i].bytes);
    }
    buffer_release(&out);
}

/* Each byte at each place of contents of each size up to some words, among plain ones, as if it were looked at alone. */
static void test_places(void **state)
{
    uint8_t content[20];

    for (size_t size = 1; size <= sizeof content; size++)
        for (size_t at = 0; at < size; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                struct buffer whole = BUFFER_INIT, alone = BUFFER_INIT;
                size_t columns;

                memset(content, 'a', size);
                content[at] = (uint8_t)byte;
                columns = literal_print_bytes(bytes_of(content, size), &whole);
                literal_print_bytes(bytes_of(content + at, 1), &alone);
                assert_int_equal(columns, whole.size);
                assert_int_equal(whole.size, size - 1 + alone.size);
                assert_memory_equal(whole.data + 1 + at, alone.data + 1, alone.size - 2);
                assert_int_equal(whole.data[0], alone.data[0]);
                assert_true(bytes_are_ascii(bytes_of(content, size)) == (byte < 0x80));
                buffer_release(&whole);
                buffer_release(&alone);
            }
}

/* What is said to fit is as wide as said, and no more would fit. */
static void check_fitting(struct bytes content, size_t width)
{
    struct buffer out = BUFFER_INIT;
    size_t used, size = literal_bytes_fitting(content, width, &used);

    literal_print_bytes(bytes_part(content, 0, size), &out);
    assert_int_equal(out.size, used);
    assert_true(size <= 1 || used <= width);
    buffer_clear(&out);
    literal_print_bytes(bytes_part(content, 0, size + 1), &out);
    assert_true(size == content.size || out.size > width);
    buffer_release(&out);
}

static void test_fitting(void **state)
{
    struct bytes contents[] = {BYTES("plain text, nothing to escape"), BYTES("\0\1\2\xFF\\\n\t\r"),
                               BYTES("'''''\"''''"), BYTES("\"\"\"'''"), BYTES("")};

    for (size_t i = 0; i < ARRAY_SIZE(contents); i++)
        for (size_t width = 0; width < 50; width++)
            check_fitting(contents[i], width);
}

static void test_identifiers(void **state)
{
    static const char *const yes[] = {"a", "_", "_1", "A9", "len", "print", "match", "none"};
    static const char *const no[] = {"",     "1a",     "a-b",   "a.b",        "a b",
                                     "None", "lambda", "async", "caf\xC3\xA9"};

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
        assert_true(literal_is_identifier(bytes_of_string(yes[i])));
    for (size_t i = 0; i < ARRAY_SIZE(no); i++)
        assert_false(literal_is_identifier(bytes_of_string(no[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_print),
        cmocka_unit_test(test_places), cmocka_unit_test(test_fitting),
                                       cmocka_unit_test(test_identifiers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
