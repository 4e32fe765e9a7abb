/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/vigil.h"

#include "src/clock.h"

#include <limits.h>
#include <string.h>

void vigil_init(struct vigil *vigil, struct store *store)
{
    *vigil = (struct vigil){.looked_ms = clock_ms()};
    atomic_init(&vigil->changes, 0);
    atomic_init(&vigil->again, false);
    if (store_read_only(store) && store_stamp(store, &vigil->stamp) == 0)
        vigil->store = store;
}

/* A database that can't be looked at is not what it was. */
static bool has_changed(struct vigil *vigil)
{
    struct store_stamp stamp = {{0}};
    bool same;

    if (store_stamp(vigil->store, &stamp))
        stamp = (struct store_stamp){{0}};
    same = memcmp(&stamp, &vigil->stamp, sizeof stamp) == 0;
    vigil->stamp = stamp;
    return !same;
}

bool vigil_look(struct vigil *vigil, unsigned *wait_ms)
{
    int64_t now = clock_ms(), due = vigil->looked_ms + VIGIL_MS;
    bool changed, again;

    *wait_ms = UINT_MAX;
    if (!vigil->store)
        return false;
    if (now < due) {
        *wait_ms = (unsigned)(due - now);
        return false;
    }
    vigil->looked_ms = now;
    *wait_ms = VIGIL_MS;
    changed = has_changed(vigil);
    again = atomic_exchange(&vigil->again, changed);
    if (changed)
        atomic_fetch_add(&vigil->changes, 1);
    return changed || again;
}
