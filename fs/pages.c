/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel keeps of files: which it knows, for how long, and texts that it gets before it asks.
 *
 * A text is pushed with the node's lock held, so nobody opens the file meanwhile: whoever does then finds in node->pages what the
 * kernel has. That can't deadlock, because nobody has the file open: the kernel locks its pages for a
 * read or a write only, and both need a handle.
 */
#include "fs/content.h"
#include "fs/tree_state.h"

enum { LARGEST_PUSHED = 64 << 10 };

static void add_known(void *context, struct chain_link *link)
{
    const struct node *node = CONTAINER_OF(link, struct node, by_id);

    if (node->lookups || node->id == TREE_ROOT)
        buffer_add(context, bytes_of(&node->id, sizeof node->id));
}

int tree_known(struct tree *tree, struct buffer *nodes)
{
    pthread_mutex_lock(&tree->lock);
    chains_visit(&tree->nodes.by_id, add_known, nodes);
    pthread_mutex_unlock(&tree->lock);
    return buffer_status(nodes);
}

/*
 * Not what is written when it is asked for, a directory that is there as long as keys are in it, nor the size that somebody is
 * still reading with (told.h).
 */
static bool lasts(struct tree *tree, struct node *node)
{
    if (node->kind == NODE_DIRECTORY)
        return !node->opens.fold;
    return node->kind == NODE_KEY && node->linked && told_fits(node, content_size(tree, node));
}

bool tree_lasts(struct tree *tree, uint64_t id)
{
    struct node *node = node_pin_id(tree, id);
    bool result;

    if (!node)
        return false;
    pthread_mutex_lock(&node->lock);
    result = lasts(tree, node);
    pthread_mutex_unlock(&node->lock);
    node_unpin(tree, node);
    return result;
}

static bool may_push(const struct node *node)
{
    return node->kind == NODE_KEY && node->linked && !node->handles && !node->draft &&
           !node->pages.valid;
}

void tree_push(struct tree *tree, uint64_t id, tree_pusher *push, void *context)
{
    struct node *node = node_pin_id(tree, id);
    struct text *text = NULL;

    if (!node)
        return;
    pthread_mutex_lock(&node->lock);
    if (may_push(node) && content_look(tree, node, &text) == 0 && text && text->bytes.size &&
        text->bytes.size <= LARGEST_PUSHED && told_fits(node, text->bytes.size) &&
        push(context, id, buffer_bytes(&text->bytes)))
        node->pages = text->id;
    pthread_mutex_unlock(&node->lock);
    text_release(text);
    node_unpin(tree, node);
    tree_notify(tree);
}
