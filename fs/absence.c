/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/absence.h"

#include "fs/tree_state.h"
#include "src/clock.h"

enum { MOMENT_MS = 50 };

void absence_note(struct tree *tree, struct place place, const char *name, uint64_t changes)
{
    pthread_mutex_lock(&tree->lock);
    tree->absence = (struct absence){clock_ms(), node_hash(place, name), changes};
    pthread_mutex_unlock(&tree->lock);
}

bool absence_take(struct tree *tree, struct place place, const char *name)
{
    struct absence *absence = &tree->absence;
    bool holds;

    pthread_mutex_lock(&tree->lock);
    holds = absence->ms && absence->file == node_hash(place, name) &&
            absence->changes == tree->changes && clock_ms() - absence->ms < MOMENT_MS;
    absence->ms = 0;
    pthread_mutex_unlock(&tree->lock);
    return holds;
}
