/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_parser.h"

#include "codecs/expression_words.h"
#include "src/bigint.h"

#include <errno.h>
#include <inttypes.h>

static int negate_integer(struct parser *p)
{
    struct buffer bytes = BUFFER_INIT, negative = BUFFER_INIT;
    int status;

    if (p->value->kind == VALUE_INT)
        bigint_from_int64(p->value->integer, &bytes);
    else
        buffer_add(&bytes, p->value->bytes);
    bigint_negate(buffer_bytes(&bytes), &negative);
    p->value = parser_integer(p->document, buffer_bytes(&negative));
    status = buffer_status(&bytes) ? buffer_status(&bytes) : buffer_status(&negative);
    buffer_release(&bytes);
    buffer_release(&negative);
    return status ? status : arena_status(&p->document->arena);
}

static int apply_sign(struct parser *p, const struct frame *frame)
{
    struct value *value = p->value;

    p->start = frame->start;
    if (value->kind < VALUE_INT || value->kind > VALUE_COMPLEX || value->last_step ||
        (p->flags & VALUE_ALIAS))
        return FAIL(p, frame->start, "a sign can only stand before a number");
    if (frame->operator_ == '+')
        return 0;
    if (value->kind == VALUE_COMPLEX) {
        value->complex_.real ^= UINT64_C(1) << 63;
        value->complex_.imaginary ^= UINT64_C(1) << 63;
    } else if (value->kind == VALUE_FLOAT) {
        value->bits ^= UINT64_C(1) << 63;
    } else if (value->kind == VALUE_INT && value->integer != INT64_MIN) {
        value->integer = -value->integer;
    } else {
        return negate_integer(p);
    }
    return 0;
}

/*
 * A step happens to this mention: other places with the same string or global keep a node without
 * it.
 */
static struct value *step_target(struct parser *p, struct value *value)
{
    struct value *copy;

    if (value->kind >= VALUE_BYTEARRAY && value->kind != VALUE_GLOBAL)
        return value;
    copy = value_new(p->document, (enum value_kind)value->kind);
    if (copy) {
        *copy = *value;
        copy->flags = 0;
    }
    return copy;
}

static bool extends_itself(const struct value *value, enum value_step_kind step)
{
    if (value->last_step)
        return false;
    return (step == STEP_APPEND && value->kind == VALUE_LIST) ||
           (step == STEP_SET_ITEM && value->kind == VALUE_DICT) ||
           (step == STEP_ADD && value->kind == VALUE_SET);
}

static void add_items(struct parser *p, struct value *value, enum value_step_kind step,
                      const struct value_list *items)
{
    if (!extends_itself(value, step)) {
        if (items->count)
            value_add_step(p->document, value, step, items->at, items->count);
        return;
    }
    for (uint32_t i = 0; i < items->count; i++)
        value_list_add(p->document, &value->items, items->at[i]);
}

static uint64_t bits_of(double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static double number_of(uint64_t bits)
{
    double number;

    memcpy(&number, &bits, sizeof number);
    return number;
}

/* Whether a number and an imaginary one stand on both sides: as in ast.literal_eval(), the only arithmetic. */
static bool is_complex_sum(const struct parser *p, const struct frame *frame)
{
    const struct value *left = frame->value, *right = p->value;

    return right->kind == VALUE_COMPLEX && !right->last_step && !(p->flags & VALUE_ALIAS) &&
           number_of(right->complex_.real) == 0 && !left->last_step &&
           (left->kind == VALUE_INT || left->kind == VALUE_FLOAT);
}

/* As Python adds them: 1 is 1+0j. */
static int apply_complex_sum(struct parser *p, const struct frame *frame)
{
    const struct value *left = frame->value;
    double real = left->kind == VALUE_INT ? (double)left->integer : number_of(left->bits);
    double imaginary = number_of(p->value->complex_.imaginary);

    p->value->complex_.real = bits_of(frame->operator_ == '+' ? real + 0.0 : real - 0.0);
    p->value->complex_.imaginary = bits_of(frame->operator_ == '+' ? 0.0 + imaginary : 0.0 - imaginary);
    return parser_set(p, p->value, frame->start, 0);
}

static int apply_binary(struct parser *p, const struct frame *frame)
{
    struct value *right = p->value, *value = frame->value;
    bool display = (p->flags & VALUE_DISPLAY) && !right->last_step;

    if ((frame->operator_ == '+' || frame->operator_ == '-') && is_complex_sum(p, frame))
        return apply_complex_sum(p, frame);
    if (frame->operator_ == '-')
        return FAIL(p, p->start, "expected an imaginary number such as 2j behind -");
    if (frame->operator_ == '+' && !(display && right->kind == VALUE_LIST))
        return FAIL(p, p->start, "expected a list [...] behind +");
    if (frame->operator_ == '|' &&
        !(display && (right->kind == VALUE_DICT || right->kind == VALUE_SET)))
        return FAIL(p, p->start, "expected {...} behind |");
    /* The definition is copied over the node of the name. */
    if (known_is_awaited(&p->known, value))
        return FAIL(p, frame->start, "this name can't be added to before it is defined");
    value = step_target(p, value);
    if (!value)
        return arena_status(&p->document->arena);
    if (frame->operator_ == OPERATOR_SHIFT)
        value_add_step(p->document, value, STEP_BUILD, &right, 1);
    else
        add_items(p, value,
                  frame->operator_ == '+'     ? STEP_APPEND
                  : right->kind == VALUE_DICT ? STEP_SET_ITEM
                                              : STEP_ADD,
                  &right->items);
    return parser_set(p, value, frame->start, 0);
}

/* What is named as an argument is one object also where a pickler asks for the arguments twice, even if nothing else mentions it. */
static bool is_named_argument(const struct parser *p, const struct value *value)
{
    const struct frame *frame = p->frames + p->count;
    bool container =
        value->kind == VALUE_LIST || value->kind == VALUE_TUPLE || value->kind == VALUE_DICT;

    return container && p->count > 1 && frame[-1].kind == FRAME_ROUND &&
           frame[-2].kind == FRAME_CALL && frame[-2].word != WORD_LET;
}

static int apply_name(struct parser *p, const struct frame *frame)
{
    struct known_name *name = known_name(&p->known, frame->operator_, frame->start);
    struct value *value = p->value;

    if (!name)
        return arena_status(&p->document->arena);
    if (!name->value) {
        name->value = value;
    } else {
        /* It was mentioned before: the mentions are of this node. */
        if (p->flags & VALUE_ALIAS)
            return FAIL(p, frame->start, "_%" PRIu32 " can't be used before it is defined here",
                        frame->operator_);
        *name->value = *value;
    }
    if (name->value->kind == VALUE_CALL)
        name->value->role = CALL_MENTIONED;
    if (is_named_argument(p, value) && !value_hold(p->document, name->value))
        return arena_status(&p->document->arena);
    return parser_set(p, name->value, frame->start, VALUE_DEFINED);
}

/* | 1, << 2, + and - 3, a sign 4; a name takes everything. */
int parser_precedence(unsigned operator_)
{
    return operator_ == '|' ? 1 : operator_ == OPERATOR_SHIFT ? 2 : operator_ == '+' || operator_ == '-' ? 3 : 0;
}

/* Applies what waits for the value and binds at least as strongly as `lowest`. */
int parser_reduce(struct parser *p, int lowest)
{
    int status = 0;

    while (!status && p->count) {
        struct frame frame = *parser_top(p);

        if (frame.kind >= FRAME_ROUND || (frame.kind == FRAME_NAME && lowest > 0) ||
            (frame.kind == FRAME_BINARY && parser_precedence(frame.operator_) < lowest))
            break;
        p->count--;
        if (frame.kind == FRAME_SIGN)
            status = apply_sign(p, &frame);
        else if (frame.kind == FRAME_BINARY)
            status = apply_binary(p, &frame);
        else
            status = apply_name(p, &frame);
    }
    return status;
}
