/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_machine.h"

#include <errno.h>

#include "codecs/expression_words.h"
#include "src/array.h"

void machine_fail(struct pickle_machine *machine, int code, const char *sentence)
{
    if (!machine->status)
        machine->status = failure_set(machine->failure, code, machine->offset, "%s", sentence);
}

void machine_fail_memory(struct pickle_machine *machine, int code)
{
    machine_fail(machine, code,
                 code == -EFBIG ? "the value needs too much memory" : "out of memory");
}

void machine_fail_empty(struct pickle_machine *machine)
{
    machine_fail(machine, -EINVAL,
                 machine->mark_count ? "an instruction met an unexpected mark"
                                     : "an instruction found the stack empty");
}

static bool grow(struct pickle_machine *machine, void **array, const void *first, size_t *capacity,
                 size_t size)
{
    struct arena *arena = &machine->document->arena;
    void *grown = array_double_in(arena, *array, first, capacity, size);

    if (grown)
        *array = grown;
    else
        machine_fail_memory(machine, arena_status(arena));
    return grown != NULL;
}

void machine_start(struct pickle_machine *machine)
{
    machine->stack = machine->first_stack;
    machine->capacity = ARRAY_SIZE(machine->first_stack);
    machine->marks = machine->first_marks;
    machine->mark_capacity = ARRAY_SIZE(machine->first_marks);
    machine->memo.arena = &machine->document->arena;
}

void machine_release(struct pickle_machine *machine)
{
    struct arena *arena = &machine->document->arena;

    array_free_in(arena, machine->stack, machine->first_stack, machine->capacity,
                  sizeof *machine->stack);
    array_free_in(arena, machine->marks, machine->first_marks, machine->mark_capacity,
                  sizeof *machine->marks);
    pickle_memo_release(&machine->memo);
    buffer_release(&machine->scratch);
}

void machine_push_slowly(struct pickle_machine *machine, struct value *value)
{
    if (!value)
        machine_fail_memory(machine, arena_status(&machine->document->arena));
    else if (grow(machine, (void **)&machine->stack, machine->first_stack, &machine->capacity,
                  sizeof *machine->stack))
        machine->stack[machine->depth++] = value;
}

/* Whether each mention of it is written in full: numbers and short strings, but BIG_INT may be long too. */
static bool is_repeated(const struct value *value)
{
    return value->kind < VALUE_BYTEARRAY &&
           !(value_has_bytes(value) && value->bytes.size > EXPRESSION_LONG);
}

/* The node again. */
static void push_shared(struct pickle_machine *machine, struct value *value)
{
    if (!is_repeated(value))
        machine->document->unshared = false;
    value->flags |= PICKLE_SHARED;
    machine_push(machine, value);
}

void machine_mark(struct pickle_machine *machine)
{
    if (machine->mark_count == machine->mark_capacity &&
        !grow(machine, (void **)&machine->marks, machine->first_marks, &machine->mark_capacity,
              sizeof *machine->marks))
        return;
    machine->marks[machine->mark_count++] = machine->depth;
}

bool machine_pop_mark(struct pickle_machine *machine, size_t *start)
{
    if (!machine->mark_count) {
        machine_fail(machine, -EINVAL, "an instruction found no mark");
        return false;
    }
    *start = machine->marks[--machine->mark_count];
    return true;
}

struct value *machine_gather(struct pickle_machine *machine, enum value_kind kind, size_t start)
{
    struct value *value = value_new(machine->document, kind);
    size_t count = machine->depth - start;

    for (size_t i = start; i < machine->depth; i++)
        machine->stack[i]->flags |= PICKLE_CAPTURED;
    machine->depth = start;
    if (value &&
        value_list_add_all(machine->document, &value->items, machine->stack + start, count))
        return value;
    return NULL;
}

void machine_push_gathered(struct pickle_machine *machine, enum value_kind kind, size_t start)
{
    machine_push_new(machine, machine_gather(machine, kind, start));
}

void machine_gather_fixed(struct pickle_machine *machine, enum value_kind kind, size_t count)
{
    if (machine_has(machine, count))
        machine_push_gathered(machine, kind, machine->depth - count);
}

void machine_gather_marked(struct pickle_machine *machine, enum value_kind kind)
{
    size_t start;

    if (!machine_pop_mark(machine, &start))
        return;
    if (kind == VALUE_DICT && (machine->depth - start) % 2) {
        machine_fail(machine, -EINVAL, "a dict has a key without a value");
        return;
    }
    machine_push_gathered(machine, kind, start);
}

/* Whether changing it is not just filling a container. */
static bool is_plain_change(const struct value *value, enum value_step_kind kind)
{
    if (value->last_step)
        return false;
    return (kind == STEP_APPEND && value->kind == VALUE_LIST) ||
           (kind == STEP_SET_ITEM && value->kind == VALUE_DICT) ||
           (kind == STEP_ADD && value->kind == VALUE_SET);
}

/* The node on the stack that is about to get a step: a constant, which has none, is replaced by a node of its own. */
static struct value *own_target(struct pickle_machine *machine, size_t at)
{
    struct value *value = machine->stack[at], *own;

    if ((value->kind > VALUE_TRUE && value != machine->document->empty_tuple) || value->last_step)
        return value;
    own = value_new(machine->document, value->kind);
    if (own) {
        machine->stack[at] = own;
        if (machine->trace)
            pickle_trace_created(machine->trace, own);
    }
    return own;
}

/* Whether hashing it may call something, or be of what was changed meanwhile. */
static bool may_notice(const struct value *key)
{
    if (key->kind < VALUE_LIST || key->kind == VALUE_GLOBAL || key->kind == VALUE_EXTENSION)
        return false;
    if (key->kind != VALUE_TUPLE)
        return true;
    for (uint32_t i = 0; i < key->items.count; i++)
        if (key->items.at[i]->kind >= VALUE_LIST)
            return true;
    return false;
}

/* Notes where what happens between two instructions that extend `target` would come before both once the encoder made one of them. */
static void watch_merging(struct pickle_machine *machine, const struct value *target, enum value_step_kind kind,
                          struct value *const *items, size_t count)
{
    size_t unit = kind == STEP_SET_ITEM ? 2 : 1;

    if (!is_plain_change(target, kind)) {
        machine->merged |= target->last_step && target->last_step->kind == kind && kind != STEP_BUILD;
        return;
    }
    if (kind == STEP_APPEND)
        return;
    machine->split |= machine->effectful && target->items.count;
    for (size_t i = 0; i < count; i += unit)
        machine->noticing |= may_notice(items[i]);
}

/* Changes the value below `start` by those above. */
static void change(struct pickle_machine *machine, enum value_step_kind kind, size_t start)
{
    struct value *target = machine->stack[start - 1];
    struct value *const *items = machine->stack + start;
    size_t count = machine->depth - start;
    bool added;

    for (size_t i = 0; i < count; i++)
        items[i]->flags |= PICKLE_CAPTURED;
    machine->depth = start;
    watch_merging(machine, target, kind, items, count);
    if (target->flags & PICKLE_CAPTURED)
        machine->unordered = true;
    if (is_plain_change(target, kind)) {
        added = value_list_add_all(machine->document, &target->items, items, count);
    } else {
        /* A trace knows these by their value: it has to tell whether it is one object that changes. */
        if (target->kind < VALUE_BYTEARRAY || target->kind == VALUE_TUPLE || target->kind == VALUE_GLOBAL)
            machine->unordered = true;
        machine->effectful = true;
        target = own_target(machine, start - 1);
        added = target && value_add_step(machine->document, target, kind, items, count);
    }
    if (!added)
        machine_fail_memory(machine, arena_status(&machine->document->arena));
    else if (machine->trace)
        pickle_trace_changed(machine->trace, target, kind, items, count);
}

/* Whether there is a value below `start` to be changed, and something to change it by. */
static bool may_change(struct pickle_machine *machine, enum value_step_kind kind, size_t start)
{
    if (start <= machine_fence(machine)) {
        machine_has(machine, SIZE_MAX);
        return false;
    }
    if (kind == STEP_SET_ITEM && (machine->depth - start) % 2) {
        machine_fail(machine, -EINVAL, "SETITEMS has a key without a value");
        return false;
    }
    return machine->depth > start;
}

void machine_change_by(struct pickle_machine *machine, enum value_step_kind kind, size_t count)
{
    if (machine_has(machine, count) && may_change(machine, kind, machine->depth - count))
        change(machine, kind, machine->depth - count);
}

void machine_change_by_marked(struct pickle_machine *machine, enum value_step_kind kind)
{
    size_t start;

    if (machine_pop_mark(machine, &start) && may_change(machine, kind, start))
        change(machine, kind, start);
}

void machine_discard(struct pickle_machine *machine, struct value *value)
{
    if (value->kind >= VALUE_BYTEARRAY || value->last_step)
        machine->unordered = true;
    /* An item of something else is still there. */
    if (!value_has_effect(value) || value->flags & PICKLE_CAPTURED)
        return;
    value->flags |= PICKLE_CAPTURED;
    if (!value_list_add(machine->document, &machine->document->effects, value))
        machine_fail_memory(machine, arena_status(&machine->document->arena));
}

/* Whether nobody can come across it but where it was made. */
static bool is_private(const struct value *value, enum value_kind kind)
{
    return value->kind == kind && !value->last_step && !(value->flags & (PICKLE_SHARED | PICKLE_MEMOISED));
}

/*
 * Whether dropping `call` leaves the object on the stack whose state it was made to set: the sixth item of what __reduce__() returns (CPython
 * 3.8 and later, save_reduce()).
 */
static bool sets_state(const struct pickle_machine *machine, const struct value *call)
{
    const struct value *arguments, *object;

    if (!is_private(call, VALUE_CALL) || machine->depth <= machine_fence(machine))
        return false;
    arguments = call->items.at[1];
    object = machine->stack[machine->depth - 1];
    return is_private(arguments, VALUE_TUPLE) && arguments->items.count == 2 && arguments->items.at[0] == object &&
           value_may_be_set(object);
}

static void set_state(struct pickle_machine *machine, const struct value *call)
{
    struct value *object = machine->stack[machine->depth - 1];
    struct value *const items[] = {call->items.at[0], object, call->items.at[1]->items.at[1]};

    machine->unordered = true;
    machine->state_calls++;
    if (!value_add_step(machine->document, object, STEP_CALL, items, ARRAY_SIZE(items)))
        machine_fail_memory(machine, arena_status(&machine->document->arena));
}

void machine_pop(struct pickle_machine *machine)
{
    size_t effects = machine->document->effects.count;
    struct value *popped;

    if (machine->mark_count && machine_fence(machine) == machine->depth) {
        machine->mark_count--;
        return;
    }
    if (!machine_has(machine, 1))
        return;
    popped = machine->stack[--machine->depth];
    if (sets_state(machine, popped))
        set_state(machine, popped);
    else
        machine_discard(machine, popped);
    if (machine->document->effects.count > effects)
        machine->popped_at = machine->cursor.position;
}

void machine_pop_to_mark(struct pickle_machine *machine)
{
    size_t start;

    if (!machine_pop_mark(machine, &start))
        return;
    for (size_t i = start; i < machine->depth; i++)
        machine_discard(machine, machine->stack[i]);
    machine->depth = start;
}

void machine_duplicate(struct pickle_machine *machine)
{
    if (machine_has(machine, 1))
        push_shared(machine, machine->stack[machine->depth - 1]);
}

void machine_memo_put(struct pickle_machine *machine, uint64_t index)
{
    struct value *value;
    int status;

    if (!machine_has(machine, 1))
        return;
    value = machine->stack[machine->depth - 1];
    value->flags |= PICKLE_MEMOISED;
    status = pickle_memo_put(&machine->memo, index, value);
    if (status)
        machine_fail_memory(machine, status);
}

/* What is written anew each time it occurs. */
static bool same_atom(const struct value *a, const struct value *b)
{
    if (a->kind != b->kind || a->last_step || b->last_step)
        return false;
    switch (a->kind) {
    case VALUE_NONE:
    case VALUE_FALSE:
    case VALUE_TRUE:
        return true;
    case VALUE_INT:
    case VALUE_FLOAT:
    case VALUE_EXTENSION:
        return a->bits == b->bits;
    case VALUE_BIG_INT:
        return bytes_equal(a->bytes, b->bytes);
    case VALUE_TUPLE:
        return !a->items.count && !b->items.count;
    default:
        return false;
    }
}

/* Whether the items are the same nodes, atoms aside, which have no identity. */
static bool same_items(const struct value_list *a, const struct value_list *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->at[i] != b->at[i] && !same_atom(a->at[i], b->at[i]))
            return false;
    return true;
}

/* Containers that __reduce__() may make anew each time, as that of a set does. */
static bool are_twins(const struct value *a, const struct value *b)
{
    return a->kind == b->kind &&
           (a->kind == VALUE_LIST || a->kind == VALUE_TUPLE || a->kind == VALUE_DICT) &&
           !a->last_step && !b->last_step && same_items(&a->items, &b->items);
}

static bool same_arguments(const struct value *a, const struct value *b)
{
    if (a->kind != VALUE_TUPLE || b->kind != VALUE_TUPLE || a->items.count != b->items.count)
        return a == b;
    for (uint32_t i = 0; i < a->items.count; i++) {
        const struct value *x = a->items.at[i], *y = b->items.at[i];

        if (x != y && !same_atom(x, y) && !are_twins(x, y))
            return false;
    }
    return true;
}

static void hold(struct pickle_machine *machine, struct value *value)
{
    bool container = value->kind == VALUE_LIST || value->kind == VALUE_DICT ||
                     (value->kind == VALUE_TUPLE && value->items.count);

    if (container && !value_hold(machine->document, value))
        machine_fail_memory(machine, arena_status(&machine->document->arena));
}

/* Which arguments of an object that was made twice are the same ones, and not made anew each time. */
static void hold_common(struct pickle_machine *machine, const struct value *a, const struct value *b)
{
    const struct value_list *left = &a->items.at[1]->items, *right = &b->items.at[1]->items;

    if (a->kind == VALUE_NEW_EX && a->items.at[2] == b->items.at[2])
        hold(machine, a->items.at[2]);
    if (a->items.at[1] == b->items.at[1]) {
        hold(machine, a->items.at[1]);
        return;
    }
    for (uint32_t i = 0; i < left->count; i++)
        if (left->at[i] == right->at[i])
            hold(machine, left->at[i]);
}

/*
 * An object that refers to itself through the arguments it is made from is made twice: the inner one is memoised
 * and used, the outer one popped and replaced by a GET. The encoder does the same by itself.
 */
static void forget_recursive_attempt(struct pickle_machine *machine, const struct value *value)
{
    struct value_list *effects = &machine->document->effects;
    const struct value *popped = effects->at[effects->count - 1];

    if (popped->kind != value->kind || popped->last_step || popped->flags & PICKLE_MEMOISED ||
        popped->kind < VALUE_CALL || popped->kind > VALUE_NEW_EX)
        return;
    if (popped->items.at[0] != value->items.at[0] ||
        !same_arguments(popped->items.at[1], value->items.at[1]))
        return;
    if (popped->kind == VALUE_NEW_EX && popped->items.at[2] != value->items.at[2] &&
        !are_twins(popped->items.at[2], value->items.at[2]))
        return;
    hold_common(machine, popped, value);
    effects->count--;
}

void machine_memo_get(struct pickle_machine *machine, uint64_t index)
{
    struct value *value = pickle_memo_get(&machine->memo, index);

    if (!value) {
        machine_fail(machine, -EINVAL, "GET found nothing in the memo");
        return;
    }
    if (machine->popped_at == machine->offset && machine->offset)
        forget_recursive_attempt(machine, value);
    push_shared(machine, value);
}
