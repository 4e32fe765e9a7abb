/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/frozen.h"

#include "fs/content.h"
#include "fs/tree_state.h"
#include "src/clock.h"

#include <errno.h>
#include <stdlib.h>

enum {
    LARGE = 64 << 10, /* bytes; what is smaller the kernel reads at once */
    READER_MS = 10000,
    LATE_MS = 100, /* requests overtake each other: the one that reaches the end need not be the last */
};

struct reader {
    struct list list;  /* in tree->readers */
    struct node *node; /* pinned */
    struct text *text; /* also once the cache has dropped it */
    int64_t until_ms;  /* then it is taken to have ended */
};

void frozen_init(struct frozen_readers *readers)
{
    list_init(&readers->list);
}

/* --- who reads a large text: tree lock held --- */

static struct reader *reader_of(struct tree *tree, const struct node *node)
{
    for (struct list *at = tree->readers.list.next; at != &tree->readers.list; at = at->next) {
        struct reader *reader = CONTAINER_OF(at, struct reader, list);

        if (reader->node == node)
            return reader;
    }
    return NULL;
}

static void reader_end(struct tree *tree, struct reader *reader)
{
    list_leave(&reader->list);
    text_release(reader->text);
    node_unpin_locked(tree, reader->node);
    free(reader);
}

static void expire(struct tree *tree, int64_t now_ms)
{
    struct list *at = tree->readers.list.next;

    while (at != &tree->readers.list) {
        struct reader *reader = CONTAINER_OF(at, struct reader, list);

        at = at->next;
        if (now_ms >= reader->until_ms)
            reader_end(tree, reader);
    }
}

/* Without memory the text may have to be made again. */
static struct reader *reader_new(struct tree *tree, struct node *node, struct text *text)
{
    struct reader *reader = malloc(sizeof *reader);

    if (!reader)
        return NULL;
    *reader = (struct reader){.node = node, .text = text_reference(text)};
    list_append(&tree->readers.list, &reader->list);
    node->pins++;
    return reader;
}

/* It has read a part, after which there is more, or not. */
static void reader_note(struct tree *tree, struct node *node, struct text *text, bool more)
{
    struct reader *reader = reader_of(tree, node);
    int64_t now_ms = clock_ms();

    if (!reader && more)
        reader = reader_new(tree, node, text);
    if (reader)
        reader->until_ms = now_ms + (more ? READER_MS : LATE_MS);
    expire(tree, now_ms);
}

void frozen_thaw(struct tree *tree, const struct node *node)
{
    struct reader *reader = reader_of(tree, node);

    if (reader)
        reader_end(tree, reader);
}

void frozen_expire(struct tree *tree)
{
    pthread_mutex_lock(&tree->lock);
    expire(tree, clock_ms());
    pthread_mutex_unlock(&tree->lock);
}

void frozen_release(struct tree *tree)
{
    struct list *list = &tree->readers.list;

    pthread_mutex_lock(&tree->lock);
    while (!list_empty(list))
        reader_end(tree, CONTAINER_OF(list->next, struct reader, list));
    pthread_mutex_unlock(&tree->lock);
}

/* --- what a file holds --- */

/* The text that is in memory, or NULL. */
static struct text *present_text(struct tree *tree, const struct node *node)
{
    const struct reader *reader;
    struct text *text;

    pthread_mutex_lock(&tree->lock);
    reader = reader_of(tree, node);
    text = reader ? reader->text : node->cached.text;
    if (text)
        text_reference(text);
    pthread_mutex_unlock(&tree->lock);
    return text;
}

/* Node lock held. */
static int find_text(struct tree *tree, struct node *node, struct text **text)
{
    int code;

    *text = present_text(tree, node);
    if (*text)
        return 0;
    if (node->kind != NODE_KEY)
        return -EIO;
    if (!node->linked)
        return -ESTALE;
    code = content_look(tree, node, text);
    if (code)
        return code == -ENOENT ? -ESTALE : code;
    return *text ? 0 : node->trouble;
}

/* The kernel has this part of the text from now on. Node lock held. */
static void note_part(struct tree *tree, struct node *node, struct text *text, size_t offset, size_t size)
{
    size_t whole = text->bytes.size;

    node->pages = text->id;
    if (whole <= LARGE)
        return;
    pthread_mutex_lock(&tree->lock);
    reader_note(tree, node, text, offset < whole && size < whole - offset);
    pthread_mutex_unlock(&tree->lock);
}

int tree_read_node(struct tree *tree, uint64_t id, off_t offset, size_t size, tree_reader *reply,
                   void *context)
{
    struct node *node = node_pin_id(tree, id);
    struct text *text;
    int code;

    if (!node)
        return -ESTALE;
    if (offset < 0) {
        node_unpin(tree, node);
        return -EINVAL;
    }
    pthread_mutex_lock(&node->lock);
    code = find_text(tree, node, &text);
    if (code == 0)
        note_part(tree, node, text, (size_t)offset, size);
    pthread_mutex_unlock(&node->lock);
    if (code == 0) {
        reply(context, bytes_part(buffer_bytes(&text->bytes), (size_t)offset, size));
        text_release(text);
    }
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

/* --- reports --- */

/* The node that the name leads to now instead of `*node`, pinned like that; with its lock held, and the tree's. */
static void lock_present(struct tree *tree, struct place place, struct node **node)
{
    for (;;) {
        struct node *before = *node;

        pthread_mutex_lock(&before->lock);
        pthread_mutex_lock(&tree->lock);
        if (before->linked)
            return;
        *node = nodes_find(&tree->nodes, place, before->name->text);
        (*node)->pins++;
        pthread_mutex_unlock(&before->lock);
        node_unpin_locked(tree, before);
        pthread_mutex_unlock(&tree->lock);
    }
}

/* Who was told of the node keeps it; the pin that keeps a report in memory goes to the new one. Tree lock held, and the node's. */
static int replace_report(struct tree *tree, struct node **node)
{
    struct node *before = *node, *made;
    int code = nodes_replace(&tree->nodes, before, &made);

    if (code)
        return code;
    made->pins++;
    before->pins--;
    *node = made;
    return 0;
}

/* Its text becomes `text` if that is another one. Locks as lock_present() leaves them. */
static int renew(struct tree *tree, struct node **node, struct text *text)
{
    const struct text *present = (*node)->cached.text;
    int code = 0;

    if (present && bytes_equal(buffer_bytes(&present->bytes), buffer_bytes(&text->bytes)))
        return 0;
    if (present)
        code = replace_report(tree, node);
    if (code == 0)
        texts_set(&tree->texts, &(*node)->cached, text);
    return code;
}

int frozen_renew_report(struct tree *tree, struct place place, struct node **node)
{
    struct buffer bytes = BUFFER_INIT;
    struct text *text;
    struct node *before;
    int code = control_report(tree, *node, &bytes);

    if (code) {
        buffer_release(&bytes);
        return code;
    }
    code = text_new(&bytes, (struct text_id){.valid = true}, &text);
    if (code)
        return code;
    lock_present(tree, place, node);
    before = *node;
    code = renew(tree, node, text);
    pthread_mutex_unlock(&before->lock);
    if (before != *node)
        node_unpin_locked(tree, before);
    pthread_mutex_unlock(&tree->lock);
    text_release(text);
    return code;
}
