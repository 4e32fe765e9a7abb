/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_dis.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "codecs/pickle_ops.h"
#include "src/utf8.h"
#include "tests/unit/amount.h"

static struct buffer listing_of(struct bytes stored, size_t limit)
{
    struct buffer text = BUFFER_INIT;

    text.limit = limit;
    assert_int_equal(pickle_dis(stored, &text), 0);
    return text;
}

static void assert_same(const struct buffer *text, const char *wanted)
{
    if (!bytes_equal(buffer_bytes(text), bytes_of_string(wanted)))
        print_error("%.*s", (int)text->size, (const char *)text->data);
    assert_true(bytes_equal(buffer_bytes(text), bytes_of_string(wanted)));
}

static bool contains(const struct buffer *text, const char *part)
{
    return memmem(text->data, text->size, part, strlen(part)) != NULL;
}

static void assert_contains(const struct buffer *text, const char *part)
{
    if (!contains(text, part))
        print_error("no '%s' in\n%.*s", part, (int)text->size, (const char *)text->data);
    assert_true(contains(text, part));
}

#define TITLE "# offset  op  opcode           stack marks  argument, effect\n"
#define FOUND "# what a loader would look up and call (!: scanners take it for dangerous)\n"

static const struct {
    struct bytes stored;
    const char *listing;
} whole[] = {
    {BYTES("\x80\x04]\x94(K\x01h\x00" "e."),
     TITLE "       0  80  PROTO                0     0  4\n"
           "       2  5d  EMPTY_LIST           1     0\n"
           "       3  94  MEMOIZE              1     0  memo[0] = a list\n"
           "       4  28  MARK                 1     1\n"
           "       5  4b  BININT1              2     1  1\n"
           "       7  68  BINGET               3     1  memo[0]: a list\n"
           "       9  65  APPENDS              1     0  (mark at 4)\n"
           "      10  2e  STOP                 0     0\n"
           "# a loader would look up and call nothing\n"},
    {BYTES("cos\nsystem\n(S'ls'\ntR0Np5\n."),
     TITLE "       0  63  GLOBAL               1     0  os system\n"
           "      11  28  MARK                 1     1\n"
           "      12  53  STRING               2     1  'ls'\n"
           "      18  74  TUPLE                2     0  (mark at 11)\n"
           "      19  52  REDUCE               1     0  call os.system\n"
           "      20  30  POP                  0     0\n"
           "      21  4e  NONE                 1     0\n"
           "      22  70  PUT                  1     0  memo[5] = None\n"
           "      25  2e  STOP                 0     0\n"
           FOUND "! calls    os.system, at byte 0\n"},
    /* what stops a loader stops the listing, with the reason */
    {BYTES("N(0N\x85" "e."),
     TITLE "       0  4e  NONE                 1     0\n"
           "       1  28  MARK                 1     1\n"
           "       2  30  POP                  1     0  (mark at 1)\n"
           "       3  4e  NONE                 2     0\n"
           "       4  85  TUPLE1               2     0\n"
           "       5  65  APPENDS\n"
           "# it breaks at byte 5: an instruction found no mark\n"
           "# a loader would look up and call nothing\n"},
    {BYTES("\x8c\x02os\x8c\x06system\x93K"),
     TITLE "       0  8c  SHORT_BINUNICODE     1     0  'os'\n"
           "       4  8c  SHORT_BINUNICODE     2     0  'system'\n"
           "      12  93  STACK_GLOBAL         1     0  os.system\n"
           "      13  4b  BININT1\n"
           "# it breaks at byte 13: the pickle ends inside an argument\n"
           FOUND "! looks up os.system, at byte 12\n"},
    {BYTES("hello"),
     TITLE "       0  68  BINGET                        101\n"
           "# it breaks at byte 0: GET found nothing in the memo\n"
           "# a loader would look up and call nothing\n"},
    {BYTES("\x01"), TITLE "       0  01  ?\n"
                          "# it breaks at byte 0: no such opcode\n"
                          "# a loader would look up and call nothing\n"},
    {{NULL, 0}, TITLE "       0  00  ?\n"
                      "# it breaks at byte 0: the pickle ends without STOP\n"
                      "# a loader would look up and call nothing\n"},
    /* all pickles of a value */
    {BYTES("N.K\x05.\x00"),
     TITLE "       0  4e  NONE                 1     0\n"
           "       1  2e  STOP                 0     0\n"
           "# byte 2: a loader has stopped; another pickle, or other data\n"
           "       2  4b  BININT1              1     0  5\n"
           "       4  2e  STOP                 0     0\n"
           "# byte 5: a loader has stopped; another pickle, or other data\n"
           "       5  00  ?\n"
           "# it breaks at byte 5: no such opcode\n"
           "# a loader would look up and call nothing\n"},
};

static void test_whole_listings(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
        struct buffer text = listing_of(whole[i].stored, SIZE_MAX);

        assert_same(&text, whole[i].listing);
        buffer_release(&text);
    }
}

static const struct {
    struct bytes stored;
    const char *part;
} parts[] = {
    /* arguments */
    {BYTES("J\xff\xff\xff\xff."), "BININT               1     0  -1\n"},
    {BYTES("\x95\x02\0\0\0\0\0\0\0N."), "FRAME                0     0  2\n"},
    {BYTES("G\x3f\xf8\0\0\0\0\0\0."), "BINFLOAT             1     0  1.5\n"},
    {BYTES("\x8a\x01\xff."), "LONG1                1     0  -1\n"},
    {BYTES("\x8b\x09\0\0\0\0\0\0\0\0\0\0\0\x01."), "LONG4                1     0  18446744073709551616\n"},
    {BYTES("I01\n."), "INT                  1     0  01\n"},
    {BYTES("Vcaf\xe9\n."), "UNICODE              1     0  b'caf\\xe9'\n"},
    {BYTES("C\x02\x1b\xff."), "SHORT_BINBYTES       1     0  b'\\x1b\\xff'\n"},
    {BYTES("\x8c\x03\xe2\x82\xac."), "1     0  '\xe2\x82\xac'\n"},
    {BYTES("C\x64" "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789."),
     "  b'012345678901234567890123456789012345678901234567'... (100 bytes)\n"},
    {BYTES("\x8c\x03\xe2\x82\xff."), "# it breaks at byte 0: a string is not valid UTF-8\n"},
    /* a long text is not cut inside of a character */
    {BYTES("\x8c\x34" "0123456789012345678901234567890123456789012345\xe2\x82\xac\xe2\x82\xac."),
     "2345'... (52 bytes)\n"},
    /* effects */
    {BYTES("N2."), "DUP                  2     0\n"},
    {BYTES("Nq\x01h\x01."), "BINGET               2     0  memo[1]: None\n"},
    {BYTES("(ios\npopen\n."), "INST                 1     0  os popen call os.popen (mark at 0)\n"},
    {BYTES("cm\nC\n)\x81}b."), "BUILD                1     0  set state of an object\n"},
    {BYTES("cm\nC\n)\x81."), "NEWOBJ               1     0  call m.C\n"},
    {BYTES("cm\nC\n)}\x92."), "NEWOBJ_EX            1     0  call m.C\n"},
    {BYTES("(cm\nC\no."), "OBJ                  1     0  call m.C (mark at 0)\n"},
    /* what is found */
    {BYTES("cm\nC\ncm\nC\n."), "\n  looks up m.C, first at byte 0, 2 times\n"},
    {BYTES("cm\nC\ncm\nC\n)R."), "\n  calls    m.C, first at byte 0, 2 times\n"},
    {BYTES("Px\n(PxQPy\n."), "\n  asks for the object with the persistent id 'x', at byte 0\n"},
    {BYTES("K\x05Q."), "\n  asks for the object with the persistent id 5, at byte 2\n"},
    {BYTES("\x82\x05)R."), "\n  calls    extension code 5, at byte 0\n"},
    {BYTES("\x82\x06\x82\x05\x82\x06."), "5, at byte 2\n  looks up extension code 6, first at byte 0, 2 times\n"},
    {BYTES("cm\nf\n)RU\x01x\x93."), "\n! looks up a computed name, at byte 10\n"},
    {BYTES("\x8c\x01m\x8c\x07os.exec\x93."), "\n! looks up 'm' 'os.exec', at byte 12\n"},
    {BYTES("cos.path\njoin\n."), "\n! looks up os.path.join, at byte 0\n"},
    {BYTES("cost\njoin\n."), "\n  looks up ost.join, at byte 0\n"},
    {BYTES("cbuiltins\neval\n."), "\n! looks up builtins.eval, at byte 0\n"},
    {BYTES("c__builtin__\nset\n."), "\n  looks up __builtin__.set, at byte 0\n"},
    {BYTES("cdoctest\ndebug_script\n."), "\n! looks up doctest.debug_script, at byte 0\n"},
    {BYTES("cnumpy.f2py.crackfortran\ngetlincoef\n."), "\n! looks up numpy.f2py.crackfortran.getlincoef, at byte 0\n"},
    {BYTES("cnumpy\nndarray\n."), "\n  looks up numpy.ndarray, at byte 0\n"},
    {BYTES("cany.where\neval\n."), "\n! looks up any.where.eval, at byte 0\n"},
    {BYTES("\x8c\x05torch\x8c\x04load\x93."), "\n! looks up torch.load, at byte 13\n"},
    {BYTES("c__builtins__\ndict\n."), "\n! looks up __builtins__.dict, at byte 0\n"},
    {BYTES("N.cposix\nsystem\n."), "\n! looks up posix.system, at byte 2\n"},
    {BYTES("\x8c\x03\xe2\x80\xae\x8c\x01\x1b\x93."), "\n  looks up '\\u202e' '\\x1b', at byte 8\n"},
};

static void test_parts(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        struct buffer text = listing_of(parts[i].stored, SIZE_MAX);

        assert_contains(&text, parts[i].part);
        buffer_release(&text);
    }
}

/* Every byte as an instruction, before and behind others: a name for each opcode, and nothing that harms a terminal. */
static void test_any_byte_is_listed(void **state)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t stored[] = {'N', '(', (uint8_t)byte, '\n', 0x1B, 0xFF, '\n', 0, 0, 0, 0, '.'};
        struct buffer text = listing_of(bytes_of(stored, sizeof stored), SIZE_MAX);
        const char *name = pickle_opcode_info((uint8_t)byte)->name;

        assert_contains(&text, name ? name : "no such opcode");
        for (size_t at = 0; at < text.size;) {
            struct utf8_point point = utf8_decode(buffer_bytes(&text), at, UTF8_STRICT);

            assert_true(point.length > 0);
            assert_true(point.point == '\n' || !utf8_is_control(point.point));
            at += point.length;
        }
        assert_true(bytes_end_with(buffer_bytes(&text), BYTES("\n")));
        buffer_release(&text);
    }
}

static void test_large_listings_are_cut(void **state)
{
    struct buffer stored = BUFFER_INIT, text;

    for (int i = 0; i < 2000; i++)
        buffer_add_string(&stored, "N0");
    for (int i = 0; i < 2000; i++)
        buffer_printf(&stored, "cm\nf%d\n", i);
    buffer_add_string(&stored, "cos\nsystem\n.");
    text = listing_of(buffer_bytes(&stored), 16384);
    assert_contains(&text, " on: too many instructions to show\n" FOUND "  looks up m.f0, at byte 4000\n");
    assert_true(bytes_end_with(buffer_bytes(&text), BYTES(" more\n")));
    assert_true(text.size < 16384);
    buffer_release(&text);
    text = listing_of(buffer_bytes(&stored), SIZE_MAX);
    assert_contains(&text, "! looks up os.system, at byte ");
    assert_false(contains(&text, " more\n"));
    buffer_release(&text);

    text = (struct buffer){.limit = 100};
    assert_int_equal(pickle_dis(buffer_bytes(&stored), &text), -EFBIG);
    buffer_release(&text);
    buffer_release(&stored);
}

/* Deep nesting, many pickles, a listing much larger than its value: all linear. */
static void test_hostile_values(void **state)
{
    static const char *const units[] = {"(", "N.", "]", "N2\x86", "N0", "N(1", "Np9\n", "\x82\x01", "}"};

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        struct buffer stored = BUFFER_INIT, text;

        for (size_t n = 0; n < reduced(50000); n++)
            buffer_add_string(&stored, units[i]);
        text = listing_of(buffer_bytes(&stored), 1 << 22);
        assert_true(text.size > 1000);
        buffer_release(&text);
        buffer_release(&stored);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_listings),   cmocka_unit_test(test_parts),
        cmocka_unit_test(test_any_byte_is_listed), cmocka_unit_test(test_large_listings_are_cut),
        cmocka_unit_test(test_hostile_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
