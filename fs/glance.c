/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/glance.h"

#include "fs/content.h"
#include "fs/tree_state.h"

#include <errno.h>
#include <stdlib.h>

enum { MOST_VALUES = 1 << 20 }; /* bytes; larger values are not many, and take their time anyway */

/* What is to be seen. */
struct sight {
    struct glance *glance;
    struct buffer wants; /* struct store_want each, of the node of the same index */
    struct buffer keys;
};

static struct node *node_at(const struct glance *glance, size_t i)
{
    struct node *node;

    memcpy(&node, glance->nodes.data + i * sizeof node, sizeof node);
    return node;
}

static size_t count_of(const struct glance *glance)
{
    return glance->nodes.size / sizeof(struct node *);
}

static struct store_want *want_at(const struct sight *sight, size_t i)
{
    return (struct store_want *)(void *)sight->wants.data + i;
}

/* Tree lock held. A name has but one node, whatever it is called while the store is asked. */
static int add_node(struct sight *sight, struct node *node)
{
    struct bytes key = node->name->key;
    struct store_want want = {.start = sight->keys.size, .size = key.size};
    int status;

    buffer_add(&sight->glance->nodes, bytes_of(&node, sizeof node));
    status = buffer_status(&sight->glance->nodes);
    if (status) {
        node_unpin_locked(sight->glance->tree, node);
        return status;
    }
    buffer_add(&sight->keys, key);
    buffer_add(&sight->wants, bytes_of(&want, sizeof want));
    status = buffer_status(&sight->keys);
    return status ? status : buffer_status(&sight->wants);
}

/* Tree lock held. */
static int collect(struct sight *sight, struct place place, glance_names *next, void *context)
{
    struct tree *tree = sight->glance->tree;
    const char *name;
    int status = 0;

    while (!status && (name = next(context))) {
        struct node *node;

        if (tree_find_locked(tree, place, name, &node))
            continue;
        if (node->kind == NODE_KEY)
            status = add_node(sight, node);
        else
            node_unpin_locked(tree, node);
    }
    return status;
}

/* The keys' buffer does not move any more. */
static void point_to_keys(struct sight *sight)
{
    for (size_t i = 0; i < count_of(sight->glance); i++) {
        struct store_want *want = want_at(sight, i);

        want->key = bytes_part(buffer_bytes(&sight->keys), want->start, want->size);
    }
}

static void see(struct sight *sight, size_t i, uint64_t changes, struct bytes values,
                const struct store_stamp *stamp)
{
    struct glance *glance = sight->glance;
    const struct store_want *want = want_at(sight, i);
    struct tree *tree = glance->tree;
    struct node *node = node_at(glance, i);

    if (want->status)
        return;
    pthread_mutex_lock(&node->lock);
    /* What this mount stored meanwhile is newer than what was fetched. */
    if (node_is_key(node) && !node->draft && bytes_equal(node->name->key, want->key) &&
        atomic_load(&tree->changes) == changes) {
        content_glance(tree, node, bytes_part(values, want->start, want->size), stamp,
                       &glance->database);
        node->glance = glance->number;
    }
    pthread_mutex_unlock(&node->lock);
}

static int look(struct sight *sight)
{
    struct tree *tree = sight->glance->tree;
    uint64_t changes = atomic_load(&tree->changes);
    struct buffer values;
    struct store_stamp stamp;
    bool stamped = store_stamp(tree->store, &stamp) == 0;
    size_t count = count_of(sight->glance);
    int status;

    buffer_init(&values, MOST_VALUES);
    status = store_fetch_all(tree->store, want_at(sight, 0), count, &values);
    for (size_t i = 0; i < count && !status; i++)
        see(sight, i, changes, buffer_bytes(&values), stamped ? &stamp : NULL);
    buffer_release(&values);
    return status;
}

int glance_take(struct tree *tree, struct place place, glance_names *next, void *context,
                struct glance *out)
{
    struct sight sight = {.glance = out, .wants = BUFFER_INIT, .keys = BUFFER_INIT};
    int status;

    *out = (struct glance){.tree = tree, .nodes = BUFFER_INIT};
    tree_database(tree, &out->database);
    pthread_mutex_lock(&tree->lock);
    out->number = ++tree->glances;
    status = collect(&sight, place, next, context);
    pthread_mutex_unlock(&tree->lock);
    if (!status && count_of(out)) {
        point_to_keys(&sight);
        status = look(&sight);
    }
    buffer_release(&sight.wants);
    buffer_release(&sight.keys);
    return status;
}

void glance_release(struct glance *glance)
{
    struct tree *tree = glance->tree;

    pthread_mutex_lock(&tree->lock);
    for (size_t i = 0; i < count_of(glance); i++)
        node_unpin_locked(tree, node_at(glance, i));
    pthread_mutex_unlock(&tree->lock);
    buffer_release(&glance->nodes);
}
