/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What cPickle of CPython 2.7.18 (32-bit characters, 64-bit ints) wrote for these values, from their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "codecs/expression.h"
#include "codecs/pickle.h"

static const struct row {
    const char *text;
    struct bytes pickles[3]; /* by protocol */
} rows[] = {
    {"{'a': 0.1, 'it\\'s \"\\n\\xff': 4294967296}",
     {BYTES("(dp1\nS'a'\nF0.10000000000000001\nsS'it\\'s \"\\n\\xff'\np2\nI4294967296\ns."),
      BYTES("}q\x01(U\x01"
            "aG?\xb9\x99\x99\x99\x99\x99\x9aU\x08it's \"\n\xffq\x02I4294967296\nu."),
      BYTES("\x80\x02}q\x01(U\x01"
            "aG?\xb9\x99\x99\x99\x99\x99\x9aU\x08it's \"\n\xffq\x02I4294967296\nu.")}},
    /* Characters are counted, not bytes; \r and \0 stay. */
    {"['ab', u'\\xe9', u'\\U0001f600', u'xy\\r\\0']",
     {BYTES("(lp1\nS'ab'\np2\naV\xe9\naV\\U0001f600\naVxy\r\x00\np3\na."),
      BYTES("]q\x01(U\x02"
            "abq\x02X\x02\x00\x00\x00\xc3\xa9X\x04\x00\x00\x00\xf0\x9f\x98\x80X\x04\x00\x00\x00xy\r"
            "\x00q\x03"
            "e."),
      BYTES("\x80\x02]q\x01(U\x02"
            "abq\x02X\x02\x00\x00\x00\xc3\xa9X\x04\x00\x00\x00\xf0\x9f\x98\x80X\x04\x00\x00\x00xy\r"
            "\x00q\x03"
            "e.")}},
    {"[long(5), long(-1), 2147483648, long(4611686018427387904), 9223372036854775808]",
     {BYTES("(lp1\nL5L\naL-1L\naI2147483648\naL4611686018427387904L\naL9223372036854775808L\na."),
      BYTES("]q\x01(L5L\nL-1L\nI2147483648\nL4611686018427387904L\nL9223372036854775808L\ne."),
      BYTES("\x80\x02]q\x01("
            "\x8a\x01\x05\x8a\x01\xffI2147483648\n\x8a\x08\x00\x00\x00\x00\x00\x00\x00@"
            "\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00"
            "e.")}},
    {"long(0)", {BYTES("L0L\n."), BYTES("L0L\n."), BYTES("\x80\x02\x8a\x00.")}},
    /* The pickler holds what is in a list ... */
    {"[[], {}, (), ('x',)]",
     {BYTES("(lp1\n(lp2\na(dp3\na(ta(S'x'\ntp4\na."),
      BYTES("]q\x01(]q\x02}q\x03)(U\x01xtq\x04"
            "e."),
      BYTES("\x80\x02]q\x01(]q\x02}q\x03)U\x01x\x85q\x04"
            "e.")}},
    /* ... and, in protocol 0, in a dict, but not in a tuple. */
    {"{'k': ([], 5), 'l': []}",
     {BYTES("(dp1\nS'k'\n((lI5\ntp2\nsS'l'\n(lp3\ns."), BYTES("}q\x01(U\x01k(]K\x05tU\x01l]u."),
      BYTES("\x80\x02}q\x01(U\x01k]K\x05\x86U\x01l]u.")}},
    {"{'ab'}",
     {BYTES("c__builtin__\nset\np1\n((lp2\nS'ab'\np3\natRp4\n."),
      BYTES("c__builtin__\nset\nq\x01(]q\x02U\x02"
            "abq\x03"
            "atRq\x04."),
      BYTES("\x80\x02"
            "c__builtin__\nset\nq\x01]q\x02U\x02"
            "abq\x03"
            "a\x85Rq\x04.")}},
    {"[bytearray(b'ab\\xff'), bytearray(), 'latin-1']",
     {BYTES("(lp1\nc__builtin__\nbytearray\np2\n(Vab\xff\nS'latin-1'\ntRp3\nag2\n(V\nS'latin-1'\ntRp4\naS'latin-1'\np5\na."),
      BYTES("]q\x01(c__builtin__\nbytearray\nq\x02(X\x04\x00\x00\x00"
            "ab\xc3\xbfU\x07latin-1tRq\x03h\x02(X\x00\x00\x00\x00U\x07latin-1tRq\x04U\x07latin-1q\x05"
            "e."),
      BYTES("\x80\x02]q\x01(c__builtin__\nbytearray\nq\x02X\x04\x00\x00\x00"
            "ab\xc3\xbfU\x07latin-1\x86Rq\x03h\x02X\x00\x00\x00\x00U\x07latin-1\x86Rq\x04U\x07latin-1q\x05"
            "e.")}},
    /* __reduce__() makes the string, so that it is no object that another one could be. */
    {"[decimal.Decimal('1.50'), '1.50']",
     {BYTES("(lp1\ncdecimal\nDecimal\np2\n(S'1.50'\ntRp3\naS'1.50'\np4\na."),
      BYTES("]q\x01(cdecimal\nDecimal\nq\x02(U\x04"
            "1.50tRq\x03U\x04"
            "1.50q\x04"
            "e."),
      BYTES("\x80\x02]q\x01(cdecimal\nDecimal\nq\x02U\x04"
            "1.50\x85Rq\x03U\x04"
            "1.50q\x04"
            "e.")}},
    {"exceptions.KeyError('ab', 7)",
     {BYTES("cexceptions\nKeyError\np1\n(S'ab'\np2\nI7\ntp3\nRp4\n."),
      BYTES("cexceptions\nKeyError\nq\x01(U\x02"
            "abq\x02K\x07tq\x03Rq\x04."),
      BYTES("\x80\x02"
            "cexceptions\nKeyError\nq\x01U\x02"
            "abq\x02K\x07\x86q\x03Rq\x04.")}},
    {"{'old': inst(m.C) << {}}",
     {BYTES("(dp1\nS'old'\np2\n(im\nC\np3\n(dp4\nbs."),
      BYTES("}q\x01U\x03oldq\x02(cm\nC\nq\x03o}q\x04"
            "bs."),
      BYTES("\x80\x02}q\x01U\x03oldq\x02(cm\nC\nq\x03o}q\x04"
            "bs.")}},
};

static void encode(const char *text, unsigned protocol, struct buffer *out)
{
    struct document document;
    struct failure failure = {0};

    document_init(&document, SIZE_MAX);
    document.protocol = (uint8_t)protocol;
    document.python2 = true;
    if (expression_parse(bytes_of_string(text), &document, &failure))
        fail_msg("%s: %s", text, failure.message);
    assert_int_equal(pickle_encode(&document, protocol, out, &failure), 0);
    document_release(&document);
}

static void assert_pickle(const char *text, unsigned protocol, struct bytes wanted)
{
    struct buffer out = BUFFER_INIT;

    encode(text, protocol, &out);
    if (!bytes_equal(buffer_bytes(&out), wanted))
        print_error("%s in protocol %u:\n", text, protocol);
    assert_int_equal(out.size, wanted.size);
    assert_memory_equal(out.data, wanted.data, wanted.size);
    buffer_release(&out);
}

static void test_as_cpickle(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (unsigned protocol = 0; protocol <= 2; protocol++)
            assert_pickle(rows[i].text, protocol, rows[i].pickles[protocol]);
}

/* "[0, 0, ...]" or "{0: 0, 1: 0, ...}" */
static void add_container(struct buffer *text, bool dict, unsigned count)
{
    buffer_add_byte(text, dict ? '{' : '[');
    for (unsigned i = 0; i < count; i++)
        if (dict)
            buffer_printf(text, "%u: 0, ", i);
        else
            buffer_add_string(text, "0, ");
    buffer_add_byte(text, dict ? '}' : ']');
    buffer_add_byte(text, '\0');
    assert_int_equal(buffer_status(text), 0);
}

/* A list has no batch of a single item and none that is empty, a dict has both. */
static void test_batches(void **state)
{
    static const struct {
        unsigned count;
        struct bytes list, dict; /* how they end */
    } ends[] = {
        {1,
         BYTES("]q\x01K\x00"
               "a."),
         BYTES("}q\x01K\x00K\x00s.")},
        {1000,
         BYTES("K\x00K\x00"
               "e."),
         BYTES("M\xe7\x03K\x00u(u.")},
        {1001,
         BYTES("K\x00"
               "eK\x00"
               "a."),
         BYTES("u(M\xe8\x03K\x00u.")},
        {1002,
         BYTES("K\x00"
               "e(K\x00K\x00"
               "e."),
         BYTES("u(M\xe8\x03K\x00M\xe9\x03K\x00u.")},
    };

    for (size_t i = 0; i < ARRAY_SIZE(ends) * 2; i++) {
        struct bytes end = i % 2 ? ends[i / 2].dict : ends[i / 2].list;
        struct buffer text = BUFFER_INIT, out = BUFFER_INIT;

        add_container(&text, i % 2, ends[i / 2].count);
        encode((const char *)text.data, 2, &out);
        assert_true(bytes_end_with(buffer_bytes(&out), end));
        buffer_release(&text);
        buffer_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_cpickle),
                                       cmocka_unit_test(test_batches)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
