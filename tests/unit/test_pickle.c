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
#include "tests/unit/amount.h"

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

    assert_int_equal(
        pickle_encode(&loaded->document, loaded->document.protocol, &out, &loaded->failure), 0);
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
    {"booleans", P("\x80\x02]q\x00(\x88\x89"
                   "e.")},
    {"booleans, protocol 0", P("(lp0\nI01\naI00\na.")},
    {"small ints", P("\x80\x02]q\x00(K\x00K\xffM\x00\x01M\xff\xffJ\x00\x00\x01\x00J\xff\xff\xff\xff"
                     "e.")},
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
    {"bytes", P("\x80\x03"
                "C\x02\xff\x00q\x00.")},
    {"bytes, protocol 2", P("\x80\x02"
                            "c_"
                            "codecs\nencode\nq\x00X\x03\x00\x00\x00\xc3\xbf\x01q\x01X\x06\x00\x00"
                            "\x00latin1q\x02\x86q\x03Rq\x04.")},
    {"empty bytes, protocol 2", P("\x80\x02"
                                  "c__builtin__\nbytes\nq\x00)Rq\x01.")},
    {"bytearray",
     P("\x80\x05\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x96\x01\x00\x00\x00\x00\x00\x00\x00x\x94.")},
    {"bytearray, protocol 3", P("\x80\x03"
                                "cbuiltins\nbytearray\nq\x00"
                                "C\x01xq\x01\x85q\x02Rq\x03.")},
    {"empty containers", P("\x80\x02]q\x00(]q\x01}q\x02)e.")},
    {"empty containers, protocol 0", P("(lp0\n(lp1\na(dp2\na(ta.")},
    {"dict", P("\x80\x02}q\x00(K\x01K\x02K\x03K\x04u.")},
    {"dict of one", P("\x80\x02}q\x00K\x01K\x02s.")},
    {"set", P("\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00\x8f\x94(K\x01\x90.")},
    {"set, protocol 2", P("\x80\x02"
                          "c__builtin__\nset\nq\x00]q\x01K\x01"
                          "a\x85q\x02Rq\x03.")},
    {"frozenset", P("\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00(K\x01\x91\x94.")},
    {"tuples", P("\x80\x02K\x01\x85q\x00.")},
    {"tuple of four", P("\x80\x02(K\x01K\x02K\x03K\x04tq\x00.")},
    {"recursive list", P("\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00]\x94h\x00"
                         "a.")},
    {"recursive dict", P("\x80\x02}q\x00K\x01h\x00s.")},
    {"recursive tuple", P("\x80\x02]q\x00h\x00\x85q\x01"
                          "a0h\x01.")},
    {"recursive tuple, protocol 0", P("((lp0\n(g0\ntp1\na00g1\n.")},
    {"shared list", P("\x80\x02]q\x00(]q\x01h\x01"
                      "e.")},
    {"global", P("\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00\x8c\x08"
                 "builtins\x94\x8c\x03len\x94\x93\x94.")},
    {"global, protocol 2", P("\x80\x02"
                             "c__builtin__\nlen\nq\x00.")},
    {"nested class, 3.8", P("\x80\x02"
                            "c__builtin__\ngetattr\nq\x00"
                            "cm\nA\nq\x01X\x01\x00\x00\x00"
                            "Bq\x02\x86q\x03Rq\x04.")},
    {"nested class, 3.13", P("\x80\x02"
                             "c__builtin__\ngetattr\nq\x00"
                             "cm\nA\nX\x01\x00\x00\x00"
                             "Bq\x01\x86Rq\x02.")},
    {"instance", P("\x80\x02"
                   "cm\nA\nq\x00)\x81q\x01}q\x02X\x01\x00\x00\x00xq\x03K\x01sb.")},
    {"instance that refers to itself",
     P("\x80\x02"
       "cm\nA\nq\x00)\x81q\x01}q\x02X\x01\x00\x00\x00xq\x03h\x01sb.")},
    {"an object in its own arguments", P("\x80\x02"
                                         "cm\nF\nq\x00"
                                         "cm\nA\nq\x01)\x81q\x02}q\x03X\x01\x00\x00\x00"
                                         "fq\x04h\x00h\x02\x85q\x05Rq\x06sb\x85q\x07R0h\x06.")},
    {"NEWOBJ_EX", P("\x80\x04\x95\x17\x00\x00\x00\x00\x00\x00\x00\x8c\x01m\x94\x8c\x01"
                    "A\x94\x93\x94)}\x94\x8c\x01k\x94K\x01s\x92\x94.")},
    {"list items of a call", P("\x80\x02"
                               "cm\nL\nq\x00)\x81q\x01(K\x01K\x02"
                               "eK\x03"
                               "b.")},
    {"dict items of a call", P("\x80\x02"
                               "cm\nL\nq\x00)Rq\x01K\x01K\x02s.")},
    {"extension codes", P("\x80\x02]q\x00(\x82\xff\x83\x00\x01\x84\x00\x00\x01\x00\x82\xff"
                          "e.")},
    {"persistent id", P("\x80\x02K\x01Q.")},
    {"persistent id, protocol 0", P("Pabc\n.")},
    {"buffers", P("\x80\x05\x95\x0c\x00\x00\x00\x00\x00\x00\x00]\x94(\x97\x97\x98K\x01\x85\x94"
                  "e.")},
    {"state setter", P("\x80\x02"
                       "cm\nset\nq\x00"
                       "cm\nA\nq\x01)\x81q\x02K\x01\x86R0h\x02.")},
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
    {P("(N."), P("N.")},  /* STOP under an open mark */
    {P("N(0."), P("N.")}, /* POP of a mark */
    {P("N(e."), P("N.")}, /* an empty batch for anything */
    {P("N(u."), P("N.")},
    {P("K\x01"
       "2\x86."),
     P("(K\x01K\x01tq\x00.")}, /* DUP */
    {P("]2\x86."), P("(]q\x00h\x00tq\x01.")},
    {P("I+1\n."), P("I01\n.")}, /* INT: two characters of value 1 */
    {P("I 0\n."), P("I00\n.")},
    {P("I-0\n."), P("I00\n.")},
    {P("I010\n."), P("I8\n.")}, /* strtol(base 0) */
    {P("I5\0junk\n."), P("I5\n.")},
    {P("I0x1F\n."), P("I31\n.")},
    {P("I1_000\n."), P("I1000\n.")}, /* int(base 0) takes over */
    {P("I99999999999999999999\n."), P("L99999999999999999999L\n.")},
    {P("L0x1fL\n."), P("I31\n.")},
    {P("L-0b11\n."), P("I-3\n.")},
    {P("L00\n."), P("I0\n.")},
    {P("F1e16\n."), P("F1e+16\n.")},
    {P("F-nan\n."), P("G\xff\xf8\0\0\0\0\0\0.")},
    {P("V\\\\u0041\n."), P("V\\u005c\\u005cu0041\np0\n.")}, /* an even number of backslashes */
    {P("V\\x41\n."), P("V\\u005cx41\np0\n.")},
    {P("\x80\x02Nq\x01K\x05\x94h\x01\x86."),
     P("\x80\x02K\x05K\x05\x86q\x00.")}, /* MEMOIZE counts entries */
    {P("Np 0_1 \ng1\n\x86."), P("(NNtq\x00.")},
    {P("]r\xff\xff\xff\xff"
       "0j\xff\xff\xff\xff."),
     P("]q\x00.")},
    {P("Np999999999999999999\n0g999999999999999999\n."), P("N.")},
    {P("\x8a\x04\x01\x00\x00\x00."), P("K\x01.")}, /* not minimal */
    {P("\x8a\x00."), P("K\x00.")},
    {P("\x80\x02\x8b\x01\x00\x00\x00\x05."), P("\x80\x02K\x05.")},
    {P("\x80\x03"
       "B\x01\x00\x00\x00x."),
     P("\x80\x03"
       "C\x01xq\x00.")},
    {P("\x80\x03\x8e\x01\x00\x00\x00\x00\x00\x00\x00x."), P("\x80\x03"
                                                            "C\x01xq\x00.")},
    {P("\x80\x03\x8d\x01\x00\x00\x00\x00\x00\x00\x00x."), P("\x80\x03X\x01\x00\x00\x00xq\x00.")},
    {P("\x80\x02NNN\x87."), P("\x80\x02NNN\x87q\x00.")},
    {P("\x80\x02(cm\nC\nK\x01o."), P("\x80\x02(cm\nC\nq\x00K\x01oq\x01.")},
    {P("\x80\x02T\x02\x00\x00\x00hi."), P("\x80\x02U\x02hiq\x01.")},
    {P("(NNd."), P("(dp0\nNNs.")},
    {P("(NNl."), P("(lp0\nNaNa.")},
    {P("\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00N."),
     P("\x80\x04N.")},                          /* a frame that is too short */
    {P("\x80\x02N\x80\x04."), P("\x80\x04N.")}, /* the last PROTO */
    {P("U\x08"
       "builtinsU\x03len\x93."),
     P("cbuiltins\nlen\nq\x01.")},
    {P("\x80\x04\x8c\x02"
       "a\n2\x93."),
     P("\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00\x8c\x02"
       "a\n\x94h\x00\x93\x94.")},
    {P("(K\x01K\x02"
       "1N."),
     P("N.")},                                   /* POP_MARK drops what is no effect */
    {P("cm\nf\n)R0N."), P("cm\nf\nq\x00)R0N.")}, /* a popped call is an effect */
    {P("cm\nf\n)RN."), P("cm\nf\nq\x00)R0N.")},  /* and so is one that is left over */
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

/* What CPython refuses, whatever it is refused for. */
static const struct bytes refused[] = {
    /* literals that nothing can be made of */
    P("N)R."),
    P("(K\x01o."),
    P("X\x01\x00\x00\x00" "a)\x81."),
    P("cm\nC\n)N\x92."),
    /* truncated: no STOP, or the input ends inside an argument */
    P(""),
    P("N"),
    P("B"),
    P("B\x03\x00\x00"),
    P("B\x03\x00\x00\x00"),
    P("B\x03\x00\x00\x00xx."),
    P("\x8e\x03\x00\x00\x00\x00\x00\x00"),
    P("\x8e\x03\x00\x00\x00\x00\x00\x00\x00"
      "ab"),
    P("C"),
    P("C\x05"
      "abc."),
    P("F"),
    P("F0.0"),
    P("G"),
    P("G\x00\x00\x00\x00\x00\x00\x00"),
    P("I"),
    P("I0"),
    P("J"),
    P("J\x00\x00\x00"),
    P("K"),
    P("M"),
    P("M\x00"),
    P("L"),
    P("L0L"),
    P("S"),
    P("S'abc'"),
    P("T\x03\x00\x00"),
    P("T\x03\x00\x00\x00xx."),
    P("U"),
    P("U\x03xx."),
    P("V"),
    P("Vabc"),
    P("X\x03\x00\x00"),
    P("X\x03\x00\x00\x00xx."),
    P("\x8c"),
    P("\x8c\x03xx."),
    P("\x8d\x03\x00\x00\x00\x00\x00\x00"),
    P("\x8d\x03\x00\x00\x00\x00\x00\x00\x00xx."),
    P("(c"),
    P("cbuiltins"),
    P("cbuiltins\n"),
    P("cbuiltins\nlist"),
    P("Ng0"),
    P("(i"),
    P("(ibuiltins\n"),
    P("(ibuiltins\nlist"),
    P("Np0"),
    P("Nh"),
    P("Nj\x00\x00\x00"),
    P("Nq"),
    P("Nr\x00\x00\x00"),
    P("P"),
    P("P0"),
    P("\x80"),
    P("\x80\x02"),
    P("\x82"),
    P("\x83\x01"),
    P("\x84\x01\x00\x00"),
    P("\x8a"),
    P("\x8a\x03\x00\x00."),
    P("\x8b\x03\x00\x00"),
    P("\x8b\x03\x00\x00\x00xx."),
    P("\x95"),
    P("\x95\x02\x00\x00\x00\x00\x00\x00\x00N"),
    P("\x96\x01\x00\x00"),
    /* bad stack */
    P("."),
    P("0."),
    P("1."),
    P("2."),
    P("a."),
    P("Na."),
    P("b."),
    P("Nb."),
    P("d."),
    P("e."),
    P("(e."),
    P("l."),
    P("o."),
    P("(o."),
    P("Q."),
    P("R."),
    P("NR."),
    P("s."),
    P("Ns."),
    P("NNs."),
    P("t."),
    P("u."),
    P("(u."),
    P("}(Nu."),
    P("(Nd."),
    P("p0\n."),
    P("q\x00."),
    P("r\x00\x00\x00\x00."),
    P("\x94."),
    P("\x81."),
    P("N\x81."),
    P("\x85."),
    P("N\x86."),
    P("NN\x87."),
    P("\x90."),
    P("(\x90."),
    P("\x91."),
    P("\x92."),
    P("NN\x92."),
    P("\x93."),
    P("N\x93."),
    P("\x98."),
    /* bad mark: nothing may reach below the topmost mark */
    P("N(."),
    P("N(2."),
    P("cm\nf\n)(R."),
    P("cm\nf\n()R0("),
    P("N(b."),
    P("]N(a."),
    P("}NN(s."),
    P("}N(Ns."),
    P("N(Q."),
    P("N(\x85."),
    P("NN(\x86."),
    P("N(N\x86."),
    P("NN(N\x87."),
    P("cm\nC\n)(\x81."),
    P("cm\nC\n()\x81."),
    P("N(p0\n."),
    P("N(q\x00."),
    P("N(\x94."),
    P("\x8c\x01m\x8c\x01n(\x93."),
    P("\x8c\x01m(\x8c\x01n\x93."),
    P("N(\x98."),
    /* arguments */
    P("I\n."),
    P("Ix\n."),
    P("I1__0\n."),
    P("I_1\n."),
    P("I0x\n."),
    P("L\n."),
    P("LL\n."),
    P("L010\n."),
    P("F\n."),
    P("F1e400\n."),
    P("F 1.0\n."),
    P("F1_0\n."),
    P("F0x1p3\n."),
    P("S\n."),
    P("S'\n."),
    P("S'a\n."),
    P("S'a' \n."),
    P("Sa\n."),
    P("S'\\xg0'\n."),
    P("S'\\'\n."),
    P("V\\u12\n."),
    P("V\\U00110000\n."),
    P("X\x01\x00\x00\x00\xff."),
    P("X\x02\x00\x00\x00\xc0\x80."),
    P("\x8c\x03\xed\xa0."),
    P("g0\n."),
    P("Ng0\n."),
    P("Np-1\n."),
    P("Npx\n."),
    P("Np\n."),
    P("h\x00."),
    P("j\x00\x00\x00\x00."),
    P("c\nlen\n."),
    P("cbuiltins\n\n."),
    P("c\xff\nx\n."),
    P("(i\xc3\xa9\nx\n."),
    P("P\xc3\xa9\n."),
    P("\x80\x06N."),
    P("\x82\x00."),
    P("\x84\xff\xff\xff\xff."),
    P("\x8b\xff\xff\xff\xff."),
    P("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."),
    P("\x96\xff\xff\xff\xff\xff\xff\xff\xff."),
    P("N\x95\xff\xff\xff\xff\xff\xff\xff\xff."),
    P("cm\nf\nNR."),
    P("cm\nC\n]\x81."),
    P("NN\x93."),
    P("\x8c\x01mK\x01\x93."),
    P("\xff."),
    P("\x00."),
    P("hello"),
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct loaded loaded = load(refused[i]);

        if (loaded.status != -EINVAL)
            print_bytes("accepted", refused[i]);
        assert_int_equal(loaded.status, -EINVAL);
        assert_int_equal(loaded.failure.code, -EINVAL);
        assert_true(loaded.failure.message[0] != 0);
        assert_true(loaded.failure.offset <= refused[i].size);
        document_release(&loaded.document);
    }
}

/* Every prefix of a valid pickle is refused. */
static void test_prefixes(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(canonical); i++)
        for (size_t size = 0; size < canonical[i].pickle.size; size++) {
            struct loaded loaded = load(bytes_of(canonical[i].pickle.data, size));

            /* But for the one that holds two. */
            if (!loaded.status)
                assert_string_equal(canonical[i].name, "two pickles");
            document_release(&loaded.document);
        }
}

/* Every opcode occurs in a program that is accepted: the table and the switch agree. */
static void test_all_opcodes(void **state)
{
    bool seen[256] = {false};
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(canonical) + ARRAY_SIZE(accepted); i++) {
        struct cursor cursor =
            cursor_at(i < ARRAY_SIZE(canonical) ? canonical[i].pickle
                                                : accepted[i - ARRAY_SIZE(canonical)].pickle,
                      0);
        struct pickle_op op;

        while (!pickle_read_op(&cursor, &op) && op.code != PICKLE_STOP)
            seen[op.code] = true;
        seen[PICKLE_STOP] = true;
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        const struct pickle_opcode_info *info = pickle_opcode_info((uint8_t)byte);

        if (info->name && !seen[byte])
            print_message("no test has %s\n", info->name);
        count += info->name && seen[byte];
    }
    assert_int_equal(count, 68);
}

/* Programs whose graph would tell another story, and near ones that it tells well. */
static const struct {
    struct bytes pickle;
    int faithful;
} told[] = {
    {P("]q\x00"
       "cbuiltins\ntuple\nh\x00\x85Rq\x01"
       "0h\x00K\x01"
       "a0h\x01."),
     0},
    {P("]q\x00"
       "cbuiltins\ntuple\nh\x00\x85R0h\x00K\x01"
       "a."),
     0},
    {P("]q\x00"
       "cbuiltins\ntuple\nh\x00\x85R0h\x00."),
     1},
    {P("cbuiltins\ntuple\n]\x85R0N."), 1},
    {P("]cm\nf\n)Ra0N."), 0}, /* a call inside of what is dropped */
    {P("\x80\x04"
       "cm\nf\n)RK\x01"
       "acm\ng\n)Ra."),
     0}, /* extended before and after a call: one instruction would do both */
    {P("\x80\x04"
       "cm\nf\n)R(K\x01"
       "cm\ng\n)Re."),
     1},
    {P("cm\nf\n(tRI1\nacm\ng\n(tRa."), 1}, /* in protocol 0 it does so */
    {P("\x80\x04}cm\nf\n)RK\x01scm\ng\n)RK\x02s."), 0}, /* the first key is hashed before the second is made */
    {P("\x80\x04}NK\x01sK\x01\x85"
       "cm\ng\n)Rs."),
     1},
    {P("\x80\x04\x8f(cm\nf\n)R\x90(cm\ng\n)R\x90."), 0},
    {P("cm\nf\n)Rq\x00"
       "0cm\ng\n)Rh\x00\x86."),
     1},
    {P("]q\x00h\x00"
       "a."),
     1},
    {P("(cm\nf\n)Rl."), 0}, /* the list is made after its item */
    {P("(NNl."), 1},
    {P("\x80\x02"
       "cm\nx\nq\x00\x80\x04"
       "0h\x00."),
     0}, /* looked up by other rules */
    {P("NK\x01"
       "bNb."),
     1},
    {P("K\x01q\x00N"
       "b0h\x00."),
     1},
    {P("cm\nC\ncm\nC\nK\x01s."), 0}, /* a class that gets itself, looked up twice */
    {P("cm\nC\ncm\nD\nK\x01s."), 1},
    {P("(tp0\ng0\na."), 1}, /* an empty tuple and an int that get themselves */
    {P("K\x01q\x00h\x00"
       "b."),
     1},
};

static void test_faithful(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
        struct loaded loaded = load(told[i].pickle);

        print_bytes("  ", told[i].pickle);
        assert_int_equal(loaded.status, 0);
        assert_int_equal(pickle_faithful(told[i].pickle, &loaded.document), told[i].faithful);
        document_release(&loaded.document);
    }
}

/* ---- calls that are plain types ---- */

static void assert_root(struct bytes pickle, enum value_kind kind)
{
    struct loaded loaded = load(pickle);

    assert_int_equal(loaded.status, 0);
    assert_int_equal(loaded.document.root->kind, kind);
    document_release(&loaded.document);
}

static void test_lowered(void **state)
{
    assert_root(P("\x80\x02"
                  "c_codecs\nencode\n(Va\nVlatin1\ntR."),
                VALUE_BYTES);
    assert_root(P("\x80\x02"
                  "c_codecs\nencode\n(V\\u20ac\nVlatin1\ntR."),
                VALUE_CALL);
    assert_root(P("\x80\x02"
                  "c_codecs\nencode\n(Va\nVlatin-1\ntR."),
                VALUE_CALL);
    assert_root(P("\x80\x02"
                  "c_codecs\nencode\n(V\nVlatin1\ntR."),
                VALUE_CALL);
    assert_root(P("\x80\x03"
                  "c_codecs\nencode\n(Va\nVlatin1\ntR."),
                VALUE_CALL);
    assert_root(P("c__builtin__\nset\n]\x85R."), VALUE_SET);
    assert_root(P("cbuiltins\nset\n]\x85R."), VALUE_CALL);
    assert_root(P("\x80\x03"
                  "cbuiltins\nset\n]\x85R."),
                VALUE_SET);
    assert_root(P("\x80\x04"
                  "cbuiltins\nset\n]\x85R."),
                VALUE_CALL);
    assert_root(P("\x80\x03"
                  "cbuiltins\nset\n)R."),
                VALUE_CALL);
    /* Something else has the list, too. */
    assert_root(P("\x80\x03"
                  "cbuiltins\nset\n]q\x00\x85Rq\x01"
                  "0h\x00h\x01\x86."),
                VALUE_TUPLE);
    assert_root(P("\x80\x03"
                  "]q\x00"
                  "0cbuiltins\nset\nh\x00\x85R."),
                VALUE_CALL);
    assert_root(P("\x80\x03"
                  "cbuiltins\nfrozenset\n]\x85R."),
                VALUE_FROZENSET);
    assert_root(P("\x80\x04"
                  "cbuiltins\nbytearray\nC\x01x\x85R."),
                VALUE_BYTEARRAY);
    assert_root(P("\x80\x04"
                  "cbuiltins\nbytearray\nC\x00\x85R."),
                VALUE_CALL);
    assert_root(P("\x80\x05"
                  "cbuiltins\nbytearray\nC\x01x\x85R."),
                VALUE_CALL);
}

/* ---- hostile inputs ---- */

static void repeat(struct buffer *out, struct bytes part, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buffer_add(out, part);
}

static const struct hostile {
    const char *name;
    struct bytes start, first, second, end;
    size_t firsts, seconds;
} hostile[] = {
    {"nested lists", P(""), P("]"), P("a"), P("."), 1000000, 999999},
    {"nested tuples", P("N"), P("\x85"), P(""), P("."), 1000000, 0},
    {"nested dicts", P("}"), P("K\x00}"), P("s"), P("."), 500000, 500000},
    {"nested frozensets", P(""), P("("), P("\x91"), P("."), 1000000, 1000000},
    {"call of a call", P("cm\nf\n"), P(")R"), P(""), P("."), 1000000, 0},
    {"call with a call", P(""), P("cm\nf\n"), P("\x85R"), P("."), 200000, 199999},
    {"states of states", P(""), P("]"), P("b"), P("."), 1000000, 999999},
    {"persistent ids", P("N"), P("Q"), P(""), P("."), 1000000, 0},
    {"read-only buffers", P("N"), P("\x98"), P(""), P("."), 1000000, 0},
    {"steps on None", P("N"), P("Nb"), P(""), P("."), 500000, 0},
    {"steps on a list", P("]"), P("Nb"), P("Na"), P("."), 500000, 500000},
    {"marks", P(""), P("("), P("N"), P("."), 10000000, 1},
    {"marks pushed and popped over a deep stack", P(""), P("N"), P("(0"), P("."), 1000000, 1000000},
    {"DUP TUPLE2", P("N"), P("2\x86"), P(""), P("."), 500000, 0},
    {"MEMOIZE", P("N"), P("\x94"), P(""), P("."), 1000000, 0},
    {"a sparse memo", P("N"), P("r\xff\xff\xff\xffp99999999999\n"), P(""), P("."), 100000, 0},
    {"gets of a long string",
     P("X\x0a\x00\x00\x00"
       "0123456789q\x00"),
     P("h\x00"), P(""), P("."), 500000, 0},
    {"dropped calls", P("cm\nf\nq\x00"), P("h\x00)R0"), P(""), P("."), 200000, 0},
    {"globals", P(""), P("cm\nx\n"), P(""), P("."), 200000, 0},
};

static void check_hostile(const struct hostile *row)
{
    struct buffer pickle = BUFFER_INIT, out = BUFFER_INIT;
    struct document document;
    size_t limit, firsts = reduced(row->firsts);
    int faithful;

    buffer_add(&pickle, row->start);
    repeat(&pickle, row->first, firsts);
    repeat(&pickle, row->second, row->seconds > 1 ? firsts - (row->firsts - row->seconds) : row->seconds);
    buffer_add(&pickle, row->end);
    limit = pickle.size * 64 + (1 << 20);
    document_init(&document, limit);
    print_message("  %s, %zu bytes\n", row->name, pickle.size);
    assert_int_equal(pickle_decode(buffer_bytes(&pickle), &document, NULL), 0);
    document.arena.limit = SIZE_MAX; /* the encoder's memory counts for the text that is stored */
    assert_int_equal(pickle_encode(&document, document.protocol, &out, NULL), 0);
    document.arena.limit = limit;
    /* What the graph left may be too little for a second one. */
    faithful = pickle_faithful(buffer_bytes(&pickle), &document);
    assert_true(faithful >= 0 || faithful == -EFBIG);
    document_release(&document);
    buffer_release(&pickle);
    buffer_release(&out);
}

static void test_hostile(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(hostile); i++)
        check_hostile(&hostile[i]);
}

static void test_limit(void **state)
{
    struct buffer pickle = BUFFER_INIT;
    struct document document;
    struct failure failure = {0};

    repeat(&pickle, P("]"), 100000);
    buffer_add(&pickle, P("."));
    document_init(&document, 100000);
    assert_int_equal(pickle_decode(buffer_bytes(&pickle), &document, &failure), -EFBIG);
    assert_int_equal(failure.code, -EFBIG);
    document_release(&document);
    buffer_release(&pickle);
}

static void test_encode_limit(void **state)
{
    struct loaded loaded = load(P("\x80\x03"
                                  "C\x05hello."));
    struct buffer out;

    buffer_init(&out, 8);
    buffer_add(&out, P("ab"));
    assert_int_equal(pickle_encode(&loaded.document, 3, &out, &loaded.failure), -EFBIG);
    assert_int_equal(out.size, 2);
    buffer_release(&out);
    document_release(&loaded.document);
}

/* The same graph in another protocol. */
static void test_other_protocols(void **state)
{
    static const struct bytes wanted[] = {
        P("(c_codecs\nencode\np0\n(V\xff\np1\nVlatin1\np2\ntp3\nRp4\nc__builtin__\nset\np5\n(("
          "lp6\nI1\natp7\nRp8\ntp9\n."),
        P("(c_codecs\nencode\nq\x00("
          "X\x02\x00\x00\x00\xc3\xbfq\x01X\x06\x00\x00\x00latin1q\x02tq\x03Rq\x04"
          "c__builtin__\nset\nq\x05(]q\x06K\x01"
          "atq\x07Rq\x08tq\x09."),
        P("\x80\x02"
          "c_"
          "codecs\nencode\nq\x00X\x02\x00\x00\x00\xc3\xbfq\x01X\x06\x00\x00\x00latin1q\x02\x86q\x03"
          "Rq\x04"
          "c__builtin__\nset\nq\x05]q\x06K\x01"
          "a\x85q\x07Rq\x08\x86q\x09."),
        P("\x80\x03"
          "C\x01\xffq\x00"
          "cbuiltins\nset\nq\x01]q\x02K\x01"
          "a\x85q\x03Rq\x04\x86q\x05."),
        P("\x80\x04\x95\x0d\x00\x00\x00\x00\x00\x00\x00"
          "C\x01\xff\x94\x8f\x94(K\x01\x90\x86\x94."),
        P("\x80\x05\x95\x0d\x00\x00\x00\x00\x00\x00\x00"
          "C\x01\xff\x94\x8f\x94(K\x01\x90\x86\x94."),
    };

    for (unsigned from = 0; from < ARRAY_SIZE(wanted); from++) {
        struct loaded loaded = load(wanted[from]);

        assert_int_equal(loaded.status, 0);
        for (unsigned to = 0; to < ARRAY_SIZE(wanted); to++) {
            struct buffer out = BUFFER_INIT;

            assert_int_equal(pickle_encode(&loaded.document, to, &out, NULL), 0);
            assert_bytes(buffer_bytes(&out), wanted[to]);
            buffer_release(&out);
        }
        document_release(&loaded.document);
    }
}

/* CPython 2.7's cPickle: numbers, 8-bit strings, memo from 1. More of it in test_pickle_python2.c. */
static void test_python2(void **state)
{
    static const struct bytes pickles[] = {
        P("(dp1\nS'a'\nF0.10000000000000001\nsS'it\\'s \"\\n\\xff'\np2\nI4294967296\ns."),
        P("}q\x01(U\x01"
          "aG?\xb9\x99\x99\x99\x99\x99\x9aU\x05helloq\x02"
          "cm\nf\nq\x03u."),
        P("\x80\x02]q\x01(U\x05helloq\x02h\x02X\x01\x00\x00\x00xI4294967296\ne."),
    };

    for (size_t i = 0; i < ARRAY_SIZE(pickles); i++) {
        struct loaded loaded = load(pickles[i]);
        struct buffer out;

        assert_int_equal(loaded.status, 0);
        assert_true(loaded.document.python2);
        out = encoded(&loaded);
        assert_bytes(buffer_bytes(&out), pickles[i]);
        buffer_release(&out);
        document_release(&loaded.document);
    }
}

static void test_sniff(void **state)
{
    static const struct bytes strangers[] = {P(""),
                                             P("hello world"),
                                             P("N"),
                                             P("\x80\x09N."),
                                             P("\x00\x01\x02\x03"),
                                             P("{\"json\": 1}"),
                                             P("I am text\nof lines\n"),
                                             P(".")};

    for (size_t i = 0; i < ARRAY_SIZE(canonical); i++)
        assert_true(pickle_sniff(canonical[i].pickle));
    for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
        assert_false(pickle_sniff(strangers[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),       cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_all_opcodes),     cmocka_unit_test(test_faithful),
        cmocka_unit_test(test_lowered),         cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_limit),           cmocka_unit_test(test_encode_limit),
        cmocka_unit_test(test_other_protocols), cmocka_unit_test(test_python2),
        cmocka_unit_test(test_sniff),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
