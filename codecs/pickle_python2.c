/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_python2.h"

#include "codecs/pickle_globals.h"
#include "src/utf8.h"

/* Classes whose __reduce__() makes strings each time. */
static const struct {
    const char *module, *name;
} remaking[] = {
    {"__builtin__", "bytearray"}, {"copy_reg", "_reconstructor"}, {"datetime", "date"},
    {"datetime", "datetime"},     {"datetime", "time"},           {"decimal", "Decimal"},
    {"fractions", "Fraction"},
};

/* str() of a Decimal that is written in digits alone is the very string that the Decimal has. */
static bool is_kept(struct bytes name, const struct value *arguments)
{
    const struct value *text;

    if (!bytes_equal(name, BYTES("Decimal")) || arguments->kind != VALUE_TUPLE ||
        !arguments->items.count)
        return false;
    text = arguments->items.at[0];
    if (text->kind != VALUE_STR8)
        return false;
    for (size_t i = 0; i < text->bytes.size; i++)
        if (text->bytes.data[i] < '0' || text->bytes.data[i] > '9')
            return false;
    return true;
}

static enum holder holder_of_arguments(const struct value *callee, const struct value *arguments)
{
    struct bytes module, name;

    if (callee->kind != VALUE_GLOBAL || callee->last_step || !pickle_global_is_plain(callee))
        return HOLDER_MADE;
    module = callee->items.at[0]->bytes;
    name = callee->items.at[1]->bytes;
    if (bytes_equal(module, BYTES("exceptions")))
        return HOLDER_PICKLER;
    for (size_t i = 0; i < ARRAY_SIZE(remaking); i++)
        if (bytes_equal(module, bytes_of_string(remaking[i].module)) &&
            bytes_equal(name, bytes_of_string(remaking[i].name)))
            return is_kept(name, arguments) ? HOLDER_COPY : HOLDER_ARGUMENTS;
    return HOLDER_MADE;
}

static enum holder holder_of_tuple_items(enum holder holder)
{
    switch (holder) {
    case HOLDER_ARGUMENTS:
        return HOLDER_REMADE;
    case HOLDER_REMADE:
    case HOLDER_COPY:
        return HOLDER_PICKLER;
    case HOLDER_STATE:
        return HOLDER_STATE_ITEMS;
    default:
        return HOLDER_NONE;
    }
}

enum holder python2_holder_of_items(const struct value *owner, enum holder holder)
{
    switch ((enum value_kind)owner->kind) {
    case VALUE_TUPLE:
        return holder_of_tuple_items(holder);
    case VALUE_CALL:
        return holder_of_arguments(owner->items.at[0], owner->items.at[1]);
    case VALUE_NEW: /* the pickler copies the arguments behind the class */
        return HOLDER_COPY;
    case VALUE_INSTANCE:
        return HOLDER_PICKLER;
    default:
        return HOLDER_NONE;
    }
}

enum holder python2_holder_of_item(enum holder items, uint32_t index)
{
    if (items != HOLDER_STATE_ITEMS)
        return items;
    return index ? HOLDER_COPY : HOLDER_PICKLER;
}

enum holder python2_holder_of_state(const struct value *state)
{
    return state->kind == VALUE_TUPLE ? HOLDER_STATE : HOLDER_PICKLER;
}

enum holder python2_holder_of_contents(bool plain_dict, enum holder holder, unsigned protocol)
{
    bool copied = holder == HOLDER_COPY || holder == HOLDER_REMADE;

    return plain_dict && protocol > 0 && !copied ? HOLDER_NONE : HOLDER_PICKLER;
}

static bool has_two_characters(const struct value *value)
{
    struct utf8_point first;

    if (value->kind == VALUE_STR8 || value->bytes.size < 2)
        return value->bytes.size >= 2;
    first = utf8_decode(value->bytes, 0, UTF8_SURROGATES);
    return first.length < value->bytes.size;
}

static bool is_constant(const struct value *value)
{
    switch ((enum value_kind)value->kind) {
    case VALUE_NONE:
    case VALUE_INT:
    case VALUE_BIG_INT:
    case VALUE_FLOAT:
    case VALUE_STR:
    case VALUE_STR8:
        return !value->last_step;
    default: /* True and False are names */
        return false;
    }
}

/* Whether the compiler makes it, of what it has loaded just before; it nests 100 brackets and folds in 32700 bytes of code. */
static bool is_constant_tuple(const struct value *tuple)
{
    enum { DEPTH = 100, ITEMS = 32700 / 3 };

    for (unsigned depth = 0; depth < DEPTH; depth++) {
        if (tuple->kind != VALUE_TUPLE || tuple->last_step || tuple->items.count > ITEMS)
            return false;
        for (uint32_t i = 1; i < tuple->items.count; i++)
            if (!is_constant(tuple->items.at[i]))
                return false;
        if (!tuple->items.count || is_constant(tuple->items.at[0]))
            return true;
        tuple = tuple->items.at[0];
    }
    return false;
}

/* Whether BUILD comes first: only then does an old-style instance depend on its references. */
static bool has_other_state(const struct value *instance)
{
    const struct value_step *step = value_first_step(instance);

    return step && step->kind == STEP_BUILD && step->items.at[0]->kind != VALUE_DICT;
}

bool python2_is_remade(const struct value *value, enum holder holder)
{
    return holder == HOLDER_REMADE && (value->kind == VALUE_STR || value->kind == VALUE_STR8) &&
           !value->last_step;
}

bool python2_memoises(const struct value *value, enum holder holder, bool shared)
{
    bool held = shared || holder == HOLDER_PICKLER;

    switch ((enum value_kind)value->kind) {
    case VALUE_STR:
    case VALUE_STR8:
        return value->last_step || (has_two_characters(value) && !python2_is_remade(value, holder));
    case VALUE_LIST:
    case VALUE_DICT:
        return held || value->items.count || value->last_step;
    case VALUE_TUPLE:
        return held || value->last_step || (holder == HOLDER_NONE && is_constant_tuple(value));
    case VALUE_INSTANCE:
        return held || has_other_state(value);
    default: /* a global has its module's reference, a call that of the bound __reduce_ex__() */
        return true;
    }
}
