/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/content.h"

#include "fs/files.h"
#include "fs/tree_state.h"

#include <errno.h>
#include <stdlib.h>

/* --- what the store has --- */

/* The text, or at least its size, is known without rendering. */
static bool content_at_hand(struct tree *tree, struct node *node, struct text **text)
{
    bool known;

    if (node->trouble == -EFBIG) {
        if (text)
            *text = NULL;
        return true;
    }
    pthread_mutex_lock(&tree->lock);
    known = node->cached.text || (!text && node->cached.sized);
    if (known && text)
        *text = text_reference(node->cached.text);
    if (known && !node->handles)
        texts_idle(&tree->texts, &node->cached);
    pthread_mutex_unlock(&tree->lock);
    return known;
}

static void content_set(struct tree *tree, struct node *node, struct text *text)
{
    pthread_mutex_lock(&tree->lock);
    texts_set(&tree->texts, &node->cached, text);
    if (!node->handles && node->kind == NODE_KEY)
        texts_idle(&tree->texts, &node->cached);
    pthread_mutex_unlock(&tree->lock);
}

static int content_render(struct tree *tree, struct node *node, struct bytes stored,
                          struct text **text)
{
    struct text_id id = {.stored = node->digest, .valid = true};
    struct codec_note note = {.type = "object"};
    struct text *made;
    struct buffer buffer;
    int code;

    buffer_init(&buffer, tree->options.rules.max_value);
    code = directories[node->home].view->render(&tree->options.dialect, stored, &buffer, &note);
    if (code) {
        buffer_release(&buffer);
        return code;
    }
    code = text_new(&buffer, id, &made);
    if (code)
        return code;
    made->note = note;
    content_set(tree, node, made);
    if (text)
        *text = made;
    else
        text_release(made);
    return 0;
}

/*
 * What somebody else changed is as new as the database file, or as this moment when that was already known to be so.
 * Tree lock held.
 */
static struct timespec foreign_mtime(struct timespec before, struct timespec file)
{
    bool later = file.tv_sec > before.tv_sec ||
                 (file.tv_sec == before.tv_sec && file.tv_nsec > before.tv_nsec);

    return later ? file : tree_now();
}

/*
 * The value that is shown now keeps its mtime, whatever happens to the database file. `file`: when that was changed
 * last; `entry`: what is set of the key, which is `id` there. Tree lock held.
 */
static void content_seen(struct tree *tree, struct node *node, bool foreign, struct timespec file,
                         struct digest id, struct attributes *entry)
{
    if (!(entry->set & ATTRIBUTE_MTIME))
        entry->mtime = node->own.mtime;
    if (foreign)
        entry->mtime = foreign_mtime(entry->mtime, file);
    entry->set |= ATTRIBUTE_MTIME | ATTRIBUTE_VALUE;
    entry->value = node->digest;
    attributes_set_digest(&tree->attributes, id, entry);
}

/* The stored bytes are `digest`: was it somebody else who changed them? */
static void content_compare(struct tree *tree, struct node *node, struct digest digest,
                            const struct stat *database)
{
    bool same = node->known && digest_equal(node->digest, digest);
    struct attributes seen = {0};
    struct digest id;
    struct stat file;
    bool foreign, first = !node->known;

    node->known = true;
    node->digest = digest;
    if (same)
        return;
    node->trouble = 0;
    if (database)
        file = *database;
    else
        tree_database(tree, &file);
    pthread_mutex_lock(&tree->lock);
    if (first)
        node->own.mtime = tree->foreign_change;
    texts_set(&tree->texts, &node->cached, NULL);
    node->cached.sized = false;
    frozen_thaw(tree, node);
    id = attributes_digest(&tree->attributes, node->name->key);
    attributes_find_digest(&tree->attributes, id, &seen);
    if (seen.set & ATTRIBUTE_VALUE)
        foreign = !attributes_are_of(&seen, digest);
    else
        foreign = !first;
    if (foreign || !(seen.set & ATTRIBUTE_VALUE))
        content_seen(tree, node, foreign, file.st_mtim, id, &seen);
    if (node->lookups && (foreign || !first))
        tree_notice(tree, node);
    pthread_mutex_unlock(&tree->lock);
    if (foreign && !first)
        told_changed(node);
}

/* Another process removed the key. A node that is being written stays: its save brings the key back. */
static void content_vanished(struct tree *tree, struct node *node)
{
    struct tree_handle *handle = node->handles;

    while (handle && !handle->writable)
        handle = handle->next;
    if (handle)
        return;
    pthread_mutex_lock(&tree->lock);
    if (node->known)
        tree_notice(tree, node);
    nodes_unlink(&tree->nodes, node);
    attributes_take(&tree->attributes, node->name->key, &node->own);
    pthread_mutex_unlock(&tree->lock);
}

/* One file that can't be shown must still be there, to be removed, renamed or replaced. */
static bool damaged(struct tree *tree, struct node *node, int code)
{
    return code == -EFBIG || (code == -EIO && store_exists(tree->store, node->name->key) == 1);
}

/* Whether the kernel counts on what this file is: frozen.h. */
static bool is_frozen(struct tree *tree, const struct node *node)
{
    bool frozen;

    pthread_mutex_lock(&tree->lock);
    frozen = tree->options.read_only && node->lookups;
    pthread_mutex_unlock(&tree->lock);
    return frozen;
}

/* The name leads to another file from now on, which nobody has looked at yet. */
static int content_replaced(struct tree *tree, struct node *node)
{
    pthread_mutex_lock(&tree->lock);
    attributes_find(&tree->attributes, node->name->key, &node->own);
    tree_notice(tree, node);
    nodes_unlink(&tree->nodes, node);
    node->replaced = true;
    pthread_mutex_unlock(&tree->lock);
    return -ENOENT;
}

/* These are the stored bytes. */
static int content_found(struct tree *tree, struct node *node, struct bytes stored,
                         const struct store_stamp *stamp, const struct stat *database,
                         struct text **text)
{
    struct digest digest = digest_bytes(&tree->digest_key, stored);
    bool same = node->known && digest_equal(node->digest, digest), frozen = is_frozen(tree, node);
    int trouble = node->trouble;

    if (frozen && !same)
        return content_replaced(tree, node);
    content_compare(tree, node, digest, database);
    node->stamped = stamp != NULL;
    if (stamp)
        node->stamp = *stamp;
    if (content_at_hand(tree, node, text))
        return 0;
    node->trouble = content_render(tree, node, stored, text);
    if (node->trouble && text)
        *text = NULL;
    if (!frozen || !trouble == !node->trouble)
        return 0;
    if (text)
        text_release(*text);
    return content_replaced(tree, node);
}

void content_glance(struct tree *tree, struct node *node, struct bytes stored,
                    const struct store_stamp *stamp, const struct stat *database)
{
    content_found(tree, node, stored, stamp, database, NULL);
}

/* There is something under this key, but it can't be read. */
static int content_damaged(struct tree *tree, struct node *node, int code, struct text **text)
{
    if (is_frozen(tree, node) && !node->trouble)
        return content_replaced(tree, node);
    node->trouble = code;
    node->known = node->stamped = false;
    content_set(tree, node, NULL);
    pthread_mutex_lock(&tree->lock);
    node->own.mtime = tree->foreign_change;
    pthread_mutex_unlock(&tree->lock);
    if (text)
        *text = NULL;
    return 0;
}

int content_look(struct tree *tree, struct node *node, struct text **text)
{
    struct store_stamp stamp;
    bool stamped = store_stamp(tree->store, &stamp) == 0;
    struct buffer stored;
    int code;

    if (stamped && node->stamped && memcmp(&stamp, &node->stamp, sizeof stamp) == 0 &&
        content_at_hand(tree, node, text))
        return 0;
    buffer_init(&stored, tree->options.rules.max_value);
    code = store_fetch(tree->store, node->name->key, &stored);
    if (code == 0)
        code = content_found(tree, node, buffer_bytes(&stored), stamped ? &stamp : NULL, NULL, text);
    else if (code == -ENOENT)
        content_vanished(tree, node);
    else if (damaged(tree, node, code))
        code = content_damaged(tree, node, code, text);
    buffer_release(&stored);
    return code;
}

struct text *content_text(struct tree *tree, struct node *node)
{
    struct text *text = NULL;

    pthread_mutex_lock(&tree->lock);
    if (node->cached.text)
        text = text_reference(node->cached.text);
    pthread_mutex_unlock(&tree->lock);
    return text;
}

size_t content_size(struct tree *tree, struct node *node)
{
    size_t size = 0;

    if (node->draft)
        return node->draft->text->bytes.size;
    pthread_mutex_lock(&tree->lock);
    if (node->cached.text)
        size = node->cached.text->bytes.size;
    else if (node->cached.sized)
        size = node->cached.size;
    pthread_mutex_unlock(&tree->lock);
    return size;
}

struct bytes content_bytes(struct tree *tree, struct node *node)
{
    struct bytes bytes = {NULL, 0};

    if (node->draft)
        return buffer_bytes(&node->draft->text->bytes);
    pthread_mutex_lock(&tree->lock);
    if (node->cached.text)
        bytes = buffer_bytes(&node->cached.text->bytes);
    pthread_mutex_unlock(&tree->lock);
    return bytes;
}

/* --- drafts --- */

static uint64_t next_edition(struct tree *tree)
{
    uint64_t edition;

    pthread_mutex_lock(&tree->lock);
    edition = ++tree->texts.editions;
    pthread_mutex_unlock(&tree->lock);
    return edition;
}

int content_start_draft(struct tree *tree, struct node *node, struct text *base)
{
    struct buffer buffer;
    struct draft *draft;
    struct text *text;
    int code;

    if (node->draft)
        return 0;
    buffer_init(&buffer, tree->options.rules.max_value);
    if (base)
        buffer_add(&buffer, buffer_bytes(&base->bytes));
    code = buffer_status(&buffer);
    if (code) {
        buffer_release(&buffer);
        return code;
    }
    code = text_new(&buffer, (struct text_id){.edition = next_edition(tree), .valid = true}, &text);
    if (code)
        return code;
    draft = calloc(1, sizeof *draft);
    if (!draft) {
        text_release(text);
        return -ENOMEM;
    }
    draft->text = text;
    draft->base = base ? base->id : text->id;
    draft->state = DRAFT_EMPTIED;
    draft->mtime = tree_now();
    node->draft = draft;
    return 0;
}

int content_empty(struct tree *tree, struct node *node)
{
    int code = content_start_draft(tree, node, NULL);

    if (code)
        return code;
    buffer_resize(&node->draft->text->bytes, 0);
    node->draft->state = DRAFT_EMPTIED;
    node->unkept = true;
    node->draft->mtime = tree_now();
    /* The kernel drops its pages with O_TRUNC: what it has from now on is this draft. */
    node->pages = node->draft->base;
    return 0;
}

static void content_touched(struct node *node)
{
    node->draft->state = DRAFT_WRITTEN;
    node->unkept = true;
    node->draft->mtime = tree_now();
}

int content_resize(struct tree *tree, struct node *node, size_t size)
{
    struct buffer *bytes = &node->draft->text->bytes;

    if (size > tree->options.rules.max_value)
        return -EFBIG;
    buffer_resize(bytes, size);
    if (buffer_status(bytes)) {
        int code = buffer_status(bytes);

        bytes->status = 0; /* nothing was added: the draft is as good as before */
        return code;
    }
    content_touched(node);
    return 0;
}

int content_write(struct tree *tree, struct node *node, size_t offset, struct bytes bytes)
{
    struct buffer *draft = &node->draft->text->bytes;
    size_t end = offset + bytes.size;
    int code;

    if (bytes.size == 0)
        return 0;
    if (end < offset || end > tree->options.rules.max_value)
        return -EFBIG;
    if (end > draft->size) {
        code = content_resize(tree, node, end);
        if (code)
            return code;
    }
    memcpy(draft->data + offset, bytes.data, bytes.size);
    content_touched(node);
    return 0;
}

void content_drop_draft(struct tree *tree, struct node *node)
{
    struct draft *draft = node->draft;

    if (!draft)
        return;
    node->draft = NULL;
    text_release(draft->text);
    free(draft);
    node->pages.valid = false;
}

void content_share_draft(struct tree *tree, struct node *node)
{
    struct draft *draft = node->draft;

    for (struct tree_handle *handle = node->handles; handle; handle = handle->next) {
        text_release(handle->text);
        handle->text = text_reference(draft->text);
    }
    if (text_id_equal(node->pages, draft->base))
        node->pages = draft->text->id;
    else
        node->pages.valid = false;
    content_set(tree, node, draft->text);
    text_release(draft->text);
    free(draft);
    node->draft = NULL;
}

void content_keep_draft(struct tree *tree, struct node *node)
{
    if (!node->draft)
        return;
    pthread_mutex_lock(&tree->lock);
    node->own.mtime = node->draft->mtime;
    node->own.set |= ATTRIBUTE_MTIME;
    pthread_mutex_unlock(&tree->lock);
    content_share_draft(tree, node);
}
