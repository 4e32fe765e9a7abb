/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static int reprint(const char *text, unsigned protocol, bool python2, struct buffer *out,
                   struct failure *failure)
{
    struct document document;
    int status;

    document_init(&document, SIZE_MAX);
    document.protocol = (uint8_t)protocol;
    document.python2 = python2;
    status = expression_parse(bytes_of_string(text), &document, failure);
    if (!status)
        status = expression_print(&document, out);
    buffer_add_byte(out, '\0');
    document_release(&document);
    return status;
}

struct row {
    const char *text, *canonical;
};

static void check_rows(const struct row *rows, size_t count, unsigned protocol, bool python2)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer out = BUFFER_INIT;
        struct failure failure = {0};

        if (reprint(rows[i].text, protocol, python2, &out, &failure))
            fail_msg("%s: %s", rows[i].text, failure.message);
        assert_string_equal((const char *)out.data, rows[i].canonical);
        buffer_release(&out);
    }
}

static void test_accept(void **state)
{
    static const struct row rows[] = {
        /* numbers */
        {"0x1F", "31"},
        {"0b1_0", "2"},
        {"0o17", "15"},
        {"0_0", "0"},
        {"1_000_000", "1000000"},
        {"- - 5", "5"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"--9223372036854775808", "9223372036854775808"},
        {"-0x8000000000000000", "-9223372036854775808"},
        {"+18446744073709551616", "18446744073709551616"},
        {"-18446744073709551616", "-18446744073709551616"},
        {"1.", "1.0"},
        {".5", "0.5"},
        {"1_0.5e1_0", "105000000000.0"},
        {"-0.0", "-0.0"},
        {"1e999", "1e999"},
        {"[nan, -nan]", "[nan, nan(0xfff8000000000000)]"},
        {"nan(9221120237041090561)", "nan(0x7ff8000000000001)"},
        /* strings */
        {"'a' \"b\" r'\\n' u'c'", "'ab\\\\nc'"},
        {"'''a\n'b' \\\nc'''", "\"a\\n'b' c\""},
        {"'\\x41\\u00e9\\U0001F600\\101\\0\\q\\''", "\"Aé😀A\\x00\\\\q'\""},
        {"'\\ud83d\\ude00'", "'\\ud83d\\ude00'"},
        {"rb'\\x' BR'\\''", "b\"\\\\x\\\\'\""},
        {"b'\\u0041\\377'", "b'\\\\u0041\\xff'"},
        {"('a'\n # comment\n 'b')", "'ab'"},
        {"'\xe2\x80\xae'", "'\\u202e'"},
        /* blanks */
        {"# comment\n\n [1, # one\n 2,\n]\n\n# end\n", "[1, 2]"},
        {"[1,\\\n2]", "[1, 2]"},
        {"[1,\r\n2]\r\n", "[1, 2]"},
        {"  None", "None"},
        /* brackets */
        {"(1)", "1"},
        {"(1,)", "(1,)"},
        {"()", "()"},
        {"((), [], {}, set(), frozenset(), bytearray())",
         "((), [], {}, set(), frozenset(), bytearray())"},
        {"{1, 1, 2,}", "{1, 1, 2}"},
        {"{1: 2, 1: 3,}", "{1: 2, 1: 3}"},
        {"frozenset({1, 2})", "frozenset({1, 2})"},
        {"bytearray(b'a' b'b')", "bytearray(b'ab')"},
        {"builtins.set()", "builtins.set()"},
        {"set([1])", "builtins.set([1])"},
        {"frozenset((_1 := {1}))", "builtins.frozenset({1})"},
        /* names */
        {"[(_7 := [1]), _7]", "[(_1 := [1]), _1]"},
        {"[(_7 := [1])]", "[[1]]"},
        {"[_2, (_2 := [1])]", "[(_1 := [1]), _1]"},
        {"let(_2 := [_1], _1 := [_2], _1)", "(_1 := [[_1]])"},
        {"(_1 := {'me': _1})", "(_1 := {'me': _1})"},
        {"(_1 := (_1, 2))", "(_1 := (_1, 2))"},
        {"(_1 := f(_1))", "(_1 := f(_1))"},
        {"[(_1 := 'a'), _1]", "['a', 'a']"},
        /* operators: | below << below + */
        {"f() << [1] + [2]", "f() << [1, 2]"},
        {"f() << 1 << 2", "(f() << 1) << 2"},
        {"f() | {1} | {2: 3}", "(f() | {1}) | {2: 3}"},
        {"f() + [1] << 2 | {3}", "((f() + [1]) << 2) | {3}"},
        {"f() << (g() << 1)", "f() << (g() << 1)"},
        {"f() + [1] + [2]", "f() + [1, 2]"},
        {"[1] + [2]", "[1, 2]"},
        {"{1: 2} | {3: 4}", "{1: 2, 3: 4}"},
        {"-1 << x", "-1 << x"},
        {"['a', 'a' << 1]", "['a', 'a' << 1]"},
        {"[m.f, m.f << 1]", "[m.f, m.f << 1]"},
        /* calls */
        {"f(1)(2)", "f(1)(2)"},
        {"f(*t)", "f(*t)"},
        {"f(*(1, 2))", "f(1, 2)"},
        {"f(*[1])", "f(*[1])"},
        {"new(C, *[1], **{'a b': 1})", "new(C, *[1], **{'a b': 1})"},
        {"C(a=1, b=[2])", "C(a=1, b=[2])"},
        {"(len)", "(len)"},
        {"find_class('builtins', 'len')", "(len)"},
        {"[a._b.C]", "[a._b.C]"},
        {"inst(C)", "inst(C)"},
        /* dates */
        {"datetime.datetime(2026, 11, 21)", "datetime.datetime(2026, 11, 21, 0, 0)"},
        {"datetime.datetime(2026, 11, 21, 5, 37, 1)", "datetime.datetime(2026, 11, 21, 5, 37, 1)"},
        {"datetime.datetime(month=2, year=2024, day=29, microsecond=1)",
         "datetime.datetime(2024, 2, 29, 0, 0, 0, 1)"},
        {"datetime.datetime(b'\\x07\\xea\\x8b\\x15\\x05%\\x00\\x00\\x00\\x00')",
         "datetime.datetime(2026, 11, 21, 5, 37, fold=1)"},
        {"datetime.time(5, tzinfo=None)", "datetime.time(5, 0)"},
        {"datetime.time(1, 2, 3, 4, tz)", "datetime.time(1, 2, 3, 4, tzinfo=tz)"},
        {"datetime.time()", "datetime.time()"},
        {"datetime.timezone.utc", "datetime.timezone(datetime.timedelta(0, 0, 0))"},
        {"datetime.timedelta(0, 3600, 0)", "datetime.timedelta(0, 3600, 0)"},
        {"find_class('datetime', 'date')(2026, 1, 1)",
         "find_class('datetime', 'date')(2026, 1, 1)"},
        /* around the value */
        {"stream(let(_1 := [_1], do(f(), _1)), rest=b'x')",
         "stream(do(f(), (_1 := [_1])), rest=b'x')"},
        /* functions that set a state */
        {"[do(m.s((_1 := m.f()), _1), _1), _1]", "[do(m.s((_1 := m.f()), _1), _1), _1]"},
        {"do(m.g(), m.s((_1 := new(m.C, 1)), 1), _1)", "do(m.g(), do(m.s((_1 := new(m.C, 1)), 1), _1))"},
        {"1 << 2 << do(m.s((_1 := m.f()), 1), _1)", "(1 << 2) << do(m.s((_1 := m.f()), 1), _1)"},
        {"[do(m.t(do(m.s((_1 := m.f() << 1), 2), _1), 3), _1) << 4 << 5]",
         "[((do(m.t(do(m.s((_1 := (m.f() << 1)), 2), _1), 3), _1) << 4) << 5)]"},
        {"[do(find_class('datetime', 'date')((_1 := m.f()), 1), _1)]",
         "[do(find_class('datetime', 'date')((_1 := m.f()), 1), _1)]"},
        {"let(do(m.s((_1 := m.f()), _2), _1), _2 := [_1], [_2])", "[(_1 := [do(m.s((_2 := m.f()), _1), _2)])]"},
        {"do(m.s((_1 := [m.f()]), 1), _1)", "do(m.s((_1 := [m.f()]), 1), _1)"},
        {"[_1, do(m.s((_1 := m.f()), 1), _1)]", "[do(m.s((_1 := m.f()), 1), _1), _1]"},
    };

    check_rows(rows, ARRAY_SIZE(rows), 4, false);
}

static void test_python2(void **state)
{
    static const struct row rows[] = {
        {"'caf\\xe9'", "'caf\\xe9'"},
        {"'caf\xc3\xa9'", "'caf\\xe9'"},
        {"u'caf\\xe9'", "u'café'"},
        {"'a' u'b'", "u'ab'"},
        {"(len)", "(len)"},
        {"(__builtin__.len)", "(len)"},
        {"C(a=1)", "C(a=1)"},
        {"find_class('m', 'A.B')", "(find_class('m', 'A.B'))"},
        {"[5, long(5), long(-5), -long(5), long(long(5))]", "[5, long(5), long(-5), long(-5), long(5)]"},
        {"long(9223372036854775808)", "9223372036854775808"},
        {"long(-9223372036854775808)", "long(-9223372036854775808)"},
        {"[__builtin__.long(5), long('5'), long(5, 5), long]",
         "[__builtin__.long(5), __builtin__.long('5'), __builtin__.long(5, 5), long]"},
        {"datetime.date(2026, 11, 21)", "datetime.date(2026, 11, 21)"},
        {"datetime.date('\\x07\\xea\\x0b\\x15')", "datetime.date(2026, 11, 21)"},
    };

    check_rows(rows, ARRAY_SIZE(rows), 2, true);
}

#define ONLY_AROUND                                                                                                    \
    "do(...) can only stand around the whole value, or have the form do(setter((_1 := object), state), _1)"

static void test_refuse(void **state)
{
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "line 1, column 1: expected a value"},
        {"# only a comment\n", "line 2, column 1: expected a value"},
        {"[1,\n 2\n 3]", "line 3, column 2: expected ',' or ']' in the list that starts at line 1"},
        {"[1, 2", "line 1, column 6: expected ',' or ']' in the list that starts at line 1"},
        {"\n\n[1,", "line 3, column 4: expected a value or ']' in the list that starts at line 3"},
        {"f(1 2)", "line 1, column 5: expected ',' or ')' in the call that starts at line 1"},
        {"(1 2)", "line 1, column 4: expected ',' or ')' in the parentheses that start at line 1"},
        {"{1 2}", "line 1, column 4: expected ':', ',' or '}' in the braces that start at line 1"},
        {"{1: 2, 3}", "line 1, column 9: expected ':' in the braces that start at line 1"},
        {"{1, 2: 3}", "line 1, column 6: expected ',' or '}' in the braces that start at line 1"},
        {"[1)", "line 1, column 3: expected ',' or ']' in the list that starts at line 1"},
        {"[,]", "line 1, column 2: expected a value or ']' in the list that starts at line 1"},
        {"1 2", "line 1, column 3: expected nothing more behind the value"},
        {"1\n2", "line 2, column 1: expected nothing more behind the value"},
        {"'a'\n'b'", "line 2, column 1: expected nothing more behind the value"},
        {"hello", "line 1, column 1: a lone name is text; a class or function needs parentheses"},
        {"www.example.com",
         "line 1, column 1: a lone name is text; a class or function needs parentheses"},
        {"hello world", "line 1, column 7: expected nothing more behind the value"},
        {"Zo\xc3\xab", "line 1, column 3: this character means nothing outside of a string"},
        {"'\xc3\xab' ?", "line 1, column 5: '?' means nothing here"},
        {"'abc", "line 1, column 1: the string that starts here has no closing '"},
        {"'a\nb'", "line 1, column 1: the string that starts here has no closing '"},
        {"'''a'", "line 1, column 1: the string that starts here has no closing triple '"},
        {"'\\x4'", "line 1, column 2: expected 2 hexadecimal digits after \\x"},
        {"'\\U00110000'", "line 1, column 2: no character has a number above 10ffff"},
        {"'\\N{DASH}'", "line 1, column 2: write \\u or \\U instead of \\N{...}"},
        {"b'\\400'", "line 1, column 3: a byte is at most \\377"},
        {"b'\xc3\xab'", "line 1, column 3: bytes beyond ASCII must be written as \\x.."},
        {"'a' b'b'", "line 1, column 5: bytes and text can't be joined"},
        {"f'{x}'", "line 1, column 1: f-strings would have to be evaluated"},
        {"5L", "line 1, column 2: Python 2's long integers are written without L"},
        {"1 + 2", "line 1, column 5: expected a list [...] behind +"},
        {"...", "line 1, column 1: a lone name is text; a class or function needs parentheses"},
        {"012", "line 1, column 1: leading zeros are not allowed; octal numbers start with 0o"},
        {"0x", "line 1, column 3: expected a digit of base 16"},
        {"12ab", "line 1, column 3: expected the number to end here"},
        {"1__0", "line 1, column 2: expected the number to end here"},
        {"-'a'", "line 1, column 1: a sign can only stand before a number"},
        {"-True", "line 1, column 1: a sign can only stand before a number"},
        {"1 - 2", "line 1, column 5: expected an imaginary number such as 2j behind -"},
        {"f() + 1", "line 1, column 7: expected a list [...] behind +"},
        {"f() + (_1 := [1])", "line 1, column 7: expected a list [...] behind +"},
        {"f() | [1]", "line 1, column 7: expected {...} behind |"},
        {"[lambda: 1]", "line 1, column 2: 'lambda' is no value"},
        {"[a .b]", "line 1, column 4: a dotted name has no blanks"},
        {"[a.]", "line 1, column 4: expected a name after the dot"},
        {"[a.class]", "line 1, column 4: expected a name after the dot"},
        {"[_1]", "line 1, column 2: _1 is not defined"},
        {"[_0]", "line 1, column 2: names are _1, _2 and so on"},
        {"[(_1 := []), (_1 := [])]", "line 1, column 15: _1 has been defined already"},
        {"_1 := []", "line 1, column 1: a named value needs parentheses: (_1 := ...)"},
        {"[x := 1]", "line 1, column 4: expected ',' or ']' in the list that starts at line 1"},
        {"[(_1 := []), _2, (_2 := _1)]",
         "line 1, column 19: _2 can't be used before it is defined here"},
        {"[_1 + [2], (_1 := [1])]", "line 1, column 2: this name can't be added to before it is defined"},
        {"[(_1 := [_1 << 2])]", "line 1, column 10: this name can't be added to before it is defined"},
        {"f(a=1, 2)", "line 1, column 8: expected no argument behind keywords or *arguments"},
        {"f(1, a=2)", "line 1, column 1: a call has either positional arguments or keywords; "
                      "new(class, ...) may have both"},
        {"f(a=1, a=2)", "line 1, column 8: the keyword a is given twice"},
        {"f(1, *t)", "line 1, column 7: expected *arguments alone"},
        {"f(**d)", "line 1, column 1: a call has either positional arguments or keywords; "
                   "new(class, ...) may have both"},
        {"[*t]", "line 1, column 2: expected a value or ']' in the list that starts at line 1"},
        {"new", "line 1, column 4: expected '(' behind new"},
        {"new()", "line 1, column 1: expected new(class, ...)"},
        {"inst(C, a=1)", "line 1, column 1: expected inst(class, argument, ...)"},
        {"ext(0)", "line 1, column 1: expected ext(code) with a code from 1 to 2147483647"},
        {"nan(1)",
         "line 1, column 1: expected nan(bits) with the 64 bits of a number that is none"},
        {"str8('a')", "line 1, column 1: expected str8(b'...')"},
        {"persistent()", "line 1, column 1: expected persistent(id) with one argument"},
        {"next_buffer(1)", "line 1, column 1: expected next_buffer() without arguments"},
        {"[do(1, 2)]", "line 1, column 2: " ONLY_AROUND},
        {"do(do(1), 2)", "line 1, column 4: " ONLY_AROUND},
        {"[do(m.f((_1 := [])), _1)]", "line 1, column 2: " ONLY_AROUND},
        {"[do(m.f((_1 := []), 2), _1)]", "line 1, column 2: " ONLY_AROUND},
        {"[do((_2 := m.f((_1 := m.C()), 2)), _1)]", "line 1, column 2: " ONLY_AROUND},
        {"[do(m.f(*(_2, 2)), (_2 := m.C()))]", "line 1, column 2: " ONLY_AROUND},
        {"[do(m.f(), m.f((_1 := m.C()), 2), _1)]", "line 1, column 2: " ONLY_AROUND},
        {"let(let(1))", "line 1, column 5: let(...) can only stand around the whole value"},
        {"let(1, 2)", "line 1, column 8: all parts of let(...) but the last must define a name"},
        {"stream(1)", "line 1, column 1: expected stream(value, rest=b'...')"},
        {"asm(1)", "line 1, column 1: expected asm(('NAME', operand, ...), ...)"},
        {"datetime.date(2026, 2, 29)", "line 1, column 1: the day is out of range"},
        {"datetime.date(2026, 2)", "line 1, column 1: expected at least year, month and day"},
        {"datetime.date(2026, 2, 1, 0)", "line 1, column 1: expected fewer arguments"},
        {"datetime.time(1, 2, 3, 4, None, 5)", "line 1, column 1: expected fewer arguments"},
        {"datetime.time(24)", "line 1, column 1: the hour is out of range"},
        {"datetime.time(hours=1)", "line 1, column 1: 'hours' is no field of this date or time"},
        {"datetime.timedelta(hours=1)",
         "line 1, column 1: expected arguments without keywords, as in datetime.timedelta(days, "
         "seconds, microseconds)"},
        {"'\xff'", "line 1, column 2: this is not valid UTF-8"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer out = BUFFER_INIT;
        struct failure failure = {0};

        if (reprint(rows[i].text, 4, false, &out, &failure) != -EINVAL)
            fail_msg("%s is accepted", rows[i].text);
        assert_string_equal(failure.message, rows[i].message);
        buffer_release(&out);
    }
}

static void test_refuse_by_protocol(void **state)
{
    struct buffer out = BUFFER_INIT;
    struct failure failure = {0};

    assert_int_equal(reprint("datetime.time(1, fold=1)", 3, false, &out, &failure), -EINVAL);
    assert_string_equal(failure.message, "line 1, column 1: fold needs pickle protocol 4");
    failure = (struct failure){0};
    assert_int_equal(reprint("'\\u0100'", 2, true, &out, &failure), -EINVAL);
    assert_string_equal(failure.message,
                        "line 1, column 1: this 8-bit string has a character beyond "
                        "\\xff; write u'...' for text");
    buffer_release(&out);
}

static void test_long_integer(void **state)
{
    static char digits[4302];
    struct buffer out = BUFFER_INIT;
    struct failure failure = {0};

    memset(digits, '7', 4300);
    assert_int_equal(reprint(digits, 4, false, &out, &failure), 0);
    assert_string_equal((const char *)out.data, digits);
    buffer_clear(&out);
    digits[4300] = '7';
    assert_int_equal(reprint(digits, 4, false, &out, &failure), -EINVAL);
    assert_string_equal(failure.message,
                        "line 1, column 1: more than 4300 digits must be written in hexadecimal");
    buffer_release(&out);
}

/* Short equal strings are one node, long ones only where a name says so. */
static void test_sharing(void **state)
{
    static const struct {
        const char *text;
        bool same;
    } rows[] = {
        {"['a', 'a']", true},
        {"[b'a', b'a']", true},
        {"['a', b'a']", false},
        {"['0123456789012345678901234567890123456789', '0123456789012345678901234567890123456789']",
         true},
        {"['0123456789012345678901234567890123456789x', "
         "'0123456789012345678901234567890123456789x']",
         false},
        {"[(_1 := '0123456789012345678901234567890123456789x'), _1]", true},
        {"[a.b, a.b]", true},
        {"[a.b, find_class('a', 'b')]", true},
        {"[[], []]", false},
        {"[1, 1]", false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct document document;

        document_init(&document, SIZE_MAX);
        document.protocol = 4;
        assert_int_equal(expression_parse(bytes_of_string(rows[i].text), &document, NULL), 0);
        assert_int_equal(document.root->items.at[0] == document.root->items.at[1], rows[i].same);
        document_release(&document);
    }
}

/* Open brackets of each kind without end: accepted or refused, never a crash. */
static void test_deep(void **state)
{
    static const char *const opens[] = {"[",    "(", "{",    "{1:",     "f(",
                                        "new(", "-", "f(a=", "((_1 := "};
    enum { LEVELS = 300000 };

    for (size_t i = 0; i < ARRAY_SIZE(opens); i++) {
        struct buffer text = BUFFER_INIT;
        struct document document;

        for (int level = 0; level < LEVELS; level++)
            buffer_add_string(&text, opens[i]);
        document_init(&document, SIZE_MAX);
        assert_int_equal(expression_parse(buffer_bytes(&text), &document, NULL), -EINVAL);
        document_release(&document);
        buffer_release(&text);
    }
}

static void test_memory_limit(void **state)
{
    struct document document;
    struct failure failure = {0};

    document_init(&document, 8192);
    document.protocol = 4;
    assert_int_equal(expression_parse(BYTES("[[[[[]]]]]"), &document, NULL), 0);
    document_release(&document);
    document_init(&document, 100);
    assert_int_equal(expression_parse(BYTES("[1, 2]"), &document, &failure), -EFBIG);
    assert_int_equal(failure.code, -EFBIG);
    document_release(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),       cmocka_unit_test(test_python2),
        cmocka_unit_test(test_refuse),       cmocka_unit_test(test_refuse_by_protocol),
        cmocka_unit_test(test_long_integer), cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_deep),         cmocka_unit_test(test_memory_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
