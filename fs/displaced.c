/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/displaced.h"

#include "fs/commit.h"
#include "fs/tree_state.h"

#include <errno.h>
#include <stdlib.h>

struct displaced *displaced_find(const struct tree *tree, struct bytes key)
{
    for (struct list *at = tree->displaced.next; at != &tree->displaced; at = at->next) {
        struct displaced *displaced = CONTAINER_OF(at, struct displaced, list);

        if (bytes_equal(displaced->key, key))
            return displaced;
    }
    return NULL;
}

struct displaced *displaced_as(const struct tree *tree, const struct node *companion)
{
    for (struct list *at = tree->displaced.next; at != &tree->displaced; at = at->next) {
        struct displaced *displaced = CONTAINER_OF(at, struct displaced, list);

        if (displaced->companion == companion)
            return displaced;
    }
    return NULL;
}

void displaced_end(struct tree *tree, struct displaced *displaced)
{
    if (!displaced)
        return;
    list_leave(&displaced->list);
    node_unpin_locked(tree, displaced->companion);
    free(displaced);
}

void displaced_replaced(struct tree *tree, struct bytes key)
{
    struct displaced *displaced;

    while ((displaced = displaced_find(tree, key)))
        displaced_end(tree, displaced);
}

/* The value under the companion's own key, which exists, is replaced at once; the old key still waits. */
static int copy_value(struct tree *tree, struct bytes from, struct bytes to)
{
    struct buffer value = BUFFER_INIT;
    int code = store_fetch(tree->store, from, &value);

    if (code == 0)
        code = store_store(tree->store, to, buffer_bytes(&value), STORE_REPLACE);
    if (code == 0)
        tree_stored(tree, to);
    buffer_release(&value);
    return code;
}

static struct displaced *displaced_new(struct node *node, uint64_t edition)
{
    struct bytes key = node->name->key;
    struct displaced *displaced = malloc(sizeof *displaced + key.size);

    if (!displaced)
        return NULL;
    *displaced = (struct displaced){
        .companion = node,
        .since = scratch_clock(),
        .edition = edition,
        .key = bytes_of(displaced + 1, key.size),
    };
    if (key.size)
        memcpy(displaced + 1, key.data, key.size);
    list_init(&displaced->list);
    return displaced;
}

/*
 * names held. Whoever began to save a file of this name in another view before the key was in the list did not ask for names. It may
 * have taken the key from the list by now; nobody looks there before it is done.
 */
static void await_savers(struct tree *tree, const struct node *node)
{
    for (int home = 0; home < DIRECTORY_COUNT; home++) {
        struct place place = {(enum directory_number)home, node->fold};
        struct node *other;

        if (place.home == node->home || !directories[home].view)
            continue;
        pthread_mutex_lock(&tree->lock);
        other = nodes_find(&tree->nodes, place, node->name->text);
        if (other)
            other->pins++;
        pthread_mutex_unlock(&tree->lock);
        if (!other)
            continue;
        pthread_mutex_lock(&other->lock);
        pthread_mutex_unlock(&other->lock);
        node_unpin(tree, other);
    }
}

int displaced_begin(struct tree *tree, struct node *node, struct node_name *name, bool onto_key)
{
    struct displaced *displaced;
    struct text *text;
    int code = content_look(tree, node, &text);

    if (code == 0 && node->trouble)
        code = node->trouble;
    if (code)
        return code;
    displaced = displaced_new(node, text->id.edition);
    if (!displaced)
        code = -ENOMEM;
    else if (onto_key)
        code = copy_value(tree, node->name->key, name->key);
    if (code) {
        free(displaced);
        text_release(text);
        return code;
    }
    pthread_mutex_lock(&tree->lock);
    /* The companion gets what the key had. */
    node->own.set |= ATTRIBUTE_MTIME;
    attributes_take(&tree->attributes, node->name->key, &node->own);
    node->pins++;
    list_append(&tree->displaced, &displaced->list);
    if (!onto_key) {
        /* The companion shows the old text also after the value was replaced. */
        texts_set(&tree->texts, &node->cached, text);
        node->kind = NODE_SCRATCH;
        node->shape = SHAPE_COMPANION;
        nodes_hold(&tree->nodes, node);
    }
    tree_names_changed(tree, node_place(node));
    pthread_mutex_unlock(&tree->lock);
    text_release(text);
    await_savers(tree, node);
    return 0;
}

/* Tree lock held. What a file had that was no key is the key's now, and nothing of another key that had this name before. */
static void give_own(struct tree *tree, const struct node *node)
{
    attributes_drop(&tree->attributes, node->name->key);
    attributes_set(&tree->attributes, node->name->key, &node->own);
}

/*
 * The new file that stood at a displaced key's name was never saved, and the old text goes: the stored value is then the
 * only one, so it appears under its name again. names held; locks `successor`.
 */
static void restore_key(struct tree *tree, struct node *successor)
{
    pthread_mutex_lock(&successor->lock);
    pthread_mutex_lock(&tree->lock);
    give_own(tree, successor);
    successor->own.set = 0;
    successor->kind = NODE_KEY;
    successor->known = successor->stamped = false;
    texts_set(&tree->texts, &successor->cached, NULL);
    list_leave(&successor->due);
    nodes_let_go(tree, successor);
    tree_notice(tree, successor);
    pthread_mutex_unlock(&tree->lock);
    pthread_mutex_unlock(&successor->lock);
}

/* The scratch file that waits to replace the displaced key, pinned, or NULL. Tree lock held. */
static struct node *successor_of(struct tree *tree, const struct displaced *displaced)
{
    struct list *at;

    for (at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, held);

        if (node->home == displaced->companion->home && node->kind == NODE_SCRATCH &&
            node->linked && node->name->has_key && bytes_equal(node->name->key, displaced->key)) {
            node->pins++;
            return node;
        }
    }
    return NULL;
}

/* names and node lock held: what becomes of the value that waits behind the companion `node`, which goes. */
int displaced_end_with(struct tree *tree, struct node *node)
{
    struct node *successor = NULL;
    struct displaced *displaced;
    int code = 0;

    pthread_mutex_lock(&tree->lock);
    displaced = displaced_as(tree, node);
    if (displaced)
        successor = successor_of(tree, displaced);
    pthread_mutex_unlock(&tree->lock);
    if (!displaced)
        return 0;
    if (successor) {
        restore_key(tree, successor);
    } else {
        code = store_remove(tree->store, displaced->key);
        if (code == -ENOENT)
            code = 0;
        if (code == 0)
            tree_removed(tree, displaced->key);
    }
    if (code)
        return code;
    pthread_mutex_lock(&tree->lock);
    displaced_end(tree, displaced);
    if (successor)
        node_unpin_locked(tree, successor);
    pthread_mutex_unlock(&tree->lock);
    return 0;
}

void displaced_drop(struct tree *tree, struct displaced *displaced)
{
    if (store_remove(tree->store, displaced->key) == 0)
        tree_removed(tree, displaced->key);
    pthread_mutex_lock(&tree->lock);
    displaced_end(tree, displaced);
    pthread_mutex_unlock(&tree->lock);
}

/* names and node lock held. The companion is the key of its name now, unchanged. */
static void companion_is_key(struct tree *tree, struct node *node)
{
    pthread_mutex_lock(&tree->lock);
    give_own(tree, node);
    node->kind = NODE_KEY;
    node->stamped = false;
    nodes_let_go(tree, node);
    if (!node->handles)
        texts_idle(&tree->texts, &node->cached);
    pthread_mutex_unlock(&tree->lock);
}

/* Tree lock held. Whether somebody wrote into the companion since it was the key. */
static bool rewritten(const struct node *node, const struct displaced *displaced)
{
    return node->draft || !node->cached.text || node->cached.text->id.edition != displaced->edition;
}

bool displaced_rewritten(struct tree *tree, const struct node *node,
                         const struct displaced *displaced)
{
    bool is;

    pthread_mutex_lock(&tree->lock);
    is = rewritten(node, displaced);
    pthread_mutex_unlock(&tree->lock);
    return is;
}

int displaced_carry_out(struct tree *tree, struct displaced *displaced)
{
    struct node *node = displaced->companion;
    bool changed = displaced_rewritten(tree, node, displaced);
    int code = 0;

    if (node->kind == NODE_KEY)
        code = store_remove(tree->store, displaced->key);
    else if (node->name->has_key)
        code = store_rename(tree->store, displaced->key, node->name->key, STORE_REPLACE);
    if (code && code != -ENOENT)
        return code;
    if (code == 0 && node->kind != NODE_KEY && node->name->has_key)
        tree_stored(tree, node->name->key);
    if (node->kind == NODE_KEY || node->name->has_key)
        tree_removed(tree, displaced->key);
    pthread_mutex_lock(&tree->lock);
    displaced_end(tree, displaced);
    tree_notice(tree, node);
    pthread_mutex_unlock(&tree->lock);
    /* Without a key of its own the companion stays scratch, and the old key appears again. */
    if (node->kind == NODE_KEY || !node->name->has_key)
        return 0;
    if (code == 0 && !changed) {
        companion_is_key(tree, node);
        return 0;
    }
    pthread_mutex_lock(&tree->lock);
    node->shape = SHAPE_TRANSIENT;
    pthread_mutex_unlock(&tree->lock);
    return commit_node(tree, node, COMMIT_SETTLE);
}

int displaced_make_room(struct tree *tree, const struct node *node, const struct node *target,
                        const struct node_name *name)
{
    struct displaced *displaced = NULL;
    struct node *companion;
    int code;

    pthread_mutex_lock(&tree->lock);
    if (name->has_key)
        displaced = displaced_find(tree, name->key);
    companion = displaced ? displaced->companion : NULL;
    if (companion)
        companion->pins++;
    pthread_mutex_unlock(&tree->lock);
    if (!companion)
        return 0;
    if (companion == node) {
        code = 0; /* it goes home */
    } else if (companion == target) {
        code = displaced_carry_out(tree, displaced);
    } else {
        pthread_mutex_lock(&companion->lock);
        code = displaced_carry_out(tree, displaced);
        pthread_mutex_unlock(&companion->lock);
    }
    node_unpin(tree, companion);
    return code;
}

/* The oldest displaced key if its time has come, its companion pinned. */
static struct displaced *next_displaced(struct tree *tree, bool all)
{
    struct displaced *displaced = NULL;

    pthread_mutex_lock(&tree->lock);
    if (!list_empty(&tree->displaced)) {
        displaced = CONTAINER_OF(tree->displaced.next, struct displaced, list);
        if (all || scratch_wait_for(tree, displaced->since) == 0)
            displaced->companion->pins++;
        else
            displaced = NULL;
    }
    pthread_mutex_unlock(&tree->lock);
    return displaced;
}

/* Somebody is just writing what will replace the value. */
static bool awaited(struct tree *tree, const struct displaced *displaced)
{
    struct node *successor;
    bool open = false;

    pthread_mutex_lock(&tree->lock);
    successor = successor_of(tree, displaced);
    pthread_mutex_unlock(&tree->lock);
    if (successor) {
        pthread_mutex_lock(&successor->lock);
        open = successor->handles != NULL;
        pthread_mutex_unlock(&successor->lock);
    }
    node_unpin(tree, successor);
    return open;
}

/* names held. Another try later. */
static void put_off(struct tree *tree, struct displaced *displaced)
{
    pthread_mutex_lock(&tree->lock);
    displaced->since = scratch_clock();
    list_leave(&displaced->list);
    list_append(&tree->displaced, &displaced->list);
    pthread_mutex_unlock(&tree->lock);
}

/* The store refused to carry it out. */
static bool still_displaced(struct tree *tree, const struct node *node)
{
    bool is;

    pthread_mutex_lock(&tree->lock);
    is = displaced_as(tree, node);
    pthread_mutex_unlock(&tree->lock);
    return is;
}

static size_t count_displaced(struct tree *tree)
{
    size_t count = 0;

    pthread_mutex_lock(&tree->lock);
    for (struct list *at = tree->displaced.next; at != &tree->displaced; at = at->next)
        count++;
    pthread_mutex_unlock(&tree->lock);
    return count;
}

int displaced_settle(struct tree *tree, bool all)
{
    struct displaced *displaced;
    int first = 0;

    pthread_mutex_lock(&tree->names);
    for (size_t left = count_displaced(tree); left && (displaced = next_displaced(tree, all));
         left--) {
        struct node *node = displaced->companion;
        int code = 0;

        if (!all && awaited(tree, displaced)) {
            put_off(tree, displaced);
        } else {
            pthread_mutex_lock(&node->lock);
            code = displaced_carry_out(tree, displaced);
            pthread_mutex_unlock(&node->lock);
        }
        if (code && still_displaced(tree, node))
            put_off(tree, displaced);
        node_unpin(tree, node);
        if (code && !first)
            first = code;
    }
    pthread_mutex_unlock(&tree->names);
    return first;
}

unsigned displaced_wait(const struct tree *tree)
{
    if (list_empty(&tree->displaced))
        return tree->options.transient_seconds;
    return scratch_wait_for(tree,
                            CONTAINER_OF(tree->displaced.next, struct displaced, list)->since);
}

void displaced_release(struct tree *tree)
{
    while (!list_empty(&tree->displaced)) {
        struct displaced *displaced = CONTAINER_OF(tree->displaced.next, struct displaced, list);

        list_leave(&displaced->list);
        free(displaced);
    }
}
