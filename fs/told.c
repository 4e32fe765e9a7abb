/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/told.h"

#include "fs/content.h"
#include "fs/files.h"
#include "src/clock.h"

#include <errno.h>

enum {
    READ_MS =
        100, /* between open() and read(), or two reads, of a process that has to wait for its turn */
    SETTLE_MS = 1000, /* as long as the kernel may keep attributes (reply.c) */
};

/* Whom another size would hurt: first those who read through the pages, then who has just opened and asks for the size. */
static const struct tree_handle *reader(const struct node *node)
{
    const struct tree_handle *found = NULL;
    int64_t since = clock_ms() - READ_MS;

    for (const struct tree_handle *at = node->handles; at; at = at->next) {
        if (!at->text || at->read_ms < since)
            continue;
        if (at->paged)
            return at;
        if (!found)
            found = at;
    }
    return found;
}

size_t told_answer(struct node *node, size_t size)
{
    const struct tree_handle *handle = node->draft || !node->handles ? NULL : reader(node);

    node->told.size = handle ? handle->text->bytes.size : size;
    return node->told.size;
}

void told_written(struct node *node, size_t end)
{
    if (node->told.size < end)
        node->told.size = end;
}

void told_emptied(struct node *node)
{
    node->told.size = 0;
}

void told_changed(struct node *node)
{
    node->told.change_ms = clock_ms();
}

bool told_fits(struct node *node, size_t size)
{
    const struct told *told = &node->told;

    return told->size == size && !(told->change_ms && clock_ms() - told->change_ms < SETTLE_MS);
}

int told_read(struct tree_handle *handle)
{
    if (handle->paged && !handle->writable && handle->text &&
        handle->text->bytes.size != handle->node->told.size)
        return -ESTALE;
    handle->read_ms = clock_ms();
    return 0;
}
