/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - What is pushed behind a container and before it is an item itself is all inside of it, as instructions change only what is directly
 *   below their items. So the order of the instructions is that of the text, and counts are enough.
 * - Short tuples are noted as they end, and so in the order of a walk that leaves each node last. Their sizes tell their places in the other order.
 * - Rules that only a graph's decoder needs, as what to answer for a broken pickle, are not repeated: all of it is refused.
 */
#include "codecs/pickle_outline.h"

#include <stdlib.h>

#include "codecs/expression_words.h"
#include "codecs/pickle_ops.h"
#include "src/array.h"
#include "src/utf8.h"

enum {
    LARGEST = 1 << 29, /* so that counts fit */
    SHORT_NESTED = 96, /* more brackets than a text without let() has */
    NODE_SIZE = 72,    /* a value of a graph, and its place in a list that grew */
    SLOT_SIZE = 24,    /* a place in an array of pointers that grew */
};

static void outline_init(struct outline *outline, struct arena *arena)
{
    outline->arena = arena;
    outline->protocol = 0;
    outline->groups = outline->first_groups;
    outline->group_capacity = ARRAY_SIZE(outline->first_groups);
    outline->tuples = outline->first_tuples;
    outline->tuple_capacity = ARRAY_SIZE(outline->first_tuples);
    outline->memo = outline->first_memo;
    outline->memo_capacity = ARRAY_SIZE(outline->first_memo);
    outline->stack = outline->first_stack;
    outline->capacity = ARRAY_SIZE(outline->first_stack);
    outline->marks = outline->first_marks;
    outline->mark_capacity = ARRAY_SIZE(outline->first_marks);
    outline->group_count = outline->tuple_count = outline->memo_count = 0;
    outline->depth = outline->mark_count = outline->fence = outline->values = 0;
    outline->atom = 0;
    outline->refused = false;
}

static void free_array(struct outline *outline, void *at, const void *first, size_t capacity,
                       size_t size)
{
    array_free_in(outline->arena, at, first, capacity, size);
}

void outline_release(struct outline *outline)
{
    free_array(outline, outline->groups, outline->first_groups, outline->group_capacity,
               sizeof *outline->groups);
    free_array(outline, outline->tuples, outline->first_tuples, outline->tuple_capacity,
               sizeof *outline->tuples);
    free_array(outline, outline->memo, outline->first_memo, outline->memo_capacity,
               sizeof *outline->memo);
    free_array(outline, outline->stack, outline->first_stack, outline->capacity,
               sizeof *outline->stack);
    free_array(outline, outline->marks, outline->first_marks, outline->mark_capacity,
               sizeof *outline->marks);
}

size_t outline_graph_size(const struct outline *outline)
{
    return outline->values * NODE_SIZE + (outline->capacity + outline->memo_count) * SLOT_SIZE;
}

enum outline_kind outline_root(const struct outline *outline)
{
    uint32_t group = outline->stack[0].group;

    return group == OUTLINE_SHORT ? OUTLINE_TUPLE
                                  : (enum outline_kind)outline->groups[group - 1].kind;
}

static void refuse(struct outline *outline)
{
    outline->refused = true;
}

/* `array` with room for one more than `count`. NULL, and the outline is refused: no memory. */
static ALWAYS_INLINE void *with_room(struct outline *outline, void *array, const void *first,
                                     size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    array = array_double_in(outline->arena, array, first, capacity, size);
    if (!array)
        refuse(outline);
    return array;
}

static ALWAYS_INLINE void push(struct outline *outline, struct outline_item item)
{
    struct outline_item *stack = with_room(outline, outline->stack, outline->first_stack,
                                           outline->depth, &outline->capacity, sizeof *stack);

    if (!stack)
        return;
    outline->stack = stack;
    stack[outline->depth++] = item;
}

/* What begins with this instruction. */
static ALWAYS_INLINE void push_at(struct outline *outline, size_t offset, size_t group)
{
    push(outline,
         (struct outline_item){(uint32_t)offset, (uint32_t)outline->tuple_count, (uint32_t)group});
}

/* `reused`: offset of the instruction that makes it, if it may be used again, or 0. */
static ALWAYS_INLINE void push_atom(struct outline *outline, size_t offset, size_t reused)
{
    push_at(outline, offset, 0);
    outline->atom = (uint32_t)reused;
}

/* Of which `size` bytes decide whether text repeats it or names it. */
static ALWAYS_INLINE void push_sized(struct outline *outline, const struct pickle_op *op)
{
    push_atom(outline, op->offset, op->bytes.size <= EXPRESSION_LONG ? op->offset : 0);
}

static bool add_group(struct outline *outline, enum outline_kind kind)
{
    struct outline_group *groups =
        with_room(outline, outline->groups, outline->first_groups, outline->group_count,
                  &outline->group_capacity, sizeof *groups);

    if (!groups)
        return false;
    outline->groups = groups;
    groups[outline->group_count++] = (struct outline_group){.kind = kind};
    return true;
}

static void open_container(struct outline *outline, size_t offset, enum outline_kind kind)
{
    if (add_group(outline, kind))
        push_at(outline, offset, outline->group_count);
    outline->atom = 0;
}

static void mark(struct outline *outline, size_t offset)
{
    struct outline_mark *marks =
        with_room(outline, outline->marks, outline->first_marks, outline->mark_count,
                  &outline->mark_capacity, sizeof *marks);

    if (!marks || !add_group(outline, OUTLINE_BATCH))
        return;
    outline->marks = marks;
    outline->fence = outline->depth;
    marks[outline->mark_count++] = (struct outline_mark){
        .start = (uint32_t)offset,
        .tuples = (uint32_t)outline->tuple_count,
        .group = (uint32_t)outline->group_count,
        .depth = (uint32_t)outline->depth,
    };
}

static ALWAYS_INLINE bool has(struct outline *outline, size_t count)
{
    if (outline->depth - outline->fence >= count)
        return true;
    refuse(outline);
    return false;
}

static bool pop_mark(struct outline *outline, struct outline_mark *popped)
{
    if (!outline->mark_count) {
        refuse(outline);
        return false;
    }
    *popped = outline->marks[--outline->mark_count];
    outline->fence = outline->mark_count ? outline->marks[outline->mark_count - 1].depth : 0;
    return true;
}

/* `count` values are no longer on the stack. */
static ALWAYS_INLINE void drop(struct outline *outline, size_t count)
{
    outline->depth -= count;
    outline->values += count;
    outline->atom = 0;
}

/* The values above `start` become items of the container below them. */
static ALWAYS_INLINE void fill(struct outline *outline, enum outline_kind kind, size_t start)
{
    size_t count = outline->depth - start;
    uint32_t group = start > outline->fence ? outline->stack[start - 1].group : 0;

    if (!group || group == OUTLINE_SHORT || outline->groups[group - 1].kind != kind ||
        (kind == OUTLINE_DICT && count % 2)) {
        refuse(outline);
        return;
    }
    outline->groups[group - 1].count += (uint32_t)count;
    drop(outline, count);
}

static ALWAYS_INLINE void fill_by(struct outline *outline, enum outline_kind kind, size_t count)
{
    if (has(outline, count))
        fill(outline, kind, outline->depth - count);
}

static ALWAYS_INLINE void fill_by_marked(struct outline *outline, enum outline_kind kind)
{
    struct outline_mark popped;

    if (pop_mark(outline, &popped))
        fill(outline, kind, popped.depth);
}

/* The values above the mark become a value. A tuple of one, which nobody writes so, would ask what its item is. */
static void close_marked(struct outline *outline, enum outline_kind kind)
{
    struct outline_mark popped;
    size_t count;

    if (!pop_mark(outline, &popped))
        return;
    count = outline->depth - popped.depth;
    if (kind == OUTLINE_TUPLE && count == 1)
        refuse(outline);
    outline->groups[popped.group - 1] =
        (struct outline_group){.kind = kind, .count = (uint32_t)count};
    drop(outline, count);
    push(outline, (struct outline_item){popped.start, popped.tuples, popped.group});
}

static void close_short(struct outline *outline, uint32_t count)
{
    struct outline_tuple *tuples;
    struct outline_item first;

    if (!has(outline, count))
        return;
    tuples = with_room(outline, outline->tuples, outline->first_tuples, outline->tuple_count,
                       &outline->tuple_capacity, sizeof *tuples);
    if (!tuples)
        return;
    outline->tuples = tuples;
    drop(outline, count);
    first = outline->stack[outline->depth];
    tuples[outline->tuple_count] = (struct outline_tuple){
        first.start, (uint32_t)outline->tuple_count - first.tuples + 1, count};
    outline->tuple_count++;
    push(outline, (struct outline_item){first.start, first.tuples, OUTLINE_SHORT});
}

/* An index that is not the next one may hide an older entry. */
static ALWAYS_INLINE void memoise(struct outline *outline, uint64_t index)
{
    uint32_t *memo = with_room(outline, outline->memo, outline->first_memo, outline->memo_count,
                               &outline->memo_capacity, sizeof *memo);

    if (!memo || index != outline->memo_count || !has(outline, 1)) {
        refuse(outline);
        return;
    }
    outline->memo = memo;
    memo[outline->memo_count++] = outline->atom;
}

static ALWAYS_INLINE void use_again(struct outline *outline, size_t offset, uint64_t index)
{
    if (index < outline->memo_count && outline->memo[index])
        push_atom(outline, offset, outline->memo[index]);
    else
        refuse(outline);
}

static ALWAYS_INLINE void note_memo(struct outline *outline, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_MEMOIZE:
        return memoise(outline, outline->memo_count);
    case PICKLE_BINPUT:
    case PICKLE_LONG_BINPUT:
        return memoise(outline, op->number);
    case PICKLE_BINGET:
    case PICKLE_LONG_BINGET:
        return use_again(outline, op->offset, op->number);
    default:
        return refuse(outline);
    }
}

static ALWAYS_INLINE void note_number(struct outline *outline, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_LONG1:
    case PICKLE_LONG4:
        return push_sized(outline, op);
    case PICKLE_INT:
    case PICKLE_LONG:
    case PICKLE_FLOAT:
        return refuse(outline);
    default: /* BINFLOAT, BININT, BININT1, BININT2 */
        return push_atom(outline, op->offset, op->offset);
    }
}

static ALWAYS_INLINE void note_string(struct outline *outline, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_BINUNICODE:
    case PICKLE_SHORT_BINUNICODE:
    case PICKLE_BINUNICODE8:
        if (!utf8_valid(op->bytes, UTF8_SURROGATES))
            refuse(outline);
        return push_sized(outline, op);
    case PICKLE_BINBYTES:
    case PICKLE_SHORT_BINBYTES:
    case PICKLE_BINBYTES8:
        return push_sized(outline, op);
    case PICKLE_BYTEARRAY8:
        return push_atom(outline, op->offset, 0);
    default: /* 8-bit strings, and those of protocol 0 */
        return refuse(outline);
    }
}

static ALWAYS_INLINE void note_container(struct outline *outline, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_EMPTY_LIST:
        return open_container(outline, op->offset, OUTLINE_LIST);
    case PICKLE_EMPTY_DICT:
        return open_container(outline, op->offset, OUTLINE_DICT);
    case PICKLE_EMPTY_SET:
        return open_container(outline, op->offset, OUTLINE_SET);
    case PICKLE_EMPTY_TUPLE:
        return push_atom(outline, op->offset, 0);
    case PICKLE_TUPLE1:
    case PICKLE_TUPLE2:
    case PICKLE_TUPLE3:
        return close_short(outline, op->code - PICKLE_TUPLE1 + 1u);
    case PICKLE_TUPLE:
        return close_marked(outline, OUTLINE_TUPLE);
    case PICKLE_FROZENSET:
        return close_marked(outline, OUTLINE_FROZENSET);
    default: /* LIST, DICT */
        return refuse(outline);
    }
}

static ALWAYS_INLINE void note_change(struct outline *outline, const struct pickle_op *op)
{
    switch (op->code) {
    case PICKLE_APPEND:
        return fill_by(outline, OUTLINE_LIST, 1);
    case PICKLE_APPENDS:
        return fill_by_marked(outline, OUTLINE_LIST);
    case PICKLE_SETITEM:
        return fill_by(outline, OUTLINE_DICT, 2);
    case PICKLE_SETITEMS:
        return fill_by_marked(outline, OUTLINE_DICT);
    case PICKLE_ADDITEMS:
        return fill_by_marked(outline, OUTLINE_SET);
    default: /* BUILD */
        return refuse(outline);
    }
}

static ALWAYS_INLINE void note_machine(struct outline *outline, const struct pickle_op *op,
                                       size_t left)
{
    if (op->code == PICKLE_MARK)
        mark(outline, op->offset);
    else if (op->code != PICKLE_FRAME || op->number > left)
        refuse(outline); /* POP, POP_MARK, DUP; PROTO and STOP that are not where they belong */
}

static ALWAYS_INLINE void note(struct outline *outline, const struct pickle_op *op, size_t left,
                               enum pickle_family family)
{
    switch (family) {
    case FAMILY_MACHINE:
        return note_machine(outline, op, left);
    case FAMILY_MEMO:
        return note_memo(outline, op);
    case FAMILY_CONSTANT:
        return push_atom(outline, op->offset, op->offset);
    case FAMILY_NUMBER:
        return note_number(outline, op);
    case FAMILY_STRING:
        return note_string(outline, op);
    case FAMILY_CONTAINER:
        return note_container(outline, op);
    case FAMILY_CHANGE:
        return note_change(outline, op);
    default: /* OBJECT, EXTERNAL */
        return refuse(outline);
    }
}

/* One opcode, of which all is known when it is compiled. */
static ALWAYS_INLINE void step(struct outline *outline, struct cursor *cursor, size_t offset,
                               uint8_t code, enum pickle_argument argument,
                               enum pickle_family family)
{
    struct pickle_op op = {.offset = offset, .code = code};

    if (pickle_read_argument(cursor, &op, argument))
        refuse(outline);
    else
        note(outline, &op, cursor_left(cursor), family);
}

/* Up to STOP, which is the last byte. */
static void run(struct outline *outline, struct bytes stored)
{
    struct cursor cursor = cursor_at(stored, 2);

    while (!outline->refused && cursor.position < stored.size - 1) {
        size_t offset = cursor.position++;

        switch ((enum pickle_opcode)stored.data[offset]) {
#define X(name, byte, argument, protocol, family)                                                  \
    case PICKLE_##name:                                                                            \
        step(outline, &cursor, offset, byte, ARGUMENT_##argument, FAMILY_##family);                \
        break;
            PICKLE_OPCODES(X)
#undef X
        default:
            refuse(outline);
        }
        /* What picklers do with most of what they made: spares a turn. */
        while (cursor.position < stored.size - 1 &&
               stored.data[cursor.position] == PICKLE_MEMOIZE) {
            memoise(outline, outline->memo_count);
            cursor.position++;
        }
    }
    if (cursor.position != stored.size - 1)
        refuse(outline);
}

/* From the order in which they end to that in which they begin: each one's place is behind those that it is in. */
static void order_tuples(struct outline *outline)
{
    size_t count = outline->tuple_count, capacity = count + 1, open = 0;
    struct outline_tuple *ordered;
    uint32_t starts[SHORT_NESTED]; /* of those it is in: the first one in them */

    if (!count) {
        outline->tuples[0].start = UINT32_MAX;
        return;
    }
    if (!arena_charge(outline->arena, capacity * sizeof *ordered))
        return refuse(outline);
    ordered = malloc(capacity * sizeof *ordered);
    if (!ordered) {
        arena_discharge(outline->arena, capacity * sizeof *ordered);
        return refuse(outline);
    }
    for (size_t i = count; i-- > 0;) {
        uint32_t start = (uint32_t)i + 1 - outline->tuples[i].size;

        while (open && starts[open - 1] > i)
            open--;
        if (open == SHORT_NESTED) {
            refuse(outline);
            break;
        }
        ordered[start + open] = outline->tuples[i];
        starts[open++] = start;
    }
    ordered[count].start = UINT32_MAX;
    free_array(outline, outline->tuples, outline->first_tuples, outline->tuple_capacity,
               sizeof *outline->tuples);
    outline->tuples = ordered;
    outline->tuple_capacity = capacity;
}

bool outline_of(struct outline *outline, struct arena *arena, struct bytes stored)
{
    outline_init(outline, arena);
    if (stored.size < 4 || stored.size >= LARGEST || stored.data[0] != PICKLE_PROTO ||
        stored.data[1] < 2 || stored.data[1] >= PICKLE_PROTOCOLS ||
        stored.data[stored.size - 1] != PICKLE_STOP)
        return false;
    outline->protocol = stored.data[1];
    run(outline, stored);
    if (outline->refused || outline->mark_count || outline->depth != 1 || !outline->stack[0].group)
        return false;
    order_tuples(outline);
    return !outline->refused;
}
