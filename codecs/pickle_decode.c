/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pickle is a program for a machine with a stack, marks and a memo. This runs it symbolically: calls and lookups
 * become nodes instead of being made.
 *
 * - Semantics are those of Modules/_pickle.c: no instruction may reach below the topmost mark (the fence), POP
 *   pops a mark, STOP ignores what is left below, FRAME only promises that many bytes.
 * - Errors stick in `status`; an instruction that failed leaves a stack that nobody looks at again.
 * - Strings borrow from the input. Nothing is allocated by a declared count: pickle_read_op() has compared it
 *   with the bytes that are there.
 * - What a loader computes and then drops (POP, values left at STOP) had its effects all the same; it
 *   becomes document->effects. Dropped plain values are noise.
 * - document->suspect is how pickle_faithful() avoids work: it is set only where the order of effects could differ
 *   from the order in which the encoder walks the graph. An ordinary program captures each object (makes it
 *   an item of another) after its last change, drops nothing and so builds its graph in walking order.
 *
 * Not done: type errors at run time (BUILD on a list, calling None) are accepted and kept; they fail in the
 * loader as they did before.
 */
#include "codecs/pickle_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "codecs/pickle_memo.h"
#include "codecs/pickle_ops.h"
#include "codecs/pickle_text.h"
#include "src/bigint.h"
#include "src/utf8.h"

enum { SNIFFED_INSTRUCTIONS = 8 };

struct decoder {
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
    struct pickle_memo memo;
    struct buffer scratch;

    struct value_list calls; /* for pickle_lower() */
    size_t popped_at;        /* where the input stood after a POP that added the last effect */
    uint8_t highest;         /* protocol of all instructions so far */
    bool binary;             /* some instruction is of protocol 1 */
    bool protocol_seen;
    bool effectful; /* something would be called, or may be: order matters */
    bool unordered; /* the graph may not tell the order */
    bool stopped;
};

static void fail(struct decoder *decoder, int code, const char *sentence)
{
    if (!decoder->status)
        decoder->status = failure_set(decoder->failure, code, decoder->offset, "%s", sentence);
}

static void fail_memory(struct decoder *decoder, int code)
{
    fail(decoder, code, code == -EFBIG ? "the value needs too much memory" : "out of memory");
}

static size_t fence(const struct decoder *decoder)
{
    return decoder->mark_count ? decoder->marks[decoder->mark_count - 1] : 0;
}

/* Whether `count` values are there above the topmost mark; records the failure. */
static bool has(struct decoder *decoder, size_t count)
{
    if (decoder->depth - fence(decoder) >= count)
        return true;
    fail(decoder, -EINVAL, decoder->mark_count ? "an instruction met an unexpected mark"
                                               : "an instruction found the stack empty");
    return false;
}

/* Doubles an array of `size`-byte elements. */
static bool grow(struct decoder *decoder, void **array, size_t *capacity, size_t size)
{
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(*array, wanted * size);

    if (!grown) {
        fail_memory(decoder, -ENOMEM);
        return false;
    }
    *array = grown;
    *capacity = wanted;
    return true;
}

/* NULL stands for a node that could not be made. */
static void push(struct decoder *decoder, struct value *value)
{
    if (!value) {
        fail_memory(decoder, arena_status(&decoder->document->arena));
        return;
    }
    if (decoder->depth == decoder->capacity &&
        !grow(decoder, (void **)&decoder->stack, &decoder->capacity, sizeof *decoder->stack))
        return;
    decoder->stack[decoder->depth++] = value;
}

static void push_new(struct decoder *decoder, struct value *value)
{
    push(decoder, value);
    if (decoder->trace && !decoder->status)
        pickle_trace_created(decoder->trace, value);
}

/* The node again. */
static void push_shared(struct decoder *decoder, struct value *value)
{
    value->flags |= PICKLE_SHARED;
    push(decoder, value);
}

static void mark(struct decoder *decoder)
{
    if (decoder->mark_count == decoder->mark_capacity &&
        !grow(decoder, (void **)&decoder->marks, &decoder->mark_capacity, sizeof *decoder->marks))
        return;
    decoder->marks[decoder->mark_count++] = decoder->depth;
}

/* Removes the topmost mark and gives the stack's depth there; what is above stays. */
static bool pop_mark(struct decoder *decoder, size_t *start)
{
    if (!decoder->mark_count) {
        fail(decoder, -EINVAL, "an instruction found no mark");
        return false;
    }
    *start = decoder->marks[--decoder->mark_count];
    return true;
}

/* Atoms: one node of each serves all. */
static void push_constant(struct decoder *decoder, struct value **constant, enum value_kind kind)
{
    if (!*constant)
        *constant = value_new(decoder->document, kind);
    push_new(decoder, *constant);
}

static void push_boolean(struct decoder *decoder, bool boolean)
{
    if (boolean)
        push_constant(decoder, &decoder->document->true_, VALUE_TRUE);
    else
        push_constant(decoder, &decoder->document->false_, VALUE_FALSE);
}

static void push_int(struct decoder *decoder, int64_t integer)
{
    push_new(decoder, value_new_int(decoder->document, integer));
}

static void push_bytes(struct decoder *decoder, enum value_kind kind, struct bytes bytes)
{
    push_new(decoder, value_new_bytes(decoder->document, kind, bytes));
}

static void push_long(struct decoder *decoder, struct bytes bytes)
{
    int64_t integer;

    if (bigint_to_int64(bytes, &integer))
        push_int(decoder, integer);
    else
        push_bytes(decoder, VALUE_BIG_INT, bigint_minimal(bytes));
}

static void push_text(struct decoder *decoder, struct bytes text)
{
    if (utf8_valid(text, UTF8_SURROGATES))
        push_bytes(decoder, VALUE_STR, text);
    else
        fail(decoder, -EINVAL, "a string is not valid UTF-8");
}

/* A copy of what a text argument meant: scratch is used again. */
static struct bytes keep(struct decoder *decoder, struct bytes bytes)
{
    return arena_copy(&decoder->document->arena, bytes);
}

/* Whether a function of pickle_text.h succeeded. */
static bool parsed(struct decoder *decoder, const char *problem)
{
    if (buffer_status(&decoder->scratch))
        fail_memory(decoder, buffer_status(&decoder->scratch));
    else if (problem)
        fail(decoder, -EINVAL, problem);
    return !decoder->status;
}

static void push_text_integer(struct decoder *decoder, const struct pickle_op *op)
{
    struct pickle_integer integer;
    const char *problem = op->code == PICKLE_INT
                              ? pickle_text_int(op->bytes, &decoder->scratch, &integer)
                              : pickle_text_long(op->bytes, &decoder->scratch, &integer);

    if (!parsed(decoder, problem))
        return;
    if (integer.boolean)
        push_boolean(decoder, integer.integer);
    else if (integer.big)
        push_bytes(decoder, VALUE_BIG_INT, keep(decoder, integer.bytes));
    else
        push_int(decoder, integer.integer);
}

static void push_text_float(struct decoder *decoder, struct bytes line)
{
    uint64_t bits;

    if (parsed(decoder, pickle_text_float(line, &bits)))
        push_new(decoder, value_new_float(decoder->document, bits));
}

static void push_text_string(struct decoder *decoder, struct bytes line)
{
    if (!parsed(decoder, pickle_text_string(line, &decoder->scratch)))
        return;
    decoder->document->python2 = true;
    push_bytes(decoder, VALUE_STR8, keep(decoder, buffer_bytes(&decoder->scratch)));
}

static bool is_ascii(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i] >= 0x80)
            return false;
    return true;
}

static void push_text_unicode(struct decoder *decoder, struct bytes line)
{
    if (bytes_find_byte(line, '\\') == line.size && is_ascii(line)) {
        push_bytes(decoder, VALUE_STR, line);
        return;
    }
    if (parsed(decoder, pickle_text_unicode(line, &decoder->scratch)))
        push_bytes(decoder, VALUE_STR, keep(decoder, buffer_bytes(&decoder->scratch)));
}

/* A new node of the stack's values from `start` on, which become its items. */
static struct value *gather(struct decoder *decoder, enum value_kind kind, size_t start)
{
    struct value *value = value_new(decoder->document, kind);
    size_t count = decoder->depth - start;

    for (size_t i = start; i < decoder->depth; i++)
        decoder->stack[i]->flags |= PICKLE_CAPTURED;
    decoder->depth = start;
    if (value && value_list_add_all(decoder->document, &value->items, decoder->stack + start, count))
        return value;
    return NULL;
}

static void push_gathered(struct decoder *decoder, enum value_kind kind, size_t start)
{
    push_new(decoder, gather(decoder, kind, start));
}

static void gather_fixed(struct decoder *decoder, enum value_kind kind, size_t count)
{
    if (has(decoder, count))
        push_gathered(decoder, kind, decoder->depth - count);
}

static void gather_marked(struct decoder *decoder, enum value_kind kind)
{
    size_t start;

    if (!pop_mark(decoder, &start))
        return;
    if (kind == VALUE_DICT && (decoder->depth - start) % 2) {
        fail(decoder, -EINVAL, "a dict has a key without a value");
        return;
    }
    push_gathered(decoder, kind, start);
}

/* What a loader would call, from the `count` topmost values. */
static void push_call(struct decoder *decoder, enum value_kind kind, size_t count)
{
    const struct value *arguments;
    struct value *call;

    if (!has(decoder, count))
        return;
    arguments = decoder->stack[decoder->depth - count + 1];
    if (arguments->kind != VALUE_TUPLE && arguments->kind < VALUE_GLOBAL) {
        fail(decoder, -EINVAL, "the arguments of a call are not a tuple");
        return;
    }
    call = gather(decoder, kind, decoder->depth - count);
    if (call && kind == VALUE_CALL)
        value_list_add(decoder->document, &decoder->calls, call);
    decoder->effectful = true;
    push_new(decoder, call);
}

static void push_object(struct decoder *decoder, size_t start)
{
    if (decoder->depth == start) {
        fail(decoder, -EINVAL, "OBJ found no class");
        return;
    }
    decoder->effectful = true;
    push_gathered(decoder, VALUE_INSTANCE, start);
}

/* A global named by two lines. */
static struct value *new_global(struct decoder *decoder, const struct pickle_op *op)
{
    struct document *document = decoder->document;
    struct value *global = value_new(document, VALUE_GLOBAL);
    struct value *names[2];

    if (!op->bytes.size || !op->second.size || !utf8_valid(op->bytes, UTF8_STRICT) ||
        !utf8_valid(op->second, UTF8_STRICT)) {
        fail(decoder, -EINVAL, "a module or a name is empty or not valid UTF-8");
        return global;
    }
    names[0] = value_new_bytes(document, VALUE_STR, op->bytes);
    names[1] = value_new_bytes(document, VALUE_STR, op->second);
    if (!global || !names[0] || !names[1] || !value_list_add_all(document, &global->items, names, 2))
        return NULL;
    if (decoder->trace) {
        pickle_trace_created(decoder->trace, names[0]);
        pickle_trace_created(decoder->trace, names[1]);
        pickle_trace_created(decoder->trace, global);
    }
    return global;
}

/* INST puts its class below the arguments, where OBJ has it. */
static void push_instance(struct decoder *decoder, const struct pickle_op *op)
{
    struct value *global;
    size_t start;

    if (!pop_mark(decoder, &start))
        return;
    if (!is_ascii(op->bytes) || !is_ascii(op->second)) {
        fail(decoder, -EINVAL, "INST names a class that is not ASCII");
        return;
    }
    global = new_global(decoder, op);
    push(decoder, global);
    if (decoder->status)
        return;
    memmove(decoder->stack + start + 1, decoder->stack + start,
            (decoder->depth - 1 - start) * sizeof *decoder->stack);
    decoder->stack[start] = global;
    push_object(decoder, start);
}

/* Whether it is a str, or may turn out to be one. */
static bool may_be_name(const struct value *value)
{
    return value->kind == VALUE_STR || value->kind >= VALUE_GLOBAL ||
           (value->kind == VALUE_STR8 && is_ascii(value->bytes));
}

static void push_stack_global(struct decoder *decoder)
{
    if (!has(decoder, 2))
        return;
    if (!may_be_name(decoder->stack[decoder->depth - 2]) ||
        !may_be_name(decoder->stack[decoder->depth - 1]))
        fail(decoder, -EINVAL, "STACK_GLOBAL requires str");
    else
        gather_fixed(decoder, VALUE_GLOBAL, 2);
}

static void push_persistent(struct decoder *decoder, struct bytes line)
{
    if (!is_ascii(line)) {
        fail(decoder, -EINVAL, "PERSID's id is not ASCII");
        return;
    }
    push_bytes(decoder, VALUE_STR, line);
    if (!decoder->status)
        gather_fixed(decoder, VALUE_PERSISTENT, 1);
}

static void push_extension(struct decoder *decoder, int64_t code)
{
    struct value *value = value_new(decoder->document, VALUE_EXTENSION);

    if (code <= 0) {
        fail(decoder, -EINVAL, "an extension code is not positive");
        return;
    }
    if (value)
        value->integer = code;
    push_new(decoder, value);
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
static struct value *own_target(struct decoder *decoder, size_t at)
{
    struct value *value = decoder->stack[at], *own;

    if (value->kind > VALUE_TRUE || value->last_step)
        return value;
    own = value_new(decoder->document, value->kind);
    if (own) {
        decoder->stack[at] = own;
        if (decoder->trace)
            pickle_trace_created(decoder->trace, own);
    }
    return own;
}

/* Changes the value below `start` by those above. */
static void change(struct decoder *decoder, enum value_step_kind kind, size_t start)
{
    struct value *target = decoder->stack[start - 1];
    struct value *const *items = decoder->stack + start;
    size_t count = decoder->depth - start;
    bool added;

    for (size_t i = 0; i < count; i++)
        items[i]->flags |= PICKLE_CAPTURED;
    decoder->depth = start;
    if (target->flags & PICKLE_CAPTURED)
        decoder->unordered = true;
    if (is_plain_change(target, kind)) {
        added = value_list_add_all(decoder->document, &target->items, items, count);
    } else {
        /* A trace knows these by their value: it has to tell whether it is one object that changes. */
        if (target->kind < VALUE_BYTEARRAY || target->kind == VALUE_TUPLE)
            decoder->unordered = true;
        decoder->effectful = true;
        target = own_target(decoder, start - 1);
        added = target && value_add_step(decoder->document, target, kind, items, count);
    }
    if (!added)
        fail_memory(decoder, arena_status(&decoder->document->arena));
    else if (decoder->trace)
        pickle_trace_changed(decoder->trace, target, kind, items, count);
}

/* Whether there is a value below `start` to be changed, and something to change it by. */
static bool may_change(struct decoder *decoder, enum value_step_kind kind, size_t start)
{
    if (start <= fence(decoder)) {
        has(decoder, SIZE_MAX);
        return false;
    }
    if (kind == STEP_SET_ITEM && (decoder->depth - start) % 2) {
        fail(decoder, -EINVAL, "SETITEMS has a key without a value");
        return false;
    }
    return decoder->depth > start;
}

static void change_by(struct decoder *decoder, enum value_step_kind kind, size_t count)
{
    if (has(decoder, count) && may_change(decoder, kind, decoder->depth - count))
        change(decoder, kind, decoder->depth - count);
}

static void change_by_marked(struct decoder *decoder, enum value_step_kind kind)
{
    size_t start;

    if (pop_mark(decoder, &start) && may_change(decoder, kind, start))
        change(decoder, kind, start);
}

static bool has_effect(const struct value *value)
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

/* What is dropped although it was computed. An item of something else is still there. */
static void discard(struct decoder *decoder, struct value *value)
{
    if (value->kind >= VALUE_BYTEARRAY || value->last_step)
        decoder->unordered = true;
    if (!has_effect(value) || value->flags & PICKLE_CAPTURED)
        return;
    value->flags |= PICKLE_CAPTURED;
    if (!value_list_add(decoder->document, &decoder->document->effects, value))
        fail_memory(decoder, arena_status(&decoder->document->arena));
}

static void pop(struct decoder *decoder)
{
    size_t effects = decoder->document->effects.count;

    if (decoder->mark_count && fence(decoder) == decoder->depth) {
        decoder->mark_count--;
        return;
    }
    if (!has(decoder, 1))
        return;
    discard(decoder, decoder->stack[--decoder->depth]);
    if (decoder->document->effects.count > effects)
        decoder->popped_at = decoder->cursor.position;
}

static void pop_to_mark(struct decoder *decoder)
{
    size_t start;

    if (!pop_mark(decoder, &start))
        return;
    for (size_t i = start; i < decoder->depth; i++)
        discard(decoder, decoder->stack[i]);
    decoder->depth = start;
}

static void duplicate(struct decoder *decoder)
{
    if (has(decoder, 1))
        push_shared(decoder, decoder->stack[decoder->depth - 1]);
}

static void memo_put(struct decoder *decoder, uint64_t index)
{
    struct value *value;

    if (!has(decoder, 1))
        return;
    value = decoder->stack[decoder->depth - 1];
    value->flags |= PICKLE_MEMOISED;
    if (pickle_memo_put(&decoder->memo, index, value))
        fail_memory(decoder, -ENOMEM);
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

/*
 * An object that refers to itself through the arguments it is made from is made twice: the inner one is memoised
 * and used, the outer one popped and replaced by a GET (formats.md, 1.3). The encoder does the same by itself.
 */
static void forget_recursive_attempt(struct decoder *decoder, const struct value *value)
{
    struct value_list *effects = &decoder->document->effects;
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
    effects->count--;
}

static void memo_get(struct decoder *decoder, uint64_t index)
{
    struct value *value = pickle_memo_get(&decoder->memo, index);

    if (!value) {
        fail(decoder, -EINVAL, "GET found nothing in the memo");
        return;
    }
    if (decoder->popped_at == decoder->offset && decoder->offset)
        forget_recursive_attempt(decoder, value);
    push_shared(decoder, value);
}

static void memo_by_line(struct decoder *decoder, const struct pickle_op *op)
{
    uint64_t index;

    if (!parsed(decoder, pickle_text_index(op->bytes, &index)))
        return;
    if (op->code == PICKLE_GET)
        memo_get(decoder, index);
    else
        memo_put(decoder, index);
}

static void set_protocol(struct decoder *decoder, uint8_t protocol)
{
    if (protocol >= PICKLE_PROTOCOLS) {
        fail(decoder, -EINVAL, "a protocol that no CPython has");
        return;
    }
    /* It decides how globals are looked up from here on, not for the whole pickle. */
    if (decoder->offset)
        decoder->document->suspect = true;
    decoder->document->protocol = protocol;
    decoder->protocol_seen = true;
    if (decoder->trace)
        pickle_trace_protocol(decoder->trace, protocol);
}

static void stop(struct decoder *decoder)
{
    struct document *document = decoder->document;

    decoder->stopped = true;
    if (!has(decoder, 1))
        return;
    document->root = decoder->stack[--decoder->depth];
    document->rest = bytes_part(decoder->cursor.input, decoder->cursor.position, SIZE_MAX);
    for (size_t i = 0; i < decoder->depth; i++)
        discard(decoder, decoder->stack[i]);
}

static void check_frame(struct decoder *decoder, uint64_t size)
{
    if (size > cursor_left(&decoder->cursor))
        fail(decoder, -EINVAL, "a frame is longer than what follows");
}

static void run_number(struct decoder *decoder, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_INT:
    case PICKLE_LONG:
        push_text_integer(decoder, op);
        break;
    case PICKLE_LONG1:
    case PICKLE_LONG4:
        push_long(decoder, op->bytes);
        break;
    case PICKLE_FLOAT:
        push_text_float(decoder, op->bytes);
        break;
    case PICKLE_BINFLOAT:
        push_new(decoder, value_new_float(decoder->document, op->number));
        break;
    default: /* BININT, BININT1, BININT2 */
        push_int(decoder, (int64_t)op->number);
        break;
    }
}

static void run_string(struct decoder *decoder, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_STRING:
        push_text_string(decoder, op->bytes);
        break;
    case PICKLE_UNICODE:
        push_text_unicode(decoder, op->bytes);
        break;
    case PICKLE_BINSTRING:
    case PICKLE_SHORT_BINSTRING:
        decoder->document->python2 = true;
        push_bytes(decoder, VALUE_STR8, op->bytes);
        break;
    case PICKLE_BYTEARRAY8:
        push_bytes(decoder, VALUE_BYTEARRAY, op->bytes);
        break;
    case PICKLE_BINBYTES:
    case PICKLE_SHORT_BINBYTES:
    case PICKLE_BINBYTES8:
        push_bytes(decoder, VALUE_BYTES, op->bytes);
        break;
    default: /* BINUNICODE, SHORT_BINUNICODE, BINUNICODE8 */
        push_text(decoder, op->bytes);
        break;
    }
}

static void run_memo(struct decoder *decoder, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_GET:
    case PICKLE_PUT:
        memo_by_line(decoder, op);
        break;
    case PICKLE_BINGET:
    case PICKLE_LONG_BINGET:
        memo_get(decoder, op->number);
        break;
    case PICKLE_MEMOIZE:
        memo_put(decoder, decoder->memo.count);
        break;
    default: /* BINPUT, LONG_BINPUT */
        memo_put(decoder, op->number);
        break;
    }
}

static void run_container(struct decoder *decoder, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_EMPTY_LIST:
        push_gathered(decoder, VALUE_LIST, decoder->depth);
        break;
    case PICKLE_EMPTY_DICT:
        push_gathered(decoder, VALUE_DICT, decoder->depth);
        break;
    case PICKLE_EMPTY_SET:
        push_gathered(decoder, VALUE_SET, decoder->depth);
        break;
    case PICKLE_EMPTY_TUPLE:
        push_gathered(decoder, VALUE_TUPLE, decoder->depth);
        break;
    case PICKLE_TUPLE1:
    case PICKLE_TUPLE2:
    case PICKLE_TUPLE3:
        gather_fixed(decoder, VALUE_TUPLE, op->code - PICKLE_TUPLE1 + 1u);
        break;
    case PICKLE_LIST:
        decoder->unordered = true; /* CPython makes a list before its items */
        gather_marked(decoder, VALUE_LIST);
        break;
    case PICKLE_DICT:
        decoder->unordered = true;
        gather_marked(decoder, VALUE_DICT);
        break;
    case PICKLE_TUPLE:
        gather_marked(decoder, VALUE_TUPLE);
        break;
    default: /* FROZENSET */
        gather_marked(decoder, VALUE_FROZENSET);
        break;
    }
}

static void run_change(struct decoder *decoder, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_APPEND:
        change_by(decoder, STEP_APPEND, 1);
        break;
    case PICKLE_SETITEM:
        change_by(decoder, STEP_SET_ITEM, 2);
        break;
    case PICKLE_BUILD:
        change_by(decoder, STEP_BUILD, 1);
        break;
    case PICKLE_APPENDS:
        change_by_marked(decoder, STEP_APPEND);
        break;
    case PICKLE_SETITEMS:
        change_by_marked(decoder, STEP_SET_ITEM);
        break;
    default: /* ADDITEMS */
        change_by_marked(decoder, STEP_ADD);
        break;
    }
}

static void run_object(struct decoder *decoder, const struct pickle_op *op)
{
    size_t start;

    switch (op->code) {
    case PICKLE_GLOBAL:
        push(decoder, new_global(decoder, op));
        break;
    case PICKLE_STACK_GLOBAL:
        push_stack_global(decoder);
        break;
    case PICKLE_REDUCE:
        push_call(decoder, VALUE_CALL, 2);
        break;
    case PICKLE_NEWOBJ:
        push_call(decoder, VALUE_NEW, 2);
        break;
    case PICKLE_NEWOBJ_EX:
        push_call(decoder, VALUE_NEW_EX, 3);
        break;
    case PICKLE_INST:
        push_instance(decoder, op);
        break;
    case PICKLE_OBJ:
        if (pop_mark(decoder, &start))
            push_object(decoder, start);
        break;
    default: /* EXT1, EXT2, EXT4 */
        push_extension(decoder, (int64_t)op->number);
        break;
    }
}

/* What comes from outside the pickle: order matters as for a call. */
static void run_external(struct decoder *decoder, const struct pickle_op *op)
{
    decoder->effectful = true;
    switch (op->code) {
    case PICKLE_PERSID:
        push_persistent(decoder, op->bytes);
        break;
    case PICKLE_BINPERSID:
        gather_fixed(decoder, VALUE_PERSISTENT, 1);
        break;
    case PICKLE_NEXT_BUFFER:
        push_new(decoder, value_new(decoder->document, VALUE_NEXT_BUFFER));
        break;
    default: /* READONLY_BUFFER */
        gather_fixed(decoder, VALUE_READONLY, 1);
        break;
    }
}

static void run_machine(struct decoder *decoder, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_MARK:
        mark(decoder);
        break;
    case PICKLE_POP:
        pop(decoder);
        break;
    case PICKLE_POP_MARK:
        pop_to_mark(decoder);
        break;
    case PICKLE_DUP:
        duplicate(decoder);
        break;
    case PICKLE_PROTO:
        set_protocol(decoder, (uint8_t)op->number);
        break;
    case PICKLE_FRAME:
        check_frame(decoder, op->number);
        break;
    default: /* STOP */
        stop(decoder);
        break;
    }
}

static void run_op(struct decoder *decoder, const struct pickle_op *op)
{
    switch ((enum pickle_opcode)op->code) {
    case PICKLE_NONE:
        push_constant(decoder, &decoder->document->none, VALUE_NONE);
        break;
    case PICKLE_NEWTRUE:
    case PICKLE_NEWFALSE:
        push_boolean(decoder, op->code == PICKLE_NEWTRUE);
        break;
    case PICKLE_INT: case PICKLE_LONG: case PICKLE_LONG1: case PICKLE_LONG4: case PICKLE_FLOAT:
    case PICKLE_BINFLOAT: case PICKLE_BININT: case PICKLE_BININT1: case PICKLE_BININT2:
        run_number(decoder, op);
        break;
    case PICKLE_STRING: case PICKLE_UNICODE: case PICKLE_BINSTRING: case PICKLE_SHORT_BINSTRING:
    case PICKLE_BINUNICODE: case PICKLE_SHORT_BINUNICODE: case PICKLE_BINUNICODE8:
    case PICKLE_BINBYTES: case PICKLE_SHORT_BINBYTES: case PICKLE_BINBYTES8: case PICKLE_BYTEARRAY8:
        run_string(decoder, op);
        break;
    case PICKLE_GET: case PICKLE_PUT: case PICKLE_BINGET: case PICKLE_LONG_BINGET:
    case PICKLE_BINPUT: case PICKLE_LONG_BINPUT: case PICKLE_MEMOIZE:
        run_memo(decoder, op);
        break;
    case PICKLE_EMPTY_LIST: case PICKLE_EMPTY_DICT: case PICKLE_EMPTY_SET: case PICKLE_EMPTY_TUPLE:
    case PICKLE_LIST: case PICKLE_DICT: case PICKLE_TUPLE: case PICKLE_FROZENSET:
    case PICKLE_TUPLE1: case PICKLE_TUPLE2: case PICKLE_TUPLE3:
        run_container(decoder, op);
        break;
    case PICKLE_APPEND: case PICKLE_APPENDS: case PICKLE_SETITEM: case PICKLE_SETITEMS:
    case PICKLE_ADDITEMS: case PICKLE_BUILD:
        run_change(decoder, op);
        break;
    case PICKLE_GLOBAL: case PICKLE_STACK_GLOBAL: case PICKLE_REDUCE: case PICKLE_NEWOBJ:
    case PICKLE_NEWOBJ_EX: case PICKLE_INST: case PICKLE_OBJ: case PICKLE_EXT1: case PICKLE_EXT2:
    case PICKLE_EXT4:
        run_object(decoder, op);
        break;
    case PICKLE_PERSID: case PICKLE_BINPERSID: case PICKLE_NEXT_BUFFER:
    case PICKLE_READONLY_BUFFER:
        run_external(decoder, op);
        break;
    case PICKLE_MARK: case PICKLE_STOP: case PICKLE_POP: case PICKLE_POP_MARK: case PICKLE_DUP:
    case PICKLE_PROTO: case PICKLE_FRAME:
        run_machine(decoder, op);
        break;
    }
}

static void run(struct decoder *decoder)
{
    while (!decoder->status && !decoder->stopped) {
        struct pickle_op op;
        const char *problem = pickle_read_op(&decoder->cursor, &op);

        decoder->offset = op.offset;
        if (problem) {
            fail(decoder, -EINVAL, problem);
            return;
        }
        decoder->binary |= op.info->protocol == 1;
        if (op.info->protocol > decoder->highest)
            decoder->highest = op.info->protocol;
        run_op(decoder, &op);
    }
}

static void finish(struct decoder *decoder)
{
    struct document *document = decoder->document;

    /* Protocols 0 and 1 do not say what they are (formats.md, 1.1). */
    if (!decoder->protocol_seen)
        document->protocol = decoder->binary;
    if (decoder->highest > document->protocol)
        decoder->unordered = true;
    if (decoder->effectful && decoder->unordered)
        document->suspect = true;
    if (decoder->trace)
        pickle_trace_finished(decoder->trace, document->root);
    decoder->status = pickle_lower(document, &decoder->calls);
}

int pickle_run(struct bytes stored, struct document *document, struct pickle_trace *trace,
               struct failure *failure)
{
    struct decoder decoder = {
        .document = document,
        .trace = trace,
        .failure = failure,
        .cursor = cursor_at(stored, 0),
        .scratch = BUFFER_INIT,
    };

    /* From the start, so that no part of an empty stack is an offset from NULL. */
    if (grow(&decoder, (void **)&decoder.stack, &decoder.capacity, sizeof *decoder.stack))
        run(&decoder);
    if (!decoder.status)
        finish(&decoder);
    free(decoder.stack);
    free(decoder.marks);
    pickle_memo_release(&decoder.memo);
    buffer_release(&decoder.scratch);
    return decoder.status;
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
