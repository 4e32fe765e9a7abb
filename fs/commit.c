/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/commit.h"

#include "fs/displaced.h"
#include "fs/keeper.h"
#include "fs/tree_state.h"

#include <errno.h>

/* The value stored now. If it is damaged, only a new one can mend it: then `known` is false. */
static int fetch_old(struct tree *tree, struct bytes key, struct buffer *old, bool *is_there,
                     bool *known)
{
    int code = store_fetch(tree->store, key, old);

    *is_there = code != -ENOENT;
    *known = code == 0;
    return code == -ENOENT || code == -EIO || code == -EFBIG ? 0 : code;
}

static int explain(struct tree *tree, int code, const char *what, struct failure *failure)
{
    struct buffer why = BUFFER_INIT;

    store_explain(tree->store, code, &why);
    failure_set(failure, code, 0, "%s: %.*s", what, (int)why.size, (const char *)why.data);
    buffer_release(&why);
    return code;
}

static int encode(struct tree *tree, struct node *node, struct bytes text, const struct bytes *now,
                  struct buffer *stored, struct failure *failure)
{
    int code = directories[node->home].view->accept(&tree->options.dialect, &tree->options.rules,
                                                    text, now, stored, failure);

    return code ? failure_set(failure, code, 0, "%s", strerror(-code)) : 0;
}

static int put(struct tree *tree, struct bytes key, struct bytes stored, enum store_mode mode,
               struct failure *failure)
{
    int code = store_store(tree->store, key, stored, mode);

    if (code == -EEXIST)
        return code;
    if (code)
        return explain(tree, code, "the database did not take it", failure);
    tree_stored(tree, key);
    return 0;
}

/*
 * The store says by itself whether a key is new, and need not be asked for it first. -EEXIST: it is not, or how the text is
 * to be read may depend on what is there.
 */
static int save_new(struct tree *tree, struct node *node, struct bytes key, struct bytes text,
                    struct buffer *stored, struct failure *failure)
{
    if (encode(tree, node, text, NULL, stored, NULL))
        return -EEXIST;
    return put(tree, key, buffer_bytes(stored), STORE_INSERT, failure);
}

static int save_like(struct tree *tree, struct node *node, struct bytes key, struct bytes like,
                     struct bytes text, struct buffer *stored, struct failure *failure)
{
    struct bytes now = {NULL, 0};
    bool is_there, known;
    struct buffer old;
    int code;

    buffer_init(&old, tree->options.rules.max_value);
    code = fetch_old(tree, like, &old, &is_there, &known);
    if (code)
        explain(tree, code, "the old value can't be read", failure);
    /* What is not known is nothing that a text may replace which is half an expression. */
    if (known)
        now = buffer_bytes(&old);
    if (code == 0)
        code = encode(tree, node, text, is_there ? &now : NULL, stored, failure);
    if (code == 0 && !(known && bytes_equal(key, like) && bytes_equal(now, buffer_bytes(stored))))
        code = put(tree, key, buffer_bytes(stored), STORE_REPLACE, failure);
    buffer_release(&old);
    return code;
}

int commit_text(struct tree *tree, struct node *node, struct bytes key, const struct bytes *like,
                struct bytes text, struct digest *digest)
{
    struct failure failure = {0};
    struct buffer stored;
    int code = -EEXIST;

    buffer_init(&stored, SIZE_MAX);
    if (!like)
        code = save_new(tree, node, key, text, &stored, &failure);
    if (code == -EEXIST) {
        buffer_clear(&stored);
        code = save_like(tree, node, key, like ? *like : key, text, &stored, &failure);
    }
    if (code)
        control_refuse(tree, node, text, &failure);
    else
        *digest = digest_bytes(&tree->digest_key, buffer_bytes(&stored));
    buffer_release(&stored);
    return code;
}

/* A scratch file became a key: it lives in the store now. Tree lock held. */
static void settled(struct tree *tree, struct node *node)
{
    node->kind = NODE_KEY;
    list_leave(&node->due);
    nodes_let_go(tree, node);
}

void commit_done(struct tree *tree, struct node *node, struct digest digest)
{
    struct attributes entry = {0};

    node->refused = false;
    node->trouble = 0;
    node->known = true;
    node->digest = digest;
    node->stamped = false; /* someone else may have written at the same time: look again */
    if (node->draft)
        node->draft->text->id.stored = digest;
    pthread_mutex_lock(&tree->lock);
    displaced_replaced(tree, node->name->key);
    if (node->kind != NODE_KEY)
        settled(tree, node);
    control_mended(tree, node);
    attributes_find(&tree->attributes, node->name->key, &entry);
    attributes_merge(&entry, &node->own);
    if (node->draft) {
        entry.mtime = node->draft->mtime;
        entry.set |= ATTRIBUTE_MTIME;
    }
    entry.value = digest;
    entry.set |= ATTRIBUTE_VALUE;
    attributes_set(&tree->attributes, node->name->key, &entry);
    node->own.set = 0;
    pthread_mutex_unlock(&tree->lock);
    if (node->draft) {
        content_share_draft(tree, node);
        return;
    }
    pthread_mutex_lock(&tree->lock);
    if (!node->handles)
        texts_idle(&tree->texts, &node->cached);
    pthread_mutex_unlock(&tree->lock);
}

/* Whether the key of this name waits for its next value. Takes the tree lock. */
static bool is_displaced(struct tree *tree, const struct node *node)
{
    bool is;

    pthread_mutex_lock(&tree->lock);
    is = displaced_find(tree, node->name->key);
    pthread_mutex_unlock(&tree->lock);
    return is;
}

/* Whether this commit must save a scratch file as a key. Takes the tree lock. */
static bool settles(struct tree *tree, struct node *node, enum commit why)
{
    if (node->shape == SHAPE_COMPANION)
        return false;
    if (why == COMMIT_SETTLE)
        return true;
    if (node->shape == SHAPE_TRANSIENT)
        return false;
    if (content_size(tree, node) > 0)
        return true;
    return is_displaced(tree, node) || !tree->options.scratch;
}

static int commit_key(struct tree *tree, struct node *node)
{
    bool is_new = node->kind == NODE_SCRATCH && !is_displaced(tree, node);
    struct bytes text = content_bytes(tree, node), key = node->name->key;
    struct failure failure = {0};
    struct digest digest;
    int code;

    if (node->name->has_key) {
        code = commit_text(tree, node, key, is_new ? NULL : &key, text, &digest);
    } else {
        code = failure_set(&failure, -EINVAL, 0, "no key has this name");
        control_refuse(tree, node, text, &failure);
    }
    if (code == 0) {
        commit_done(tree, node, digest);
    } else if (node->draft) {
        node->draft->state = DRAFT_REFUSED;
        node->draft->refused = code;
    }
    return code;
}

static int commit_scratch(struct tree *tree, struct node *node, enum commit why)
{
    if (node->kind == NODE_SCRATCH && node->linked && settles(tree, node, why))
        return commit_key(tree, node);
    content_keep_draft(tree, node);
    keeper_keep(tree->options.keeper, tree, node, why == COMMIT_SETTLE);
    return 0;
}

int commit_node(struct tree *tree, struct node *node, enum commit why)
{
    struct draft *draft = node->draft;

    if (draft && draft->state == DRAFT_REFUSED)
        return draft->refused;
    if (draft && draft->state == DRAFT_EMPTIED && why == COMMIT_FLUSH) {
        draft->state = DRAFT_FLUSHED;
        return 0;
    }
    if (node->kind == NODE_KEY && node->linked)
        return draft ? commit_key(tree, node) : 0;
    return draft || why == COMMIT_SETTLE ? commit_scratch(tree, node, why) : 0;
}

/* The old value waits behind a companion: of this view, if the file is new, or of another one. */
static bool commit_needs_names(struct tree *tree, struct node *node)
{
    return (node->kind == NODE_SCRATCH || node->kind == NODE_KEY) && is_displaced(tree, node);
}

bool commit_lock(struct tree *tree, struct node *node)
{
    pthread_mutex_lock(&node->lock);
    if (!commit_needs_names(tree, node))
        return false;
    pthread_mutex_unlock(&node->lock);
    pthread_mutex_lock(&tree->names);
    pthread_mutex_lock(&node->lock);
    return true;
}

void commit_unlock(struct tree *tree, struct node *node, bool names)
{
    pthread_mutex_unlock(&node->lock);
    if (names)
        pthread_mutex_unlock(&tree->names);
}
