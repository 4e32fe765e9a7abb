/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "codecs/pickle.h"
#include "codecs/pickle_ops.h"

/* A pickle as a string literal, with its NULs. */
#define P(literal) BYTES(literal)

struct loaded {
    struct document document;
    struct failure failure;
    int status;
};

static struct loaded load(struct bytes pickle)
{
    struct loaded loaded = {.failure = {0}};

    document_init(&loaded.document, SIZE_MAX);
    loaded.status = pickle_decode(pickle, &loaded.document, &loaded.failure);
    return loaded;
}

static struct buffer encoded(struct loaded *loaded)
{
    struct buffer out = BUFFER_INIT;

    assert_int_equal(pickle_encode(&loaded->document, loaded->document.protocol, &out,
                                   &loaded->failure),
                     0);
    return out;
}

static void print_bytes(const char *what, struct bytes bytes)
{
    print_message("%s: ", what);
    for (size_t i = 0; i < bytes.size && i < 200; i++)
        print_message(bytes.data[i] >= 0x20 && bytes.data[i] < 0x7F ? "%c" : "\\x%02x",
                      bytes.data[i]);
    print_message("\n");
}

static void assert_bytes(struct bytes got, struct bytes wanted)
{
    if (bytes_equal(got, wanted))
        return;
    print_bytes("wanted", wanted);
    print_bytes("got   ", got);
    fail();
}

/* What CPython's C pickler writes is what we write. All taken from CPython 3.8 to 3.13. */
static const struct {
    const char *name;
    struct bytes pickle;
} canonical[] = {
    {"None", P("\x80\x04N.")},
    {"None, protocol 0", P("N.")},
    {"booleans", P("\x80\x02]q\x00(\x88\x89" "e.")},
    {"booleans, protocol 0", P("(lp0\nI01\naI00\na.")},
    {"small ints", P("\x80\x02]q\x00(K\x00K\xffM\x00\x01M\xff\xffJ\x00\x00\x01\x00J\xff\xff\xff\xff" "e.")},
    {"int32 limits", P("\x80\x02J\x00\x00\x00\x80.")},
    {"beyond int32", P("\x80\x02\x8a\x05\x00\x00\x00\x80\x00.")},
    {"minus 2**31 - 1", P("\x80\x02\x8a\x05\xff\xff\xff\x7f\xff.")},
    {"2**63", P("\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00.")},
    {"-2**63", P("\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.")},
    {"long text", P("L18446744073709551616L\n.")},
    {"long text in int64", P("L2147483648L\n.")},
    {"int text", P("I-5\n.")},
    {"float", P("\x80\x02G?\xf8\x00\x00\x00\x00\x00\x00.")},
    {"NaN with payload", P("\x80\x02G\x7f\xf8\x00\x00\x00\x00\x00\x01.")},
    {"float text", P("F1.5\n.")},
    {"infinity text", P("Finf\n.")},
    {"str", P("\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01x\x94.")},
    {"str, protocol 3", P("\x80\x03X\x01\x00\x00\x00xq\x00.")},
    {"str, protocol 0", P("Va\\u005c\\u000ab\\u20ac\\U0001f600\xe9\np0\n.")},
    {"lone surrogate", P("\x80\x03X\x03\x00\x00\x00\xed\xa0\x80q\x00.")},
    {"bytes", P("\x80\x03" "C\x02\xff\x00q\x00.")},
    {"bytes, protocol 2", P("\x80\x02" "c_codecs\nencode\nq\x00X\x03\x00\x00\x00\xc3\xbf\x01q\x01X\x06\x00\x00\x00latin1q\x02\x86q\x03Rq\x04.")},
    {"empty bytes, protocol 2", P("\x80\x02" "c__builtin__\nbytes\nq\x00)Rq\x01.")},
    {"bytearray", P("\x80\x05\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x96\x01\x00\x00\x00\x00\x00\x00\x00x\x94.")},
    {"bytearray, protocol 3", P("\x80\x03" "cbuiltins\nbytearray\nq\x00" "C\x01xq\x01\x85q\x02Rq\x03.")},
    {"empty containers", P("\x80\x02]q\x00(]q\x01}q\x02)e.")},
    {"empty containers, protocol 0", P("(lp0\n(lp1\na(dp2\na(ta.")},
    {"dict", P("\x80\x02}q\x00(K\x01K\x02K\x03K\x04u.")},
    {"dict of one", P("\x80\x02}q\x00K\x01K\x02s.")},
    {"set", P("\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8f\x94(K\x01\x90.")},
    {"set, protocol 2", P("\x80\x02" "c__builtin__\nset\nq\x00]q\x01K\x01" "a\x85q\x02Rq\x03.")},
    {"frozenset", P("\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00(K\x01\x91\x94.")},
    {"tuples", P("\x80\x02K\x01\x85q\x00.")},
    {"tuple of four", P("\x80\x02(K\x01K\x02K\x03K\x04tq\x00.")},
    {"recursive list", P("\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00]\x94h\x00" "a.")},
    {"recursive dict", P("\x80\x02}q\x00K\x01h\x00s.")},
    {"recursive tuple", P("\x80\x02]q\x00h\x00\x85q\x01" "a0h\x01.")},
    {"recursive tuple, protocol 0", P("((lp0\n(g0\ntp1\na00g1\n.")},
    {"shared list", P("\x80\x02]q\x00(]q\x01h\x01" "e.")},
    {"global", P("\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00\x8c\x08" "builtins\x94\x8c\x03len\x94\x93\x94.")},
    {"global, protocol 2", P("\x80\x02" "c__builtin__\nlen\nq\x00.")},
    {"nested class, 3.8", P("\x80\x02" "c__builtin__\ngetattr\nq\x00" "cm\nA\nq\x01X\x01\x00\x00\x00" "Bq\x02\x86q\x03Rq\x04.")},
    {"nested class, 3.13", P("\x80\x02" "c__builtin__\ngetattr\nq\x00" "cm\nA\nX\x01\x00\x00\x00" "Bq\x01\x86Rq\x02.")},
    {"instance", P("\x80\x02" "cm\nA\nq\x00)\x81q\x01}q\x02X\x01\x00\x00\x00xq\x03K\x01sb.")},
    {"instance that refers to itself", P("\x80\x02" "cm\nA\nq\x00)\x81q\x01}q\x02X\x01\x00\x00\x00xq\x03h\x01sb.")},
    {"an object in its own arguments", P("\x80\x02" "cm\nF\nq\x00" "cm\nA\nq\x01)\x81q\x02}q\x03X\x01\x00\x00\x00" "fq\x04h\x00h\x02\x85q\x05Rq\x06sb\x85q\x07R0h\x06.")},
    {"NEWOBJ_EX", P("\x80\x04\x95\x17\x00\x00\x00\x00\x00\x00\x00\x8c\x01m\x94\x8c\x01" "A\x94\x93\x94)}\x94\x8c\x01k\x94K\x01s\x92\x94.")},
    {"list items of a call", P("\x80\x02" "cm\nL\nq\x00)\x81q\x01(K\x01K\x02" "eK\x03" "b.")},
    {"dict items of a call", P("\x80\x02" "cm\nL\nq\x00)Rq\x01K\x01K\x02s.")},
    {"extension codes", P("\x80\x02]q\x00(\x82\xff\x83\x00\x01\x84\x00\x00\x01\x00\x82\xff" "e.")},
    {"persistent id", P("\x80\x02K\x01Q.")},
    {"persistent id, protocol 0", P("Pabc\n.")},
    {"buffers", P("\x80\x05\x95\x0c\x00\x00\x00\x00\x00\x00\x00]\x94(\x97\x97\x98K\x01\x85\x94" "e.")},
    {"state setter", P("\x80\x02" "cm\nset\nq\x00" "cm\nA\nq\x01)\x81q\x02K\x01\x86R0h\x02.")},
    {"two pickles", P("\x80\x04N.\x80\x04K\x01.")},
    {"old-style instance", P("(icls\nOld\np1\n(dp2\nS'a'\nI1\nsb.")},
};

static void test_canonical(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(canonical); i++) {
        struct loaded loaded = load(canonical[i].pickle);
        struct buffer out;

        print_message("  %s\n", canonical[i].name);
        assert_int_equal(loaded.status, 0);
        if (!loaded.document.python2) {
            out = encoded(&loaded);
            assert_bytes(buffer_bytes(&out), canonical[i].pickle);
            buffer_release(&out);
        }
        assert_int_equal(pickle_faithful(canonical[i].pickle, &loaded.document), 1);
        document_release(&loaded.document);
    }
}

/* What CPython accepts and writes differently. */
static const struct {
    struct bytes pickle, again;
} accepted[] = {
    {P("(N."), P("N.")},                             /* STOP under an open mark */
    {P("N(0."), P("N.")},                            /* POP of a mark */
    {P("N(e."), P("N.")},                            /* an empty batch for anything */
    {P("N(u."), P("N.")},
    {P("K\x01" "2\x86."), P("(K\x01K\x01tq\x00.")},  /* DUP */
    {P("]2\x86."), P("(]q\x00h\x00tq\x01.")},
    {P("I+1\n."), P("I01\n.")},                      /* INT: two characters of value 1 */
    {P("I 0\n."), P("I00\n.")},
    {P("I-0\n."), P("I00\n.")},
    {P("I010\n."), P("I8\n.")},                      /* strtol(base 0) */
    {P("I5\0junk\n."), P("I5\n.")},
    {P("I0x1F\n."), P("I31\n.")},
    {P("I1_000\n."), P("I1000\n.")},                 /* int(base 0) takes over */
    {P("I99999999999999999999\n."), P("L99999999999999999999L\n.")},
    {P("L0x1fL\n."), P("I31\n.")},
    {P("L-0b11\n."), P("I-3\n.")},
    {P("L00\n."), P("I0\n.")},
    {P("F1e16\n."), P("F1e+16\n.")},
    {P("F-nan\n."), P("Fnan\n.")},
    {P("V\\\\u0041\n."), P("V\\u005c\\u005cu0041\np0\n.")}, /* an even number of backslashes */
    {P("V\\x41\n."), P("V\\u005cx41\np0\n.")},
    {P("\x80\x02Nq\x01K\x05\x94h\x01\x86."), P("\x80\x02K\x05K\x05\x86q\x00.")}, /* MEMOIZE counts entries */
    {P("Np 0_1 \ng1\n\x86."), P("(NNtq\x00.")},
    {P("]r\xff\xff\xff\xff" "0j\xff\xff\xff\xff."), P("]q\x00.")},
    {P("Np999999999999999999\n0g999999999999999999\n."), P("N.")},
    {P("\x8a\x04\x01\x00\x00\x00."), P("K\x01.")},   /* not minimal */
    {P("\x8a\x00."), P("K\x00.")},
    {P("(NNd."), P("(dp0\nNNs.")},
    {P("(NNl."), P("(lp0\nNaNa.")},
    {P("\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00N."), P("\x80\x04N.")}, /* a frame that is too short */
    {P("\x80\x02N\x80\x04."), P("\x80\x04N.")},      /* the last PROTO */
    {P("U\x08" "builtinsU\x03len\x93."), P("U\x08" "builtinsU\x03len\x93.")},
    {P("\x80\x04\x8c\x02" "a\n2\x93."), P("\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00\x8c\x02" "a\n\x94h\x00\x93\x94.")},
    {P("cm\nf\n)R0N."), P("cm\nf\nq\x00)R0N.")},     /* a popped call is an effect */
    {P("cm\nf\n)RN."), P("cm\nf\nq\x00)R0N.")},      /* and so is one that is left over */
};

static void test_accepted(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
        struct loaded loaded = load(accepted[i].pickle);
        struct buffer out;

        print_bytes("  ", accepted[i].pickle);
        if (loaded.status)
            print_message("%s\n", loaded.failure.message);
        assert_int_equal(loaded.status, 0);
        out = encoded(&loaded);
        assert_bytes(buffer_bytes(&out), accepted[i].again);
        buffer_release(&out);
        document_release(&loaded.document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
