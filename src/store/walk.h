/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A walk over all keys of a file that may be damaged, on a disk that may fail: what can't be reached is noted, and the
 * walk goes on with the rest.
 */
#ifndef SHELVEFS_STORE_WALK_H
#define SHELVEFS_STORE_WALK_H

#include "src/bytes.h"

/* Returns false to stop. */
typedef bool walk_visitor(void *context, struct bytes key);

struct walk {
    walk_visitor *visitor;
    void *context;
    struct buffer key; /* the one at hand */
    size_t damaged;    /* pieces and keys that make no sense */
    int failure;       /* why another one could not be read, as negative errno; 0: all could */
    bool stopped;
};

static inline void walk_init(struct walk *walk, walk_visitor *visitor, void *context)
{
    *walk = (struct walk){.visitor = visitor, .context = context, .key = BUFFER_INIT};
}
static inline void walk_release(struct walk *walk)
{
    buffer_release(&walk->key);
}

/* Calls the visitor with walk->key, unless `status` says why that can't be told. Returns what walk_note() does. */
int walk_take(struct walk *walk, int status);
/* Notes how it went with a piece: -EUCLEAN is damage, -ENOMEM is returned and ends the walk, else 0. */
int walk_note(struct walk *walk, int status);
/* -EUCLEAN: some of it was damaged; else why some of it could not be read; 0: it was all right. */
int walk_verdict(const struct walk *walk);

#endif
