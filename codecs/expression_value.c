/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_printer.h"

#include "codecs/literal.h"
#include "src/bigint.h"
#include "src/digits.h"
#include "src/floattext.h"

#include <inttypes.h>

/* Atoms */

void printer_literal(struct printer *p, struct bytes prefix, struct bytes content, bool text)
{
    struct buffer *out;
    size_t columns = prefix.size;

    if (!printer_is_writing(p))
        return;
    out = layout_word(&p->layout);
    buffer_add(out, prefix);
    columns += text ? literal_print_text(content, out) : literal_print_bytes(content, out);
    layout_word_end(&p->layout, columns);
}

/* Bytes between `before` and `)`, or bare with parentheses only around several lines. */
void printer_bytes(struct printer *p, const char *before, struct bytes content)
{
    if (!printer_is_writing(p))
        return;
    layout_open(&p->layout);
    if (before)
        layout_add(&p->layout, before);
    layout_break(&p->layout, before ? BREAK_FIRST : BREAK_OPEN);
    layout_bytes(&p->layout, content);
    layout_break(&p->layout, before ? BREAK_LAST_BARE : BREAK_CLOSE);
    if (before)
        layout_add(&p->layout, ")");
    layout_close(&p->layout);
}

static void print_float(uint64_t bits, struct buffer *out)
{
    static const uint64_t infinity = UINT64_C(0x7FF) << 52, quiet = UINT64_C(0xFFF) << 51;
    char text[FLOATTEXT_MAX];
    uint64_t size = bits & ~(UINT64_C(1) << 63);

    if (bits == quiet)
        buffer_add_string(out, "nan");
    else if (size > infinity)
        buffer_printf(out, "nan(0x%016" PRIx64 ")", bits);
    else if (size == infinity)
        buffer_add_string(out, bits == infinity ? "1e999" : "-1e999");
    else
        buffer_add(out, bytes_of(text, floattext_print(bits, text)));
}

static void print_integer(int64_t integer, struct buffer *out)
{
    char digits[1 + DIGITS_MAX], *end = digits + sizeof digits, *start;

    start = digits_before(end, integer < 0 ? -(uint64_t)integer : (uint64_t)integer);
    if (integer < 0)
        *--start = '-';
    buffer_add(out, bytes_of(start, (size_t)(end - start)));
}

/* 1j where the real part is what Python makes of that literal: -1j is -(0+1j). */
static void print_complex(const struct value *value, struct buffer *out)
{
    static const uint64_t infinity = UINT64_C(0x7FF) << 52, sign = UINT64_C(1) << 63;
    uint64_t real = value->complex_.real, imaginary = value->complex_.imaginary;

    if (real == (imaginary & sign) && (imaginary & ~sign) <= infinity) {
        print_float(imaginary, out);
        if (bytes_end_with(buffer_bytes(out), BYTES(".0")))
            buffer_resize(out, out->size - 2);
        buffer_add_byte(out, 'j');
        return;
    }
    buffer_add_string(out, "complex(");
    print_float(real, out);
    buffer_add_string(out, ", ");
    print_float(imaginary, out);
    buffer_add_byte(out, ')');
}

/* 5L, which is no syntax of Python 3. */
static bool is_small_long(const struct printer *p, const struct value *value)
{
    return p->document->python2 && value->kind == VALUE_INT && value->role == INTEGER_LONG;
}

static void add_number(struct printer *p, const struct value *value)
{
    struct buffer *out;

    if (!printer_is_writing(p))
        return;
    out = layout_word(&p->layout);
    if (is_small_long(p, value)) {
        buffer_add_string(out, "long(");
        print_integer(value->integer, out);
        buffer_add_byte(out, ')');
    } else if (value->kind == VALUE_INT)
        print_integer(value->integer, out);
    else if (value->kind == VALUE_BIG_INT)
        bigint_print(value->bytes, out);
    else if (value->kind == VALUE_FLOAT)
        print_float(value->bits, out);
    else if (value->kind == VALUE_COMPLEX)
        print_complex(value, out);
    else
        buffer_printf(out, "ext(%" PRId64 ")", value->integer);
    layout_ascii_end(&p->layout);
}

bool printer_atom(struct printer *p, const struct value *value)
{
    bool python2 = p->document->python2;

    switch ((enum value_kind)value->kind) {
    case VALUE_NONE:
        return printer_add(p, "None"), true;
    case VALUE_FALSE:
        return printer_add(p, "False"), true;
    case VALUE_TRUE:
        return printer_add(p, "True"), true;
    case VALUE_ELLIPSIS:
        return printer_add(p, "..."), true;
    case VALUE_STOP_ITERATION:
        return printer_add(p, "StopIteration"), true;
    case VALUE_INT:
    case VALUE_BIG_INT:
    case VALUE_FLOAT:
    case VALUE_COMPLEX:
    case VALUE_EXTENSION:
        return add_number(p, value), true;
    case VALUE_STR:
        return printer_literal(p, python2 ? BYTES("u") : BYTES(""), value->bytes, true), true;
    case VALUE_STR8:
        if (python2)
            printer_literal(p, BYTES(""), value->bytes, false);
        else
            printer_bytes(p, "str8(", value->bytes);
        return true;
    case VALUE_BYTES:
        return printer_bytes(p, NULL, value->bytes), true;
    case VALUE_BYTEARRAY:
        if (value->bytes.size)
            printer_bytes(p, "bytearray(", value->bytes);
        else
            printer_add(p, "bytearray()");
        return true;
    case VALUE_NEXT_BUFFER:
        return printer_add(p, "next_buffer()"), true;
    default:
        return false;
    }
}

/* Values */

static void print_container(struct printer *p, const struct value *value, const char *bracket,
                            const char *empty, enum closer closer)
{
    if (!value->items.count) {
        printer_add(p, empty);
        return;
    }
    printer_open_group(p, bracket);
    printer_push_items(p, value->kind == VALUE_DICT ? TASK_PAIRS : TASK_ITEMS, &value->items,
                       closer);
}

static void print_tuple(struct printer *p, const struct value *value)
{
    if (value->items.count != 1) {
        print_container(p, value, "(", "()", CLOSE_ROUND);
    } else if (is_huggable(value->items.at[0])) {
        printer_open_hug(p, "(");
        printer_push_items(p, TASK_ITEMS, &value->items, HUG_SINGLE);
    } else {
        print_container(p, value, "(", "()", CLOSE_SINGLE);
    }
}

static void print_frozenset(struct printer *p, const struct value *value)
{
    if (!value->items.count) {
        printer_add(p, "frozenset()");
        return;
    }
    printer_open_hug(p, "frozenset(");
    printer_push_close(p, HUG_ROUND);
    print_container(p, value, "{", "", CLOSE_CURLY);
}

static void print_wrapper(struct printer *p, const struct value *value, const char *bracket)
{
    bool hug = is_huggable(value->items.at[0]);

    if (hug)
        printer_open_hug(p, bracket);
    else
        printer_open_group(p, bracket);
    printer_push_items(p, TASK_ITEMS, &value->items, hug ? HUG_ROUND : CLOSE_ROUND);
}

static void print_code(struct printer *p, struct value *value)
{
    printer_open_group(p, "code(");
    printer_push(p, (struct task){.kind = TASK_FIELDS,
                                  .closer = CLOSE_ROUND,
                                  .list = &value->items,
                                  .value = value});
}

/* NULL: none, or *arguments. */
static const struct value *first_argument(const struct value *call)
{
    const struct value *arguments = call->items.at[1];

    return is_fresh_tuple(arguments) && arguments->items.count ? arguments->items.at[0] : NULL;
}

/* The value as it was made, without its steps. */
void printer_made(struct printer *p, struct value *value)
{
    if (printer_atom(p, value))
        return;
    switch ((enum value_kind)value->kind) {
    case VALUE_LIST:
        return print_container(p, value, "[", "[]", CLOSE_SQUARE);
    case VALUE_TUPLE:
        return print_tuple(p, value);
    case VALUE_SET:
        return print_container(p, value, "{", "set()", CLOSE_CURLY);
    case VALUE_FROZENSET:
        return print_frozenset(p, value);
    case VALUE_DICT:
        return print_container(p, value, "{", "{}", CLOSE_CURLY);
    case VALUE_GLOBAL:
        return printer_global(p, value, SPELL_SHORTEST);
    case VALUE_CALL:
        printer_push_value(p, TASK_ARGUMENTS, value);
        return printer_callee(p, value->items.at[0], first_argument(value));
    case VALUE_NEW:
    case VALUE_NEW_EX:
        return printer_new(p, value);
    case VALUE_INSTANCE:
        return print_container(p, value, "inst(", "", CLOSE_ROUND);
    case VALUE_PERSISTENT:
        return print_wrapper(p, value, "persistent(");
    case VALUE_READONLY:
        return print_wrapper(p, value, "readonly(");
    case VALUE_SLICE:
        return print_container(p, value, "slice(", "", CLOSE_ROUND);
    case VALUE_PROGRAM:
        return printer_program(p, value);
    case VALUE_CODE:
        return print_code(p, value);
    default:
        return;
    }
}

static void push_step(struct printer *p, struct value *value, const struct value_step *step)
{
    if (step)
        printer_push(p, (struct task){.kind = TASK_STEP, .step = step, .value = value});
}

void printer_body(struct printer *p, struct value *value)
{
    const struct value_step *step = printer_first_step(p, value);

    if (printer_has_setter(value)) {
        printer_set_body(p, value);
        return;
    }
    push_step(p, value, step);
    for (; step && step != value->last_step; step = value_next_step(value, step))
        printer_open_hug(p, "(");
    printer_made(p, value);
}

void printer_step(struct printer *p, struct value *value, const struct value_step *step)
{
    if (step != value->last_step) {
        push_step(p, value, value_next_step(value, step));
        printer_push_close(p, HUG_ROUND);
    }
    printer_operation(p, step);
}

void printer_operation(struct printer *p, const struct value_step *step)
{
    switch (step->kind) {
    case STEP_BUILD:
        printer_add(p, " << ");
        printer_push_value(p, TASK_OPERAND, step->items.at[0]);
        return;
    case STEP_APPEND:
        printer_add(p, " + ");
        printer_open_group(p, "[");
        printer_push_items(p, TASK_ITEMS, &step->items, CLOSE_SQUARE);
        return;
    case STEP_SET_ITEM:
    case STEP_ADD:
        printer_add(p, " | ");
        printer_open_group(p, "{");
        printer_push_items(p, step->kind == STEP_ADD ? TASK_ITEMS : TASK_PAIRS, &step->items,
                           CLOSE_CURLY);
        return;
    case STEP_CALL: /* is no operation */
        return;
    }
}
