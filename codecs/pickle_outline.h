/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The outline of a pickle that holds nothing but literals: what is to be known beforehand to print it while it is read,
 * without a graph.
 *
 * A pickle has its containers in the order of their text, but tells late what belongs to them: APPENDS how many items a list has,
 * TUPLE2 that a tuple began two items ago. The outline has that in the order in which it is needed. It takes a few bytes for a container,
 * where a graph takes 40 and more for each value in it.
 *
 * Literal are numbers, strings and containers of them, each of which is in one place: what may be shared (and so might need
 * a name), changed late, looked up or called has no outline. So has a pickle of protocol 0 or 1, or one that is not valid in any way: the
 * decoder knows what is wrong with it.
 */
#ifndef SHELVEFS_PICKLE_OUTLINE_H
#define SHELVEFS_PICKLE_OUTLINE_H

#include "src/arena.h"

enum outline_kind {
    OUTLINE_BATCH, /* items of a container that was opened before */
    OUTLINE_LIST,
    OUTLINE_TUPLE,
    OUTLINE_SET,
    OUTLINE_FROZENSET,
    OUTLINE_DICT,
};

/* What an EMPTY_LIST, EMPTY_DICT, EMPTY_SET or MARK opens. */
struct outline_group {
    uint32_t kind : 3;   /* enum outline_kind */
    uint32_t count : 29; /* of items; a dict has two for each key */
};

/* What ends with TUPLE1, TUPLE2 or TUPLE3, and begins with its first item. */
struct outline_tuple {
    uint32_t start; /* offset of that item's instruction */
    uint32_t size;  /* such tuples in it, itself among them */
    uint32_t count; /* of items */
};

/* A value on the stack. */
struct outline_item {
    uint32_t start;  /* offset of its first instruction */
    uint32_t tuples; /* short tuples before it */
    uint32_t group;  /* the index of its group plus one, OUTLINE_SHORT or 0 */
};
#define OUTLINE_SHORT UINT32_MAX

struct outline_mark {
    uint32_t start, tuples, group; /* of the value that it may become the beginning of */
    uint32_t depth;                /* of the stack */
};

struct outline {
    struct arena *arena; /* against whose limit its memory counts */
    uint8_t protocol;
    struct outline_group *groups; /* in the order of their instructions */
    size_t group_count, group_capacity;
    struct outline_tuple
        *tuples; /* in the order of their text; behind them one that starts nowhere */
    size_t tuple_count, tuple_capacity;
    uint32_t *memo; /* offset of the instruction of each atom that may be used again, or 0 */
    size_t memo_count, memo_capacity;
    size_t values; /* all but the root */

    struct outline_item *stack;
    size_t depth, capacity;
    struct outline_mark *marks;
    size_t mark_count, mark_capacity;
    size_t fence;  /* the stack's depth at the topmost mark */
    uint32_t atom; /* offset of the topmost value if that may be used again, or 0 */
    bool refused;
    struct outline_group first_groups[32]; /* so it must stay where it is */
    struct outline_tuple first_tuples[8];
    uint32_t first_memo[64];
    struct outline_item first_stack[64];
    struct outline_mark first_marks[16];
};

/*
 * Whether `stored` has an outline: then a container with all its items, and nothing behind it. False also for want of memory. Release it in
 * any case.
 */
bool outline_of(struct outline *outline, struct arena *arena, struct bytes stored);
void outline_release(struct outline *outline);

/* What the value is: none is a batch. */
enum outline_kind outline_root(const struct outline *outline);
/* No graph of the pickle takes more than this many bytes while it is made. */
size_t outline_graph_size(const struct outline *outline);

#endif
