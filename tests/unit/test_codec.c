/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/codec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct dialect PICKLE4 = {CODEC_PICKLE, 4, false};
static const struct dialect PYTHON2 = {CODEC_PICKLE, 0, true};
static const struct dialect RAW = {CODEC_RAW, 0, false};
static const struct codec_rules RULES = {.max_value = 1 << 20};
static const struct codec_rules ANY = {.any_globals = true, .max_value = 1 << 20};

/* 'PICKLE4("\x8c\x03" "abc")': what a mount of protocol 4 stores without a frame. */
#define P4(body) BYTES("\x80\x04" body ".")

static void assert_bytes(struct bytes actual, struct bytes expected)
{
    if (!bytes_equal(actual, expected))
        for (size_t i = 0; i < actual.size; i++)
            print_error("%02x%c", actual.data[i], i + 1 < actual.size ? ' ' : '\n');
    assert_true(bytes_equal(actual, expected));
}

static void assert_renders(const struct dialect *dialect, struct bytes stored, struct bytes text)
{
    struct buffer out = BUFFER_INIT;

    assert_int_equal(codec_render(dialect, stored, &out, NULL), 0);
    assert_bytes(buffer_bytes(&out), text);
    buffer_release(&out);
}

static void assert_accepts(const struct dialect *dialect, struct bytes text, const struct bytes *old,
                           struct bytes stored)
{
    struct buffer out = BUFFER_INIT;
    struct failure failure = {0};
    int status = codec_accept(dialect, &RULES, text, old, &out, &failure);

    if (status)
        print_error("%s\n", failure.message);
    assert_int_equal(status, 0);
    assert_bytes(buffer_bytes(&out), stored);
    buffer_release(&out);
}

static void assert_refuses(const struct dialect *dialect, const struct codec_rules *rules,
                           struct bytes text, const struct bytes *old, int code, const char *reason)
{
    struct buffer out = BUFFER_INIT;
    struct failure failure = {0};

    assert_int_equal(codec_accept(dialect, rules, text, old, &out, &failure), code);
    assert_int_equal(out.size, 0);
    if (!strstr(failure.message, reason))
        print_error("'%s' lacks '%s'\n", failure.message, reason);
    assert_non_null(strstr(failure.message, reason));
    buffer_release(&out);
}

/* Each text is what its stored bytes look like, and saves as exactly these bytes into an empty database. */
static const struct {
    struct dialect dialect;
    struct bytes stored, text;
} PAIRS[] = {
    {{CODEC_PICKLE, 4, false}, P4("\x95\x09\0\0\0\0\0\0\0\x8c\x05hello\x94"), BYTES("hello\n")},
    /* what protocol 1 writes as protocol 0 does, and what it doesn't */
    {{CODEC_PICKLE, 1, true}, BYTES("I01\n."), BYTES("True\n")},
    {{CODEC_PICKLE, 1, false}, BYTES("N."), BYTES("None\n")},
    {{CODEC_PICKLE, 1, true}, BYTES("L5L\n."), BYTES("long(5)\n")},
    {{CODEC_PICKLE, 1, true}, BYTES("L99999999999999999999L\n."), BYTES("99999999999999999999\n")},
    {{CODEC_PICKLE, 1, true}, BYTES("(lp1\nI1\na."), BYTES("# pickle protocol 0 (Python 2 str)\n[1]\n")},
    {{CODEC_PICKLE, 1, false}, BYTES("I7\n."), BYTES("# pickle protocol 0\n7\n")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x04\0\0\0\0\0\0\0\x8c\0\x94"), BYTES("")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x05\0\0\0\0\0\0\0\x8c\x01\n\x94"), BYTES("\n\n")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x07\0\0\0\0\0\0\0\x8c\x03" "123\x94"), BYTES("'123'\n")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x08\0\0\0\0\0\0\0\x8c\x04None\x94"), BYTES("'None'\n")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x09\0\0\0\0\0\0\0\x8c\x05# raw\x94"), BYTES("'# raw'\n")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x07\0\0\0\0\0\0\0\x8c\x03" "a\0b\x94"), BYTES("'a\\x00b'\n")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x08\0\0\0\0\0\0\0\x8c\x04[1, \x94"), BYTES("[1, \n")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x05\0\0\0\0\0\0\0C\x01\xff\x94"), BYTES("\xff")},
    {{CODEC_PICKLE, 4, false}, P4("\x95\x07\0\0\0\0\0\0\0C\x03" "abc\x94"), BYTES("b'abc'\n")},
    {{CODEC_PICKLE, 4, false}, P4("K\x7b"), BYTES("123\n")},
    {{CODEC_PICKLE, 4, false}, BYTES("\x80\x02K\x7b."), BYTES("# pickle protocol 2\n123\n")},
    {{CODEC_PICKLE, 4, false}, BYTES("\x80\x02X\x02\0\0\0hiq\0."), BYTES("# pickle protocol 2\nhi\n")},
    {{CODEC_PICKLE, 4, false}, BYTES("no pickle"), BYTES("# raw\nno pickle")},
    {{CODEC_PICKLE, 4, false}, BYTES(""), BYTES("# raw\n")},
    {{CODEC_PICKLE, 0, true}, BYTES("S'abc'\np1\n."), BYTES("abc\n")},
    {{CODEC_PICKLE, 0, true}, BYTES("Vabc\np1\n."), BYTES("u'abc'\n")},
    {{CODEC_PICKLE, 0, true}, BYTES("S'\\xff'\n."), BYTES("\xff")},
    {{CODEC_PICKLE, 0, true}, BYTES("I5\n."), BYTES("5\n")},
    {{CODEC_RAW, 0, false}, BYTES("# raw\n\xff"), BYTES("# raw\n\xff")},
    {{CODEC_TEXT, 0, false}, BYTES("abc"), BYTES("abc\n")},
    {{CODEC_TEXT, 0, false}, BYTES(""), BYTES("")},
    {{CODEC_TEXT, 0, false}, BYTES("\xff"), BYTES("\xff")},
};

static void test_pairs(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(PAIRS); i++) {
        assert_renders(&PAIRS[i].dialect, PAIRS[i].stored, PAIRS[i].text);
        assert_accepts(&PAIRS[i].dialect, PAIRS[i].text, NULL, PAIRS[i].stored);
    }
}

/* Other spellings of what is stored leave bytes alone that this encoder would not have written. */
static void test_same_meaning_keeps_the_bytes(void **state)
{
    struct bytes old = BYTES("\x80\x04]q\7(K\x01K\x02" "e0]K\x01" "aK\x02" "a.");

    assert_renders(&PICKLE4, old, BYTES("[1, 2]\n"));
    assert_accepts(&PICKLE4, BYTES("[1, 2]\n"), &old, old);
    assert_accepts(&PICKLE4, BYTES("[1,2]"), &old, old);
    assert_accepts(&PICKLE4, BYTES("# pickle protocol 4\n[1,\n 2,\n]\n"), &old, old);
    assert_accepts(&PICKLE4, BYTES("[1]"), &old, P4("\x95\x06\0\0\0\0\0\0\0]\x94K\x01" "a"));
    old = BYTES("anything");
    assert_accepts(&PICKLE4, BYTES("# raw\nanything"), &old, old);
}

static void test_half_typed_structures_are_refused(void **state)
{
    struct bytes list = P4("]\x94"), string = P4("\x8c\0\x94"), raw = BYTES("raw");

    assert_refuses(&PICKLE4, &RULES, BYTES("[1, 2\n"), &list, -EINVAL, "line 2, column 1");
    assert_refuses(&PICKLE4, &RULES, BYTES("{'a' 1}"), &list, -EINVAL, "line 1, column");
    assert_refuses(&PICKLE4, &RULES, BYTES(" 'abc"), &list, -EINVAL, "line 1");
    assert_refuses(&PICKLE4, &RULES, BYTES("set(\n"), &list, -EINVAL, "line");
    assert_refuses(&PICKLE4, &RULES, BYTES("b'abc"), &raw, -EINVAL, "line 1");
    assert_refuses(&PICKLE4, &RULES, BYTES("(_1 := (_1,))"), &list, -EINVAL, "made from itself");
    assert_refuses(&PICKLE4, &RULES, BYTES("[(_1 := (_2, 1)), (_2 := (_1, 2))]"), &list, -EINVAL, "made from itself");
    assert_refuses(&PICKLE4, &RULES, BYTES("(_1 := collections.deque([[2], _1]))"), &list, -EINVAL, "made from itself");
    assert_refuses(&PICKLE4, &RULES, BYTES("# pickle protocol 2\n(_1 := {frozenset({_1})})"), &list, -EINVAL,
                   "made from itself");
    assert_refuses(&PICKLE4, &RULES, BYTES("[1, (None)()]"), &list, -EINVAL, "what is called can't be called");
    assert_refuses(&PICKLE4, &RULES, BYTES("[(_1 := [2]), (_1)(3)]"), &list, -EINVAL, "can't be called");
    assert_refuses(&PICKLE4, &RULES, BYTES("# pickle protocol 4\n[1"), &list, -EINVAL, "line 2");
    assert_accepts(&PICKLE4, BYTES("[1\n"), &string, P4("\x95\x06\0\0\0\0\0\0\0\x8c\x02[1\x94"));
    assert_accepts(&PICKLE4, BYTES("x y\n"), &list, P4("\x95\x07\0\0\0\0\0\0\0\x8c\x03x y\x94"));
}

static void test_a_save_may_not_name_new_globals(void **state)
{
    struct bytes old = P4("c__main__\nUser\n)\x81."), evil = BYTES("cos\nsystem\n(S'id'\ntR.");
    struct buffer out = BUFFER_INIT;

    assert_refuses(&PICKLE4, &RULES, BYTES("os.system('id')"), NULL, -EPERM, "os.system");
    assert_refuses(&PICKLE4, &RULES, BYTES("os.system('id')"), &old, -EPERM, "os.system");
    assert_refuses(&PICKLE4, &RULES, BYTES("ext(3)"), NULL, -EPERM, "ext(3)");
    assert_refuses(&PICKLE4, &RULES, BYTES("# raw\ncos\nsystem\n(S'id'\ntR."), NULL, -EPERM, "os.system");
    assert_refuses(&PICKLE4, &RULES, BYTES("# raw\ncos\nsystem\n(S'id'\ntR"), NULL, -EPERM, "os.system");
    assert_int_equal(codec_accept(&PICKLE4, &RULES, BYTES("__main__.User(a=1)"), &old, &out, NULL), 0);
    buffer_clear(&out);
    assert_int_equal(codec_accept(&PICKLE4, &ANY, BYTES("os.system('id')"), NULL, &out, NULL), 0);
    buffer_clear(&out);
    assert_int_equal(codec_accept(&PICKLE4, &RULES, BYTES("collections.OrderedDict()"), NULL, &out, NULL), 0);
    buffer_release(&out);
    assert_int_equal(codec_accept_stored(&PICKLE4, &RULES, evil, NULL, NULL), -EPERM);
    assert_int_equal(codec_accept_stored(&PICKLE4, &RULES, evil, &evil, NULL), 0);
    assert_int_equal(codec_accept_stored(&PICKLE4, &ANY, evil, NULL, NULL), 0);
    assert_int_equal(codec_accept_stored(&RAW, &RULES, evil, NULL, NULL), 0);
    assert_int_equal(codec_accept_stored(&PICKLE4, &RULES, BYTES("\x80\x04N."), NULL, NULL), 0);
}

static void test_limits(void **state)
{
    struct codec_rules rules = {.max_value = 8};
    struct buffer small = {.limit = 12};

    assert_refuses(&RAW, &rules, BYTES("123456789"), NULL, -EFBIG, "max_value");
    assert_refuses(&PICKLE4, &rules, BYTES("[1, 2]"), NULL, -EFBIG, "max_value");
    /* The expression does not fit, the raw form does. */
    assert_int_equal(codec_render(&PICKLE4, P4("]\x94."), &small, NULL), 0);
    buffer_clear(&small);
    assert_int_equal(codec_render(&PICKLE4, BYTES("123456789"), &small, NULL), -EFBIG);
    buffer_release(&small);
}

static void test_dialects(void **state)
{
    static const struct {
        struct dialect dialect;
        const char *header;
    } HEADERS[] = {
        {{CODEC_RAW, 0, false}, "# raw\n"},
        {{CODEC_PICKLE, 0, true}, "# pickle protocol 0 (Python 2 str)\n"},
        {{CODEC_PICKLE, 5, false}, "# pickle protocol 5\n"},
    };
    static const char *const NOT[] = {"# raw \n", "# pickle protocol 6\n", "# pickle protocol\n",
                                      "# pickle protocol 4 (Python 2 str)\n", "#raw\n", "", "# "};
    struct dialect_sample sample = {0};
    struct dialect dialect;

    for (size_t i = 0; i < ARRAY_SIZE(HEADERS); i++) {
        struct buffer text = BUFFER_INIT;

        header_print(HEADERS[i].dialect, &text);
        assert_bytes(buffer_bytes(&text), bytes_of_string(HEADERS[i].header));
        buffer_add_string(&text, "rest");
        assert_int_equal(header_parse(buffer_bytes(&text), &dialect), strlen(HEADERS[i].header));
        assert_true(dialect_equal(dialect, HEADERS[i].dialect));
        buffer_release(&text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(NOT); i++)
        assert_int_equal(header_parse(bytes_of_string(NOT[i]), &dialect), 0);
    assert_int_equal(header_parse(BYTES("# raw\r\nx"), &dialect), 7);

    assert_true(dialect_equal(dialect_sample_result(&sample), PICKLE4));
    assert_int_equal(dialect_sample_add(&sample, BYTES("plain")), 0);
    assert_true(dialect_equal(dialect_sample_result(&sample), RAW));
    assert_int_equal(dialect_sample_add(&sample, BYTES("S'a'\n.")), 0);
    assert_true(dialect_equal(dialect_sample_result(&sample), PYTHON2));
    assert_int_equal(dialect_sample_add(&sample, P4("N")), 0);
    assert_int_equal(dialect_sample_add(&sample, P4("N")), 0);
    assert_true(dialect_equal(dialect_sample_result(&sample), PICKLE4));
}

static void test_notes(void **state)
{
    static const struct {
        struct bytes stored;
        enum codec_kind codec;
        const char *type;
    } NOTES[] = {
        {P4("]\x94"), CODEC_PICKLE, "list"},
        {P4("\x8c\0\x94"), CODEC_PICKLE, "str"},
        {P4("c__main__\nUser\n)\x81"), CODEC_PICKLE, "object"},
        {BYTES("none"), CODEC_RAW, "raw"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(NOTES); i++) {
        struct buffer text = BUFFER_INIT;
        struct codec_note note;

        assert_int_equal(codec_render(&PICKLE4, NOTES[i].stored, &text, &note), 0);
        assert_int_equal(note.dialect.codec, NOTES[i].codec);
        assert_string_equal(note.type, NOTES[i].type);
        buffer_release(&text);
    }
}

/* A global that nobody has is not compared with those in the stored value: a short value may look it up very often. */
static void test_long_names(void **state)
{
    for (unsigned letters = 1024; letters <= 1025; letters++) {
        struct buffer stored = BUFFER_INIT, text = BUFFER_INIT, out = BUFFER_INIT;
        struct bytes old;

        buffer_add(&stored, BYTES("\x80\x03]cos\n"));
        for (unsigned i = 0; i < letters; i++)
            buffer_add_byte(&stored, 'n');
        buffer_add(&stored, BYTES("\na."));
        old = buffer_bytes(&stored);
        assert_int_equal(codec_render(&PICKLE4, old, &text, NULL), 0);
        assert_accepts(&PICKLE4, buffer_bytes(&text), &old, old);
        buffer_resize(&text, text.size - 1);
        buffer_add_string(&text, " + [1]\n");
        if (letters > 1024)
            assert_refuses(&PICKLE4, &RULES, buffer_bytes(&text), &old, -EPERM, "more than 1024 bytes");
        else
            assert_int_equal(codec_accept(&PICKLE4, &RULES, buffer_bytes(&text), &old, &out, NULL), 0);
        buffer_release(&stored);
        buffer_release(&text);
        buffer_release(&out);
    }
}

/* What says that it is one object is told also where let(...) takes values out of the depth. */
static void test_deep_recursion(void **state)
{
    static const char *const objects[] = {
        "cm\nR\nq\x01]q\x02h\x01h\x02\x85q\x03Rq\x04" "a0h\x03R0h\x04", /* its arguments are one tuple */
        "cm\nR\nq\x01]q\x02h\x01h\x02\x85q\x03Rq\x04" "a\x85q\x05R0h\x04", /* a list in them is one */
    };

    for (size_t i = 0; i < ARRAY_SIZE(objects); i++)
        for (size_t depth = 74; depth < 90; depth++) {
            struct buffer stored = BUFFER_INIT, text = BUFFER_INIT, again = BUFFER_INIT, shown = BUFFER_INIT;

            buffer_add_string(&stored, "\x80\x02");
            for (size_t j = 0; j < depth; j++)
                buffer_add_byte(&stored, ']');
            buffer_add_string(&stored, "(");
            buffer_add_string(&stored, objects[i]);
            buffer_add_string(&stored, "]]]]]]]]]]]]]]]]]]]]aaaaaaaaaaaaaaaaaaae");
            for (size_t j = 1; j < depth; j++)
                buffer_add_byte(&stored, 'a');
            buffer_add_byte(&stored, '.');
            assert_int_equal(codec_render(&PICKLE4, buffer_bytes(&stored), &text, NULL), 0);
            assert_non_null(memmem(text.data, text.size, "let(", 4));
            assert_int_equal(codec_accept(&PICKLE4, &ANY, buffer_bytes(&text), NULL, &again, NULL), 0);
            assert_int_equal(codec_render(&PICKLE4, buffer_bytes(&again), &shown, NULL), 0);
            assert_bytes(buffer_bytes(&shown), buffer_bytes(&text));
            buffer_release(&stored);
            buffer_release(&text);
            buffer_release(&again);
            buffer_release(&shown);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_same_meaning_keeps_the_bytes),
        cmocka_unit_test(test_half_typed_structures_are_refused),
        cmocka_unit_test(test_a_save_may_not_name_new_globals),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_dialects),
        cmocka_unit_test(test_notes), cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_deep_recursion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
