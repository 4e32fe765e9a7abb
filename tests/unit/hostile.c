/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/unit/hostile.h"

#include "codecs/pickle_dis.h"

#include <stdio.h>

#define ONCE(text) {PART_ONCE, text, sizeof(text) - 1}
#define EACH(text) {PART_EACH, text, sizeof(text) - 1}
#define NUMBERED(text) {PART_NUMBERED, text, sizeof(text) - 1}
#define SIZE {PART_SIZE, NULL, 0}
#define PUTS {PART_PUTS, NULL, 0}

#define PICKLE false, {CODEC_PICKLE, 4, false}
#define MARSHAL false, {CODEC_MARSHAL, 4, false}
#define MARSHAL_OF_2 false, {CODEC_MARSHAL, 2, true}
#define TEXT true, {CODEC_PICKLE, 4, false}
#define TEXT_FOR_0 true, {CODEC_PICKLE, 0, false}
#define TEXT_FOR_2 true, {CODEC_PICKLE, 2, false}
#define TEXT_FOR_PYTHON_2 true, {CODEC_PICKLE, 0, true}
#define TEXT_FOR_MARSHAL true, {CODEC_MARSHAL, 4, false}

const struct hostile_row hostile_rows[] = {
    /* Pickles: stack, marks and memo. */
    {"marks", PICKLE, {EACH("(((((((((("), ONCE("N.")}},
    {"deep lists", PICKLE, {ONCE("]"), EACH("]"), EACH("a"), ONCE(".")}},
    {"deep lists of protocol 0", PICKLE, {EACH("(l"), ONCE("N"), EACH("a"), ONCE(".")}},
    {"deep tuples", PICKLE, {ONCE("N"), EACH("\x85"), ONCE(".")}},
    {"deep dicts", PICKLE, {ONCE("N"), EACH("}NN"), ONCE("N"), EACH("s0"), ONCE(".")}},
    {"deep frozensets", PICKLE, {ONCE("\x80\x04"), EACH("("), EACH("\x91"), ONCE(".")}},
    {"deep calls", PICKLE, {ONCE("cm\nf\n"), EACH(")R"), ONCE(".")}},
    {"deep builds", PICKLE, {ONCE("cm\nf\n"), EACH("Nb"), ONCE(".")}},
    {"doubling tuples", PICKLE, {ONCE("N"), EACH("2\x86"), ONCE(".")}},
    {"doubling lists", PICKLE, {ONCE("N"), EACH("2(22222222l"), ONCE(".")}},
    {"doubling keys", PICKLE, {ONCE("}N"), EACH("2\x86"), ONCE("Ns.")}},
    {"empty lists", PICKLE, {ONCE("]("), EACH("]"), ONCE("e.")}},
    {"empty dicts", PICKLE, {ONCE("("), EACH("}"), ONCE("l.")}},
    {"empty sets", PICKLE, {ONCE("\x80\x04("), EACH("\x8f"), ONCE("t.")}},
    {"empty tuples", PICKLE, {ONCE("("), EACH(")"), ONCE("t.")}},
    {"nones", PICKLE, {ONCE("("), EACH("N"), ONCE("t.")}},
    {"deep nones", PICKLE, {ONCE("](](](](](](](](](](](](](](]((") , EACH("N"), ONCE("teeeeeeeeeeeeeee.")}},
    {"memoised lists", PICKLE, {ONCE("\x80\x04]("), EACH("]\x94"), ONCE("e.")}},
    {"sparse memo", PICKLE, {PUTS, ONCE("N.")}},
    {"far memo", PICKLE, {ONCE("Nr\xff\xff\xff\xffp999999999999999999\np1000000000\n.")}},
    {"overlapping memo", PICKLE, {ONCE("\x80\x04"), EACH("Nq\x01\x94\x30"), ONCE("h\x01.")}},
    {"far lengths", PICKLE, {ONCE("\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.")}},
    {"frames", PICKLE, {ONCE("\x80\x04"), EACH("\x95\0\0\0\0\0\0\0\0"), ONCE("N.")}},
    {"protocols", PICKLE, {ONCE("("), EACH("\x80\x04N\x80\x02"), ONCE("t.")}},
    {"truncated", PICKLE, {EACH("](")}},
    {"trailing", PICKLE, {ONCE("N."), EACH("cos\nsystem\n.")}},
    /* Pickles: what is looked up, called and changed. */
    {"persistent", PICKLE, {ONCE("N"), EACH("Q"), ONCE(".")}},
    {"buffers", PICKLE, {ONCE("\x80\x05("), EACH("\x97"), ONCE("t.")}},
    {"views", PICKLE, {ONCE("\x80\x05\x97"), EACH("\x98"), ONCE(".")}},
    {"popped calls", PICKLE, {ONCE("cm\nf\n"), EACH("2)R0"), ONCE(".")}},
    {"recursive calls", PICKLE, {ONCE("cm\nf\n"), EACH("2)R\x94\x30h\0"), ONCE(".")}},
    {"state calls", PICKLE, {ONCE("cm\nf\n)Rq\0"), EACH("cm\ns\nh\0N\x86R0"), ONCE(".")}},
    {"deep state calls", PICKLE, {EACH("cm\nf\n)R\x94" "cm\ns\ng0\n"), ONCE("N"), EACH("\x86R0"), ONCE(".")}},
    {"extensions", PICKLE, {ONCE("\x80\x02("), EACH("\x82\x01"), ONCE("t.")}},
    {"instances", PICKLE, {ONCE("("), EACH("N"), ONCE("im\nC\n.")}},
    {"many instances", PICKLE, {ONCE("("), EACH("(NNNim\nC\n"), ONCE("t.")}},
    {"steps", PICKLE, {ONCE("cm\nf\n"), EACH("NaNNs"), ONCE(".")}},
    {"globals", PICKLE, {ONCE("("), EACH("cm\nn\n"), ONCE("t.")}},
    {"many globals", PICKLE, {ONCE("("), NUMBERED("cm\nn\nI"), EACH(""), ONCE("t.")}},
    {"computed globals", PICKLE, {ONCE("\x80\x04("), EACH("NQNQ\x93"), ONCE("t.")}},
    {"changed globals", PICKLE, {ONCE("("), EACH("cm\nf\n}b"), ONCE("t.")}},
    {"keywords", PICKLE, {ONCE("\x80\x04("), EACH("cm\nC\n)\x81}V_\nNsb"), ONCE("t.")}},
    {"unordered", PICKLE, {ONCE("]q\1cbuiltins\ntuple\nh\1\x85R0("), EACH("]"), ONCE("l0h\1K\1a.")}},
    /* Pickles: strings and numbers. */
    {"repeated string", PICKLE, {ONCE("\x80\x04\x8c\x28"), ONCE("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"), ONCE("\x94]("), EACH("h\0"), ONCE("e.")}},
    {"repeated global", PICKLE, {ONCE("cmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm\n"
                                      "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\n"), ONCE("q\0]("), EACH("h\0"), ONCE("e.")}},
    {"shared long string", PICKLE, {ONCE("V"), EACH("s"), ONCE("\nq\0]("), EACH("h\0"), ONCE("e.")}},
    {"shared long name", PICKLE, {ONCE("\x80\x04V"), EACH("s"), ONCE("\nq\0("), EACH("h\0h\0\x93"), ONCE("t.")}},
    {"equal long names", PICKLE, {ONCE("\x80\x04V"), EACH("s"), ONCE("\nq\0V"), EACH("s"), ONCE("\nq\1("), EACH("h\0h\0\x93h\1h\1\x93"), ONCE("t.")}},
    {"long name twice", PICKLE, {ONCE("\x80\x04V"), EACH("s"), ONCE("\nq\0("), EACH("h\0h\0\x93"), ONCE("t\x80\x04.")}},
    {"long 8-bit name", PICKLE, {ONCE("\x80\x02T"), SIZE, EACH("s"), ONCE("q\0("), EACH("h\0h\0\x93"), ONCE("t.")}},
    {"many ids", PICKLE, {ONCE("V"), EACH("s"), ONCE("\nq\0("), EACH("h\0Q"), ONCE("t.")}},
    {"controls", PICKLE, {ONCE("\x80\x04(X"), SIZE, EACH("\1"), ONCE("l.")}},
    {"bytes", PICKLE, {ONCE("\x80\x04(B"), SIZE, EACH("\xff"), ONCE("l.")}},
    {"8-bit string", PICKLE, {ONCE("(T"), SIZE, EACH("\xff"), ONCE("l.")}},
    {"bytes of protocol 2", PICKLE, {ONCE("\x80\x02("), EACH("c_codecs\nencode\nVa\nVlatin1\n\x86R"), ONCE("l.")}},
    {"escapes", PICKLE, {ONCE("V"), EACH("\\u0041\\"), ONCE("\n.")}},
    {"digits", PICKLE, {EACH("L777777777777777777777777777777777777777777777777L\n0"), ONCE("N.")}},
    {"many digits", PICKLE, {ONCE("L"), EACH("7"), ONCE("L\n.")}},
    {"big integer", PICKLE, {ONCE("\x80\x02\x8b"), SIZE, EACH("\x7f"), ONCE(".")}},
    {"floats", PICKLE, {ONCE("("), EACH("F1e308\n"), ONCE("l.")}},
    /* Marshals. */
    {"marshal: far count", MARSHAL, {ONCE("(\xff\xff\xff\x7f")}},
    {"marshal: counts", MARSHAL, {EACH("[\1\0\0\0"), ONCE("N")}},
    {"marshal: 2000 levels", MARSHAL, {ONCE("["), SIZE, EACH("[\1\0\0\0N")}},
    {"marshal: nones", MARSHAL, {ONCE("["), SIZE, EACH("N")}},
    {"marshal: empty dicts", MARSHAL, {ONCE("["), SIZE, EACH("{0")}},
    {"marshal: empty tuples", MARSHAL, {ONCE("["), SIZE, EACH(")\0")}},
    {"marshal: flagged dicts", MARSHAL, {ONCE("["), SIZE, EACH("\xfb\x30")}},
    {"marshal: flagged strings", MARSHAL, {ONCE("["), SIZE, EACH("\xfa\1a")}},
    {"marshal: references", MARSHAL, {ONCE("\xdb"), SIZE, EACH("r\0\0\0\0")}},
    {"marshal: dropped keys", MARSHAL, {ONCE("["), SIZE, EACH("{N0")}},
    {"marshal: pairs", MARSHAL, {ONCE("{"), EACH("NN"), ONCE("0")}},
    {"marshal: digits", MARSHAL, {ONCE("l"), SIZE, EACH("\1\0")}},
    {"marshal: floats", MARSHAL, {ONCE("["), SIZE, EACH("f\1\x31")}},
    {"marshal: complex", MARSHAL, {ONCE("["), SIZE, EACH("x\1\x31\1\x31")}},
    {"marshal: slices", MARSHAL, {ONCE("["), SIZE, EACH(":NNN")}},
    {"marshal: code", MARSHAL, {EACH("c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")}},
    {"marshal: Latin-1", MARSHAL, {ONCE("a"), SIZE, EACH("\xe9")}},
    {"marshal: interned", MARSHAL_OF_2, {ONCE("["), SIZE, EACH("t\0\0\0\0")}},
    {"marshal: string references", MARSHAL_OF_2, {ONCE("(\2\0\0\0t\1\0\0\0a["), SIZE, EACH("R\0\0\0\0")}},
    {"marshal: truncated", MARSHAL, {ONCE("["), SIZE, EACH(")\1"), ONCE("N")}},
    /* Texts. */
    {"text: brackets", TEXT, {EACH("["), EACH("]")}},
    {"text: parentheses", TEXT, {EACH("("), ONCE("1"), EACH(")")}},
    {"text: braces", TEXT, {EACH("{1:"), ONCE("1"), EACH("}")}},
    {"text: open brackets", TEXT, {EACH("[(")}},
    {"text: calls", TEXT, {ONCE("m.f"), EACH("()")}},
    {"text: nested calls", TEXT, {EACH("m.f("), EACH(")")}},
    {"text: signs", TEXT, {EACH("-"), ONCE("1")}},
    {"text: steps", TEXT, {ONCE("m.f()"), EACH("+[1]<<2|{3:4}")}},
    {"text: names", TEXT, {ONCE("["), NUMBERED("[],_2"), ONCE("]")}},
    {"text: definitions", TEXT, {ONCE("["), NUMBERED("(_1"), EACH(":=[])"), ONCE("]")}},
    {"text: nested names", TEXT, {EACH("(_1:="), ONCE("1"), EACH(")")}},
    {"text: one name", TEXT, {ONCE("[(_1:=[]),"), EACH("_1,"), ONCE("]")}},
    {"text: strings", TEXT, {ONCE("["), NUMBERED("'',0x1"), ONCE("]")}},
    {"text: different strings", TEXT, {ONCE("['"), NUMBERED("','"), ONCE("']")}},
    {"text: different globals", TEXT, {ONCE("[1"), NUMBERED(",m.n"), ONCE("]")}},
    {"text: joined strings", TEXT, {EACH("'' "), ONCE("''")}},
    {"text: joined parts", TEXT, {ONCE("["), EACH("'a' 'b',"), ONCE("]")}},
    {"text: escapes", TEXT, {ONCE("'"), EACH("\\x01"), ONCE("'")}},
    {"text: bytes", TEXT, {ONCE("["), EACH("b'',"), ONCE("]")}},
    {"text: comments", TEXT, {EACH("#\n"), ONCE("[]")}},
    {"text: empty lines", TEXT, {EACH("\n"), ONCE("[")}},
    {"text: continued lines", TEXT, {ONCE("["), EACH("\\\n"), ONCE("]")}},
    {"text: columns", TEXT, {ONCE("['"), EACH("\xc3\xa9"), ONCE("'")}},
    {"text: numbers", TEXT, {ONCE("["), EACH("1,"), ONCE("]")}},
    {"text: digits", TEXT, {ONCE("[0x"), EACH("f"), ONCE("]")}},
    {"text: underscores", TEXT, {ONCE("[1"), EACH("_1"), ONCE("]")}},
    {"text: complex", TEXT, {ONCE("["), EACH("1j,"), ONCE("]")}},
    {"text: sums", TEXT, {ONCE("[1"), EACH("+1j"), ONCE("]")}},
    {"text: dates", TEXT, {ONCE("["), EACH("datetime.date(1,1,1),"), ONCE("]")}},
    {"text: utc", TEXT, {ONCE("["), EACH("datetime.timezone.utc,"), ONCE("]")}},
    {"text: keywords", TEXT, {ONCE("m.f(a=1"), NUMBERED(",a"), EACH("=1"), ONCE(")")}},
    {"text: effects", TEXT, {ONCE("do("), EACH("m.f(),"), ONCE("1)")}},
    {"text: state calls", TEXT, {EACH("do(m.s("), ONCE("(_1:=m.f())"), EACH(",1),_1)")}},
    {"text: definitions of let", TEXT, {ONCE("let("), EACH("[],"), ONCE("1)")}},
    {"text: asm", TEXT, {ONCE("asm(('MARK',),"), EACH("('NONE',),"), ONCE("('LIST',),('STOP',))")}},
    {"text: asm in depth", TEXT, {ONCE("asm(('NONE',),"), EACH("('TUPLE1',),"), ONCE("('STOP',))")}},
    {"text: asm with text", TEXT, {ONCE("asm(('UNICODE','"), EACH("\\x01"), ONCE("'),('STOP',))")}},
    {"text: bytes for protocol 2", TEXT_FOR_2, {ONCE("["), NUMBERED("b'\\1',0x1"), ONCE("]")}},
    {"text: different bytes for protocol 2", TEXT_FOR_2, {ONCE("[b'"), NUMBERED("',b'"), ONCE("']")}},
    {"text: sets for protocol 2", TEXT_FOR_2, {ONCE("["), EACH("set(),"), ONCE("]")}},
    {"text: deep sets for protocol 2", TEXT_FOR_2, {EACH("frozenset({"), ONCE("1"), EACH("})")}},
    {"text: bytearrays for protocol 2", TEXT_FOR_2, {ONCE("["), EACH("bytearray(b'\\xff'),"), ONCE("]")}},
    {"text: lists for protocol 0", TEXT_FOR_0, {ONCE("["), EACH("[],"), ONCE("]")}},
    {"text: strings for Python 2", TEXT_FOR_PYTHON_2, {ONCE("["), NUMBERED("'',u'"), EACH("'"), ONCE("]")}},
    {"text: long name", TEXT, {ONCE("[(_1:='"), EACH("s"), ONCE("'),"), EACH("find_class(_1,_1),"), ONCE("]")}},
    {"text: marshal", TEXT_FOR_MARSHAL, {ONCE("["), EACH("{},"), ONCE("]")}},
    {"text: deep marshal", TEXT_FOR_MARSHAL, {EACH("["), EACH("]")}},
};
const size_t hostile_row_count = ARRAY_SIZE(hostile_rows);

static void add_put(struct buffer *out, uint32_t i)
{
    uint32_t index = i * 15000u + 5;
    uint8_t op[] = {'N', 'r', (uint8_t)index, (uint8_t)(index >> 8), (uint8_t)(index >> 16), (uint8_t)(index >> 24), '0'};

    buffer_add(out, bytes_of(op, sizeof op));
}

static void add_part(struct buffer *out, const struct hostile_part *part, size_t size)
{
    struct bytes content = bytes_of(part->content, part->length);

    if (part->kind == PART_ONCE)
        buffer_add(out, content);
    for (int i = 0; part->kind == PART_SIZE && i < 4; i++)
        buffer_add_byte(out, (uint8_t)(size >> 8 * i));
    for (size_t i = 0; part->kind >= PART_EACH && part->kind != PART_SIZE && i < size; i++) {
        if (part->kind == PART_PUTS)
            add_put(out, (uint32_t)i);
        else
            buffer_add(out, content);
        if (part->kind == PART_NUMBERED)
            buffer_printf(out, "%08zu", i);
    }
}

static const struct codec_rules any = {.max_value = SIZE_MAX, .any_globals = true};
static const struct codec_rules known = {.max_value = SIZE_MAX};

void hostile_value_init(struct hostile_value *value, const struct hostile_row *row, size_t size)
{
    struct buffer *made = row->is_text ? &value->text : &value->stored;

    *value = (struct hostile_value){.stored = BUFFER_INIT, .text = BUFFER_INIT};
    for (size_t i = 0; i < HOSTILE_PARTS; i++)
        add_part(made, &row->parts[i], size);
    if (row->is_text)
        (void)!codec_accept(&row->dialect, &any, buffer_bytes(made), NULL, &value->stored, NULL);
    else
        (void)!codec_render(&row->dialect, buffer_bytes(made), &value->text, NULL);
}

void hostile_value_release(struct hostile_value *value)
{
    buffer_release(&value->stored);
    buffer_release(&value->text);
}

const char *const hostile_work_names[HOSTILE_WORKS] = {
    [WORK_RENDER] = "render", [WORK_ACCEPT] = "accept", [WORK_ACCEPT_AGAIN] = "accept again",
    [WORK_CHECK] = "check",   [WORK_LIST] = "list",
};

size_t hostile_input(const struct hostile_row *row, const struct hostile_value *value, enum hostile_work work)
{
    size_t stored = value->stored.size, text = value->text.size;

    switch (work) {
    case WORK_RENDER:
        return stored;
    case WORK_ACCEPT:
        return text;
    case WORK_ACCEPT_AGAIN:
        return stored && text ? stored + text : 0;
    case WORK_CHECK:
        return 2 * stored;
    default:
        return row->dialect.codec == CODEC_PICKLE ? stored : 0;
    }
}

/* Other bytes, but the same names as far as a loader comes. */
static int check(const struct hostile_row *row, struct bytes stored, struct buffer *out)
{
    buffer_add(out, stored);
    buffer_add_byte(out, 0);
    return buffer_status(out) ? buffer_status(out)
                              : codec_accept_stored(&row->dialect, &known, buffer_bytes(out), &stored, NULL);
}

int hostile_do(const struct hostile_row *row, const struct hostile_value *value, enum hostile_work work,
               struct buffer *out)
{
    struct bytes stored = buffer_bytes(&value->stored), text = buffer_bytes(&value->text);

    switch (work) {
    case WORK_RENDER:
        return codec_render(&row->dialect, stored, out, NULL);
    case WORK_ACCEPT:
        return codec_accept(&row->dialect, &any, text, NULL, out, NULL);
    case WORK_ACCEPT_AGAIN:
        return codec_accept(&row->dialect, &any, text, &stored, out, NULL);
    case WORK_CHECK:
        return check(row, stored, out);
    default:
        return pickle_dis(stored, out);
    }
}
