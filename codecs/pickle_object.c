/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The instructions by which a loader looks something up, calls it, or takes it from outside the pickle. */
#include "codecs/pickle_machine.h"

#include <errno.h>

#include "src/utf8.h"

/* A number, a string or a container of a type of its own. */
static bool is_literal(const struct value *value)
{
    return value->kind < VALUE_GLOBAL;
}

const char *pickle_making_fault(enum value_kind kind, struct value *const *items)
{
    if (is_literal(items[0]))
        return "what is called can't be called";
    if (kind == VALUE_INSTANCE)
        return NULL;
    if (items[1]->kind != VALUE_TUPLE && is_literal(items[1]))
        return "the arguments of a call are not a tuple";
    if (kind == VALUE_NEW_EX && items[2]->kind != VALUE_DICT && is_literal(items[2]))
        return "the keywords of a call are not a dict";
    return NULL;
}

/* Whether the `count` topmost values can make an object. */
static bool can_make(struct pickle_machine *machine, enum value_kind kind, size_t count)
{
    const char *fault;

    if (!machine_has(machine, count))
        return false;
    fault = pickle_making_fault(kind, machine->stack + machine->depth - count);
    if (fault)
        machine_fail(machine, -EINVAL, fault);
    return !fault;
}

/* What a loader would call, from the `count` topmost values. */
static void push_call(struct pickle_machine *machine, enum value_kind kind, size_t count)
{
    struct value *call;

    if (!can_make(machine, kind, count))
        return;
    call = machine_gather(machine, kind, machine->depth - count);
    if (call && kind == VALUE_CALL)
        value_list_add(machine->document, &machine->calls, call);
    machine->effectful = true;
    machine_push_new(machine, call);
}

static void push_object(struct pickle_machine *machine, size_t start)
{
    if (machine->depth == start) {
        machine_fail(machine, -EINVAL, "OBJ found no class");
        return;
    }
    if (!can_make(machine, VALUE_INSTANCE, machine->depth - start))
        return;
    machine->effectful = true;
    machine_push_gathered(machine, VALUE_INSTANCE, start);
}

/* A global named by two lines. */
static struct value *new_global(struct pickle_machine *machine, const struct pickle_op *op)
{
    struct document *document = machine->document;
    struct value *global = value_new(document, VALUE_GLOBAL);
    struct value *names[2];

    if (!op->bytes.size || !op->second.size || !utf8_valid(op->bytes, UTF8_STRICT) ||
        !utf8_valid(op->second, UTF8_STRICT)) {
        machine_fail(machine, -EINVAL, "a module or a name is empty or not valid UTF-8");
        return global;
    }
    names[0] = value_new_bytes(document, VALUE_STR, op->bytes);
    names[1] = value_new_bytes(document, VALUE_STR, op->second);
    if (!global || !names[0] || !names[1] ||
        !value_list_add_all(document, &global->items, names, 2))
        return NULL;
    if (machine->trace) {
        pickle_trace_created(machine->trace, names[0]);
        pickle_trace_created(machine->trace, names[1]);
        pickle_trace_created(machine->trace, global);
    }
    return global;
}

/* INST puts its class below the arguments, where OBJ has it. */
static void push_instance(struct pickle_machine *machine, const struct pickle_op *op)
{
    struct value *global;
    size_t start;

    if (!machine_pop_mark(machine, &start))
        return;
    if (!bytes_are_ascii(op->bytes) || !bytes_are_ascii(op->second)) {
        machine_fail(machine, -EINVAL, "INST names a class that is not ASCII");
        return;
    }
    global = new_global(machine, op);
    machine_push(machine, global);
    if (machine->status)
        return;
    memmove(machine->stack + start + 1, machine->stack + start,
            (machine->depth - 1 - start) * sizeof *machine->stack);
    machine->stack[start] = global;
    push_object(machine, start);
}

static bool is_ascii(struct value *value)
{
    if (!(value->flags & PICKLE_ASCII) && bytes_are_ascii(value->bytes))
        value->flags |= PICKLE_ASCII;
    return value->flags & PICKLE_ASCII;
}

/* Whether it is a str, or may turn out to be one. */
static bool may_be_name(struct value *value)
{
    return value->kind == VALUE_STR || value->kind >= VALUE_GLOBAL ||
           (value->kind == VALUE_STR8 && is_ascii(value));
}

/* Python 3 looks up by str, and makes one of an 8-bit string before: as a name the two are the same. */
static void widen_name(struct pickle_machine *machine, struct value **name)
{
    struct value *wide;

    if ((*name)->kind != VALUE_STR8 || (*name)->last_step)
        return;
    wide = value_new_bytes(machine->document, VALUE_STR, (*name)->bytes);
    if (!wide) {
        machine_fail_memory(machine, arena_status(&machine->document->arena));
        return;
    }
    if (machine->trace)
        pickle_trace_created(machine->trace, wide);
    *name = wide;
}

static void push_stack_global(struct pickle_machine *machine)
{
    struct value **names;

    if (!machine_has(machine, 2))
        return;
    names = &machine->stack[machine->depth - 2];
    if (!may_be_name(names[0]) || !may_be_name(names[1])) {
        machine_fail(machine, -EINVAL, "STACK_GLOBAL requires str");
        return;
    }
    widen_name(machine, &names[0]);
    widen_name(machine, &names[1]);
    machine_gather_fixed(machine, VALUE_GLOBAL, 2);
}

static void push_persistent(struct pickle_machine *machine, struct bytes line)
{
    if (!bytes_are_ascii(line)) {
        machine_fail(machine, -EINVAL, "PERSID's id is not ASCII");
        return;
    }
    machine_push_new(machine, value_new_bytes(machine->document, VALUE_STR, line));
    if (!machine->status)
        machine_gather_fixed(machine, VALUE_PERSISTENT, 1);
}

static void push_extension(struct pickle_machine *machine, int64_t code)
{
    struct value *value = value_new(machine->document, VALUE_EXTENSION);

    if (code <= 0) {
        machine_fail(machine, -EINVAL, "an extension code is not positive");
        return;
    }
    if (value)
        value->integer = code;
    machine_push_new(machine, value);
}

void machine_run_object(struct pickle_machine *machine, const struct pickle_op *op)
{
    size_t start;

    switch (op->code) {
    case PICKLE_GLOBAL:
        machine_push(machine, new_global(machine, op));
        break;
    case PICKLE_STACK_GLOBAL:
        push_stack_global(machine);
        break;
    case PICKLE_REDUCE:
        push_call(machine, VALUE_CALL, 2);
        break;
    case PICKLE_NEWOBJ:
        push_call(machine, VALUE_NEW, 2);
        break;
    case PICKLE_NEWOBJ_EX:
        push_call(machine, VALUE_NEW_EX, 3);
        break;
    case PICKLE_INST:
        push_instance(machine, op);
        break;
    case PICKLE_OBJ:
        if (machine_pop_mark(machine, &start))
            push_object(machine, start);
        break;
    default: /* EXT1, EXT2, EXT4 */
        push_extension(machine, (int64_t)op->number);
        break;
    }
}

void machine_run_external(struct pickle_machine *machine, const struct pickle_op *op)
{
    machine->effectful = true;
    switch (op->code) {
    case PICKLE_PERSID:
        push_persistent(machine, op->bytes);
        break;
    case PICKLE_BINPERSID:
        machine_gather_fixed(machine, VALUE_PERSISTENT, 1);
        break;
    case PICKLE_NEXT_BUFFER:
        machine_push_new(machine, value_new(machine->document, VALUE_NEXT_BUFFER));
        break;
    default: /* READONLY_BUFFER */
        machine_gather_fixed(machine, VALUE_READONLY, 1);
        break;
    }
}
