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
        return machine_run_object(machine, op);
    case FAMILY_EXTERNAL:
        return machine_run_external(machine, op);
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
    /* In protocol 0 each item has an instruction of its own. */
    if (document->protocol > 0 && (machine->merged || (machine->split && machine->noticing)))
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
