/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the sources of calls share; nobody else includes this. expression_call.c knows calls of what a loader would look up,
 * expression_form.c those of the notation, expression_date.c those of datetime's constructors.
 */
#ifndef SHELVEFS_EXPRESSION_BUILDER_H
#define SHELVEFS_EXPRESSION_BUILDER_H

#include "codecs/datetime_call.h"
#include "codecs/expression_call.h"

/* A call that is being made, and where: all borrowed. */
struct builder {
    const struct call *call;
    struct scanner *scanner;
    struct document *document;
    struct known *known;
};

#define FAIL(builder, ...) scanner_fail((builder)->scanner, (builder)->call->start, __VA_ARGS__)

static inline int builder_finish(const struct builder *b, struct value *value, struct value **out)
{
    *out = value;
    return arena_status(&b->document->arena);
}

/* A node of up to three items; those from the first NULL on are none. */
static inline struct value *builder_node(struct document *document, enum value_kind kind,
                                         struct value *first, struct value *second, struct value *third)
{
    struct value *items[] = {first, second, third};
    struct value *value = value_new(document, kind);

    for (size_t i = 0; i < ARRAY_SIZE(items) && items[i] && value; i++)
        value_list_add(document, &value->items, items[i]);
    return value;
}

static inline bool builder_has_arguments(const struct builder *b, uint32_t count)
{
    const struct call *call = b->call;

    return !call->star && !call->keywords && !call->double_star &&
           call->arguments->items.count == count;
}

static inline struct value *builder_argument(const struct builder *b, uint32_t index)
{
    return b->call->arguments->items.at[index];
}

/* Of this kind, and nothing was done to it since. */
static inline bool value_is_plain(const struct value *value, enum value_kind kind)
{
    return value->kind == kind && !value->last_step;
}

/* The node of a form, whose word is not WORD_NONE. As call_build(). */
int builder_form(const struct builder *b, struct value **out);
/* The call that Python pickles for such an object. As call_build(). */
int builder_date(const struct builder *b, enum datetime_class class, struct value **out);

#endif
