/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long the kernel may keep what it was told about files.
 *
 * Usually a second: then it asks again, and sees what other processes have changed. On a read-only mount nobody else changes
 * anything. If the engine has a stamp as well, the kernel may keep all it knows until somebody keeping vigil says otherwise: the
 * notifier's thread looks at the stamp several times a second, and when that is another one, has the kernel ask again for
 * all of it. An answer that was under way meanwhile may be older than that, so it does so a second time, and once more after an answer that took
 * even longer.
 *
 * On a mount that writes, the stamp changes with every save, and attributes change without it.
 */
#ifndef SHELVEFS_VIGIL_H
#define SHELVEFS_VIGIL_H

#include "src/store.h"

#include <stdatomic.h>

enum { VIGIL_MS = 300 }; /* twice this and the work in between are less than a second */

struct vigil {
    struct store *store; /* borrowed; NULL: there is nothing to watch */
    struct store_stamp stamp;
    int64_t looked_ms; /* monotonic */
    atomic_uint_fast64_t changes; /* that were seen */
    atomic_bool again;
};

/* Watches the store if that is any use: see vigil_is_kept(). */
void vigil_init(struct vigil *vigil, struct store *store);
static inline bool vigil_is_kept(const struct vigil *vigil)
{
    return vigil->store != NULL;
}
/*
 * Looks if it is time to. Returns whether all that the kernel knows is out of date; `wait_ms`: when to look again. One thread at
 * a time.
 */
bool vigil_look(struct vigil *vigil, unsigned *wait_ms);
/* Not all of the kernel's knowledge could be invalidated. From any thread. */
static inline void vigil_repeat(struct vigil *vigil)
{
    atomic_store(&vigil->again, true);
}

/*
 * Around an answer that the kernel may keep: what was found before a change, and told after the kernel had been told of that, would stay for good. From any
 * thread.
 */
static inline uint64_t vigil_begin(struct vigil *vigil)
{
    return atomic_load(&vigil->changes);
}
static inline void vigil_end(struct vigil *vigil, uint64_t begun)
{
    if (atomic_load(&vigil->changes) != begun)
        vigil_repeat(vigil);
}

#endif
