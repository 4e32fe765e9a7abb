/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The linker lets the decoder report here what it reports to pickle_trace.c, which this is to be compared with: that one hashes reports as they
 * come, and holds objects that nobody sees.
 *
 * - Objects are numbered as they are first seen, so that others don't count.
 * - What a call made is known by its number, but what it was made of can be reached through it.
 */
#include "tests/fuzz/effects.h"

#include "codecs/pickle_internal.h"

#include <stdlib.h>

enum { LARGEST_LOG = 1 << 22 };

/* A node that holds others. Its mark is its index here plus one. */
struct seen {
    uint32_t number;           /* 0: never seen */
    uint32_t event, question;  /* in which it was visited last */
};

struct effects {
    struct document document;
    struct buffer *log;
    struct buffer seen, pending;
    uint32_t numbers, event, question;
    unsigned protocol;
};

static struct effects *current;

#define WRAP(name, parameters)                                                                                         \
    void __real_pickle_trace_##name parameters;                                                                        \
    void __wrap_pickle_trace_##name parameters;                                                                        \
    void __wrap_pickle_trace_##name parameters

static bool is_ours(const struct pickle_trace *trace)
{
    return current && trace == (const struct pickle_trace *)current;
}

static void add(struct effects *e, uint64_t word)
{
    buffer_add(e->log, bytes_of(&word, sizeof word));
}

static struct seen *seen_of(struct effects *e, struct value *value)
{
    uint32_t mark = value_mark(&e->document, value);

    if (!mark) {
        struct seen none = {0};

        buffer_add(&e->seen, bytes_of(&none, sizeof none));
        mark = (uint32_t)(e->seen.size / sizeof none);
        value_set_mark(&e->document, value, mark);
    }
    return (struct seen *)e->seen.data + mark - 1;
}

static bool is_object(const struct value *value)
{
    return value->kind == VALUE_BYTEARRAY ||
           (value->kind >= VALUE_LIST && value->kind != VALUE_GLOBAL && value->kind != VALUE_EXTENSION &&
            !(value->kind == VALUE_TUPLE && !value->items.count));
}

static void push(struct effects *e, const struct value_list *list)
{
    for (uint32_t i = list->count; i-- > 0;)
        buffer_add(&e->pending, bytes_of(&list->at[i], sizeof list->at[i]));
}

static struct value *pop(struct effects *e)
{
    struct value *value;

    e->pending.size -= sizeof value;
    memcpy(&value, e->pending.data + e->pending.size, sizeof value);
    return value;
}

static void push_content(struct effects *e, const struct value *value)
{
    const struct value_step *step = value_first_step(value);

    for (; step; step = value_next_step(value, step))
        push(e, &step->items);
    if (value_has_items(value))
        push(e, &value->items);
}

static void add_one(struct effects *e, struct value *value)
{
    struct seen *seen = is_object(value) ? seen_of(e, value) : NULL;

    add(e, value->kind);
    if (seen) {
        bool again = seen->event == e->event;

        if (!seen->number)
            seen->number = ++e->numbers;
        add(e, seen->number);
        seen->event = e->event;
        if (again)
            return;
    }
    if (value->kind == VALUE_GLOBAL)
        add(e, value->role);
    if (value_has_bytes(value)) {
        add(e, value->bytes.size);
        buffer_add(e->log, value->bytes);
    } else if (value_has_items(value)) {
        add(e, value->items.count);
    } else if (value->kind == VALUE_INT || value->kind == VALUE_FLOAT || value->kind == VALUE_EXTENSION) {
        add(e, value->bits);
    }
    /* The steps of others are their own events. */
    if (is_object(value) || value->kind == VALUE_GLOBAL)
        push_content(e, value);
}

/* `value` and what can be reached from it. */
static void add_value(struct effects *e, struct value *value)
{
    struct value_list only = {&value, 1, 1};

    push(e, &only);
    while (e->pending.size && !buffer_status(e->log))
        add_one(e, pop(e));
    e->pending.size = 0;
}

/* Whether anything that could notice being hashed can be reached from `value`. */
static bool notices(struct effects *e, struct value *value)
{
    struct value_list only = {&value, 1, 1};
    bool found = false;

    e->question++;
    push(e, &only);
    while (e->pending.size && !found) {
        struct value *next = pop(e);

        found = next->kind > VALUE_GLOBAL || next->last_step;
        if (is_object(next) && seen_of(e, next)->question != e->question) {
            seen_of(e, next)->question = e->question;
            push_content(e, next);
        }
    }
    e->pending.size = 0;
    return found;
}

static void start_event(struct effects *e, unsigned kind)
{
    e->event++;
    add(e, UINT64_MAX - kind);
}

enum { EVENT_MADE = 1, EVENT_HASHED, EVENT_END, EVENT_CHANGED };

static void hash(struct effects *e, struct value *const *items, size_t count, size_t unit)
{
    for (size_t i = 0; i < count; i += unit)
        if (notices(e, items[i])) {
            start_event(e, EVENT_HASHED);
            add_value(e, items[i]);
        }
}

static bool is_made(const struct value *value)
{
    return value->kind >= VALUE_CALL && value->kind <= VALUE_READONLY && value->kind != VALUE_EXTENSION;
}

WRAP(created, (struct pickle_trace *trace, struct value *value))
{
    if (!is_ours(trace)) {
        __real_pickle_trace_created(trace, value);
        return;
    }
    if (value->kind == VALUE_GLOBAL)
        value->role = (uint16_t)((current->protocol >= 3) + (current->protocol >= 4));
    if (is_made(value)) {
        start_event(current, EVENT_MADE);
        add_value(current, value);
    } else if (value->kind == VALUE_FROZENSET || value->kind == VALUE_DICT) {
        hash(current, value->items.at, value->items.count, value->kind == VALUE_DICT ? 2 : 1);
    }
}

WRAP(changed, (struct pickle_trace *trace, struct value *value, enum value_step_kind kind, struct value *const *items,
               size_t count))
{
    size_t unit = kind == STEP_SET_ITEM ? 2 : 1;

    if (!is_ours(trace)) {
        __real_pickle_trace_changed(trace, value, kind, items, count);
        return;
    }
    if (!value->last_step) {
        if (value->kind != VALUE_LIST)
            hash(current, items, count, unit);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (i % unit == 0) {
            start_event(current, EVENT_CHANGED + kind);
            add(current, value->kind);
            add(current, is_object(value) ? seen_of(current, value)->number : 0);
        }
        add_value(current, items[i]);
    }
}

WRAP(finished, (struct pickle_trace *trace, struct value *root))
{
    if (!is_ours(trace)) {
        __real_pickle_trace_finished(trace, root);
        return;
    }
    start_event(current, EVENT_END);
    add_value(current, root);
}

WRAP(protocol, (struct pickle_trace *trace, uint8_t protocol))
{
    if (is_ours(trace))
        current->protocol = protocol;
    else
        __real_pickle_trace_protocol(trace, protocol);
}

bool effects_of(struct bytes pickle, struct buffer *log)
{
    struct effects e = {.log = log, .seen = BUFFER_INIT, .pending = BUFFER_INIT};
    int status;

    log->limit = LARGEST_LOG;
    document_init(&e.document, SIZE_MAX);
    value_start_walk(&e.document);
    current = &e;
    status = pickle_run(pickle, &e.document, (struct pickle_trace *)&e, NULL);
    current = NULL;
    document_release(&e.document);
    buffer_release(&e.seen);
    buffer_release(&e.pending);
    return !status && !buffer_status(log);
}
