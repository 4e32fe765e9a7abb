/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What each instruction does, in terms of the machine of pickle_machine.h.
 *
 * - FRAME only promises that many bytes, and STOP ignores what is left on the stack: as in Modules/_pickle.c.
 * - Strings borrow from the input. Nothing is allocated by a declared count: pickle_read_op() has compared it
 *   with the bytes that are there.
 *
 * Not done: other type errors at run time than pickle_making_fault() finds, such as BUILD on a list, are accepted and kept;
 * they fail in the loader as they did before.
 */
#include "codecs/pickle_machine.h"

#include <errno.h>

#include "codecs/pickle_text.h"
#include "src/bigint.h"
#include "src/utf8.h"

enum { SNIFFED_INSTRUCTIONS = 8 };

/* Atoms: one node of each serves all. */
static void push_constant(struct pickle_machine *machine, struct value **constant,
                          enum value_kind kind)
{
    if (!*constant)
        *constant = value_new(machine->document, kind);
    machine_push_new(machine, *constant);
}

static void push_boolean(struct pickle_machine *machine, bool boolean)
{
    if (boolean)
        push_constant(machine, &machine->document->true_, VALUE_TRUE);
    else
        push_constant(machine, &machine->document->false_, VALUE_FALSE);
}

static void push_int(struct pickle_machine *machine, int64_t integer)
{
    machine_push_new(machine, value_new_int(machine->document, integer));
}

static void push_small_long(struct pickle_machine *machine, int64_t integer)
{
    struct value *value = value_new_int(machine->document, integer);

    if (value)
        value->role = INTEGER_LONG;
    machine_push_new(machine, value);
}

static void push_bytes(struct pickle_machine *machine, enum value_kind kind, struct bytes bytes)
{
    machine_push_new(machine, value_new_bytes(machine->document, kind, bytes));
}

static void push_long(struct pickle_machine *machine, struct bytes bytes)
{
    int64_t integer;

    if (bigint_to_int64(bytes, &integer))
        push_small_long(machine, integer);
    else
        push_bytes(machine, VALUE_BIG_INT, bigint_minimal(bytes));
}

static void push_text(struct pickle_machine *machine, struct bytes text)
{
    if (utf8_valid(text, UTF8_SURROGATES))
        push_bytes(machine, VALUE_STR, text);
    else
        machine_fail(machine, -EINVAL, "a string is not valid UTF-8");
}

/* A copy of what a text argument meant: scratch is used again. */
static struct bytes keep(struct pickle_machine *machine, struct bytes bytes)
{
    return arena_copy(&machine->document->arena, bytes);
}

/* Whether a function of pickle_text.h succeeded. */
static bool parsed(struct pickle_machine *machine, const char *problem)
{
    if (buffer_status(&machine->scratch))
        machine_fail_memory(machine, buffer_status(&machine->scratch));
    else if (problem)
        machine_fail(machine, -EINVAL, problem);
    return !machine->status;
}

static void push_text_integer(struct pickle_machine *machine, const struct pickle_op *op)
{
    struct pickle_integer integer;
    const char *problem = op->code == PICKLE_INT
                              ? pickle_text_int(op->bytes, &machine->scratch, &integer)
                              : pickle_text_long(op->bytes, &machine->scratch, &integer);

    if (!parsed(machine, problem))
        return;
    if (integer.boolean)
        push_boolean(machine, integer.integer);
    else if (integer.big)
        push_bytes(machine, VALUE_BIG_INT, keep(machine, integer.bytes));
    else if (op->code == PICKLE_LONG)
        push_small_long(machine, integer.integer);
    else
        push_int(machine, integer.integer);
}

static void push_text_float(struct pickle_machine *machine, struct bytes line)
{
    uint64_t bits;

    if (parsed(machine, pickle_text_float(line, &bits)))
        machine_push_new(machine, value_new_float(machine->document, bits));
}

static void push_text_string(struct pickle_machine *machine, struct bytes line)
{
    if (!parsed(machine, pickle_text_string(line, &machine->scratch)))
        return;
    machine->document->python2 = true;
    push_bytes(machine, VALUE_STR8, keep(machine, buffer_bytes(&machine->scratch)));
}

static void push_text_unicode(struct pickle_machine *machine, struct bytes line)
{
    if (bytes_find_byte(line, '\\') == line.size && bytes_are_ascii(line)) {
        push_bytes(machine, VALUE_STR, line);
        return;
    }
    if (parsed(machine, pickle_text_unicode(line, &machine->scratch)))
        push_bytes(machine, VALUE_STR, keep(machine, buffer_bytes(&machine->scratch)));
}

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
    push_bytes(machine, VALUE_STR, line);
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

static void memo_by_line(struct pickle_machine *machine, const struct pickle_op *op)
{
    uint64_t index;

    if (!parsed(machine, pickle_text_index(op->bytes, &index)))
        return;
    if (op->code == PICKLE_GET)
        machine_memo_get(machine, index);
    else
        machine_memo_put(machine, index);
}

static void set_protocol(struct pickle_machine *machine, uint8_t protocol)
{
    if (protocol >= PICKLE_PROTOCOLS) {
        machine_fail(machine, -EINVAL, "a protocol that no CPython has");
        return;
    }
    /* It decides how globals are looked up from here on, not for the whole pickle. */
    if (machine->offset)
        machine->document->suspect = true;
    machine->document->protocol = protocol;
    machine->protocol_seen = true;
    if (machine->trace)
        pickle_trace_protocol(machine->trace, protocol);
}

static void stop(struct pickle_machine *machine)
{
    struct document *document = machine->document;

    machine->stopped = true;
    if (!machine_has(machine, 1))
        return;
    document->root = machine->stack[--machine->depth];
    document->rest = bytes_part(machine->cursor.input, machine->cursor.position, SIZE_MAX);
    for (size_t i = 0; i < machine->depth; i++)
        machine_discard(machine, machine->stack[i]);
}

static void check_frame(struct pickle_machine *machine, uint64_t size)
{
    if (size > cursor_left(&machine->cursor))
        machine_fail(machine, -EINVAL, "a frame is longer than what follows");
}

static ALWAYS_INLINE void run_number(struct pickle_machine *machine, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_INT:
    case PICKLE_LONG:
        push_text_integer(machine, op);
        break;
    case PICKLE_LONG1:
    case PICKLE_LONG4:
        push_long(machine, op->bytes);
        break;
    case PICKLE_FLOAT:
        push_text_float(machine, op->bytes);
        break;
    case PICKLE_BINFLOAT:
        machine_push_new(machine, value_new_float(machine->document, op->number));
        break;
    default: /* BININT, BININT1, BININT2 */
        push_int(machine, (int64_t)op->number);
        break;
    }
}

static ALWAYS_INLINE void run_string(struct pickle_machine *machine, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_STRING:
        push_text_string(machine, op->bytes);
        break;
    case PICKLE_UNICODE:
        push_text_unicode(machine, op->bytes);
        break;
    case PICKLE_BINSTRING:
    case PICKLE_SHORT_BINSTRING:
        machine->document->python2 = true;
        push_bytes(machine, VALUE_STR8, op->bytes);
        break;
    case PICKLE_BYTEARRAY8:
        push_bytes(machine, VALUE_BYTEARRAY, op->bytes);
        break;
    case PICKLE_BINBYTES:
    case PICKLE_SHORT_BINBYTES:
    case PICKLE_BINBYTES8:
        push_bytes(machine, VALUE_BYTES, op->bytes);
        break;
    default: /* BINUNICODE, SHORT_BINUNICODE, BINUNICODE8 */
        push_text(machine, op->bytes);
        break;
    }
}

static ALWAYS_INLINE void run_memo(struct pickle_machine *machine, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_GET:
    case PICKLE_PUT:
        memo_by_line(machine, op);
        break;
    case PICKLE_BINGET:
    case PICKLE_LONG_BINGET:
        machine_memo_get(machine, op->number);
        break;
    case PICKLE_MEMOIZE:
        machine_memo_put(machine, machine->memo.count);
        break;
    default: /* BINPUT, LONG_BINPUT */
        machine_memo_put(machine, op->number);
        break;
    }
}

static ALWAYS_INLINE void run_container(struct pickle_machine *machine, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_EMPTY_LIST:
        machine_push_gathered(machine, VALUE_LIST, machine->depth);
        break;
    case PICKLE_EMPTY_DICT:
        machine_push_gathered(machine, VALUE_DICT, machine->depth);
        break;
    case PICKLE_EMPTY_SET:
        machine_push_gathered(machine, VALUE_SET, machine->depth);
        break;
    case PICKLE_EMPTY_TUPLE:
        push_constant(machine, &machine->document->empty_tuple, VALUE_TUPLE);
        break;
    case PICKLE_TUPLE1:
    case PICKLE_TUPLE2:
    case PICKLE_TUPLE3:
        machine_gather_fixed(machine, VALUE_TUPLE, op->code - PICKLE_TUPLE1 + 1u);
        break;
    case PICKLE_LIST:
        machine->unordered = true; /* CPython makes a list before its items */
        machine_gather_marked(machine, VALUE_LIST);
        break;
    case PICKLE_DICT:
        machine->unordered = true;
        machine_gather_marked(machine, VALUE_DICT);
        break;
    case PICKLE_TUPLE:
        machine_gather_marked(machine, VALUE_TUPLE);
        break;
    default: /* FROZENSET */
        machine_gather_marked(machine, VALUE_FROZENSET);
        break;
    }
}

static ALWAYS_INLINE void run_change(struct pickle_machine *machine, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_APPEND:
        machine_change_by(machine, STEP_APPEND, 1);
        break;
    case PICKLE_SETITEM:
        machine_change_by(machine, STEP_SET_ITEM, 2);
        break;
    case PICKLE_BUILD:
        machine_change_by(machine, STEP_BUILD, 1);
        break;
    case PICKLE_APPENDS:
        machine_change_by_marked(machine, STEP_APPEND);
        break;
    case PICKLE_SETITEMS:
        machine_change_by_marked(machine, STEP_SET_ITEM);
        break;
    default: /* ADDITEMS */
        machine_change_by_marked(machine, STEP_ADD);
        break;
    }
}

static ALWAYS_INLINE void run_object(struct pickle_machine *machine, const struct pickle_op *op)
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

/* What comes from outside the pickle: order matters as for a call. */
static ALWAYS_INLINE void run_external(struct pickle_machine *machine, const struct pickle_op *op)
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

static ALWAYS_INLINE void run_machine(struct pickle_machine *machine, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_MARK:
        machine_mark(machine);
        break;
    case PICKLE_POP:
        machine_pop(machine);
        break;
    case PICKLE_POP_MARK:
        machine_pop_to_mark(machine);
        break;
    case PICKLE_DUP:
        machine_duplicate(machine);
        break;
    case PICKLE_PROTO:
        set_protocol(machine, (uint8_t)op->number);
        break;
    case PICKLE_FRAME:
        check_frame(machine, op->number);
        break;
    default: /* STOP */
        stop(machine);
        break;
    }
}

static ALWAYS_INLINE void run_constant(struct pickle_machine *machine, const struct pickle_op *op)
{
    if (op->code == PICKLE_NONE)
        push_constant(machine, &machine->document->none, VALUE_NONE);
    else
        push_boolean(machine, op->code == PICKLE_NEWTRUE);
}

static ALWAYS_INLINE void run_family(struct pickle_machine *machine, const struct pickle_op *op,
                                     enum pickle_family family)
{
    switch (family) {
    case FAMILY_MACHINE:
        return run_machine(machine, op);
    case FAMILY_MEMO:
        return run_memo(machine, op);
    case FAMILY_CONSTANT:
        return run_constant(machine, op);
    case FAMILY_NUMBER:
        return run_number(machine, op);
    case FAMILY_STRING:
        return run_string(machine, op);
    case FAMILY_CONTAINER:
        return run_container(machine, op);
    case FAMILY_CHANGE:
        return run_change(machine, op);
    case FAMILY_OBJECT:
        return run_object(machine, op);
    case FAMILY_EXTERNAL:
        return run_external(machine, op);
    }
}

/* One opcode: what is constant here leaves of the switches below only what it needs. */
static ALWAYS_INLINE bool step(struct pickle_machine *machine, struct pickle_op *op, uint8_t code,
                               const struct pickle_opcode_info info)
{
    const char *problem =
        pickle_read_argument(&machine->cursor, op, (enum pickle_argument)info.argument);

    if (problem) {
        machine_fail(machine, -EINVAL, problem);
        return false;
    }
    if (code == PICKLE_TUPLE2)
        machine->pairs++;
    else if (info.protocol > machine->highest)
        machine->highest = info.protocol;
    op->code = code;
    run_family(machine, op, (enum pickle_family)info.family);
    return true;
}

bool machine_step(struct pickle_machine *machine, struct pickle_op *op)
{
    const char *problem = pickle_read_opcode(&machine->cursor, op);

    machine->offset = op->offset;
    if (!problem) {
        switch ((enum pickle_opcode)op->code) {
#define X(name, byte, argument, protocol, family)                                                  \
    case PICKLE_##name:                                                                            \
        return step(machine, op, byte,                                                             \
                    (struct pickle_opcode_info){"", ARGUMENT_##argument, protocol, FAMILY_##family});
            PICKLE_OPCODES(X)
#undef X
        }
    }
    machine_fail(machine, -EINVAL, problem);
    return false;
}

static void run(struct pickle_machine *machine)
{
    struct pickle_op op;

    while (!machine->status && !machine->stopped)
        machine_step(machine, &op);
}

static void finish(struct pickle_machine *machine)
{
    struct document *document = machine->document;

    if (machine->pairs > machine->state_calls && machine->highest < 2)
        machine->highest = 2;
    /* Protocols 0 and 1 do not say what they are. */
    if (!machine->protocol_seen)
        document->protocol = machine->highest > 0;
    if (machine->highest > document->protocol)
        machine->unordered = true;
    if (machine->effectful && machine->unordered)
        document->suspect = true;
    if (machine->trace)
        pickle_trace_finished(machine->trace, document->root);
    machine->status = pickle_lower(document, &machine->calls);
}

int pickle_run(struct bytes stored, struct document *document, struct pickle_trace *trace,
               struct failure *failure)
{
    struct pickle_machine machine = {
        .document = document,
        .trace = trace,
        .failure = failure,
        .cursor = cursor_at(stored, 0),
        .scratch = BUFFER_INIT,
    };

    /* Until GET, DUP, a lookup or a step says otherwise. */
    document->unshared = true;
    machine_start(&machine);
    run(&machine);
    if (!machine.status)
        finish(&machine);
    machine_release(&machine);
    return machine.status;
}

int pickle_decode(struct bytes stored, struct document *document, struct failure *failure)
{
    return pickle_run(stored, document, NULL, failure);
}

bool pickle_sniff(struct bytes stored)
{
    struct cursor cursor = cursor_at(stored, 0);
    struct pickle_op op;

    if (!stored.size)
        return false;
    if (stored.data[0] == PICKLE_PROTO)
        return stored.size >= 4 && stored.data[1] < PICKLE_PROTOCOLS;
    /* Protocols 0 and 1 have no magic: a few instructions must make sense, and text rarely does. */
    for (int i = 0; i < SNIFFED_INSTRUCTIONS; i++) {
        if (pickle_read_op(&cursor, &op) || op.info->protocol > 1)
            return false;
        if (op.code == PICKLE_STOP)
            return i > 0;
    }
    return true;
}
