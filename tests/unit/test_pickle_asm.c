/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_asm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "codecs/codec.h"

static const struct dialect PICKLE4 = {CODEC_PICKLE, 4, false};
static const struct dialect PYTHON2 = {CODEC_PICKLE, 0, true};
static const struct codec_rules KNOWN = {.max_value = 1 << 20};
static const struct codec_rules ANY = {.any_globals = true, .max_value = 1 << 20};

/* What a program computes between these two is dropped; tuple([]) runs before the list gets its item. */
#define BEFORE "]q\x00" "cbuiltins\ntuple\nh\x00\x85Rq\x01" "0"
#define AFTER "0h\x00K\x01" "a0h\x01."
#define UNTRUE BYTES(BEFORE "N" AFTER)

static void assert_bytes(struct bytes actual, struct bytes expected)
{
    if (!bytes_equal(actual, expected))
        print_error("got\n%.*s\nexpected\n%.*s\n", (int)actual.size, (const char *)actual.data, (int)expected.size,
                    (const char *)expected.data);
    assert_true(bytes_equal(actual, expected));
}

/* Operands */

static void assert_op_again(struct bytes instruction, bool python2, enum value_kind kind)
{
    struct cursor cursor = cursor_at(instruction, 0);
    struct pickle_operands operands;
    struct value *values[] = {&operands.at[0], &operands.at[1]};
    struct buffer again = BUFFER_INIT;
    struct pickle_op op;
    const char *problem;

    assert_null(pickle_read_op(&cursor, &op));
    assert_int_equal(cursor_left(&cursor), 0);
    pickle_operands_init(&operands);
    assert_int_equal(pickle_operands_read(&operands, &op, python2), 0);
    problem = pickle_assemble(bytes_of_string(op.info->name), values, operands.count, &again);
    if (problem)
        print_error("%s: %s\n", op.info->name, problem);
    assert_null(problem);
    assert_bytes(buffer_bytes(&again), instruction);
    if (operands.count && !python2)
        assert_int_equal(operands.at[0].kind, kind);
    buffer_release(&again);
    pickle_operands_release(&operands);
}

static const struct {
    struct bytes instruction;
    enum value_kind kind; /* of the literal that shows it */
} arguments[] = {
    {BYTES("K\xff"), VALUE_INT},
    {BYTES("M\xff\xff"), VALUE_INT},
    {BYTES("J\xff\xff\xff\xff"), VALUE_INT},
    {BYTES("J\0\0\0\x80"), VALUE_INT},
    {BYTES("r\xff\xff\xff\xff"), VALUE_INT},
    {BYTES("\x95\xff\xff\xff\xff\xff\xff\xff\x7f"), VALUE_INT},
    {BYTES("\x95\xff\xff\xff\xff\xff\xff\xff\xff"), VALUE_BIG_INT},
    {BYTES("\x95\0\0\0\0\0\0\0\x80"), VALUE_BIG_INT},
    {BYTES("\x84\xff\xff\xff\xff"), VALUE_INT},
    {BYTES("\x80\x09"), VALUE_INT},
    {BYTES("G\x3f\xf0\0\0\0\0\0\0"), VALUE_FLOAT},
    {BYTES("G\x80\0\0\0\0\0\0\0"), VALUE_FLOAT},
    {BYTES("G\x7f\xf0\0\0\0\0\0\0"), VALUE_FLOAT},
    {BYTES("G\x7f\xf8\0\0\0\0\0\0"), VALUE_BYTES},
    {BYTES("G\xff\xf0\0\0\0\0\0\1"), VALUE_BYTES},
    {BYTES("I5\n"), VALUE_INT},
    {BYTES("I-5\n"), VALUE_INT},
    {BYTES("I01\n"), VALUE_TRUE},
    {BYTES("I00\n"), VALUE_FALSE},
    {BYTES("I1\n"), VALUE_INT},
    {BYTES("I+1\n"), VALUE_BYTES},
    {BYTES("I010\n"), VALUE_BYTES},
    {BYTES("I 5\n"), VALUE_BYTES},
    {BYTES("I5\0junk\n"), VALUE_BYTES},
    {BYTES("I\n"), VALUE_BYTES},
    {BYTES("I5\r\n"), VALUE_BYTES},
    {BYTES("I18446744073709551616\n"), VALUE_BIG_INT},
    {BYTES("L5L\n"), VALUE_INT},
    {BYTES("L-18446744073709551616L\n"), VALUE_BIG_INT},
    {BYTES("L5\n"), VALUE_BYTES},
    {BYTES("L5LL\n"), VALUE_BYTES},
    {BYTES("Lx\n"), VALUE_BYTES},
    {BYTES("F1.5\n"), VALUE_FLOAT},
    {BYTES("F-0.0\n"), VALUE_FLOAT},
    {BYTES("Finf\n"), VALUE_FLOAT},
    {BYTES("F1\n"), VALUE_BYTES},
    {BYTES("Fnan\n"), VALUE_BYTES},
    {BYTES("F0.10000000000000001\n"), VALUE_BYTES},
    {BYTES("S'it'\n"), VALUE_STR},
    {BYTES("S\"it's\"\n"), VALUE_STR},
    {BYTES("S'\\x00\\n'\n"), VALUE_STR},
    {BYTES("S'\\xe9'\n"), VALUE_BYTES},
    {BYTES("S'a'b'\n"), VALUE_BYTES},
    {BYTES("S\"plain\"\n"), VALUE_BYTES},
    {BYTES("Snone\n"), VALUE_BYTES},
    {BYTES("Va\xe9\\u20ac\n"), VALUE_STR},
    {BYTES("V\\u005c\\ud800\\U0001f600\n"), VALUE_STR},
    {BYTES("V\\\n"), VALUE_BYTES},
    {BYTES("V\\u0041\n"), VALUE_BYTES},
    {BYTES("V\r\n"), VALUE_BYTES},
    {BYTES("Px y\n"), VALUE_STR},
    {BYTES("P\xff\n"), VALUE_BYTES},
    {BYTES("P\n"), VALUE_STR},
    {BYTES("g5\n"), VALUE_INT},
    {BYTES("p05\n"), VALUE_BYTES},
    {BYTES("p-1\n"), VALUE_BYTES},
    {BYTES("p9999999999999999999\n"), VALUE_BYTES},
    {BYTES("cbuiltins\nint\n"), VALUE_STR},
    {BYTES("ca\xc3\xa9\n\xff\n"), VALUE_STR},
    {BYTES("i\xff\n\n"), VALUE_BYTES},
    {BYTES("U\x02\xff\n"), VALUE_BYTES},
    {BYTES("T\x02\0\0\0\xff\n"), VALUE_BYTES},
    {BYTES("X\x03\0\0\0\xe2\x82\xac"), VALUE_STR},
    {BYTES("X\x03\0\0\0\xed\xa0\x80"), VALUE_STR},
    {BYTES("X\x01\0\0\0\xff"), VALUE_BYTES},
    {BYTES("\x8c\0"), VALUE_STR},
    {BYTES("\x8d\x01\0\0\0\0\0\0\0x"), VALUE_STR},
    {BYTES("B\x01\0\0\0x"), VALUE_BYTES},
    {BYTES("C\x01x"), VALUE_BYTES},
    {BYTES("\x8e\0\0\0\0\0\0\0\0"), VALUE_BYTES},
    {BYTES("\x96\x01\0\0\0\0\0\0\0x"), VALUE_BYTES},
    {BYTES("\x8a\0"), VALUE_INT},
    {BYTES("\x8a\x01\xff"), VALUE_INT},
    {BYTES("\x8a\x02\xff\xff"), VALUE_BYTES},
    {BYTES("\x8a\x09\0\0\0\0\0\0\0\0\x01"), VALUE_BIG_INT},
    {BYTES("\x8b\x01\0\0\0\x05"), VALUE_INT},
    {BYTES("\x8b\x01\0\0\0\0"), VALUE_BYTES},
};

static void test_operands_give_the_instruction_again(void **state)
{
    bool seen[256] = {false};

    for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
        assert_op_again(arguments[i].instruction, false, arguments[i].kind);
        assert_op_again(arguments[i].instruction, true, arguments[i].kind);
        seen[arguments[i].instruction.data[0]] = true;
    }
    /* and every other opcode, with whatever argument it has */
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t instruction[] = {(uint8_t)byte, 0, 0, 0, 0, 0, 0, 0, 0};
        struct cursor cursor = cursor_at(bytes_of(instruction, sizeof instruction), 0);
        struct pickle_op op;

        if (seen[byte] || pickle_read_op(&cursor, &op))
            continue;
        assert_op_again(bytes_of(instruction, cursor.position), false, VALUE_INT);
    }
}

/* Texts */

static void render(const struct dialect *dialect, struct bytes stored, struct buffer *text)
{
    buffer_clear(text);
    assert_int_equal(codec_render(dialect, stored, text, NULL), 0);
}

/* Shown as a program, which stores the very bytes over nothing, over another value and over itself. */
static void assert_round_trip(const struct dialect *dialect, struct bytes stored)
{
    const struct bytes other = BYTES("\x80\x04]."), *olds[] = {NULL, &other, &stored};
    struct buffer text = BUFFER_INIT, again = BUFFER_INIT;

    render(dialect, stored, &text);
    buffer_add_byte(&text, 0);
    if (!strstr((const char *)text.data, "asm("))
        print_error("%s\n", text.data);
    assert_non_null(strstr((const char *)text.data, "asm("));
    text.size--;
    for (size_t i = 0; i < ARRAY_SIZE(olds); i++) {
        struct failure failure = {0};

        buffer_clear(&again);
        if (codec_accept(dialect, &ANY, buffer_bytes(&text), olds[i], &again, &failure))
            print_error("%s\n%.*s\n", failure.message, (int)text.size, (const char *)text.data);
        assert_bytes(buffer_bytes(&again), stored);
    }
    buffer_release(&text);
    buffer_release(&again);
}

static const struct bytes untrue[] = {
    UNTRUE,
    BYTES(BEFORE "K\x05" AFTER),
    BYTES(BEFORE "U\x03" "a\xffz" AFTER),
    BYTES(BEFORE "S'a'b'\n" AFTER),
    BYTES(BEFORE "V\xe9\n" AFTER),
    BYTES(BEFORE "U\x01xV\xe9\\\n0" AFTER),
    BYTES(BEFORE "X\x04\0\0\0\x1b\xe2\x80\xae" AFTER),
    BYTES(BEFORE "I010\nL5\n0F1e5\n0" AFTER),
    BYTES(BEFORE "G\x7f\xf8\0\0\0\0\0\1" AFTER),
    BYTES(BEFORE "G\xff\xf0\0\0\0\0\0\0" AFTER),
    BYTES(BEFORE "\x8a\x02\xff\xff\x8a\x09\0\0\0\0\0\0\0\0\x01" "0" AFTER),
    BYTES(BEFORE "(1(l(d(t0002" AFTER "0"),
    BYTES(BEFORE "\x95\x02\0\0\0\0\0\0\0N" AFTER),
    BYTES("\x80\x04" BEFORE "\x8f(N\x90\x94" AFTER),
    BYTES("\x80\x05" BEFORE "\x96\x01\0\0\0\0\0\0\0x\x98" AFTER),
    BYTES(BEFORE "N" AFTER "more"),
    BYTES(BEFORE "N" AFTER "\x80\x04N."),
    /* looked up by two protocols' rules */
    BYTES("\x80\x02" "cm\nx\nq\x00\x80\x04" "0h\x00."),
};

static void test_programs_are_stored_as_they_were(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(untrue); i++) {
        assert_round_trip(&PICKLE4, untrue[i]);
        assert_round_trip(&PYTHON2, untrue[i]);
    }
}

static void test_a_program_is_readable(void **state)
{
    struct buffer text = BUFFER_INIT;

    render(&PICKLE4, BYTES(BEFORE "C\x64" "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                           AFTER "more"), &text);
    assert_bytes(buffer_bytes(&text),
                 BYTES("# pickle protocol 1\n"
                       "stream(\n"
                       "    asm(\n"
                       "        ('EMPTY_LIST',),\n"
                       "        ('BINPUT', 0),\n"
                       "        ('GLOBAL', 'builtins', 'tuple'),\n"
                       "        ('BINGET', 0),\n"
                       "        ('TUPLE1',),\n"
                       "        ('REDUCE',),\n"
                       "        ('BINPUT', 1),\n"
                       "        ('POP',),\n"
                       "        (\n"
                       "            'SHORT_BINBYTES',\n"
                       "            (\n"
                       "                b'012345678901234567890123456789012345678901234567890123456789'\n"
                       "                b'0123456789012345678901234567890123456789'\n"
                       "            ),\n"
                       "        ),\n"
                       "        ('POP',),\n"
                       "        ('BINGET', 0),\n"
                       "        ('BININT1', 1),\n"
                       "        ('APPEND',),\n"
                       "        ('POP',),\n"
                       "        ('BINGET', 1),\n"
                       "        ('STOP',),\n"
                       "    ),\n"
                       "    rest=b'more',\n"
                       ")\n"));
    buffer_release(&text);
}

/* A value that an expression tells just as well may be given as a program, too. */
static void test_any_program_may_be_saved(void **state)
{
    struct buffer stored = BUFFER_INIT;

    assert_int_equal(codec_accept(&PICKLE4, &KNOWN, BYTES("asm(('PROTO', 3), ('LONG1', b'\\x05\\x00'), ('STOP',))"), NULL, &stored, NULL), 0);
    assert_bytes(buffer_bytes(&stored), BYTES("\x80\x03\x8a\x02\x05\x00."));
    buffer_release(&stored);
}

static const struct {
    struct bytes text;
    int code;
    char reason[96];
} refused[] = {
    {BYTES("asm(('BOGUS',), ('STOP',))"), -EINVAL, "instruction 1 of asm(...), BOGUS: there is no such instruction"},
    {BYTES("asm(('NONE', 1), ('STOP',))"), -EINVAL, "NONE: expected no operand"},
    {BYTES("asm(('BININT1',), ('STOP',))"), -EINVAL, "BININT1: expected one operand"},
    {BYTES("asm(('BININT1', 256), ('STOP',))"), -EINVAL, "expected one integer that fits"},
    {BYTES("asm(('BININT1', -1), ('STOP',))"), -EINVAL, "expected one integer that fits"},
    {BYTES("asm(('BININT', 2147483648), ('STOP',))"), -EINVAL, "expected one integer that fits"},
    {BYTES("asm(('FRAME', 0x10000000000000000), ('STOP',))"), -EINVAL, "expected one integer that fits"},
    {BYTES("asm(('BININT1', True), ('STOP',))"), -EINVAL, "expected one integer that fits"},
    {BYTES("asm(('GLOBAL', 'a'), ('STOP',))"), -EINVAL, "GLOBAL: expected two operands"},
    {BYTES("asm(('GLOBAL', 'a\\n', 'b'), ('STOP',))"), -EINVAL, "expected a line without its end"},
    {BYTES("asm(('INT', b'5\\n'), ('STOP',))"), -EINVAL, "expected a line without its end"},
    {BYTES("asm(('INT', 5.0), ('STOP',))"), -EINVAL, "expected an integer"},
    {BYTES("asm(('LONG', True), ('STOP',))"), -EINVAL, "expected an integer"},
    {BYTES("asm(('FLOAT', 5), ('STOP',))"), -EINVAL, "expected a float"},
    {BYTES("asm(('FLOAT', nan), ('STOP',))"), -EINVAL, "expected a float"},
    {BYTES("asm(('BINFLOAT', b'1234567'), ('STOP',))"), -EINVAL, "expected one float, or its eight bytes"},
    {BYTES("asm(('STRING', '\xc3\xa9'), ('STOP',))"), -EINVAL, "expected an ASCII string"},
    {BYTES("asm(('UNICODE', 5), ('STOP',))"), -EINVAL, "expected a string"},
    {BYTES("asm(('SHORT_BINBYTES', 'x'), ('STOP',))"), -EINVAL, "expected bytes of a length"},
    {BYTES("asm(('BINUNICODE', 5), ('STOP',))"), -EINVAL, "expected a string, or bytes"},
    {BYTES("asm(('LONG1', 'x'), ('STOP',))"), -EINVAL, "expected an integer, or bytes"},
    {BYTES("asm(('BININT1', [] + [1]), ('STOP',))"), -EINVAL, "expected one integer"},
    {BYTES("asm(('GET', -1), ('STOP',))"), -EINVAL, "asm(...) is no pickle: "},
    {BYTES("asm(('NONE',))"), -EINVAL, "asm(...) is no pickle: the pickle ends without STOP"},
    {BYTES("asm(('POP',), ('STOP',))"), -EINVAL, "asm(...) is no pickle: an instruction found the stack empty (byte 0 of it)"},
    {BYTES("asm(('NONE',), ('STOP',), ('NONE',))"), -EINVAL, "asm(...) goes on behind STOP"},
    {BYTES("asm(('GLOBAL', 'os', 'system'), ('STOP',))"), -EPERM, "names os.system"},
    {BYTES("asm(('SHORT_BINUNICODE', 'os'), ('SHORT_BINUNICODE', 'system'), ('STACK_GLOBAL',), ('POP',), ('NONE',), ('STOP',))"),
     -EPERM, "names os.system"},
    {BYTES("asm(('EXT1', 5), ('STOP',))"), -EPERM, "ext(5)"},
};

/* In the same words over nothing and over a list; what is no asm(...) at all is text where nothing but text is lost. */
static void test_refused_programs(void **state)
{
    const struct bytes list = BYTES("\x80\x04]\x94."), *olds[] = {NULL, &list};

    for (size_t i = 0; i < 2 * ARRAY_SIZE(refused); i++) {
        struct failure failure = {0};
        struct buffer stored = BUFFER_INIT;

        assert_int_equal(codec_accept(&PICKLE4, &KNOWN, refused[i / 2].text, olds[i % 2], &stored, &failure), refused[i / 2].code);
        if (!strstr(failure.message, refused[i / 2].reason))
            print_error("'%s' lacks '%s'\n", failure.message, refused[i / 2].reason);
        assert_non_null(strstr(failure.message, refused[i / 2].reason));
        assert_int_equal(stored.size, 0);
        buffer_release(&stored);
    }
}

static void test_asm_is_a_whole_value(void **state)
{
    static const struct bytes texts[] = {
        BYTES("[asm(('NONE',), ('STOP',))]"),
        BYTES("asm(('NONE',), ('STOP',)) + [1]"),
        BYTES("do(f(), asm(('NONE',), ('STOP',)))"),
        BYTES("let(_1 := asm(('NONE',), ('STOP',)), [_1])"),
        BYTES("let(_1 := asm(('NONE',), ('STOP',)), asm(('NONE',), ('STOP',)))"),
        BYTES("asm()"),
        BYTES("asm('NONE', 'STOP')"),
        BYTES("asm((5,))"),
        BYTES("asm(())"),
        BYTES("asm(*[('NONE',), ('STOP',)])"),
        BYTES("# marshal 4\nasm(('NONE',), ('STOP',))"),
    };
    const struct bytes list = BYTES("\x80\x04]\x94.");

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct failure failure = {0};
        struct buffer stored = BUFFER_INIT;

        assert_int_equal(codec_accept(&PICKLE4, &ANY, texts[i], &list, &stored, &failure), -EINVAL);
        assert_non_null(strstr(failure.message, "asm("));
        buffer_release(&stored);
    }
}

static void test_an_edited_program_keeps_its_names(void **state)
{
    const struct bytes old = BYTES("]q\x00" "cos\nsystem\nh\x00\x85Rq\x01" "0h\x00K\x01" "a0h\x01.");
    struct buffer text = BUFFER_INIT, stored = BUFFER_INIT;
    uint8_t *number;

    render(&PICKLE4, old, &text);
    number = memmem(text.data, text.size, "('BININT1', 1)", 14);
    assert_non_null(number);
    number[12] = '7';
    assert_int_equal(codec_accept(&PICKLE4, &KNOWN, buffer_bytes(&text), NULL, &stored, NULL), -EPERM);
    assert_int_equal(codec_accept(&PICKLE4, &KNOWN, buffer_bytes(&text), &old, &stored, NULL), 0);
    assert_bytes(buffer_bytes(&stored), BYTES("]q\x00" "cos\nsystem\nh\x00\x85Rq\x01" "0h\x00K\x07" "a0h\x01."));
    buffer_release(&text);
    buffer_release(&stored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operands_give_the_instruction_again),
        cmocka_unit_test(test_programs_are_stored_as_they_were),
        cmocka_unit_test(test_a_program_is_readable),
        cmocka_unit_test(test_any_program_may_be_saved),
        cmocka_unit_test(test_refused_programs),
        cmocka_unit_test(test_asm_is_a_whole_value),
        cmocka_unit_test(test_an_edited_program_keeps_its_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
