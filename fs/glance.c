/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/glance.h"

#include "fs/content.h"
#include "fs/tree_state.h"
#include "src/clock.h"

#include <errno.h>
#include <stdlib.h>

enum {
    MOST_VALUES = 1 << 20, /* bytes; larger values are not many, and take their time anyway */
};

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

bool glance_holds(const struct tree *tree, const struct node *node)
{
    return node->seen.ms && node->seen.changes == atomic_load(&tree->changes) &&
           clock_ms() - node->seen.ms <= GLANCE_MS;
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
        if (node->kind == NODE_KEY && !glance_holds(tree, node))
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

/* When it was looked, and how it stood with the database then. */
struct moment {
    struct seen seen;
    struct stat database;
    struct store_stamp stamp;
    bool stamped;
};

static struct moment this_moment(struct tree *tree)
{
    struct moment now = {.seen = {.ms = clock_ms(), .changes = atomic_load(&tree->changes)}};

    tree_database(tree, &now.database);
    now.stamped = store_stamp(tree->store, &now.stamp) == 0;
    return now;
}

static void see(struct sight *sight, size_t i, struct bytes values, const struct moment *moment)
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
        atomic_load(&tree->changes) == moment->seen.changes) {
        content_glance(tree, node, bytes_part(values, want->start, want->size),
                       moment->stamped ? &moment->stamp : NULL, &moment->database);
        pthread_mutex_lock(&tree->lock);
        node->seen = moment->seen;
        pthread_mutex_unlock(&tree->lock);
    }
    pthread_mutex_unlock(&node->lock);
}

static int look(struct sight *sight)
{
    struct tree *tree = sight->glance->tree;
    struct moment moment = this_moment(tree);
    struct buffer values;
    size_t count = count_of(sight->glance);
    int status;

    pthread_mutex_lock(&tree->lock);
    tree->glances.database = moment.database;
    pthread_mutex_unlock(&tree->lock);
    buffer_init(&values, MOST_VALUES);
    status = store_fetch_all(tree->store, want_at(sight, 0), count, &values);
    for (size_t i = 0; i < count && !status; i++)
        see(sight, i, buffer_bytes(&values), &moment);
    buffer_release(&values);
    return status;
}

int glance_take(struct tree *tree, struct place place, glance_names *next, void *context,
                struct glance *out)
{
    struct sight sight = {.glance = out, .wants = BUFFER_INIT, .keys = BUFFER_INIT};
    int status;

    *out = (struct glance){.tree = tree, .nodes = BUFFER_INIT};
    pthread_mutex_lock(&tree->lock);
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

/* Tree lock held. */
static void unpin_all(struct glance *glance)
{
    for (size_t i = 0; i < count_of(glance); i++)
        node_unpin_locked(glance->tree, node_at(glance, i));
    buffer_release(&glance->nodes);
}

void glance_release(struct glance *glance)
{
    struct tree *tree = glance->tree;

    pthread_mutex_lock(&tree->lock);
    unpin_all(glance);
    pthread_mutex_unlock(&tree->lock);
}

void glance_park(struct glance *glance)
{
    struct tree *tree = glance->tree;
    struct glances *glances = &tree->glances;

    pthread_mutex_lock(&tree->lock);
    unpin_all(&glances->parked[glances->next]);
    glances->parked[glances->next] = *glance;
    glances->next = (glances->next + 1) % ARRAY_SIZE(glances->parked);
    glances->parked_ms = clock_ms();
    pthread_mutex_unlock(&tree->lock);
}

/* Tree lock held. */
static void unpark_all(struct glances *glances)
{
    for (size_t i = 0; i < ARRAY_SIZE(glances->parked); i++)
        unpin_all(&glances->parked[i]);
}

void glances_expire(struct tree *tree)
{
    bool over;

    pthread_mutex_lock(&tree->lock);
    over = clock_ms() - tree->glances.parked_ms > GLANCE_MS;
    if (over)
        unpark_all(&tree->glances);
    pthread_mutex_unlock(&tree->lock);
    if (over)
        store_rest(tree->store);
}

void glances_release(struct tree *tree)
{
    pthread_mutex_lock(&tree->lock);
    unpark_all(&tree->glances);
    pthread_mutex_unlock(&tree->lock);
}
