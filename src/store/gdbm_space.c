/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/gdbm_space.h"

#include "src/io.h"
#include "src/store/gdbm_layout.h"

#include <errno.h>
#include <stdlib.h>

enum { ENTRY_STEP = 512 };

struct part {
    off_t from, to;
};

struct space {
    struct gdbm_file *file;
    struct buffer parts; /* struct part each */
    bool nonsense;
};

static void add(struct space *space, off_t from, off_t size)
{
    struct part part = {from, from + size};

    if (from < 0 || size < 0 || size > space->file->next_block ||
        from > space->file->next_block - size)
        space->nonsense = true;
    else if (size > 0)
        buffer_add(&space->parts, bytes_of(&part, sizeof part));
}

/* A table of free space, at `at` in a block that ends at `end`. */
static int add_free(struct space *space, off_t at, off_t end, off_t *next)
{
    size_t head = offsetof(struct free_table, elements);
    const struct free_table *table;
    struct buffer room = BUFFER_INIT;
    uint8_t *data = buffer_extend(&room, (size_t)(end - at));
    int status =
        data ? io_read_exactly(space->file->fd, data, room.size, at) : buffer_status(&room);

    table = (const struct free_table *)(const void *)data;
    if (!status &&
        (table->count < 0 || (size_t)table->count > (room.size - head) / sizeof *table->elements))
        status = -EUCLEAN;
    for (int i = 0; !status && i < table->count; i++)
        add(space, table->elements[i].offset, table->elements[i].size);
    *next = status ? 0 : table->next;
    buffer_release(&room);
    return status;
}

static int add_tables(struct space *space)
{
    struct gdbm_file *file = space->file;
    off_t at;
    int status = add_free(space, file->free_table, file->block_size, &at);

    for (off_t i = 0; !status && at; i++) {
        if (i > file->size / file->free_size) /* more than fit into it: a circle */
            return -EUCLEAN;
        add(space, at, file->free_size);
        status = space->nonsense ? -EUCLEAN : add_free(space, at, at + file->free_size, &at);
    }
    return status;
}

static int add_bucket(struct space *space, off_t at)
{
    struct gdbm_file *file = space->file;
    const struct bucket *bucket;
    int status = gdbm_file_bucket(file, at);

    if (status)
        return status;
    if (file->bucket_damaged)
        return -EUCLEAN;
    bucket = (const struct bucket *)(const void *)file->bucket.data;
    add(space, at, file->bucket_size);
    for (int i = 0; i < bucket->free_count; i++)
        add(space, bucket->free[i].offset, bucket->free[i].size);
    for (int i = 0; i < file->bucket_elements; i++) {
        const struct element *element = &bucket->elements[i];

        if (element->hash != -1)
            add(space, element->offset, (off_t)element->key_size + element->value_size);
    }
    return 0;
}

static int add_buckets(struct space *space)
{
    const struct gdbm_file *file = space->file;
    off_t entries = file->directory_size / (off_t)sizeof(off_t), last = 0;
    off_t step[ENTRY_STEP];
    int status = 0;

    for (off_t entry = 0; !status && entry < entries; entry++) {
        off_t left = entries - entry, index = entry % ENTRY_STEP;

        if (index == 0)
            status = io_read_exactly(file->fd, step,
                                     (size_t)(left < ENTRY_STEP ? left : ENTRY_STEP) * sizeof *step,
                                     file->directory + entry * (off_t)sizeof *step);
        if (!status && step[index] != last)
            status = add_bucket(space, step[index]);
        last = step[index];
    }
    return status;
}

static int compare_parts(const void *a, const void *b)
{
    off_t x = ((const struct part *)a)->from, y = ((const struct part *)b)->from;

    return (x > y) - (x < y);
}

static bool overlap(struct buffer *parts)
{
    struct part *part = (struct part *)(void *)parts->data;
    size_t count = parts->size / sizeof *part;

    qsort(part, count, sizeof *part, compare_parts);
    for (size_t i = 1; i < count; i++) {
        if (part[i].from < part[i - 1].to)
            return true;
    }
    return false;
}

int gdbm_space_check(struct gdbm_file *file)
{
    struct space space = {.file = file, .parts = BUFFER_INIT};
    int status;

    add(&space, 0, file->block_size);
    add(&space, file->directory, file->directory_size);
    status = add_tables(&space);
    if (!status)
        status = add_buckets(&space);
    if (!status)
        status = buffer_status(&space.parts);
    if (!status && (space.nonsense || overlap(&space.parts)))
        status = -EUCLEAN;
    buffer_release(&space.parts);
    return status;
}
