/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The machine that a pickle is a program for: a stack, marks and a memo. It runs symbolically: calls and lookups
 * become nodes instead of being made. pickle_decode.c gives the instructions their meaning in its terms.
 *
 * - Semantics are those of Modules/_pickle.c: no instruction may reach below the topmost mark (the fence), POP
 *   pops a mark.
 * - Errors stick in `status`; an instruction that failed leaves a stack that nobody looks at again.
 * - What a loader computes and then drops (POP, values left at STOP) had its effects all the same; it
 *   becomes document->effects. Dropped plain values are noise.
 * - Whether the order of effects could differ from the order in which the encoder walks the graph is watched here:
 *   an ordinary program captures each object (makes it an item of another) after its last change, drops nothing,
 *   and so builds its graph in walking order.
 */
#ifndef SHELVEFS_PICKLE_MACHINE_H
#define SHELVEFS_PICKLE_MACHINE_H

#include "codecs/cursor.h"
#include "codecs/pickle_internal.h"
#include "codecs/pickle_memo.h"
#include "codecs/pickle_ops.h"

struct pickle_machine {
    struct document *document;
    struct pickle_trace *trace; /* or NULL */
    struct failure *failure;
    struct cursor cursor;
    size_t offset; /* of the current instruction */
    int status;    /* sticky */

    struct value **stack;
    size_t depth, capacity;
    size_t *marks; /* the stack's depth at each MARK */
    size_t mark_count, mark_capacity;
    struct value *first_stack[64];
    size_t first_marks[16];
    struct pickle_memo memo;
    struct buffer scratch;

    struct value_list calls; /* for pickle_lower() */
    size_t popped_at;        /* where the input stood after a POP that added the last effect */
    uint8_t highest;         /* protocol of all instructions so far, but TUPLE2 */
    size_t pairs;            /* how many TUPLE2 there were, and how many of them belong to a STEP_CALL, */
    size_t state_calls;      /* where all protocols have one */
    bool protocol_seen;
    bool effectful; /* something would be called, or may be: order matters */
    bool unordered; /* the graph may not tell the order */
    bool merged;    /* an object was extended by several instructions, which the encoder may write as one, */
    bool split;     /* a dict or set likewise, perhaps with effects in between; */
    bool noticing;  /* and there are keys that may notice when they are hashed */
    bool stopped;
};

/* The rest of `machine`, which must stay where it is, is set by the caller. */
void machine_start(struct pickle_machine *machine);
void machine_release(struct pickle_machine *machine);
/*
 * Reads the next instruction and does what it says (pickle_decode.c). Returns false, after recording the failure, if it
 * can't be read: `op` then has its offset and code, and `info`, which may be of no opcode.
 */
bool machine_step(struct pickle_machine *machine, struct pickle_op *op);

/* What it says where that is about what a loader looks up or calls; what comes from outside the pickle (pickle_object.c). */
void machine_run_object(struct pickle_machine *machine, const struct pickle_op *op);
void machine_run_external(struct pickle_machine *machine, const struct pickle_op *op);

/* Records the first failure, with the current instruction's offset. */
void machine_fail(struct pickle_machine *machine, int code, const char *sentence);
void machine_fail_memory(struct pickle_machine *machine, int code);

/* The stack's depth at the topmost mark, below which no instruction may reach. */
static inline size_t machine_fence(const struct pickle_machine *machine)
{
    return machine->mark_count ? machine->marks[machine->mark_count - 1] : 0;
}
void machine_fail_empty(struct pickle_machine *machine);
/* Whether `count` values are there above the topmost mark; records the failure. */
static inline bool machine_has(struct pickle_machine *machine, size_t count)
{
    if (machine->depth - machine_fence(machine) >= count)
        return true;
    machine_fail_empty(machine);
    return false;
}
/* machine_push() where the stack is full, or without a value. */
void machine_push_slowly(struct pickle_machine *machine, struct value *value);
/* NULL stands for a node that could not be made. */
static inline void machine_push(struct pickle_machine *machine, struct value *value)
{
    if (value && machine->depth < machine->capacity)
        machine->stack[machine->depth++] = value;
    else
        machine_push_slowly(machine, value);
}
/* The same for a node that was created by this instruction. */
static inline void machine_push_new(struct pickle_machine *machine, struct value *value)
{
    machine_push(machine, value);
    if (machine->trace && !machine->status)
        pickle_trace_created(machine->trace, value);
}
void machine_mark(struct pickle_machine *machine);
/* Removes the topmost mark and gives the stack's depth there; what is above stays. */
bool machine_pop_mark(struct pickle_machine *machine, size_t *start);

/* A new node of the stack's values from `start` on, which become its items. NULL: no memory. */
struct value *machine_gather(struct pickle_machine *machine, enum value_kind kind, size_t start);
void machine_push_gathered(struct pickle_machine *machine, enum value_kind kind, size_t start);
/* ... of the `count` topmost values; of those above the topmost mark. */
void machine_gather_fixed(struct pickle_machine *machine, enum value_kind kind, size_t count);
void machine_gather_marked(struct pickle_machine *machine, enum value_kind kind);

/* Changes a value by the `count` values above it; by those above the topmost mark. */
void machine_change_by(struct pickle_machine *machine, enum value_step_kind kind, size_t count);
void machine_change_by_marked(struct pickle_machine *machine, enum value_step_kind kind);

/* For what is dropped although it was computed. */
void machine_discard(struct pickle_machine *machine, struct value *value);
void machine_pop(struct pickle_machine *machine);
void machine_pop_to_mark(struct pickle_machine *machine);

void machine_duplicate(struct pickle_machine *machine);
void machine_memo_put(struct pickle_machine *machine, uint64_t index);
void machine_memo_get(struct pickle_machine *machine, uint64_t index);

#endif
