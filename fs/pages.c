/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the kernel keeps of files: which it knows, for how long, and texts that it gets before it asks.
 *
 * A text is pushed with the node's lock held, so nobody opens the file meanwhile: whoever does then finds in node->pages what the
 * kernel has. That can't deadlock, because nobody has the file open: the kernel locks its pages for a
 * read or a write only, and both need a handle. In a read-only mount they don't, but there a node has but one text ever (frozen.h), and a
 * pin keeps its number from becoming another file's.
 */
#include "fs/content.h"
#include "fs/tree_state.h"

enum { LARGEST_PUSHED = 64 << 10 };

struct known {
    struct tree *tree;
    struct buffer *out;
};

/* Directories become out of date, files are replaced. */
static void add_known(void *context, struct chain_link *link)
{
    const struct known *known = context;
    const struct node *node = CONTAINER_OF(link, struct node, by_id);
    struct tree_known found = {.node = node->id};
    const struct node *parent;

    if (!node->lookups && node->id != TREE_ROOT)
        return;
    if (node->kind != NODE_DIRECTORY) {
        /* Also one that the name does not lead to any more: the kernel may have heard of it after it heard that. */
        parent = nodes_find_place(&known->tree->nodes, node_place(node));
        if (!parent)
            return;
        found = (struct tree_known){.parent = parent->id, .size = node->name->size + 1};
    }
    buffer_add(known->out, bytes_of(&found, sizeof found));
    if (found.size)
        buffer_add(known->out, bytes_of(node->name->text, found.size));
}

int tree_known(struct tree *tree, struct buffer *out)
{
    struct known known = {tree, out};

    /* What a glance saw before does not hold. */
    atomic_fetch_add(&tree->changes, 1);
    pthread_mutex_lock(&tree->lock);
    chains_visit(&tree->nodes.by_id, add_known, &known);
    pthread_mutex_unlock(&tree->lock);
    return buffer_status(out);
}

/* A directory that is there as long as keys are in it comes and goes with them; a report is new each time. */
static enum tree_lasting lasting(const struct node *node)
{
    if (node->kind == NODE_REPORT)
        return TREE_LASTS_NOT;
    if (node->kind == NODE_DIRECTORY)
        return node->opens.fold ? TREE_LASTS_A_MOMENT : TREE_LASTS;
    return node->kind == NODE_KEY && node->linked && !node->trouble ? TREE_LASTS : TREE_LASTS_A_MOMENT;
}

enum tree_lasting tree_lasts(struct tree *tree, uint64_t id)
{
    struct node *node = tree->options.read_only ? node_pin_id(tree, id) : NULL;
    enum tree_lasting result;

    if (!node)
        return TREE_LASTS_A_MOMENT;
    pthread_mutex_lock(&node->lock);
    result = lasting(node);
    pthread_mutex_unlock(&node->lock);
    node_unpin(tree, node);
    return result;
}

static bool may_push(const struct node *node)
{
    return node->kind == NODE_KEY && node->linked && !node->handles && !node->draft &&
           !node->pages.valid;
}

static bool find_text(struct tree *tree, struct node *node, struct text **text)
{
    if (content_size(tree, node) > LARGEST_PUSHED)
        return false;
    *text = tree->options.read_only ? content_text(tree, node) : NULL;
    if (!*text && content_look(tree, node, text))
        *text = NULL;
    return *text && (*text)->bytes.size && (*text)->bytes.size <= LARGEST_PUSHED;
}

size_t tree_push(struct tree *tree, uint64_t id, tree_pusher *push, void *context)
{
    struct node *node = node_pin_id(tree, id);
    bool frozen = tree->options.read_only, pushes;
    struct text *text = NULL;
    size_t size = 0;

    if (!node)
        return 0;
    pthread_mutex_lock(&node->lock);
    pushes = may_push(node) && find_text(tree, node, &text) && told_fits(node, text->bytes.size);
    if (pushes && (frozen || push(context, id, buffer_bytes(&text->bytes)))) {
        size = text->bytes.size;
        node->pages = text->id;
    }
    pthread_mutex_unlock(&node->lock);
    if (pushes && frozen)
        push(context, id, buffer_bytes(&text->bytes));
    text_release(text);
    node_unpin(tree, node);
    tree_notify(tree);
    return size;
}
