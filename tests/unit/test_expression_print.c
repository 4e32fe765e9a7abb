/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression.h"
#include "codecs/pickle.h"
#include "tests/unit/amount.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

/* Every form of the notation, as CPython or a hand-written program pickles it. */
static const struct {
    const char *name;
    struct bytes pickle;
    const char *text;
} rows[] = {
    {"atoms",
     BYTES("\200\004("
           "N\210\211K\014J\376\377\377\377\212\011\000\000\000\000\000\000\000\000\001G\?\370\000"
           "\000\000\000\000\000G\200\000\000\000\000\000\000\000t."),
     "(None, True, False, 12, -2, 18446744073709551616, 1.5, -0.0)"},
    {"infinities",
     BYTES("\200\004(G\177\360\000\000\000\000\000\000G\377\360\000\000\000\000\000\000l."),
     "[1e999, -1e999]"},
    {"NaN",
     BYTES("\200\004("
           "G\177\370\000\000\000\000\000\000G\177\370\000\000\000\000\000\001G\377\370\000\000\000"
           "\000\000\000l."),
     "[nan, nan(0x7ff8000000000001), nan(0xfff8000000000000)]"},
    {"text",
     BYTES("\200\004\2253\000\000\000\000\000\000\000]\224(\214\004it's\224\214\001\"\224\214\002'"
           "\"\224\214\020\\\012\015\011\000\177\302\205\302\255\342\200\216\355\240\200\224\214"
           "\010Zo\303\253\360\237\230\200\224e."),
     "[\"it's\", '\"', '\\'\"', '\\\\\\n\\r\\t\\x00\\x7f\\x85\\xad\\u200e\\ud800', 'Zoë😀']"},
    {"bytes",
     BYTES("\200\004\225\031\000\000\000\000\000\000\000]\224(C\004it's\224C\001\"\224C\006'"
           "\"\\\012\000\377\224e."),
     "[b\"it's\", b'\"', b'\\'\"\\\\\\n\\x00\\xff']"},
    {"Python 2", BYTES("(S'caf\\xe9'\012Vz\\u00e9\012t."), "('caf\\xe9', u'zé')"},
    {"str8", BYTES("\200\003(U\003a\377bX\001\000\000\000at."), "('a\\xffb', u'a')"},
    {"containers",
     BYTES("\200\004\2252\000\000\000\000\000\000\000]\224(]\224]\224K\001a)"
           "K\001\205\224K\001K\002\206\224}\224}\224\214\001a\224K\001s\217\224\217\224(K\001\220("
           "\221\224(K\001\221\224e."),
     "[\n"
     "    [],\n"
     "    [1],\n"
     "    (),\n"
     "    (1,),\n"
     "    (1, 2),\n"
     "    {},\n"
     "    {'a': 1},\n"
     "    set(),\n"
     "    {1},\n"
     "    frozenset(),\n"
     "    frozenset({1}),\n"
     "]"},
    {"protocol 2 patterns",
     BYTES("\200\002]q\000(c_"
           "codecs\012encode\012q\001X\003\000\000\000abcq\002X\006\000\000\000latin1q\003\206q\004"
           "Rq\005c__builtin__\012bytes\012q\006)Rq\007c__builtin__\012set\012q\010]"
           "q\011K\001a\205q\012Rq\013h\010]q\014\205q\015Rq\016c__builtin__\012frozenset\012q\017]"
           "q\020K\001a\205q\021Rq\022e."),
     "[b'abc', b'', {1}, set(), frozenset({1})]"},
    {"duplicates stay", BYTES("\200\004(}(K\001NK\001Nu\217(K\001K\001\220t."),
     "({1: None, 1: None}, {1, 1})"},
    {"bytearray",
     BYTES("\200\005\225\033\000\000\000\000\000\000\000]\224("
           "\226\002\000\000\000\000\000\000\000xy\224\226\000\000\000\000\000\000\000\000\224e."),
     "[bytearray(b'xy'), bytearray()]"},
    {"buffers", BYTES("\200\005(\227\227\230l."), "[next_buffer(), readonly(next_buffer())]"},
    {"globals",
     BYTES("\200\004(cbuiltins\012len\012ccollections\012OrderedDict\012c_pickle\012dumps\012c__"
           "builtin__\012len\012l."),
     "[len, collections.OrderedDict, _pickle.dumps, __builtin__.len]"},
    {"globals of Python 2", BYTES("(c__builtin__\012len\012cbuiltins\012len\012l."),
     "[len, builtins.len]"},
    {"odd globals",
     BYTES("\200\004(\214\003a.b\214\003C.D\223\214\001m\214\010<lambda>"
           "\223cbuiltins\012new\012cbuiltins\012_1\012c_1\012x\012cm\012class\012cm-n\012x\012l."),
     "[\n"
     "    find_class('a.b', 'C.D'),\n"
     "    find_class('m', '<lambda>'),\n"
     "    builtins.new,\n"
     "    builtins._1,\n"
     "    find_class('_1', 'x'),\n"
     "    find_class('m', 'class'),\n"
     "    find_class('m-n', 'x'),\n"
     "]"},
    {"a global alone", BYTES("\200\004clen\012x\012."), "(len.x)"},
    {"computed", BYTES("\200\004cm\012f\012)Rcm\012g\012)R\223."), "(find_class(m.f(), m.g()))"},
    {"call", BYTES("\200\002cos\012system\012X\002\000\000\000id\205R."), "os.system('id')"},
    {"*arguments", BYTES("\200\002(K\001tq\000cm\012f\012h\000Rh\000\206."),
     "(m.f(*(_1 := (1,))), _1)"},
    {"new", BYTES("\200\002cgeo\012Point\012K\001K\002\206\201."), "new(geo.Point, 1, 2)"},
    {"NEWOBJ_EX",
     BYTES("\200\004cm\012Kw\012K\001\205}X\004\000\000\000unitX\002\000\000\000cms\222."),
     "new(m.Kw, 1, unit='cm')"},
    {"NEWOBJ_EX with odd keywords", BYTES("\200\004cm\012Kw\012)}X\002\000\000\000a-K\001s\222."),
     "new(m.Kw, **{'a-': 1})"},
    {"instance",
     BYTES("\200\002cm\012C\012)\201}(X\001\000\000\000aK\001X\001\000\000\000bK\002ub."),
     "m.C(a=1, b=2)"},
    {"instance with odd attributes",
     BYTES("\200\002cm\012C\012)\201}(X\003\000\000\000a bK\001ub."), "new(m.C) << {'a b': 1}"},
    {"instance with slots", BYTES("\200\002cm\012C\012)\201N}X\001\000\000\000aK\001s\206b."),
     "new(m.C) << (None, {'a': 1})"},
    {"old instance", BYTES("(K\001icls\012C\012(dS'a'\012I1\012sb."), "inst(cls.C, 1) << {'a': 1}"},
    {"APPENDS", BYTES("\200\002cm\012L\012)\201(K\001K\002e}X\001\000\000\000aK\001sb."),
     "(new(m.L) + [1, 2]) << {'a': 1}"},
    {"SETITEMS, ADDITEMS", BYTES("\200\004(cm\012D\012)R(K\001K\002ucm\012S\012)R(K\001\220l."),
     "[m.D() | {1: 2}, m.S() | {1}]"},
    {"BUILD of a plain list", BYTES("\200\002]K\005a}b."), "[5] << {}"},
    {"sharing",
     BYTES("\200\002}(X\001\000\000\000a]q\000X\001\000\000\000xaX\001\000\000\000bh\000u."),
     "{'a': (_1 := ['x']), 'b': _1}"},
    {"recursion", BYTES("\200\002]q\000(K\001h\000e."), "(_1 := [1, _1])"},
    {"recursive tuple", BYTES("\200\004]\224h\000\205\224a0h\001."), "(_1 := ([_1],))"},
    {"own state", BYTES("\200\004cm\012Node\012)\201\224}(\214\002meh\000\214\004kids]h\000aub."),
     "(_1 := m.Node(me=_1, kids=[_1]))"},
    {"persistent", BYTES("\200\002X\002\000\000\000dbK\007\206q\000Qh\000Q\206."),
     "(persistent((_1 := ('db', 7))), persistent(_1))"},
    {"extension", BYTES("\200\002\203,\001."), "ext(300)"},
    {"do", BYTES("\200\004cposix\012system\012X\002\000\000\000id\205R0]X\002\000\000\000oka."),
     "do(posix.system('id'), ['ok'])"},
    {"state_setter", BYTES("\200\004cm\012SS\012)\201\224cm\012setter\012h\000}\206R0."),
     "do(m.setter((_1 := new(m.SS)), {}), _1)"},
    {"stream", BYTES("\200\002]K\001a.\200\002N."), "stream([1], rest=b'\\x80\\x02N.')"},
    {"a literal set call", BYTES("\200\004cbuiltins\012set\012]\205R."), "builtins.set([])"},
    {"a global with state", BYTES("\200\002cm\012f\012q\000}X\001\000\000\000aK\001sbh\000\206."),
     "((_1 := m.f << {'a': 1}), _1)"},
    {"a long string shared",
     BYTES("\200\002X)\000\000\000xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxq\000h\000\206."),
     "((_1 := 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'), _1)"},
    {"a short one",
     BYTES("\200\002X(\000\000\000xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxq\000h\000\206."),
     "(\n"
     "    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',\n"
     "    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',\n"
     ")"},
    {"datetime",
     BYTES("\200\004\225*"
           "\000\000\000\000\000\000\000\214\010datetime\224\214\010datetime\224\223\224C\012\007"
           "\352\013\025\005%\000\000\000\000\224\205\224R\224."),
     "datetime.datetime(2026, 11, 21, 5, 37)"},
    {"time with fold",
     BYTES("\200\004\225\"\000\000\000\000\000\000\000\214\010datetime\224\214\004time\224\223\224C"
           "\006\201\002\003\000\000\004\224\205\224R\224."),
     "datetime.time(1, 2, 3, 4, fold=1)"},
    {"date",
     BYTES("\200\002cdatetime\012date\012q\000c_"
           "codecs\012encode\012q\001X\005\000\000\000\007\303\250\002\035q\002X\006\000\000\000lat"
           "in1q\003\206q\004Rq\005\205q\006Rq\007."),
     "datetime.date(2024, 2, 29)"},
    {"a zone",
     BYTES("\200\004\225_\000\000\000\000\000\000\000}"
           "\224\214\002at\224\214\010datetime\224\214\010datetime\224\223\224C\012\007\352\013\025"
           "\005%"
           "\000\000\000\005\224h\002\214\010timezone\224\223\224h\002\214\011timedelta\224\223\224"
           "K\000K\000K\000\207\224R\224\205\224R\224\206\224R\224s."),
     "{\n"
     "    'at': datetime.datetime(\n"
     "        2026, 11, 21, 5, 37, 0, 5,\n"
     "        tzinfo=datetime.timezone(datetime.timedelta(0, 0, 0)),\n"
     "    ),\n"
     "}"},
    {"no such date", BYTES("\200\003cdatetime\012date\012C\004\007\352\002\036\205R."),
     "datetime.date(b'\\x07\\xea\\x02\\x1e')"},
    {"a constructor call stored as such",
     BYTES("\200\003cdatetime\012date\012M\352\007K\001K\001\207R."),
     "find_class('datetime', 'date')(2026, 1, 1)"},
    {"a date of Python 2", BYTES("\200\002cdatetime\012date\012U\004\007\352\002\001\205R."),
     "datetime.date(2026, 2, 1)"},
    {"an argument that is asked for twice",
     BYTES("\200\002cm\012f\012q\000]q\001h\000h\001\205q\002Rq\003a\205q\004R0h\003."),
     "(_1 := m.f((_2 := [_1])))"},
    {"an argument that is made anew",
     BYTES("\200\002cm\012f\012q\000](cm\012C\012)R}X\001\000\000\000ah\000]\205Rsbe\205R."),
     "m.f([m.C() << {'a': m.f([])}])"},
    {"callees", BYTES("\200\002(c__builtin__\012set\012](K\001e\205R)Rcm\012f\012Nb)Rl."),
     "[({1})(), (m.f << None)()]"},
    {"long bytes",
     BYTES("\200\004\2256\000\000\000\000\000\000\000}\224\214\004blob\224C("
           "\000\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020\021\022\023\024"
           "\025\026\027\030\031\032\033\034\035\036\037 !\"#$%&'\224s."),
     "{\n"
     "    'blob': (\n"
     "        "
     "b'\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\t\\n\\x0b\\x0c\\r\\x0e\\x0f\\x10\\x11'\n"
     "        b'\\x12\\x13\\x14\\x15\\x16\\x17\\x18\\x19\\x1a\\x1b\\x1c\\x1d\\x1e\\x1f "
     "!\"#$%&\\''\n"
     "    ),\n"
     "}"},
    {"hugging",
     BYTES("\200\004\225e\000\000\000\000\000\000\000}\224(\214\001a\224\214("
           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\224\214\001b\224\214("
           "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\224u\205\224."),
     "({\n"
     "    'a': 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',\n"
     "    'b': 'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy',\n"
     "},)"},
};

static void print_pickle(struct bytes pickle, struct buffer *text)
{
    struct document document;
    struct failure failure = {0};

    document_init(&document, SIZE_MAX);
    if (pickle_decode(pickle, &document, &failure))
        fail_msg("%s", failure.message);
    assert_int_equal(expression_print(&document, text), 0);
    document_release(&document);
}

/* What the text parses to prints as the same text. */
static void assert_stable(struct bytes text, unsigned protocol, bool python2)
{
    struct buffer again = BUFFER_INIT;
    struct document document;
    struct failure failure = {0};

    document_init(&document, SIZE_MAX);
    document.protocol = (uint8_t)protocol;
    document.python2 = python2;
    if (expression_parse(text, &document, &failure))
        fail_msg("%s", failure.message);
    assert_int_equal(expression_print(&document, &again), 0);
    assert_int_equal(again.size, text.size);
    assert_memory_equal(again.data, text.data, text.size);
    document_release(&document);
    buffer_release(&again);
}

static void test_forms(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer text = BUFFER_INIT;
        struct document document;

        print_pickle(rows[i].pickle, &text);
        buffer_add_byte(&text, '\0');
        if (strcmp((const char *)text.data, rows[i].text) != 0)
            print_error("%s:\n", rows[i].name);
        assert_string_equal((const char *)text.data, rows[i].text);
        document_init(&document, SIZE_MAX);
        assert_int_equal(pickle_decode(rows[i].pickle, &document, NULL), 0);
        assert_stable(bytes_part(buffer_bytes(&text), 0, text.size - 1), document.protocol,
                      document.python2);
        document_release(&document);
        buffer_release(&text);
    }
}

static size_t deepest_nesting(struct bytes text)
{
    size_t depth = 0, deepest = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (memchr("([{", text.data[i], 3))
            depth++;
        if (memchr(")]}", text.data[i], 3))
            depth--;
        if (depth > deepest)
            deepest = depth;
    }
    assert_int_equal(depth, 0);
    return deepest;
}

static size_t widest_line(struct bytes text)
{
    size_t widest = 0;

    while (text.size) {
        size_t end = bytes_find_byte(text, '\n');

        if (end > widest)
            widest = end;
        text = bytes_part(text, end + 1, SIZE_MAX);
    }
    return widest;
}

static void add_times(struct buffer *buffer, struct bytes bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buffer_add(buffer, bytes);
}

/* A value of `count` levels; the text is linear in it and nests at most as deep as Python reads. */
static void check_deep(struct bytes open, struct bytes middle, struct bytes close, size_t count)
{
    struct buffer pickle = BUFFER_INIT, text = BUFFER_INIT;

    buffer_add_string(&pickle, "\x80\x04");
    add_times(&pickle, open, count);
    buffer_add(&pickle, middle);
    add_times(&pickle, close, count);
    buffer_add_byte(&pickle, '.');
    print_pickle(buffer_bytes(&pickle), &text);
    assert_true(deepest_nesting(buffer_bytes(&text)) < 99);
    assert_true(text.size < (20 + 20 * (open.size + close.size)) * count + 2000);
    assert_stable(buffer_bytes(&text), 4, false);
    buffer_release(&pickle);
    buffer_release(&text);
}

static void test_deep(void **state)
{
    const size_t counts[] = {1, 50, 88, 89, 90, 91, 92, 200, 1000, reduced(30000)};

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        check_deep(BYTES("]"), BYTES("]"), BYTES("a"), counts[i]);
        check_deep(BYTES(""), BYTES("N"), BYTES("\x85"), counts[i]);
        check_deep(BYTES("}N"), BYTES("N"), BYTES("s"), counts[i]);
    }
    check_deep(BYTES("]"), BYTES("]"), BYTES("a"), reduced(1000000));
    check_deep(BYTES("("), BYTES("N"), BYTES("\x91"), 1000);
    check_deep(BYTES("cm\nf\n"), BYTES("N"), BYTES("\x85R"), 1000);
    check_deep(BYTES("cm\nC\n)\x81}X\x01\0\0\0a"), BYTES("N"), BYTES("sb"), 1000);
    check_deep(BYTES("cm\nf\n)R"), BYTES("N"), BYTES("b"), 1000);
    check_deep(BYTES(""), BYTES("N"), BYTES("Q"), 1000);
    check_deep(BYTES("cm\nf\n)Rq\0cm\ns\nh\0"), BYTES("N"), BYTES("\x86R0"), 1000);
}

/* A callee that is a call of a call ... is one line, but nothing may recurse over it. */
static void test_call_chain(void **state)
{
    const size_t count = reduced(1000000);
    struct buffer pickle = BUFFER_INIT, text = BUFFER_INIT;

    buffer_add_string(&pickle, "\x80\x04"
                               "cm\nf\n");
    add_times(&pickle, BYTES(")R"), count);
    buffer_add_byte(&pickle, '.');
    print_pickle(buffer_bytes(&pickle), &text);
    assert_int_equal(text.size, strlen("m.f") + 2 * count);
    assert_stable(buffer_bytes(&text), 4, false);
    buffer_release(&pickle);
    buffer_release(&text);
}

/* 2^1000 leaves by DUP: shared tuples are named, so the text stays small. */
static void test_shared_pairs(void **state)
{
    struct buffer pickle = BUFFER_INIT, text = BUFFER_INIT;

    buffer_add_string(&pickle, "\x80\x04N");
    add_times(&pickle, BYTES("2\x86"), 1000);
    buffer_add_byte(&pickle, '.');
    print_pickle(buffer_bytes(&pickle), &text);
    assert_true(text.size < 100000);
    assert_true(deepest_nesting(buffer_bytes(&text)) < 99);
    assert_stable(buffer_bytes(&text), 4, false);
    buffer_release(&pickle);
    buffer_release(&text);
}

/* The innermost list holds the outermost, which let() writes later: the name comes before its definition. */
static void test_deep_cycle(void **state)
{
    struct buffer pickle = BUFFER_INIT, text = BUFFER_INIT;

    buffer_add_string(&pickle, "\x80\x04]\x94");
    add_times(&pickle, BYTES("]"), 200);
    buffer_add(&pickle, BYTES("h\0a"));
    add_times(&pickle, BYTES("a"), 200);
    buffer_add_byte(&pickle, '.');
    print_pickle(buffer_bytes(&pickle), &text);
    assert_true(bytes_start_with(buffer_bytes(&text), BYTES("let(\n    _1 := [")));
    assert_stable(buffer_bytes(&text), 4, false);
    buffer_release(&pickle);
    buffer_release(&text);
}

/* Lines of 79 columns where the value can be broken; wider text stays whole. */
static void test_width(void **state)
{
    for (size_t size = 60; size < 90; size++) {
        struct buffer pickle = BUFFER_INIT, text = BUFFER_INIT;

        buffer_add(&pickle, BYTES("\x80\x04](X"));
        buffer_add_byte(&pickle, (uint8_t)(size / 2));
        buffer_add(&pickle, BYTES("\0\0\0"));
        add_times(&pickle, BYTES("x"), size / 2);
        buffer_add(&pickle, BYTES("C"));
        buffer_add_byte(&pickle, (uint8_t)(size - size / 2));
        add_times(&pickle, BYTES("y"), size - size / 2);
        buffer_add(&pickle, BYTES("}e."));
        print_pickle(buffer_bytes(&pickle), &text);
        /* ['xx', b'yy', {}] */
        if (size + 13 <= EXPRESSION_WIDTH)
            assert_int_equal(bytes_find_byte(buffer_bytes(&text), '\n'), size + 13);
        assert_true(widest_line(buffer_bytes(&text)) <= EXPRESSION_WIDTH);
        assert_stable(buffer_bytes(&text), 4, false);
        buffer_release(&pickle);
        buffer_release(&text);
    }
}

static void test_limit(void **state)
{
    struct document document;
    struct buffer text;

    document_init(&document, SIZE_MAX);
    assert_int_equal(pickle_decode(BYTES("\200\004](K\001K\002K\003e."), &document, NULL), 0);
    for (size_t limit = 0; limit < strlen("[1, 2, 3]"); limit++) {
        buffer_init(&text, limit);
        assert_int_equal(expression_print(&document, &text), -EFBIG);
        buffer_release(&text);
    }
    buffer_init(&text, strlen("[1, 2, 3]"));
    assert_int_equal(expression_print(&document, &text), 0);
    buffer_release(&text);
    document_release(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_deep),
        cmocka_unit_test(test_call_chain), cmocka_unit_test(test_shared_pairs),
        cmocka_unit_test(test_deep_cycle), cmocka_unit_test(test_width),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
