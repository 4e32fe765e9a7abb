/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Globals and calls. Each is spelled so that expression_call.c takes it for nothing else: a call
 * of the global builtins.set is no set() literal, and a stored constructor call of a date no date.
 */
#include "codecs/expression_printer.h"

#include "codecs/datetime_call.h"
#include "codecs/expression_words.h"
#include "codecs/literal.h"

#include <inttypes.h>

/* Globals */

static bool is_dotted_name(struct bytes text)
{
    for (;;) {
        size_t dot = bytes_find_byte(text, '.');

        if (!literal_is_identifier(bytes_part(text, 0, dot)))
            return false;
        if (dot == text.size)
            return true;
        text = bytes_part(text, dot + 1, SIZE_MAX);
    }
}

/* Whether the parser takes module.name for this very global. */
static bool has_dotted_form(struct bytes module, struct bytes name)
{
    return is_dotted_name(module) && literal_is_identifier(name) &&
           !expression_is_name(bytes_part(module, 0, bytes_find_byte(module, '.'))) &&
           !(bytes_equal(module, BYTES("datetime.timezone")) && bytes_equal(name, BYTES("utc")));
}

static bool has_bare_form(const struct printer *p, struct bytes module, struct bytes name)
{
    return bytes_equal(module, expression_builtins(p->document)) && literal_is_identifier(name) &&
           name.data[0] != '_' && expression_word(name) == WORD_NONE;
}

static bool is_sugar_name(struct bytes name)
{
    return bytes_equal(name, BYTES("set")) || bytes_equal(name, BYTES("frozenset")) ||
           bytes_equal(name, BYTES("bytearray")) || bytes_equal(name, BYTES("long"));
}

static void print_find_class(struct printer *p, const struct value *value)
{
    printer_open_group(p, "find_class(");
    for (uint32_t i = 0; i < 2; i++) {
        printer_literal(p, BYTES(""), value->items.at[i]->bytes, true);
        if (i == 0)
            printer_break(p, BREAK_NEXT);
    }
    printer_close(p, CLOSE_ROUND);
}

void printer_global(struct printer *p, struct value *value, enum spelling spelling)
{
    struct bytes module, name;
    struct buffer *out;

    if (!is_short_text(value->items.at[0]) || !is_short_text(value->items.at[1])) {
        printer_open_group(p, "find_class(");
        printer_push_items(p, TASK_ITEMS, &value->items, CLOSE_ROUND);
        return;
    }
    module = value->items.at[0]->bytes;
    name = value->items.at[1]->bytes;
    if (spelling == SPELL_SHORTEST && has_bare_form(p, module, name))
        module.size = 0;
    else if (spelling == SPELL_FIND_CLASS || !has_dotted_form(module, name)) {
        print_find_class(p, value);
        return;
    }
    if (!printer_is_writing(p))
        return;
    out = layout_word(&p->layout);
    buffer_add(out, module);
    buffer_add_string(out, module.size ? "." : "");
    buffer_add(out, name);
    layout_ascii_end(&p->layout);
}

/* Calls */

/* Whether the pairs can be written name=value: different identifiers. */
static bool is_keyword_dict(const struct value *dict, enum value_kind key_kind)
{
    if (dict->kind != VALUE_DICT || !is_plain(dict) || !dict->items.count ||
        dict->items.count > 2 * EXPRESSION_KEYWORDS)
        return false;
    for (uint32_t i = 0; i < dict->items.count; i += 2) {
        const struct value *key = dict->items.at[i];

        if (key->kind != key_kind || key->last_step || !literal_is_identifier(key->bytes) ||
            key->bytes.size > EXPRESSION_LONG)
            return false;
        for (uint32_t k = 0; k < i; k += 2)
            if (bytes_equal(dict->items.at[k]->bytes, key->bytes))
                return false;
    }
    return true;
}

/* C(a=1): an instance without arguments whose first step is its dict. */
static const struct value *keyword_state(const struct printer *p, const struct value *value)
{
    const struct value_step *step = value_first_step(value);
    const struct value *class;

    if (value->kind != VALUE_NEW || !step || step->kind != STEP_BUILD)
        return NULL;
    class = value->items.at[0];
    if (class->kind != VALUE_GLOBAL || class->last_step || value->items.at[1]->items.count ||
        !is_fresh_tuple(value->items.at[1]) || datetime_class_of(class) != DATETIME_OTHER)
        return NULL;
    return is_keyword_dict(step->items.at[0], p->document->python2 ? VALUE_STR8 : VALUE_STR)
               ? step->items.at[0]
               : NULL;
}

static bool is_constructor_state(const struct printer *p, const struct value *arguments,
                                 enum datetime_class class, struct datetime_fields *fields)
{
    const struct value_list *items = &arguments->items;
    enum value_kind kind = p->document->python2 ? VALUE_STR8 : VALUE_BYTES;

    if (class == DATETIME_OTHER || !is_fresh_tuple(arguments) || !items->count)
        return false;
    if (items->at[0]->kind != kind || items->at[0]->last_step ||
        !datetime_unpack(class, items->at[0]->bytes, p->document->protocol, fields))
        return false;
    return items->count == 1 ||
           (items->count == 2 && class != DATETIME_DATE && items->at[1]->kind != VALUE_NONE);
}

static void print_fields(struct printer *p, enum datetime_class class,
                         const struct datetime_fields *fields)
{
    enum datetime_field first = datetime_first_field(class), end = datetime_end_field(class);
    struct buffer *out;

    if (!printer_is_writing(p))
        return;
    /* As repr() does: seconds and microseconds only if they are not 0. */
    while (end > DATETIME_SECOND && !fields->at[end - 1])
        end--;
    out = layout_word(&p->layout);
    for (enum datetime_field field = first; field < end; field++)
        buffer_printf(out, "%s%" PRId64, field > first ? ", " : "", fields->at[field]);
    if (class != DATETIME_DATE && fields->at[DATETIME_FOLD])
        buffer_add_string(out, ", fold=1");
    layout_ascii_end(&p->layout);
}

static void print_constructor(struct printer *p, const struct value *arguments,
                              enum datetime_class class, const struct datetime_fields *fields)
{
    printer_open_group(p, "(");
    print_fields(p, class, fields);
    printer_push_close(p, CLOSE_ROUND);
    if (arguments->items.count == 1)
        return;
    printer_break(p, BREAK_NEXT);
    printer_add(p, "tzinfo=");
    printer_push_value(p, TASK_VALUE, arguments->items.at[1]);
}

void printer_arguments(struct printer *p, struct value *call)
{
    struct value *arguments = call->items.at[1];
    struct datetime_fields fields;
    enum datetime_class class = datetime_class_of(call->items.at[0]);

    if (is_constructor_state(p, arguments, class, &fields)) {
        print_constructor(p, arguments, class, &fields);
    } else if (!is_fresh_tuple(arguments)) {
        printer_open_group(p, "(");
        printer_add(p, "*");
        printer_push_close(p, CLOSE_ROUND);
        printer_push_value(p, TASK_OPERAND, arguments);
    } else if (!arguments->items.count) {
        printer_add(p, "()");
    } else if (arguments->items.count == 1 && is_huggable(arguments->items.at[0])) {
        printer_open_hug(p, "(");
        printer_push_close(p, HUG_ROUND);
        printer_push_value(p, TASK_VALUE, arguments->items.at[0]);
    } else {
        printer_open_group(p, "(");
        printer_push_items(p, TASK_ITEMS, &arguments->items, CLOSE_ROUND);
    }
}

/*
 * Numbers and strings would be read with the bracket behind them, so all but names and calls get
 * parentheses.
 */
static bool is_callable_form(const struct value *value)
{
    return value->kind >= VALUE_GLOBAL && value->kind <= VALUE_READONLY && !value->last_step;
}

/* Spells a global so that the parser doesn't take the call for something else. */
static enum spelling callee_spelling(const struct value *global, const struct value *first)
{
    if (first && datetime_class_of(global) != DATETIME_OTHER &&
        (first->last_step || (first->kind != VALUE_BYTES && first->kind != VALUE_STR8)))
        return SPELL_FIND_CLASS;
    return is_short_text(global->items.at[1]) && is_sugar_name(global->items.at[1]->bytes)
               ? SPELL_WITH_MODULE
               : SPELL_SHORTEST;
}

void printer_callee(struct printer *p, struct value *callee, const struct value *first)
{
    bool named = callee->references > 1 && printer_is_nameable(callee);

    if (callee->kind == VALUE_GLOBAL && !callee->last_step && !named) {
        printer_global(p, callee, callee_spelling(callee, first));
        return;
    }
    if (!named && !is_callable_form(callee)) {
        printer_open_hug(p, "(");
        printer_push_close(p, HUG_ROUND);
    }
    printer_push_value(p, TASK_VALUE, callee);
}

void printer_keyword_call(struct printer *p, const struct value *value)
{
    const struct value_list *state = &keyword_state(p, value)->items;
    bool hug = state->count == 2 && is_huggable(state->at[1]);

    if (hug)
        printer_open_hug(p, "(");
    else
        printer_open_group(p, "(");
    printer_push_items(p, TASK_KEYWORDS, state, hug ? HUG_ROUND : CLOSE_ROUND);
}

static void push_following(struct printer *p, enum task_kind kind, const struct value_list *list)
{
    printer_push(p, (struct task){.kind = (uint8_t)kind, .list = list, .follows = true});
}

/* The arguments and keywords behind the class in new(...). */
void printer_tail(struct printer *p, struct value *value)
{
    struct value *arguments = value->items.at[1];

    printer_push_close(p, CLOSE_ROUND);
    if (value->kind == VALUE_NEW_EX) {
        struct value *keywords = value->items.at[2];

        if (is_keyword_dict(keywords, VALUE_STR))
            push_following(p, TASK_KEYWORDS, &keywords->items);
        else
            printer_push(p, (struct task){.kind = TASK_STAR, .text = "**", .value = keywords});
    }
    if (is_fresh_tuple(arguments))
        push_following(p, TASK_ITEMS, &arguments->items);
    else
        printer_push(p, (struct task){.kind = TASK_STAR, .text = "*", .value = arguments});
}

const struct value_step *printer_first_step(const struct printer *p, const struct value *value)
{
    const struct value_step *step = value_first_step(value);

    return keyword_state(p, value) ? value_next_step(value, step) : step;
}

void printer_new(struct printer *p, struct value *value)
{
    if (keyword_state(p, value)) {
        printer_push_value(p, TASK_KEYWORD_CALL, value);
        printer_callee(p, value->items.at[0], NULL);
        return;
    }
    printer_open_group(p, "new(");
    printer_push_value(p, TASK_TAIL, value);
    printer_push_value(p, TASK_VALUE, value->items.at[0]);
}
