/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_call.h"

#include "codecs/expression_builder.h"

/* Whether the arguments are those of the constructor, not the state that a pickle has. */
static bool is_constructor(const struct builder *b)
{
    const struct value_list *items = &b->call->arguments->items;

    if (!b->call->direct || b->call->star || b->call->double_star)
        return false;
    if (!items->count)
        return b->call->keywords != NULL;
    return !value_is_plain(items->at[0], VALUE_BYTES) && !value_is_plain(items->at[0], VALUE_STR8);
}

static bool is_text(const struct value *value, const char *text)
{
    return value_is_plain(value, VALUE_STR) && bytes_equal(value->bytes, bytes_of_string(text));
}

static bool is_builtin(const struct builder *b, const char *name)
{
    const struct value *callee = b->call->callee;

    return b->call->bare && callee->kind == VALUE_GLOBAL && !callee->last_step &&
           bytes_equal(callee->items.at[0]->bytes, expression_builtins(b->document)) &&
           bytes_equal(callee->items.at[1]->bytes, bytes_of_string(name));
}

/* An integer that the loader makes itself, where __builtin__.long(5) is a call. A long beyond int64 is one anyway. */
static bool is_integer(const struct value *value)
{
    return value_is_plain(value, VALUE_INT) || value_is_plain(value, VALUE_BIG_INT);
}

static struct value *build_long(const struct builder *b, struct value *integer)
{
    struct value *value = integer;

    if (integer->kind == VALUE_INT) {
        value = value_new_int(b->document, integer->integer);
        if (value)
            value->role = INTEGER_LONG;
    }
    return value;
}

/* set(), frozenset({...}), bytearray(b'...'), long(5): 1 if it was one, 0 if not, or an error. */
static int build_sugar(const struct builder *b, struct value **out)
{
    bool empty = builder_has_arguments(b, 0);
    struct value *only = builder_has_arguments(b, 1) ? builder_argument(b, 0) : NULL;
    struct value *value = NULL;

    if (empty && is_builtin(b, "set"))
        value = value_new(b->document, VALUE_SET);
    else if ((empty || (only && b->call->display && value_is_plain(only, VALUE_SET))) &&
             is_builtin(b, "frozenset"))
        value = value_new(b->document, VALUE_FROZENSET);
    else if ((empty || (only && value_is_plain(only, VALUE_BYTES))) && is_builtin(b, "bytearray"))
        value = value_new(b->document, VALUE_BYTEARRAY);
    else if (b->document->python2 && only && is_integer(only) && is_builtin(b, "long"))
        value = build_long(b, only);
    else
        return 0;
    if (!value)
        return arena_status(&b->document->arena);
    if (only && value->kind == VALUE_FROZENSET)
        value->items = only->items;
    else if (only && value->kind == VALUE_BYTEARRAY)
        value->bytes = only->bytes;
    *out = value;
    return 1;
}

/* A part of complex(real, imaginary). */
static bool number_bits(const struct value *value, uint64_t *bits)
{
    static const int64_t most = INT64_C(1) << 53;
    double number;

    if (value_is_plain(value, VALUE_FLOAT)) {
        *bits = value->bits;
        return true;
    }
    if (!value_is_plain(value, VALUE_INT) || value->integer > most || value->integer < -most)
        return false;
    number = (double)value->integer;
    memcpy(bits, &number, sizeof number);
    return true;
}

static int build_complex(const struct builder *b, struct value **out)
{
    uint64_t real, imaginary;
    struct value *value;

    if (!builder_has_arguments(b, 2) || !number_bits(builder_argument(b, 0), &real) ||
        !number_bits(builder_argument(b, 1), &imaginary))
        return FAIL(b, "expected complex(real, imaginary) with two numbers");
    value = value_new(b->document, VALUE_COMPLEX);
    if (value) {
        value->complex_.real = real;
        value->complex_.imaginary = imaginary;
    }
    return builder_finish(b, value, out);
}

/* What only marshal has under these names: 1, 0 or an error, as build_sugar(). */
static int build_marshal_sugar(const struct builder *b, struct value **out)
{
    int status;

    if (!b->document->marshal)
        return 0;
    if (is_builtin(b, "complex"))
        status = build_complex(b, out);
    else if (!is_builtin(b, "slice"))
        return 0;
    else if (!builder_has_arguments(b, 3))
        status = FAIL(b, "expected slice(start, stop, step)");
    else
        status = builder_finish(b,
                                builder_node(b->document, VALUE_SLICE, builder_argument(b, 0),
                                             builder_argument(b, 1), builder_argument(b, 2)),
                                out);
    return status ? status : 1;
}

/* C(a=1): NEWOBJ without arguments, then BUILD with the dict. */
static int build_keyword_call(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    struct value *value;

    if (value_is_plain(call->callee, VALUE_GLOBAL) && is_text(call->callee->items.at[0], "datetime"))
        return FAIL(b, "expected arguments without keywords, as in datetime.timedelta(days, "
                       "seconds, microseconds)");
    if (call->arguments->items.count || call->star || call->double_star)
        return FAIL(b, "a call has either positional arguments or keywords; new(class, ...) may "
                       "have both");
    value = builder_node(b->document, VALUE_NEW, call->callee, call->arguments, NULL);
    if (value)
        value_add_step(b->document, value, STEP_BUILD, &call->keywords, 1);
    return builder_finish(b, value, out);
}

int call_build(const struct call *call, struct scanner *scanner, struct known *known,
               struct value **out)
{
    struct builder b = {call, scanner, known->document, known};
    enum datetime_class class;
    struct value *value;
    int status;

    if (call->word != WORD_NONE)
        return builder_form(&b, out);
    status = build_sugar(&b, out);
    if (!status)
        status = build_marshal_sugar(&b, out);
    if (status)
        return status < 0 ? status : 0;
    class = datetime_class_of(call->callee);
    if (class != DATETIME_OTHER && is_constructor(&b))
        return builder_date(&b, class, out);
    if (call->keywords || call->double_star)
        return build_keyword_call(&b, out);
    value = builder_node(b.document, VALUE_CALL, call->callee, call->star ? call->star : call->arguments, NULL);
    if (value && call->star)
        value->role = CALL_MENTIONED;
    return builder_finish(&b, value, out);
}
