/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_globals.h"

#include "codecs/globals.h"
#include "src/array.h"

bool pickle_global_is_plain(const struct value *global)
{
    return global->items.at[0]->kind == VALUE_STR && !global->items.at[0]->last_step &&
           global->items.at[1]->kind == VALUE_STR && !global->items.at[1]->last_step;
}

static bool same_name(const struct value *a, const struct value *b)
{
    return bytes_equal(a->items.at[0]->bytes, b->items.at[0]->bytes) &&
           bytes_equal(a->items.at[1]->bytes, b->items.at[1]->bytes);
}

static struct value **find_slot(const struct pickle_globals *globals, const struct value *global)
{
    struct digest module = digest_bytes(&globals->key, global->items.at[0]->bytes);
    struct digest name = digest_bytes(&globals->key, global->items.at[1]->bytes);
    size_t at = (size_t)(module.words[0] ^ name.words[1]);

    for (;; at++) {
        struct value **slot = &globals->slots[at & (globals->size - 1)];

        if (!*slot || same_name(*slot, global))
            return slot;
    }
}

static bool reserve(struct pickle_globals *globals)
{
    struct pickle_globals old = *globals;

    if (old.used < old.size / 2)
        return true;
    globals->size = old.size ? old.size * 2 : 32;
    globals->slots = array_new_in(globals->arena, globals->size, sizeof *globals->slots);
    if (!globals->slots || (!old.size && digest_key_random(&globals->key))) {
        pickle_globals_release(globals);
        *globals = old;
        return false;
    }
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i])
            *find_slot(globals, old.slots[i]) = old.slots[i];
    pickle_globals_release(&old);
    return true;
}

struct value *pickle_globals_add(struct pickle_globals *globals, struct value *global)
{
    struct value **slot;

    if (global->items.at[0]->bytes.size > GLOBAL_NAME_LONGEST || global->items.at[1]->bytes.size > GLOBAL_NAME_LONGEST)
        return global;
    if (!reserve(globals))
        return NULL;
    slot = find_slot(globals, global);
    if (!*slot) {
        *slot = global;
        globals->used++;
    }
    return *slot;
}

void pickle_globals_release(struct pickle_globals *globals)
{
    array_free_in(globals->arena, globals->slots, NULL, globals->size, sizeof *globals->slots);
    *globals = (struct pickle_globals){.arena = globals->arena};
}
