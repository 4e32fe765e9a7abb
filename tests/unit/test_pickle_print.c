/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "codecs/expression.h"
#include "codecs/pickle.h"
#include "codecs/pickle_print.h"

#define P(literal) BYTES(literal)

static const struct dialect MOUNT = {CODEC_PICKLE, 4, false};

/* NULL as `text`: it takes the graph. */
static const struct {
    struct bytes pickle;
    const char *text;
} rows[] = {
    /* Containers, empty and not */
    {P("\x80\x04]\x94."), "[]\n"},
    {P("\x80\x04}\x94."), "{}\n"},
    {P("\x80\x04\x8f\x94."), "set()\n"},
    {P("\x80\x04(t."), "()\n"},
    {P("\x80\x04(\x91\x94."), "frozenset()\n"},
    {P("\x80\x04]\x94K\x01"
       "a."),
     "[1]\n"},
    {P("\x80\x04]\x94(K\x01K\x02"
       "e."),
     "[1, 2]\n"},
    {P("\x80\x04]\x94(K\x01K\x02"
       "e(K\x03"
       "e(eK\x04"
       "a."),
     "[1, 2, 3, 4]\n"},
    {P("\x80\x04}\x94\x8c\x01"
       "a\x94K\x01s."),
     "{'a': 1}\n"},
    {P("\x80\x04}\x94(\x8c\x01"
       "a\x94]\x94K\x01}\x94u."),
     "{'a': [], 1: {}}\n"},
    {P("\x80\x04\x8f\x94(K\x01K\x02\x90."), "{1, 2}\n"},
    {P("\x80\x04(K\x01K\x02\x91\x94."), "frozenset({1, 2})\n"},
    {P("\x80\x04(K\x01K\x02K\x03K\x04t\x94."), "(1, 2, 3, 4)\n"},
    /* Short tuples, which begin without an instruction of their own */
    {P("\x80\x04K\x01\x85\x94."), "(1,)\n"},
    {P("\x80\x04K\x01K\x02\x86\x94."), "(1, 2)\n"},
    {P("\x80\x04K\x01\x85\x85\x85."), "(((1,),),)\n"},
    {P("\x80\x04K\x01K\x02\x86K\x03\x86K\x04K\x05\x86\x86."), "(((1, 2), 3), (4, 5))\n"},
    {P("\x80\x04K\x01K\x02K\x03\x86K\x04\x87."), "(1, (2, 3), 4)\n"},
    {P("\x80\x04]\x85]K\x01"
       "a\x85\x86."),
     "(([],), ([1],))\n"},
    {P("\x80\x04(K\x01K\x02t\x85."), "((1, 2),)\n"},
    {P("\x80\x04](]K\x01\x86)\x85"
       "e."),
     "[([], 1), ((),)]\n"},
    {P("\x80\x04]K\x01K\x02\x86"
       "a."),
     "[(1, 2)]\n"},
    {P("\x80\x04](\x8c\x28"
       "0123456789012345678901234567890123456789\x8c\x28"
       "0123456789012345678901234567890123456789e\x85\x85."),
     "(([\n    '0123456789012345678901234567890123456789',\n    "
     "'0123456789012345678901234567890123456789',\n],),)\n"},
    /* Atoms */
    {P("\x80\x04]("
       "N\x88\x89J\xff\xff\xff\xffM\x00\x01\x8a\x00\x8a\x01\xff\x8a\x09\x00\x00\x00\x00\x00\x00\x00"
       "\x00\x01"
       "e."),
     "[None, True, False, -1, 256, 0, -1, 18446744073709551616]\n"},
    {P("\x80\x04](G?\xf0\x00\x00\x00\x00\x00\x00"
       "C\x02'\n\x8c\x02'\n)e."),
     "[1.0, b\"'\\n\", \"'\\n\", ()]\n"},
    {P("\x80\x05](\x96\x01\x00\x00\x00\x00\x00\x00\x00x\x8c\x00"
       "e."),
     "# pickle protocol 5\n[bytearray(b'x'), '']\n"},
    {P("\x80\x02]q\x00(X\x01\x00\x00\x00"
       "aq\x01h\x01r\x02\x00\x00\x00j\x02\x00\x00\x00"
       "e."),
     "# pickle protocol 2\n['a', 'a', 'a']\n"},
    {P("\x80\x04\x95\x09\x00\x00\x00\x00\x00\x00\x00]\x94(N\x94h\x01"
       "e."),
     "[None, None]\n"},
    /* Shared: a container, an empty tuple, a long string */
    {P("\x80\x04](]\x94h\x00"
       "e."),
     NULL},
    {P("\x80\x04](\x8c\x29"
       "01234567890123456789012345678901234567890\x94h\x00"
       "e."),
     NULL},
    {P("\x80\x04](]2e."), NULL},
    {P("\x80\x04]\x94h\x00"
       "a."),
     NULL},
    /* No containers, or no literals */
    {P("\x80\x04K\x01."), NULL},
    {P("\x80\x04)."), NULL},
    {P("\x80\x04\x8c\x01"
       "a."),
     NULL},
    {P("\x80\x04]cm\nf\na."), NULL},
    {P("\x80\x04]\x94}b."), NULL},
    {P("\x80\x04]U\x01xa."), NULL},
    {P("\x80\x04]I1\na."), NULL},
    {P("\x80\x04]\x82\x01"
       "a."),
     NULL},
    /* Written as nobody does */
    {P("]K\x01"
       "a."),
     NULL},
    {P("\x80\x01]K\x01"
       "a."),
     NULL},
    {P("\x80\x04(K\x01t."), NULL},
    {P("\x80\x04(K\x01l."), NULL},
    {P("\x80\x04]N0."), NULL},
    {P("\x80\x04N]."), NULL},
    {P("\x80\x04](."), NULL},
    {P("\x80\x04]\x80\x04."), NULL},
    {P("\x80\x04]q\x01."), NULL},
    {P("\x80\x04].."), NULL},
    {P("\x80\x04].]."), NULL},
    /* Broken */
    {P("\x80\x04]"), NULL},
    {P("\x80\x04."), NULL},
    {P("\x80\x04]a."), NULL},
    {P("\x80\x04(K\x01"
       "a."),
     NULL},
    {P("\x80\x04](K\x01"
       "a."),
     NULL},
    {P("\x80\x04}(K\x01u."), NULL},
    {P("\x80\x04}K\x01"
       "a."),
     NULL},
    {P("\x80\x04K\x01\x85K\x02"
       "a."),
     NULL},
    {P("\x80\x04K\x01(K\x02\x86."), NULL},
    {P("\x80\x04]h\x00"
       "a."),
     NULL},
    {P("\x80\x04]\x8c\x02"
       "a."),
     NULL},
    {P("\x80\x04]\x8c\x01\xff"
       "a."),
     NULL},
    {P("\x80\x04\x95\xff\x00\x00\x00\x00\x00\x00\x00]."), NULL},
    {P("\x80\x06]."), NULL},
    {P("\x80\x04]\xff."), NULL},
    {P("\x80\x04]e."), NULL},
};

static struct buffer by_graph(struct bytes pickle)
{
    struct buffer text = BUFFER_INIT;
    struct document document;

    document_init(&document, SIZE_MAX);
    assert_int_equal(pickle_decode(pickle, &document, NULL), 0);
    if (document.protocol != MOUNT.protocol)
        header_print((struct dialect){CODEC_PICKLE, document.protocol, false}, &text);
    assert_int_equal(expression_print(&document, &text), 0);
    buffer_add_byte(&text, '\n');
    document_release(&document);
    return text;
}

static void assert_as_graph(struct bytes pickle, const struct buffer *text)
{
    struct buffer graph = by_graph(pickle);

    assert_int_equal(text->size, graph.size);
    assert_memory_equal(text->data, graph.data, graph.size);
    buffer_release(&graph);
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer text = BUFFER_INIT;
        struct dialect dialect;
        enum value_kind kind;
        bool done;

        buffer_add_byte(&text, '!');
        done = pickle_print(rows[i].pickle, &MOUNT, &text, &dialect, &kind);
        if (done != (rows[i].text != NULL))
            fail_msg("row %zu (%s): %d", i, rows[i].text ? rows[i].text : "NULL", done);
        assert_int_equal(text.size, 1 + (done ? strlen(rows[i].text) : 0));
        assert_int_equal(buffer_status(&text), 0);
        if (done) {
            struct bytes shown = bytes_part(buffer_bytes(&text), 1, SIZE_MAX);

            assert_memory_equal(shown.data, rows[i].text, shown.size);
            assert_int_equal(dialect.protocol, rows[i].pickle.data[1]);
            memmove(text.data, text.data + 1, --text.size);
            assert_as_graph(rows[i].pickle, &text);
        }
        buffer_release(&text);
    }
}

/* The kind of the value, for the user. */
static void test_kinds(void **state)
{
    static const struct {
        struct bytes pickle;
        enum value_kind kind;
    } kinds[] = {
        {P("\x80\x04]."), VALUE_LIST},      {P("\x80\x04}."), VALUE_DICT},
        {P("\x80\x04\x8f."), VALUE_SET},    {P("\x80\x04(NNt."), VALUE_TUPLE},
        {P("\x80\x04]\x85."), VALUE_TUPLE}, {P("\x80\x04(N\x91."), VALUE_FROZENSET},
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct buffer text = BUFFER_INIT;
        struct dialect dialect;
        enum value_kind kind;

        assert_true(pickle_print(kinds[i].pickle, &MOUNT, &text, &dialect, &kind));
        assert_int_equal(kind, kinds[i].kind);
        buffer_release(&text);
    }
}

static struct buffer nested(const char *before, const char *after, size_t depth)
{
    struct buffer pickle = BUFFER_INIT;

    buffer_add(&pickle, BYTES("\x80\x04"));
    for (size_t i = 0; i < depth; i++)
        buffer_add_string(&pickle, before);
    buffer_add_byte(&pickle, 'N');
    for (size_t i = 0; i < depth; i++)
        buffer_add_string(&pickle, after);
    buffer_add_byte(&pickle, '.');
    return pickle;
}

/* Up to as many brackets as a text has without let(). */
static void test_depth(void **state)
{
    static const char *const wraps[][2] = {{"]", "a"}, {"", "\x85"}, {"(", "\x91"}, {"(N", "t"}};

    for (size_t i = 0; i < ARRAY_SIZE(wraps); i++)
        for (size_t depth = 1; depth < 200; depth += depth < 40 ? 13 : 1) {
            struct buffer pickle = nested(wraps[i][0], wraps[i][1], depth), text = BUFFER_INIT;
            size_t brackets = i == 2 ? 2 * depth : depth;
            struct dialect dialect;
            enum value_kind kind;
            bool done = pickle_print(buffer_bytes(&pickle), &MOUNT, &text, &dialect, &kind);

            assert_int_equal(done, brackets <= 90);
            if (done)
                assert_as_graph(buffer_bytes(&pickle), &text);
            assert_true(done || !text.size);
            buffer_release(&text);
            buffer_release(&pickle);
        }
}

/* More of everything than there is room for at the start, with lines of all widths. */
static void test_many(void **state)
{
    for (unsigned count = 1; count < 300; count += 7) {
        struct buffer pickle = BUFFER_INIT, text = BUFFER_INIT;
        struct dialect dialect;
        enum value_kind kind;

        buffer_add(&pickle, BYTES("\x80\x04]\x94("));
        for (unsigned i = 0; i < count; i++) {
            buffer_printf(&pickle, "]\x94(\x8c\x01%cM%c%c\x85\x94}(", 'x', 'a' + i % 7,
                          'a' + i % 5);
            for (unsigned j = 0; j < i % 11; j++)
                buffer_printf(&pickle, "K%c%c", ' ' + (int)j, j % 3 ? ')' : 'N');
            buffer_add(&pickle, BYTES("ue"));
        }
        buffer_add(&pickle, BYTES("e."));
        assert_true(pickle_print(buffer_bytes(&pickle), &MOUNT, &text, &dialect, &kind));
        assert_as_graph(buffer_bytes(&pickle), &text);
        buffer_release(&text);
        buffer_release(&pickle);
    }
}

/* What exceeds the buffer's limit takes the graph, and the text is as before. */
static void test_limit(void **state)
{
    struct bytes pickle = P("\x80\x04]\x94(K\x01K\x02"
                            "e.");

    for (size_t limit = 0; limit < 8; limit++) {
        struct buffer text = {.limit = limit};
        struct dialect dialect;
        enum value_kind kind;

        assert_int_equal(pickle_print(pickle, &MOUNT, &text, &dialect, &kind),
                         limit >= strlen("[1, 2]\n"));
        assert_int_equal(buffer_status(&text), 0);
        assert_int_equal(text.limit, limit);
        buffer_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_kinds), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many), cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
