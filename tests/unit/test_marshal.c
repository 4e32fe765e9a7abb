/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "codecs/codec.h"
#include "codecs/expression.h"
#include "codecs/marshal.h"

static const struct dialect VERSION4 = {CODEC_MARSHAL, 4, false};
static const struct dialect PYTHON2 = {CODEC_MARSHAL, 2, true};
static const struct codec_rules RULES = {.max_value = 1 << 20};
static const struct codec_rules ANY = {.any_globals = true, .max_value = 1 << 20};

#define CODE_3_0                                                                          \
    "c\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\x40\0\0\0s\1\0\0\0S)\0)\0)\0)\0)\0z\1fz\1f\1\0\0\0s\0\0\0\0"
#define CODE_3_8                                                                                   \
    "c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\x40\0\0\0s\1\0\0\0S)\0)\0)\0)\0)\0z\1fz\1f\1\0\0\0s\0\0" \
    "\0\0"
#define CODE_3_11                                                                                   \
    "c\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\x40\0\0\0s\1\0\0\0S)\0)\0)\0s\0\0\0\0z\1fz\1fz\1f\1\0\0\0s\0\0\0" \
    "\0s\0\0\0\0"

/* Each type byte, and what its values look like; `header`: the dialect that is not the mount's. */
static const struct {
    struct bytes stored;
    const char *text;
} SHOWN[] = {
    {BYTES("N"), "None\n"},
    {BYTES("\xce"), "None\n"},
    {BYTES("F"), "False\n"},
    {BYTES("T"), "True\n"},
    {BYTES("S"), "StopIteration\n"},
    {BYTES("."), "...\n"},
    {BYTES("i\xff\xff\xff\xff"), "-1\n"},
    {BYTES("\xe9\x05\0\0\0"), "5\n"},
    {BYTES("I\0\0\0\0\1\0\0\0"), "# marshal 2 (Python 2 str)\n4294967296\n"},
    {BYTES("(\3\0\0\0t\1\0\0\0al\xff\xff\xff\xff\5\0l\0\0\0\0"),
     "# marshal 2 (Python 2 str)\n('a', long(-5), long(0))\n"},
    {BYTES("l\0\0\0\0"), "0\n"},
    {BYTES("l\3\0\0\0\0\0\0\0\1\0"), "1073741824\n"},
    {BYTES("l\xff\xff\xff\xff\7\0"), "-7\n"},
    {BYTES("f\3" "1.5"), "# marshal 1\n1.5\n"},
    {BYTES("g\0\0\0\0\0\0\xf8\x3f"), "1.5\n"},
    {BYTES("x\1" "1\1" "2"), "# marshal 1\ncomplex(1.0, 2.0)\n"},
    {BYTES("y\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x3f"), "1j\n"},
    {BYTES("y\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\xf0\xbf"), "-1j\n"},
    {BYTES("y\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\xf0\x3f"), "complex(-0.0, 1.0)\n"},
    {BYTES("y\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x7f"), "1e999j\n"},
    {BYTES("s\3\0\0\0abc"), "b'abc'\n"},
    {BYTES("\xf5\2\0\0\0\xc3\xa9"), "\xc3\xa9\n"},
    {BYTES("t\2\0\0\0hi"), "# marshal 2 (Python 2 str)\nhi\n"},
    {BYTES("\xf4\2\0\0\0hi"), "# marshal 3\nhi\n"},
    {BYTES("u\3\0\0\0\xed\xa0\x80"), "'\\ud800'\n"},
    {BYTES("a\2\0\0\0hi"), "hi\n"},
    {BYTES("A\2\0\0\0h\xe9"), "h\xc3\xa9\n"},
    {BYTES("z\2hi"), "hi\n"},
    {BYTES("\xda\2hi"), "hi\n"},
    {BYTES("(\1\0\0\0N"), "# marshal 2\n(None,)\n"},
    {BYTES(")\2NT"), "(None, True)\n"},
    {BYTES("[\0\0\0\0"), "[]\n"},
    {BYTES("{z\1aN0"), "{'a': None}\n"},
    {BYTES("{z\1aNz\1b0"), "{'a': None}\n"},
    {BYTES("<\1\0\0\0N"), "{None}\n"},
    {BYTES(">\0\0\0\0"), "frozenset()\n"},
    {BYTES(":NNi\2\0\0\0"), "# marshal 5\nslice(None, None, 2)\n"},
    {BYTES("\xdb\1\0\0\0r\0\0\0\0"), "(_1 := [_1])\n"},
    {BYTES("\xa9\1r\0\0\0\0"), "(_1 := (_1,))\n"},
    {BYTES(")\2\xdb\0\0\0\0r\0\0\0\0"), "((_1 := []), _1)\n"},
    /* A flagged None takes no number. */
    {BYTES("[\3\0\0\0\xce\xdb\0\0\0\0r\0\0\0\0"), "[None, (_1 := []), _1]\n"},
    {BYTES("(\2\0\0\0t\1\0\0\0aR\0\0\0\0"), "# marshal 2 (Python 2 str)\n('a', 'a')\n"},
    /* Plain text among marshals, and a pickle. */
    {BYTES("1,2,3"), "# raw\n1,2,3"},
    {BYTES("cat"), "# raw\ncat"},
    {BYTES(""), "# raw\n"},
    {BYTES("\x80\2]q\0."), "# pickle protocol 2\n[]\n"},
};

static struct bytes as_bytes(const struct buffer *buffer)
{
    return buffer_bytes(buffer);
}

static void assert_bytes(struct bytes found, struct bytes expected)
{
    if (!bytes_equal(found, expected))
        fail_msg("'%.*s' instead of '%.*s'", (int)found.size, (const char *)found.data,
                 (int)expected.size, (const char *)expected.data);
}

static void test_shown(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(SHOWN); i++) {
        struct buffer text = BUFFER_INIT, again = BUFFER_INIT;

        assert_int_equal(codec_render(&VERSION4, SHOWN[i].stored, &text, NULL), 0);
        assert_bytes(as_bytes(&text), bytes_of_string(SHOWN[i].text));
        /* What is unchanged keeps its bytes. */
        assert_int_equal(codec_accept(&VERSION4, &RULES, as_bytes(&text), &SHOWN[i].stored, &again, NULL), 0);
        assert_bytes(as_bytes(&again), SHOWN[i].stored);
        buffer_release(&text);
        buffer_release(&again);
    }
}

/* What a text is stored as where nothing was stored. */
static const struct {
    struct dialect dialect;
    const char *text;
    struct bytes stored;
} STORED[] = {
    {{CODEC_MARSHAL, 4, false}, "hello", BYTES("z\5hello")},
    {{CODEC_MARSHAL, 3, false}, "hello", BYTES("u\5\0\0\0hello")},
    {{CODEC_MARSHAL, 2, true}, "hello", BYTES("s\5\0\0\0hello")},
    {{CODEC_MARSHAL, 2, true}, "u'hi'", BYTES("u\2\0\0\0hi")},
    {{CODEC_MARSHAL, 4, false}, "\xc3\xa9", BYTES("u\2\0\0\0\xc3\xa9")},
    {{CODEC_MARSHAL, 4, false}, "2147483648", BYTES("l\3\0\0\0\0\0\0\0\2\0")},
    {{CODEC_MARSHAL, 4, false}, "-2147483648", BYTES("i\0\0\0\x80")},
    {{CODEC_MARSHAL, 2, true}, "2147483648", BYTES("I\0\0\0\x80\0\0\0\0")},
    {{CODEC_MARSHAL, 4, false}, "-0x10000000000000000", BYTES("l\xfb\xff\xff\xff\0\0\0\0\0\0\0\0\x10\0")},
    {{CODEC_MARSHAL, 1, false}, "0.1", BYTES("f\x13" "0.10000000000000001")},
    {{CODEC_MARSHAL, 4, false}, "-2.5j", BYTES("y\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\4\xc0")},
    {{CODEC_MARSHAL, 4, false}, "complex(0, -1)", BYTES("y\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\xbf")},
    {{CODEC_MARSHAL, 4, false}, "(..., StopIteration)", BYTES(")\2.S")},
    {{CODEC_MARSHAL, 2, false}, "(1,)", BYTES("(\1\0\0\0i\1\0\0\0")},
    {{CODEC_MARSHAL, 4, false}, "{1: frozenset({2}), 3: {4}}",
     BYTES("{i\1\0\0\0>\1\0\0\0i\2\0\0\0i\3\0\0\0<\1\0\0\0i\4\0\0\0" "0")},
    {{CODEC_MARSHAL, 5, false}, "slice(1, None, ...)", BYTES(":i\1\0\0\0N.")},
    /* Flagged is exactly what comes again, and numbered in the order of the type bytes. */
    {{CODEC_MARSHAL, 4, false}, "[(_2 := [[]]), [], _2, 'a', 'a']",
     BYTES("[\5\0\0\0\xdb\1\0\0\0[\0\0\0\0[\0\0\0\0r\0\0\0\0\xfa\1ar\1\0\0\0")},
    {{CODEC_MARSHAL, 4, false}, "(_1 := ((_2 := [_1]), _2))",
     BYTES("\xa9\2\xdb\1\0\0\0r\0\0\0\0r\1\0\0\0")},
    {{CODEC_MARSHAL, 2, true}, "('a', 'a')", BYTES("(\2\0\0\0t\1\0\0\0aR\0\0\0\0")},
    {{CODEC_MARSHAL, 2, true}, "(5, long(-5), long(0), 4294967296)",
     BYTES("(\4\0\0\0i\5\0\0\0l\xff\xff\xff\xff\5\0l\0\0\0\0I\0\0\0\0\1\0\0\0")},
    {{CODEC_MARSHAL, 2, false}, "('a', 'a')", BYTES("(\2\0\0\0u\1\0\0\0au\1\0\0\0a")},
    /* Headers choose another codec. */
    {{CODEC_MARSHAL, 4, false}, "# marshal 2 (Python 2 str)\n'a'\n", BYTES("s\1\0\0\0a")},
    {{CODEC_MARSHAL, 4, false}, "# pickle protocol 2\n[]\n", BYTES("\x80\2]q\0.")},
    {{CODEC_MARSHAL, 4, false}, "# raw\nabc", BYTES("abc")},
    {{CODEC_PICKLE, 4, false}, "# marshal 4\n...\n", BYTES(".")},
};

static void test_stored(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(STORED); i++) {
        struct buffer stored = BUFFER_INIT;
        struct failure failure = {0};

        if (codec_accept(&STORED[i].dialect, &RULES, bytes_of_string(STORED[i].text), NULL, &stored, &failure))
            fail_msg("%s: %s", STORED[i].text, failure.message);
        assert_bytes(as_bytes(&stored), STORED[i].stored);
        buffer_release(&stored);
    }
}

static const struct {
    struct dialect dialect;
    const char *text, *message;
} REFUSED[] = {
    {{CODEC_MARSHAL, 4, false}, "datetime.date(2026, 11, 21)", "marshal holds only"},
    {{CODEC_MARSHAL, 4, false}, "bytearray(b'a')", "marshal holds only"},
    {{CODEC_MARSHAL, 4, false}, "persistent(1)", "marshal holds only"},
    {{CODEC_MARSHAL, 4, false}, "'a' << 1", "marshal can't hold objects with"},
    {{CODEC_MARSHAL, 4, false}, "stream(1, rest=b'a')", "no stream"},
    {{CODEC_MARSHAL, 4, false}, "str8(b'a')", "no 8-bit str"},
    {{CODEC_MARSHAL, 2, true}, "b'a'", "Python 2 has no bytes"},
    {{CODEC_MARSHAL, 4, false}, "slice(1, 2, 3)", "version 5"},
    {{CODEC_MARSHAL, 5, false}, "slice(1, 2)", "expected slice(start, stop, step)"},
    {{CODEC_MARSHAL, 5, false}, "(_1 := slice(_1, 2, 3))", "contains itself"},
    {{CODEC_MARSHAL, 4, false}, "(_1 := frozenset({(_1,)}))", "contains itself"},
    {{CODEC_MARSHAL, 2, false}, "[(_1 := []), _1]", "write it twice"},
    {{CODEC_MARSHAL, 1, false}, "nan(0x7ff8000000000001)", "needs marshal version 2"},
    {{CODEC_MARSHAL, 4, false}, "complex('1')", "expected complex(real, imaginary)"},
    {{CODEC_MARSHAL, 4, false}, "code(argcount=1)", "expected code("},
    {{CODEC_PICKLE, 4, false}, "code(argcount=1)", "marshal only"},
};

static void test_refused(void **state)
{
    static const struct bytes old = {(const uint8_t *)"N", 1};

    for (size_t i = 0; i < ARRAY_SIZE(REFUSED); i++) {
        struct buffer stored = BUFFER_INIT;
        struct failure failure = {0};

        assert_int_equal(codec_accept(&REFUSED[i].dialect, &ANY, bytes_of_string(REFUSED[i].text), &old, &stored,
                                      &failure),
                         -EINVAL);
        if (!strstr(failure.message, REFUSED[i].message))
            fail_msg("%s: %s", REFUSED[i].text, failure.message);
        assert_int_equal(stored.size, 0);
        buffer_release(&stored);
    }
}

static int decode(struct bytes stored, struct dialect prefer, struct document *document, struct failure *failure)
{
    document_init(document, stored.size * 128 + (1 << 20));
    return marshal_decode(stored, &prefer, document, NULL, failure);
}

static const struct bytes INVALID[] = {
    BYTES("0"),
    BYTES("?"),
    BYTES("\0"),
    BYTES("\xff"),
    BYTES("NN"),                                /* something behind it */
    BYTES("(\xff\xff\xff\x7f"),                 /* sizes that no value can have */
    BYTES("[\xff\xff\xff\xff"),
    BYTES("<\0\0\0\x80"),
    BYTES(">\xff\xff\xff\x7f"),
    BYTES("s\xff\xff\xff\x7f"),
    BYTES("s\xff\xff\xff\xff"),
    BYTES("u\0\0\0\x80"),
    BYTES("l\xff\xff\xff\x7f\1\0"),
    BYTES("l\0\0\0\x80\1\0"),
    BYTES("l\1\0\0\0\0\0"),                     /* unnormalised */
    BYTES("l\2\0\0\0\1\0\0\0"),
    BYTES("l\1\0\0\0\0\x80"),                   /* a digit of 16 bits */
    BYTES("u\1\0\0\0\xff"),
    BYTES("f\3x.y"),
    BYTES("[\1\0\0\0" "0"),                     /* NULL outside of a dict */
    BYTES(")\2N0"),
    BYTES("r\0\0\0\0"),
    BYTES("\xdb\1\0\0\0r\1\0\0\0"),
    BYTES("\xdb\1\0\0\0r\xff\xff\xff\xff"),
    BYTES(")\2\xcer\0\0\0\0"),                  /* None has no number */
    BYTES("\xbe\1\0\0\0r\0\0\0\0"),             /* a frozenset that refers to itself */
    BYTES("\xbar\0\0\0\0NN"),                   /* a slice that does */
    BYTES("R\0\0\0\0"),
    BYTES("(\2\0\0\0z\1aR\0\0\0\0"),            /* Python 2's and 3's */
    BYTES("(\1\0\0\0I\0"),
};

static void test_invalid(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(INVALID); i++) {
        struct document document;
        struct failure failure = {0};

        if (decode(INVALID[i], VERSION4, &document, &failure) != -EINVAL)
            fail_msg("number %zu is accepted", i);
        assert_true(failure.message[0]);
        document_release(&document);
    }
}

/* No beginning of a value is a value. */
static void test_truncated(void **state)
{
    static const struct bytes values[] = {
        BYTES("\xfb\xda\1a[\3\0\0\0\xe9\1\0\0\0g\0\0\0\0\0\0\xf8\x3fy\0\0\0\0\0\0\xf8\x3f\0\0\0\0\0\0\xf8\x3f"
              "z\1b>\1\0\0\0l\2\0\0\0\1\0\1\0s\2\0\0\0hi0"),
        BYTES(CODE_3_0),
        BYTES(CODE_3_8),
        BYTES(CODE_3_11),
    };

    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        for (size_t size = 0; size <= values[i].size; size++) {
            struct document document;

            assert_int_equal(decode(bytes_part(values[i], 0, size), VERSION4, &document, NULL),
                             size == values[i].size ? 0 : -EINVAL);
            document_release(&document);
        }
}

static void nest(struct buffer *out, unsigned depth, const char *innermost)
{
    for (unsigned i = 0; i < depth; i++)
        buffer_add(out, BYTES(")\1"));
    buffer_add_string(out, innermost);
}

/* CPython reads 2000 levels, where the end of a dict is one, too. */
static void test_depth(void **state)
{
    static const struct {
        unsigned depth;
        const char *innermost;
        int status;
    } rows[] = {{1999, "N", 0}, {2000, "N", -EINVAL}, {1998, "{0", 0}, {1999, "{0", -EINVAL}, {1000000, "N", -EINVAL}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer stored = BUFFER_INIT, text = BUFFER_INIT, again = BUFFER_INIT;
        struct document document;

        nest(&stored, rows[i].depth, rows[i].innermost);
        assert_int_equal(decode(as_bytes(&stored), VERSION4, &document, NULL), rows[i].status);
        if (!rows[i].status) {
            assert_int_equal(marshal_encode(&document, &again, NULL), 0);
            assert_bytes(as_bytes(&again), as_bytes(&stored));
        }
        document_release(&document);
        buffer_release(&stored);
        buffer_release(&text);
        buffer_release(&again);
    }
}

static void test_write_depth(void **state)
{
    for (unsigned depth = 1998; depth <= 2000; depth++) {
        struct buffer text = BUFFER_INIT, stored = BUFFER_INIT;

        for (unsigned i = 0; i < depth; i++)
            buffer_add_byte(&text, '[');
        buffer_add_string(&text, "{}");
        for (unsigned i = 0; i < depth; i++)
            buffer_add_byte(&text, ']');
        assert_int_equal(codec_accept(&VERSION4, &RULES, as_bytes(&text), NULL, &stored, NULL),
                         depth == 1998 ? 0 : -EINVAL);
        buffer_release(&text);
        buffer_release(&stored);
    }
}

/* Memory is bounded by the input's size, whatever it declares. */
static void test_memory(void **state)
{
    static const struct bytes patterns[] = {BYTES("N"), BYTES(")\0"), BYTES("[\0\0\0\0"), BYTES("z\0"), BYTES("."),
                                            BYTES("i\0\0\0\0"), BYTES("\xe9\0\0\0\0")};
    enum { COUNT = 100000 };

    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        struct buffer stored = BUFFER_INIT;
        struct document document;

        buffer_add(&stored, BYTES("[\xa0\x86\1\0"));
        for (unsigned n = 0; n < COUNT; n++)
            buffer_add(&stored, patterns[i]);
        assert_int_equal(decode(as_bytes(&stored), VERSION4, &document, NULL), 0);
        assert_int_equal(document.root->items.count, COUNT);
        assert_true(document.arena.used <= stored.size * 64 + (1 << 20));
        document_release(&document);
        buffer_release(&stored);
    }
    /* Each level declares as many items as bytes are left. */
    for (unsigned left = 1990; left > 1980; left--) {
        struct buffer stored = BUFFER_INIT;
        struct document document;

        for (unsigned n = 0; n < left; n++)
            buffer_add(&stored, bytes_of((uint8_t[]){'[', (uint8_t)(5 * (left - n)), (uint8_t)(5 * (left - n) >> 8), 0, 0}, 5));
        assert_int_equal(decode(as_bytes(&stored), VERSION4, &document, NULL), -EINVAL);
        assert_true(document.arena.used <= stored.size * 64 + (1 << 20));
        document_release(&document);
        buffer_release(&stored);
    }
}

static const struct {
    struct bytes stored;
    const char *field; /* that only this layout has, or has first */
    const char *header;
} CODES[] = {
    {BYTES(CODE_3_0), "code(\n    argcount=0,\n    kwonlyargcount=0,\n    nlocals=0,", ""},
    {BYTES(CODE_3_8), "code(\n    argcount=0,\n    posonlyargcount=0,\n    kwonlyargcount=0,\n    nlocals=0,", ""},
    {BYTES(CODE_3_11), "localspluskinds=b'',", ""},
    {BYTES("c\0\0\0\0\0\0\0\0\1\0\0\0\x40\0\0\0s\1\0\0\0S(\0\0\0\0(\0\0\0\0(\0\0\0\0(\0\0\0\0(\0\0\0\0t\1\0\0\0ft\1\0\0\0f"
           "\1\0\0\0s\0\0\0\0"),
     "code(\n    argcount=0,\n    nlocals=0,", "# marshal 2 (Python 2 str)\n"},
};

static void replace(struct buffer *text, const char *old, const char *new)
{
    struct buffer out = BUFFER_INIT;
    uint8_t *at = memmem(text->data, text->size, old, strlen(old));

    assert_non_null(at);
    buffer_add(&out, bytes_of(text->data, (size_t)(at - text->data)));
    buffer_add_string(&out, new);
    at += strlen(old);
    buffer_add(&out, bytes_of(at, (size_t)(text->data + text->size - at)));
    buffer_take(text, &out);
}

static void test_code(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(CODES); i++) {
        struct buffer text = BUFFER_INIT, stored = BUFFER_INIT, again = BUFFER_INIT;
        struct bytes old = CODES[i].stored;
        struct failure failure = {0};

        assert_int_equal(codec_render(&VERSION4, old, &text, NULL), 0);
        assert_true(bytes_start_with(as_bytes(&text), bytes_of_string(CODES[i].header)));
        assert_non_null(memmem(text.data, text.size, CODES[i].field, strlen(CODES[i].field)));
        /* Where nothing is stored it would be new code. */
        assert_int_equal(codec_accept(&VERSION4, &RULES, as_bytes(&text), NULL, &stored, &failure), -EPERM);
        assert_non_null(strstr(failure.message, "code object"));
        assert_int_equal(codec_accept(&VERSION4, &ANY, as_bytes(&text), NULL, &stored, NULL), 0);
        /* Equal strings are now one object, so only the text is the same. */
        assert_int_equal(codec_render(&VERSION4, as_bytes(&stored), &again, NULL), 0);
        assert_bytes(as_bytes(&again), as_bytes(&text));
        /* Kept beside something new, but not changed. */
        replace(&text, "code(", "['new', code(");
        buffer_resize(&text, text.size - 1);
        buffer_add_string(&text, "]");
        buffer_clear(&stored);
        assert_int_equal(codec_accept(&VERSION4, &RULES, as_bytes(&text), &old, &stored, NULL), 0);
        assert_true(stored.size > old.size);
        replace(&text, "b'S'" + (i == 3), "b'T'" + (i == 3));
        assert_int_equal(codec_accept(&VERSION4, &RULES, as_bytes(&text), &old, &stored, NULL), -EPERM);
        buffer_release(&again);
        buffer_release(&text);
        buffer_release(&stored);
    }
}

/* A tuple of code that has the tuple itself as a field: CPython loads it. What the name stands for is looked at when it is known. */
static void test_code_in_its_field(void **state)
{
    static const char code[] = "%scode(argcount=0, kwonlyargcount=0, nlocals=0, stacksize=1, flags=0, code=b'S', consts=%s, "
                               "names=(), varnames=(), freevars=(), cellvars=(), filename='f', name='f', firstlineno=1, lnotab=b'')%s";
    static const struct {
        const char *before, *consts, *behind;
        int status;
    } rows[] = {{"(_1 := (", "_1", ",))", 0},
                {"(_1 := [", "_1", "])", -EINVAL},
                {"(_1 := (", "_1 + [2]", ",))", -EINVAL},
                {"(_1 := (", "None", ",))", -EINVAL}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct document document;
        char text[512];

        document_init(&document, SIZE_MAX);
        document.marshal = true;
        document.protocol = 4;
        snprintf(text, sizeof text, code, rows[i].before, rows[i].consts, rows[i].behind);
        assert_int_equal(expression_parse(bytes_of_string(text), &document, NULL), rows[i].status);
        document_release(&document);
    }
}

/* Raw bytes are looked at as well: marshal.loads() doesn't mind what stands behind a code object. */
static void test_raw_code(void **state)
{
    static const struct bytes trailing = BYTES(CODE_3_8 "behind");
    static const struct bytes code = BYTES(CODE_3_8);

    assert_int_equal(codec_accept_stored(&VERSION4, &RULES, BYTES(CODE_3_8), NULL, NULL), -EPERM);
    assert_int_equal(codec_accept_stored(&VERSION4, &RULES, trailing, NULL, NULL), -EPERM);
    assert_int_equal(codec_accept_stored(&VERSION4, &ANY, trailing, NULL, NULL), 0);
    assert_int_equal(codec_accept_stored(&VERSION4, &RULES, trailing, &trailing, NULL), 0);
    assert_int_equal(codec_accept_stored(&VERSION4, &RULES, BYTES("[\1\0\0\0" CODE_3_8), &code, NULL), 0);
    assert_int_equal(codec_accept_stored(&VERSION4, &RULES, BYTES("cat"), NULL, NULL), 0);
    assert_int_equal(codec_accept_stored(&VERSION4, &RULES, BYTES("cos\nsystem\n(S'ls'\ntR."), NULL, NULL), -EPERM);
}

static struct dialect found(const struct bytes *values, size_t count)
{
    struct dialect_sample sample = {0};

    for (size_t i = 0; i < count; i++)
        assert_int_equal(dialect_sample_add(&sample, values[i]), 0);
    return dialect_sample_result(&sample);
}

#define FOUND(...) found((const struct bytes[]){__VA_ARGS__}, sizeof(const struct bytes[]){__VA_ARGS__} / sizeof(struct bytes))

static void test_detection(void **state)
{
    static const struct dialect raw = {CODEC_RAW, 0, false}, version2 = {CODEC_MARSHAL, 2, false},
                                version5 = {CODEC_MARSHAL, 5, false}, pickle2 = {CODEC_PICKLE, 2, false}, pickle0 = {CODEC_PICKLE, 0, false};

    assert_true(dialect_equal(FOUND(BYTES("{z\1aN0"), BYTES("N")), VERSION4));
    assert_true(dialect_equal(FOUND(BYTES("[\0\0\0\0")), VERSION4));
    assert_true(dialect_equal(FOUND(BYTES("(\1\0\0\0N"), BYTES("[\0\0\0\0")), version2));
    assert_true(dialect_equal(FOUND(BYTES("[\1\0\0\0:NNN")), version5));
    assert_true(dialect_equal(FOUND(BYTES("{t\1\0\0\0as\1\0\0\0b0"), BYTES("{s\1\0\0\0as\1\0\0\0b0")), PYTHON2));
    /* Texts that happen to be marshals, and marshals beside something else. */
    assert_true(dialect_equal(FOUND(BYTES("N"), BYTES("T")), raw));
    assert_true(dialect_equal(FOUND(BYTES("{z\1aN0"), BYTES("1,2,3")), raw));
    assert_true(dialect_equal(FOUND(BYTES("{z\1aN0"), BYTES("")), raw));
    /* Containers beside a few texts. */
    assert_true(dialect_equal(FOUND(BYTES("17"), BYTES("{z\1aN0"), BYTES("{z\1bN0")), VERSION4));
    assert_true(dialect_equal(FOUND(BYTES("{z\1aN0"), BYTES("{z\1bN0"), BYTES("a b\0")), VERSION4));
    assert_true(dialect_equal(FOUND(BYTES("{z\1aN0"), BYTES("{z\1bN0"), BYTES("a\1")), raw));
    assert_true(dialect_equal(FOUND(BYTES("{z\1aN0"), BYTES("N"), BYTES("N"), BYTES("17")), raw));
    assert_true(dialect_equal(FOUND(BYTES("{z\1aN0"), BYTES("{z\1bN0"), BYTES("I1\n.")), pickle0));
    assert_true(dialect_equal(FOUND(BYTES("\x80\2]q\0."), BYTES("\x80\2}q\0.")), pickle2));
}

static void test_headers(void **state)
{
    static const struct {
        struct dialect dialect;
        const char *header;
    } rows[] = {{{CODEC_MARSHAL, 4, false}, "# marshal 4\n"}, {{CODEC_MARSHAL, 2, true}, "# marshal 2 (Python 2 str)\n"}};
    static const char *const wrong[] = {"# marshal\n", "# marshal 6\n", "# marshal 44\n", "# marshal 3 (Python 2 str)\n",
                                        "# marshal protocol 4\n", "#marshal 4\n"};
    struct dialect dialect;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer text = BUFFER_INIT;

        header_print(rows[i].dialect, &text);
        assert_bytes(as_bytes(&text), bytes_of_string(rows[i].header));
        assert_int_equal(header_parse(as_bytes(&text), &dialect), text.size);
        assert_true(dialect_equal(dialect, rows[i].dialect));
        buffer_release(&text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(header_parse(bytes_of_string(wrong[i]), &dialect), 0);
}

/* What a bit or two change is refused or is another value, whose text says all of it. */
static void check_mutation(struct bytes stored)
{
    struct buffer text = BUFFER_INIT, again = BUFFER_INIT;
    struct failure failure = {0};

    assert_int_equal(codec_render(&VERSION4, stored, &text, NULL), 0);
    if (codec_accept(&VERSION4, &RULES, as_bytes(&text), &stored, &again, &failure))
        fail_msg("%s", failure.message);
    assert_bytes(as_bytes(&again), stored);
    buffer_release(&text);
    buffer_release(&again);
}

static void test_mutations(void **state)
{
    static const struct bytes seeds[] = {
        BYTES("\xfb\xda\1a[\3\0\0\0\xe9\1\0\0\0g\0\0\0\0\0\0\xf8\x3fr\1\0\0\0z\1b\xbe\1\0\0\0l\2\0\0\0\1\0\1\0s\2\0\0\0hi:NNr\0"
              "\0\0\0" "0"),
        BYTES(CODE_3_0), BYTES(CODE_3_8), BYTES(CODE_3_11),
        BYTES("(\4\0\0\0t\1\0\0\0aR\0\0\0\0u\2\0\0\0\xc3\xa9x\1" "1\1" "2"),
    };
    const char *seconds = getenv("FUZZ_SECONDS");
    time_t end = time(NULL) + (seconds ? atoi(seconds) : 1);
    unsigned random = 1;

    do {
        for (size_t i = 0; i < ARRAY_SIZE(seeds); i++) {
            uint8_t copy[256];

            memcpy(copy, seeds[i].data, seeds[i].size);
            for (unsigned n = 0; n < 1 + random % 3; n++) {
                random = random * 1664525 + 1013904223;
                copy[(random >> 8) % seeds[i].size] ^= (uint8_t)(random >> 24 | (random >> 20 & 1));
            }
            check_mutation(bytes_of(copy, seeds[i].size));
        }
    } while (time(NULL) < end);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown),     cmocka_unit_test(test_stored),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_write_depth), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_code),      cmocka_unit_test(test_raw_code),
        cmocka_unit_test(test_code_in_its_field),
        cmocka_unit_test(test_detection), cmocka_unit_test(test_headers),
        cmocka_unit_test(test_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
