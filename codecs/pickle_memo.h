/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The memo of a pickle being decoded: index -> node.
 *
 * CPython's is an array as long as the largest index, which lets 7 bytes ask for a gibibyte. Here
 * the array covers only indices up to four times the number of entries; what lies beyond goes to a hash table whose
 * hash is keyed, so that no input can choose its collisions.
 */
#ifndef SHELVEFS_PICKLE_MEMO_H
#define SHELVEFS_PICKLE_MEMO_H

#include "src/value.h"

struct pickle_memo_slot {
    uint64_t index;
    struct value *value; /* NULL: a free slot */
};

struct pickle_memo {
    struct arena *arena; /* against whose limit its memory counts */
    struct value **dense;
    size_t dense_size;
    struct value *first[64]; /* where it starts */
    struct pickle_memo_slot *sparse; /* open addressing, at most half full */
    size_t sparse_size;              /* a power of two, or 0 */
    size_t sparse_used;
    uint64_t key;
    size_t count; /* distinct indices stored: what MEMOIZE uses as the next index */
};

/* A memo that is all zero but for its arena is empty. One that was used must stay where it is. */
void pickle_memo_release(struct pickle_memo *memo);
/* pickle_memo_put() of an index that the array does not cover, or where there is a table too. */
int pickle_memo_put_anywhere(struct pickle_memo *memo, uint64_t index, struct value *value);
/* -ENOMEM, -EFBIG (the arena's limit) or 0. */
static inline int pickle_memo_put(struct pickle_memo *memo, uint64_t index, struct value *value)
{
    if (index >= memo->dense_size || memo->sparse_size)
        return pickle_memo_put_anywhere(memo, index, value);
    memo->count += !memo->dense[index];
    memo->dense[index] = value;
    return 0;
}
struct value *pickle_memo_get_sparse(const struct pickle_memo *memo, uint64_t index);
/* NULL: nothing was stored at `index`. */
static inline struct value *pickle_memo_get(const struct pickle_memo *memo, uint64_t index)
{
    if (index < memo->dense_size && memo->dense[index])
        return memo->dense[index];
    return pickle_memo_get_sparse(memo, index);
}

#endif
