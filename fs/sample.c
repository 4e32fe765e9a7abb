/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/sample.h"

#include "src/arena.h"

#include <errno.h>

/* The first keys, one more than are looked at. */
struct sample {
    struct arena arena;
    struct bytes keys[DIALECT_SAMPLE_VALUES + 1];
    unsigned count;
};

static bool sample_key(void *context, struct bytes key)
{
    struct sample *sample = context;

    sample->keys[sample->count] = arena_copy(&sample->arena, key);
    if (arena_status(&sample->arena))
        return false;
    return ++sample->count < ARRAY_SIZE(sample->keys);
}

/* A value that can't be read, or is larger than the mount shows, tells nothing; it will when it is opened. */
static int sample_values(struct store *store, const struct sample *sample, size_t max_value,
                         struct dialect *dialect)
{
    struct dialect_sample found = {0};
    struct buffer value;
    int status = 0;

    buffer_init(&value, max_value);
    for (unsigned i = 0; i < sample->count && i < DIALECT_SAMPLE_VALUES && status != -ENOMEM; i++) {
        buffer_clear(&value);
        status = store_fetch(store, sample->keys[i], &value);
        if (status == 0)
            status = dialect_sample_add(&found, buffer_bytes(&value));
    }
    buffer_release(&value);
    if (status == -ENOMEM)
        return status;
    *dialect = dialect_sample_result(&found);
    return 0;
}

int sample_dialect(struct store *store, size_t max_value, struct dialect *dialect, unsigned *keys,
                   struct failure *failure)
{
    struct sample sample = {.count = 0};
    int status;

    arena_init(&sample.arena, SIZE_MAX);
    status = store_visit(store, sample_key, &sample);
    if (status == 0 || status == -EIO) /* what is damaged is no reason not to show the rest */
        status = arena_status(&sample.arena);
    if (status == 0)
        status = sample_values(store, &sample, max_value, dialect);
    arena_release(&sample.arena);
    *keys = sample.count;
    return status ? failure_set(failure, status, 0, "cannot read its keys: %s", strerror(-status))
                  : 0;
}
