/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/value.h"

#include "src/array.h"

#include <errno.h>

_Static_assert(sizeof(struct value) == 40, "memory is promised per byte of input");

void document_init(struct document *document, size_t limit)
{
    *document = (struct document){0};
    arena_init(&document->arena, limit);
}

void document_release(struct document *document)
{
    size_t limit = document->arena.limit;

    arena_release(&document->arena);
    document_init(document, limit);
}

struct value *value_note_lookup(struct document *document, struct value *value)
{
    document->unshared = false;
    return value_list_add(document, &document->globals, value) ? value : NULL;
}

static bool value_list_reserve(struct document *document, struct value_list *list, size_t more)
{
    size_t want = (size_t)list->count + more;
    size_t capacity = list->capacity;
    struct value **at;

    if (want <= capacity)
        return true;
    if (want > UINT32_MAX) {
        arena_fail(&document->arena, -EFBIG);
        return false;
    }
    /* Most lists that grow one by one stay at one item, in deep nests above all. */
    capacity = capacity ? capacity * 2 : 1;
    if (capacity < want)
        capacity = want;
    if (capacity > UINT32_MAX)
        capacity = UINT32_MAX;
    at = arena_grow(&document->arena, list->at, list->capacity * sizeof *at, capacity * sizeof *at);
    if (!at)
        return false;
    list->at = at;
    list->capacity = (uint32_t)capacity;
    return true;
}

bool value_list_add_all(struct document *document, struct value_list *list,
                        struct value *const *items, size_t count)
{
    if (!value_list_reserve(document, list, count))
        return false;
    if (count)
        memcpy(list->at + list->count, items, count * sizeof *items);
    list->count += (uint32_t)count;
    return true;
}

bool value_list_add(struct document *document, struct value_list *list, struct value *item)
{
    return value_list_add_all(document, list, &item, 1);
}

struct value *value_new_global(struct document *document, struct value *module, struct value *name)
{
    struct value *global = value_new(document, VALUE_GLOBAL);
    struct value *parts[] = {module, name};

    if (!global || !value_list_add_all(document, &global->items, parts, ARRAY_SIZE(parts)))
        return NULL;
    return global;
}

struct value *value_new_extension(struct document *document, int64_t code)
{
    struct value *extension = value_new(document, VALUE_EXTENSION);

    if (extension)
        extension->integer = code;
    return extension;
}

bool value_add_step(struct document *document, struct value *value, enum value_step_kind kind,
                    struct value *const *items, size_t count)
{
    struct value_step *last = value->last_step, *step;

    document->unshared = false;
    if (last && last->kind == kind && kind != STEP_BUILD && kind != STEP_CALL)
        return value_list_add_all(document, &last->items, items, count);
    step = arena_alloc(&document->arena, sizeof *step);
    if (!step)
        return false;
    *step = (struct value_step){.kind = kind};
    if (!value_list_add_all(document, &step->items, items, count))
        return false;
    step->next = last ? last->next : step;
    if (last)
        last->next = step;
    value->last_step = step;
    return true;
}

bool value_may_be_set(const struct value *value)
{
    return value->kind >= VALUE_CALL && value->kind <= VALUE_NEW_EX;
}

bool value_has_effect(const struct value *value)
{
    switch (value->kind) {
    case VALUE_CALL:
    case VALUE_NEW:
    case VALUE_NEW_EX:
    case VALUE_INSTANCE:
    case VALUE_PERSISTENT:
    case VALUE_NEXT_BUFFER:
        return true;
    default:
        return value->last_step != NULL;
    }
}

/* Nodes whose children have not been looked at yet. */
struct pending {
    struct arena *arena;
    struct value **at;
    size_t count, capacity;
};

static int pending_push(struct pending *pending, struct value *value)
{
    if (pending->count == pending->capacity) {
        struct value **at =
            array_double_in(pending->arena, pending->at, NULL, &pending->capacity, sizeof *at);

        if (!at)
            return arena_status(pending->arena);
        pending->at = at;
    }
    pending->at[pending->count++] = value;
    return 0;
}

static bool has_children(const struct value *value)
{
    return value->last_step || (value_has_items(value) && value->items.count);
}

/* The first edge to a node makes it pending, if anything is below it. */
static int count_edge(struct pending *pending, struct value *value)
{
    return value->references++ == 0 && has_children(value) ? pending_push(pending, value) : 0;
}

static int count_edges(struct pending *pending, const struct value_list *list)
{
    int status = 0;

    for (uint32_t i = 0; i < list->count && !status; i++)
        status = count_edge(pending, list->at[i]);
    return status;
}

static int count_all(struct document *document, struct pending *pending)
{
    int status = count_edges(pending, &document->effects);

    if (!status && document->root)
        status = count_edge(pending, document->root);
    while (!status && pending->count) {
        struct value *value = pending->at[--pending->count];
        struct value_step *step = value_first_step(value);

        if (value_has_items(value))
            status = count_edges(pending, &value->items);
        for (; step && !status; step = value_next_step(value, step))
            status = count_edges(pending, &step->items);
    }
    return status;
}

bool value_hold(struct document *document, struct value *value)
{
    value->role = CONTAINER_HELD;
    return value_list_add(document, &document->held, value);
}

int value_count_references(struct document *document)
{
    struct pending pending = {.arena = &document->arena};
    int status;

    if (document->counted)
        return 0;
    status = count_all(document, &pending);
    for (uint32_t i = 0; i < document->held.count; i++)
        document->held.at[i]->references += document->held.at[i]->references > 0;
    document->counted = !status;
    array_free_in(pending.arena, pending.at, NULL, pending.capacity, sizeof *pending.at);
    return status;
}
