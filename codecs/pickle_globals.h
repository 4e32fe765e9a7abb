/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The globals that an encoder has saved, by name: a loader has one object for each, but two nodes may name it.
 */
#ifndef SHELVEFS_PICKLE_GLOBALS_H
#define SHELVEFS_PICKLE_GLOBALS_H

#include "src/digest.h"
#include "src/value.h"

/* Open addressing, at most half full; but for the arena, all zero is empty. */
struct pickle_globals {
    struct arena *arena; /* whose limit it is charged to, and which fails with it */
    struct value **slots;
    size_t size, used;
    struct digest_key key; /* names are chosen by whoever wrote the value */
};

void pickle_globals_release(struct pickle_globals *globals);
/* Whether module and name are just text. */
bool pickle_global_is_plain(const struct value *global);
/*
 * The plain global that was added first under this name, which is `global` itself if it is new, or if the name is longer than
 * GLOBAL_NAME_LONGEST. NULL: no memory.
 */
struct value *pickle_globals_add(struct pickle_globals *globals, struct value *global);

#endif
