/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A graph becomes the program that CPython's C pickler writes for it, byte for byte (CPython, Modules/_pickle.c).
 *
 * - The memo is a mark on each node: its index plus one. Globals are objects, of which there is one a name,
 *   so they also have a table by name: two nodes may name the same one.
 * - Recursive tuples, frozensets and calls come out as CPython writes them by running its algorithm: save the
 *   items; if that saved the node itself, drop them and GET it.
 * - Python 2 (document->python2): cPickle's numbers and strings, its batches, and a memo that counts from 1 and
 *   leaves objects out (pickle_python2.h).
 * - A node that a protocol has no opcode for is written with the opcode of a later one (NEWOBJ in protocol 1,
 *   STACK_GLOBAL for a name with a newline): every loader since Python 3.8 knows all of them.
 *
 * Not done: an object that CPython rebuilds through functools.partial (__getnewargs_ex__() in protocols
 * 2 and 3) and that contains itself. Such a program is not faithful (pickle_trace.c), and its stored bytes are shown instead.
 */
#include "codecs/pickle_encoder.h"

#include "src/array.h"

#include <errno.h>

enum { BATCH = 1000 };

enum task_kind {
    TASK_SAVE,   /* each item of `list` in turn */
    TASK_FILL,   /* the items of `list` in batches, into what is on the stack */
    TASK_FINISH, /* the instruction that makes `value` of its items */
    TASK_STEPS,  /* the steps of `value` from `step` on */
    TASK_OP,     /* just `opcode` */
};

struct task {
    uint8_t kind;
    uint8_t opcode;
    uint8_t fill;   /* enum fill */
    uint8_t holder; /* enum holder: of each item; of `value` */
    bool in_batch;
    uint32_t next, end; /* indices into the list: the next item; the end of the batch */
    union {
        const struct value_list *list;
        const struct value_step *step;
    };
    struct value *value;
};

/* One for each enum fill. */
static const struct fill_rule {
    uint8_t one, many; /* opcodes: for a single item (0: none), for a batch */
    uint8_t unit;      /* values an item */
    bool
        one_only_alone; /* `one` only when the container has a single item, else whenever one is left */
    bool empty_last_batch; /* an empty batch follows a full one */
} fill_rules[] = {
    [FILL_LIST] = {PICKLE_APPEND, PICKLE_APPENDS, 1, true, false},
    [FILL_DICT] = {PICKLE_SETITEM, PICKLE_SETITEMS, 2, true, true},
    [FILL_SET] = {0, PICKLE_ADDITEMS, 1, false, true},
    [FILL_MORE_LIST] = {PICKLE_APPEND, PICKLE_APPENDS, 1, false, false},
    [FILL_MORE_DICT] = {PICKLE_SETITEM, PICKLE_SETITEMS, 2, false, false},
    [FILL_MORE_SET] = {0, PICKLE_ADDITEMS, 1, false, false},
};

void encoder_fail(struct encoder *encoder, int code, const char *sentence)
{
    if (!encoder->status)
        encoder->status = failure_set(encoder->failure, code, 0, "%s", sentence);
}

void encoder_fail_memory(struct encoder *encoder)
{
    bool large = arena_status(&encoder->scratch.arena) == -EFBIG ||
                 arena_status(&encoder->document->arena) == -EFBIG;

    encoder_fail(encoder, large ? -EFBIG : -ENOMEM,
                 large ? "the value needs too much memory" : "out of memory");
}

static void push_task(struct encoder *encoder, struct task task)
{
    if (encoder->depth == encoder->capacity) {
        struct arena *arena = &encoder->document->arena;
        struct task *tasks =
            array_double_in(arena, encoder->tasks, NULL, &encoder->capacity, sizeof *tasks);

        if (!tasks) {
            encoder_fail_memory(encoder);
            return;
        }
        encoder->tasks = tasks;
    }
    encoder->tasks[encoder->depth++] = task;
}

void encoder_then_steps(struct encoder *encoder, struct value *value)
{
    if (value->last_step)
        push_task(
            encoder,
            (struct task){.kind = TASK_STEPS, .step = value_first_step(value), .value = value});
}

void encoder_then_finish(struct encoder *encoder, struct value *value)
{
    uint32_t open = MARK_OPEN | encoder->progress;

    if (value_mark(encoder->document, value) == open) {
        encoder_fail(encoder, -EINVAL, "a value that is made from itself can't be stored");
        return;
    }
    value_set_mark(encoder->document, value, open);
    push_task(encoder, (struct task){
                           .kind = TASK_FINISH, .holder = (uint8_t)encoder->holder, .value = value});
}

static void then_save(struct encoder *encoder, const struct value_list *list, uint32_t first,
                      enum holder holder)
{
    if (list->count > first)
        push_task(encoder, (struct task){.kind = TASK_SAVE,
                                         .holder = (uint8_t)holder,
                                         .list = list,
                                         .next = first});
}

void encoder_then_save(struct encoder *encoder, const struct value *owner, uint32_t first)
{
    enum holder holder = encoder->writer.python2 ? python2_holder_of_items(owner, encoder->holder)
                                                 : HOLDER_NONE;

    then_save(encoder, &owner->items, first, holder);
}

void encoder_then_fill(struct encoder *encoder, enum fill fill, const struct value_list *list)
{
    enum holder holder = python2_holder_of_contents(fill == FILL_DICT, encoder->holder,
                                                    encoder->writer.protocol);

    if (list->count)
        push_task(encoder, (struct task){.kind = TASK_FILL,
                                         .fill = fill,
                                         .holder = (uint8_t)holder,
                                         .list = list});
}

static void then_op(struct encoder *encoder, uint8_t opcode)
{
    push_task(encoder, (struct task){.kind = TASK_OP, .opcode = opcode});
}

void encoder_write_op(struct encoder *encoder, uint8_t opcode)
{
    pickle_write_op(&encoder->writer, opcode);
}

bool encoder_is_shared(struct encoder *encoder, const struct value *value)
{
    if (value_count_references(encoder->document))
        encoder_fail_memory(encoder);
    return value->references > 1;
}

/* An index for an object that no node stands for. */
static uint32_t put_unnamed(struct encoder *encoder)
{
    uint32_t index = encoder->memoised++ + encoder->writer.python2;

    pickle_write_put(&encoder->writer, index);
    return index;
}

void encoder_put(struct encoder *encoder, struct value *value)
{
    if (value == encoder->passing[0] || value == encoder->passing[1] ||
        value->flags & PICKLE_ANONYMOUS)
        return;
    if (encoder->writer.python2 &&
        !python2_memoises(value, encoder->holder, encoder_is_shared(encoder, value)))
        return;
    value_set_mark(encoder->document, value, put_unnamed(encoder) + 1);
    encoder->progress += !(value->flags & PICKLE_SCRATCH);
}

bool encoder_is_memoised(const struct encoder *encoder, const struct value *value)
{
    uint32_t mark = value_mark(encoder->document, value);

    return mark && !(mark & MARK_OPEN);
}

void encoder_get(struct encoder *encoder, const struct value *value)
{
    pickle_write_get(&encoder->writer, value_mark(encoder->document, value) - 1);
}

void encoder_finish_unnamed(struct encoder *encoder, struct value *value)
{
    if (!value->last_step)
        return;
    encoder_put(encoder, value);
    encoder_then_steps(encoder, value);
}

/* Atoms have no identity: written each time. */
static bool save_atom(struct encoder *encoder, const struct value *value)
{
    struct pickle_writer *writer = &encoder->writer;

    switch ((enum value_kind)value->kind) {
    case VALUE_NONE:
        pickle_write_op(writer, PICKLE_NONE);
        return true;
    case VALUE_FALSE:
    case VALUE_TRUE:
        pickle_write_boolean(writer, value->kind == VALUE_TRUE);
        return true;
    case VALUE_INT:
        if (writer->python2 && value->role == INTEGER_LONG)
            pickle_write_long(writer, value->integer);
        else
            pickle_write_int(writer, value->integer);
        return true;
    case VALUE_BIG_INT:
        pickle_write_big(writer, value->bytes);
        return true;
    case VALUE_FLOAT:
        pickle_write_float(writer, value->bits);
        return true;
    case VALUE_EXTENSION:
        pickle_write_extension(writer, value->integer);
        return true;
    default:
        return false;
    }
}

static bool may_get(const struct encoder *encoder, const struct value *value)
{
    return encoder_is_memoised(encoder, value) &&
           !(encoder->writer.python2 && python2_is_remade(value, encoder->holder));
}

static void save(struct encoder *encoder, struct value *value, enum holder holder)
{
    encoder->holder = holder;
    pickle_write_boundary(&encoder->writer);
    if (may_get(encoder, value))
        encoder_get(encoder, value);
    else if (save_atom(encoder, value))
        encoder_finish_unnamed(encoder, value);
    else
        encoder_save_new(encoder, value);
}

static void run_save(struct encoder *encoder, struct task *task)
{
    enum holder holder = python2_holder_of_item((enum holder)task->holder, task->next);
    struct value *value = task->list->at[task->next++];

    if (task->next == task->list->count)
        encoder->depth--;
    save(encoder, value, holder);
}

static void begin_batch(struct encoder *encoder, struct task *task)
{
    const struct fill_rule *rule = &fill_rules[task->fill];
    uint32_t left = task->list->count - task->next;
    bool last_one = left == rule->unit && (!rule->one_only_alone || task->next == 0);

    task->in_batch = true;
    if (rule->one && (last_one || encoder->writer.protocol == 0)) {
        task->opcode = rule->one;
        task->end = task->next + rule->unit;
        return;
    }
    task->opcode = rule->many;
    task->end = task->next + (left < BATCH * rule->unit ? left : (uint32_t)BATCH * rule->unit);
    encoder_write_op(encoder, PICKLE_MARK);
}

static void end_batch(struct encoder *encoder, struct task *task)
{
    const struct fill_rule *rule = &fill_rules[task->fill];

    task->in_batch = false;
    encoder_write_op(encoder, task->opcode);
    if (task->next < task->list->count)
        return;
    if (rule->empty_last_batch && task->opcode == rule->many &&
        task->next % (BATCH * rule->unit) == 0) {
        encoder_write_op(encoder, PICKLE_MARK);
        encoder_write_op(encoder, rule->many);
    }
    encoder->depth--;
}

static void run_fill(struct encoder *encoder, struct task *task)
{
    if (!task->in_batch)
        begin_batch(encoder, task);
    else if (task->next < task->end)
        save(encoder, task->list->at[task->next++], (enum holder)task->holder);
    else
        end_batch(encoder, task);
}

/* In all protocols the same instructions. */
static void then_state_call(struct encoder *encoder, const struct value_step *step)
{
    const char *fault = pickle_making_fault(VALUE_INSTANCE, step->items.at);

    if (fault)
        encoder_fail(encoder, -EINVAL, fault);
    then_op(encoder, PICKLE_POP);
    then_op(encoder, PICKLE_REDUCE);
    then_op(encoder, PICKLE_TUPLE2);
    then_save(encoder, &step->items, 0, HOLDER_NONE);
}

static void run_steps(struct encoder *encoder, struct task *task)
{
    const struct value_step *step = task->step;

    task->step = value_next_step(task->value, step);
    if (!task->step)
        encoder->depth--;
    switch (step->kind) {
    case STEP_BUILD:
        then_op(encoder, PICKLE_BUILD);
        then_save(encoder, &step->items, 0, python2_holder_of_state(step->items.at[0]));
        break;
    case STEP_APPEND:
        encoder_then_fill(encoder, FILL_MORE_LIST, &step->items);
        break;
    case STEP_SET_ITEM:
        encoder_then_fill(encoder, FILL_MORE_DICT, &step->items);
        break;
    case STEP_ADD:
        encoder_then_fill(encoder, FILL_MORE_SET, &step->items);
        break;
    case STEP_CALL:
        then_state_call(encoder, step);
        break;
    }
}

static void run_task(struct encoder *encoder, struct task *task)
{
    switch ((enum task_kind)task->kind) {
    case TASK_SAVE:
        run_save(encoder, task);
        break;
    case TASK_FILL:
        run_fill(encoder, task);
        break;
    case TASK_FINISH:
        encoder->depth--;
        encoder->holder = (enum holder)task->holder;
        encoder_finish_value(encoder, task->value);
        break;
    case TASK_STEPS:
        run_steps(encoder, task);
        break;
    case TASK_OP:
        encoder->depth--;
        encoder_write_op(encoder, task->opcode);
        break;
    }
}

static void save_all(struct encoder *encoder, struct value *value)
{
    const struct buffer *out = encoder->writer.out;

    save(encoder, value, HOLDER_PICKLER);
    while (encoder->depth && !encoder->status && !buffer_status(out))
        run_task(encoder, &encoder->tasks[encoder->depth - 1]);
    if (buffer_status(out))
        encoder_fail(encoder, buffer_status(out), "the pickle is too large");
}

/* What a loader computes before the root and drops; what nobody can refer to again is not memoised. */
static void save_effect(struct encoder *encoder, struct value *effect)
{
    bool set = effect->kind == VALUE_SET || effect->kind == VALUE_FROZENSET;

    if ((set || effect->kind == VALUE_CALL) && !encoder_is_shared(encoder, effect)) {
        encoder->passing[0] = effect;
        if (!set && !encoder_is_shared(encoder, effect->items.at[1]))
            encoder->passing[1] = effect->items.at[1];
    }
    save_all(encoder, effect);
    encoder_write_op(encoder, PICKLE_POP);
    encoder->passing[0] = encoder->passing[1] = NULL;
}

static void encode(struct encoder *encoder)
{
    struct document *document = encoder->document;

    pickle_write_start(&encoder->writer);
    for (uint32_t i = 0; i < document->effects.count && !encoder->status; i++)
        save_effect(encoder, document->effects.at[i]);
    if (!encoder->status)
        save_all(encoder, document->root);
    pickle_write_stop(&encoder->writer);
    buffer_add(encoder->writer.out, document->rest);
    if (buffer_status(encoder->writer.out))
        encoder_fail(encoder, buffer_status(encoder->writer.out), "the pickle is too large");
}

int pickle_encode(struct document *document, unsigned protocol, struct buffer *out,
                  struct failure *failure)
{
    struct encoder encoder = {
        .document = document,
        .failure = failure,
        .globals = {.arena = &document->arena},
        .writer = {.out = out, .protocol = protocol, .python2 = document->python2 && protocol <= 2},
    };
    size_t size = out->size;

    if (document->root->kind == VALUE_PROGRAM) {
        buffer_add(out, document->root->bytes);
        buffer_add(out, document->rest);
        return buffer_status(out) ? failure_set(failure, buffer_status(out), 0, "the pickle is too large") : 0;
    }
    /* The names of built-in types changed with Python 3; from there on the nodes serve all protocols. */
    if ((protocol < 3) == (document->protocol < 3))
        memcpy(encoder.helpers, document->helpers, sizeof encoder.helpers);
    arena_start_at(&encoder.scratch.arena, &document->arena);
    value_start_walk(document);
    encode(&encoder);
    if (encoder.status)
        out->size = size;
    document_release(&encoder.scratch);
    array_free_in(&document->arena, encoder.tasks, NULL, encoder.capacity, sizeof *encoder.tasks);
    pickle_globals_release(&encoder.globals);
    return encoder.status;
}
