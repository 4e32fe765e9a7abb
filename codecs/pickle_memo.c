/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_memo.h"

#include <errno.h>
#include <stdlib.h>

#include "src/array.h"
#include "src/digest.h"

enum {
    DENSE_ALWAYS = 1024, /* the array may be this long whatever the number of entries */
    DENSE_PER_ENTRY = 4,
};

void pickle_memo_release(struct pickle_memo *memo)
{
    array_free_in(memo->arena, memo->dense, memo->first, memo->dense_size, sizeof *memo->dense);
    arena_discharge(memo->arena, memo->sparse_size * sizeof *memo->sparse);
    free(memo->sparse);
    *memo = (struct pickle_memo){.arena = memo->arena};
}

/* The finaliser of splitmix64 (Steele, Lea, Flood), keyed. */
static uint64_t spread(const struct pickle_memo *memo, uint64_t index)
{
    uint64_t hash = index ^ memo->key;

    hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9u;
    hash = (hash ^ hash >> 27) * 0x94D049BB133111EBu;
    hash += memo->key;
    hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9u;
    return hash ^ hash >> 31;
}

/* The slot of `index`, or the free one where it would go. The table must have a free slot. */
static struct pickle_memo_slot *sparse_slot(const struct pickle_memo *memo, uint64_t index)
{
    size_t mask = memo->sparse_size - 1;
    size_t at = (size_t)spread(memo, index) & mask;

    while (memo->sparse[at].value && memo->sparse[at].index != index)
        at = (at + 1) & mask;
    return &memo->sparse[at];
}

static int sparse_grow(struct pickle_memo *memo)
{
    struct pickle_memo old = *memo;
    size_t size = old.sparse_size ? old.sparse_size * 2 : 16;
    struct digest_key key;

    if (!old.sparse_size) {
        int status = digest_key_random(&key);

        if (status)
            return status;
        memo->key = key.words[0];
    }
    if (!arena_charge(memo->arena, (size - old.sparse_size) * sizeof *memo->sparse))
        return -EFBIG;
    memo->sparse = calloc(size, sizeof *memo->sparse);
    if (!memo->sparse) {
        memo->sparse = old.sparse;
        arena_discharge(memo->arena, (size - old.sparse_size) * sizeof *memo->sparse);
        return -ENOMEM;
    }
    memo->sparse_size = size;
    for (size_t i = 0; i < old.sparse_size; i++)
        if (old.sparse[i].value)
            *sparse_slot(memo, old.sparse[i].index) = old.sparse[i];
    free(old.sparse);
    return 0;
}

static int sparse_put(struct pickle_memo *memo, uint64_t index, struct value *value)
{
    struct pickle_memo_slot *slot;

    if (memo->sparse_used >= memo->sparse_size / 2) {
        int status = sparse_grow(memo);

        if (status)
            return status;
    }
    slot = sparse_slot(memo, index);
    if (!slot->value) {
        memo->sparse_used++;
        memo->count++;
    }
    *slot = (struct pickle_memo_slot){index, value};
    return 0;
}

struct value *pickle_memo_get_sparse(const struct pickle_memo *memo, uint64_t index)
{
    return memo->sparse_size ? sparse_slot(memo, index)->value : NULL;
}

/* Makes room for `index` < limit, doubling but not beyond the limit. */
static int dense_grow(struct pickle_memo *memo, uint64_t index, size_t limit)
{
    size_t size = memo->dense_size * 2, more;
    struct value **dense;

    if (!memo->dense_size) {
        memo->dense = memo->first;
        memo->dense_size = ARRAY_SIZE(memo->first);
    }
    if (index < memo->dense_size)
        return 0;
    if (size <= index)
        size = (size_t)index + 1;
    if (size > limit)
        size = limit;
    more = (size - (memo->dense == memo->first ? 0 : memo->dense_size)) * sizeof *dense;
    if (!arena_charge(memo->arena, more))
        return -EFBIG;
    dense = realloc(memo->dense == memo->first ? NULL : memo->dense, size * sizeof *dense);
    if (!dense) {
        arena_discharge(memo->arena, more);
        return -ENOMEM;
    }
    if (memo->dense == memo->first)
        memcpy(dense, memo->first, sizeof memo->first);
    memset(dense + memo->dense_size, 0, (size - memo->dense_size) * sizeof *dense);
    memo->dense = dense;
    memo->dense_size = size;
    return 0;
}

int pickle_memo_put_anywhere(struct pickle_memo *memo, uint64_t index, struct value *value)
{
    size_t limit = memo->count * DENSE_PER_ENTRY + DENSE_ALWAYS;

    if (index >= memo->dense_size) {
        int status;

        if (index >= limit)
            return sparse_put(memo, index, value);
        status = dense_grow(memo, index, limit);
        if (status)
            return status;
    }
    /* An entry that went to the table before the array reached it stays there, hidden by this one. */
    if (!memo->dense[index] && !pickle_memo_get_sparse(memo, index))
        memo->count++;
    memo->dense[index] = value;
    return 0;
}
