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

/* The stored bytes are `digest`: was it somebody else who changed them? */
static void content_compare(struct tree *tree, struct node *node, struct digest digest)
{
    bool same = node->known && digest_equal(node->digest, digest);
    const struct attributes *seen;
    struct attributes *entry;
    struct stat file;
    bool foreign, first = !node->known;

    node->known = true;
    node->digest = digest;
    if (same)
        return;
    node->trouble = 0;
    tree_database(tree, &file);
    pthread_mutex_lock(&tree->lock);
    if (first)
        node->own.mtime = tree->foreign_change;
    texts_set(&tree->texts, &node->cached, NULL);
    node->cached.sized = false;
    seen = attributes_find(&tree->attributes, node->name->key);
    if (seen && seen->set & ATTRIBUTE_VALUE)
        foreign = !digest_equal(seen->value, digest);
    else
        foreign = !first;
    if (foreign) {
        struct timespec before = seen && seen->set & ATTRIBUTE_MTIME ? seen->mtime : node->own.mtime;

        entry = attributes_edit(&tree->attributes, node->name->key);
        if (entry) {
            entry->set |= ATTRIBUTE_MTIME | ATTRIBUTE_VALUE;
            entry->mtime = foreign_mtime(before, file.st_mtim);
            entry->value = digest;
        }
    }
    if (foreign || !first)
        tree_notice(tree, node);
    pthread_mutex_unlock(&tree->lock);
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
    attributes_drop(&tree->attributes, node->name->key);
    pthread_mutex_unlock(&tree->lock);
}

/* One file that can't be shown must still be there, to be removed, renamed or replaced. */
static bool damaged(struct tree *tree, struct node *node, int code)
{
    return code == -EFBIG ||
           (code == -EIO && store_exists(tree->store, node->name->key) == 1);
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
    if (code == 0) {
        content_compare(tree, node, digest_bytes(&tree->digest_key, buffer_bytes(&stored)));
        node->stamped = stamped;
        if (stamped)
            node->stamp = stamp;
        if (!content_at_hand(tree, node, text)) {
            node->trouble = content_render(tree, node, buffer_bytes(&stored), text);
            if (node->trouble && text)
                *text = NULL;
        }
    } else if (code == -ENOENT) {
        content_vanished(tree, node);
    } else if (damaged(tree, node, code)) {
        node->trouble = code;
        node->known = node->stamped = false;
        content_set(tree, node, NULL);
        if (text)
            *text = NULL;
        code = 0;
    }
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
    node->draft->mtime = tree_now();
    /* The kernel drops its pages with O_TRUNC: what it has from now on is this draft. */
    node->pages = node->draft->base;
    return 0;
}

static void content_touched(struct node *node)
{
    node->draft->state = DRAFT_WRITTEN;
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

/* All handles go on with the text; it is never changed again. */
static void content_share_draft(struct tree *tree, struct node *node)
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

/* --- saving --- */

/* The value stored now; none when it is absent, or damaged so that only a new one can mend it. */
static int fetch_old(struct tree *tree, struct bytes key, struct buffer *old, bool *found)
{
    int code = store_fetch(tree->store, key, old);

    *found = code == 0;
    return code == -ENOENT || code == -EIO || code == -EFBIG ? 0 : code;
}

static int save(struct tree *tree, struct node *node, struct bytes key, struct bytes text,
                struct buffer *old, struct buffer *stored, struct failure *failure)
{
    const struct view *view = directories[node->home].view;
    struct bytes now;
    bool found;
    int code = fetch_old(tree, key, old, &found);

    if (code)
        return failure_set(failure, code, 0, "the old value can't be read");
    now = buffer_bytes(old);
    code = view->accept(&tree->options.dialect, &tree->options.rules, text, found ? &now : NULL,
                        stored, failure);
    if (code)
        return failure_set(failure, code, 0, "%s", strerror(-code));
    if (found && bytes_equal(now, buffer_bytes(stored)))
        return 0;
    code = store_store(tree->store, key, buffer_bytes(stored), STORE_REPLACE);
    if (code)
        return failure_set(failure, code, 0, "the database did not take it: %s", strerror(-code));
    tree_database_changed(tree);
    return 0;
}

int content_save(struct tree *tree, struct node *node, struct bytes key, struct bytes text,
                 struct digest *digest)
{
    struct failure failure = {0};
    struct buffer old, stored;
    int code;

    buffer_init(&old, tree->options.rules.max_value);
    buffer_init(&stored, SIZE_MAX);
    code = save(tree, node, key, text, &old, &stored, &failure);
    if (code)
        control_refuse(tree, node, text, &failure);
    else
        *digest = digest_bytes(&tree->digest_key, buffer_bytes(&stored));
    buffer_release(&old);
    buffer_release(&stored);
    return code;
}

/* A scratch file became a key: it lives in the store now. Tree lock held. */
static void content_settled(struct tree *tree, struct node *node)
{
    scratch_end_displaced(tree, scratch_find_displaced(&tree->scratch, node->name->key));
    node->kind = NODE_KEY;
    list_leave(&node->due);
    nodes_let_go(tree, node);
}

void content_saved(struct tree *tree, struct node *node, struct digest digest)
{
    struct attributes *entry;

    free(node->refusal);
    node->refusal = NULL;
    node->trouble = 0;
    node->known = true;
    node->digest = digest;
    node->stamped = false; /* someone else may have written at the same time: look again */
    if (node->draft)
        node->draft->text->id.stored = digest;
    pthread_mutex_lock(&tree->lock);
    if (node->kind != NODE_KEY)
        content_settled(tree, node);
    entry = attributes_edit(&tree->attributes, node->name->key);
    if (entry) {
        attributes_merge(entry, &node->own);
        if (node->draft) {
            entry->mtime = node->draft->mtime;
            entry->set |= ATTRIBUTE_MTIME;
        }
        entry->value = digest;
        entry->set |= ATTRIBUTE_VALUE;
    }
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

/* Whether this commit must save a scratch file as a key. Takes the tree lock. */
static bool settles(struct tree *tree, struct node *node, enum commit why)
{
    bool prompt;

    if (node->shape == SHAPE_COMPANION)
        return false;
    if (why == COMMIT_SETTLE)
        return true;
    if (node->shape == SHAPE_TRANSIENT)
        return false;
    if (content_size(tree, node) > 0)
        return true;
    pthread_mutex_lock(&tree->lock);
    prompt = scratch_find_displaced(&tree->scratch, node->name->key);
    pthread_mutex_unlock(&tree->lock);
    return prompt || !tree->options.scratch;
}

static int commit_key(struct tree *tree, struct node *node)
{
    struct bytes text = content_bytes(tree, node);
    struct failure failure = {0};
    struct digest digest;
    int code;

    if (node->name->has_key) {
        code = content_save(tree, node, node->name->key, text, &digest);
    } else {
        code = failure_set(&failure, -EINVAL, 0, "no key has this name");
        control_refuse(tree, node, text, &failure);
    }
    if (code == 0) {
        content_saved(tree, node, digest);
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
    return 0;
}

int content_commit(struct tree *tree, struct node *node, enum commit why)
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

bool content_commit_needs_names(struct tree *tree, struct node *node)
{
    bool needs;

    if (node->kind != NODE_SCRATCH)
        return false;
    pthread_mutex_lock(&tree->lock);
    needs = scratch_find_displaced(&tree->scratch, node->name->key);
    pthread_mutex_unlock(&tree->lock);
    return needs;
}

bool content_lock_for_commit(struct tree *tree, struct node *node)
{
    pthread_mutex_lock(&node->lock);
    if (!content_commit_needs_names(tree, node))
        return false;
    pthread_mutex_unlock(&node->lock);
    pthread_mutex_lock(&tree->names);
    pthread_mutex_lock(&node->lock);
    return true;
}

void content_unlock(struct tree *tree, struct node *node, bool names)
{
    pthread_mutex_unlock(&node->lock);
    if (names)
        pthread_mutex_unlock(&tree->names);
}
