/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/files.h"

#include "fs/commit.h"
#include "fs/tree_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static bool wants_to_change(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

int handle_new(struct tree *tree, struct node *node, int flags, struct text *text,
               enum tree_cache cache, struct tree_handle **out)
{
    struct tree_handle *handle = malloc(sizeof *handle);

    if (!handle)
        return -ENOMEM;
    *handle = (struct tree_handle){
        .tree = tree,
        .node = node,
        .next = node->handles,
        .text = text,
        .writable = (flags & O_ACCMODE) != O_RDONLY,
        .append = flags & O_APPEND,
        .paged = cache != TREE_CACHE_BYPASS,
    };
    told_read(handle);
    node->handles = handle;
    list_init(&handle->all);
    pthread_mutex_lock(&tree->lock);
    node->pins++;
    list_append(&tree->handles, &handle->all);
    texts_busy(&tree->texts, &node->cached);
    list_leave(&node->due);
    pthread_mutex_unlock(&tree->lock);
    *out = handle;
    return 0;
}

void handles_free(struct node *node)
{
    while (node->handles) {
        struct tree_handle *handle = node->handles;

        node->handles = handle->next;
        text_release(handle->text);
        free(handle);
    }
}

/*
 * The kernel has one set of pages for all handles of a file, so a text may go there only while no handle reads another one.
 */
static enum tree_cache cache_of(struct node *node, const struct text *text)
{
    struct text_id id = text->id;

    if (!told_fits(node, text->bytes.size))
        return TREE_CACHE_BYPASS;
    if (text_id_equal(node->pages, id))
        return TREE_CACHE_KEEP;
    for (struct tree_handle *handle = node->handles; handle; handle = handle->next) {
        if (!handle->text || !text_id_equal(handle->text->id, id))
            return TREE_CACHE_BYPASS;
    }
    node->pages = id;
    return TREE_CACHE_DROP;
}

static int open_report(struct tree *tree, struct node *node, struct text **text,
                       enum tree_cache *cache)
{
    struct buffer bytes = BUFFER_INIT;
    int code = control_report(tree, node, &bytes);

    if (code) {
        buffer_release(&bytes);
        return code;
    }
    *cache = TREE_CACHE_BYPASS;
    return text_new(&bytes, (struct text_id){0}, text);
}

/*
 * The kernel looked the name up before it lost its file. Who reads what was replaced since came before that, as with any
 * file that is replaced. Everybody else is to look the name up again.
 */
static int open_gone(struct tree *tree, struct node *node, int flags, struct text **text,
                     enum tree_cache *cache)
{
    if (!node->replaced || wants_to_change(flags))
        return -ESTALE;
    *text = content_text(tree, node);
    if (!*text)
        return -ESTALE;
    *cache = cache_of(node, *text);
    return 0;
}

/* The text that a new handle reads; NULL when it reads the draft. Node lock held. */
static int open_text(struct tree *tree, struct node *node, int flags, struct text **text,
                     enum tree_cache *cache)
{
    int code = 0;

    *text = NULL;
    if (node->kind == NODE_REPORT)
        return open_report(tree, node, text, cache);
    if (!node->linked && !node->handles)
        return open_gone(tree, node, flags, text, cache);
    if (node->kind == NODE_KEY && node->linked && !node->draft) {
        code = content_look(tree, node, flags & O_TRUNC ? NULL : text);
        if (code)
            return code == -ENOENT ? -ESTALE : code;
        if (node->trouble && !(flags & O_TRUNC))
            return node->trouble;
    } else if (!node->draft) {
        *text = content_text(tree, node);
    }
    if (flags & O_TRUNC) {
        *cache = TREE_CACHE_DROP;
        text_release(*text);
        *text = NULL;
        told_emptied(node);
        return content_empty(tree, node);
    }
    if (node->draft)
        *cache =
            text_id_equal(node->pages, node->draft->base) ? TREE_CACHE_KEEP : TREE_CACHE_BYPASS;
    else if (*text)
        *cache = cache_of(node, *text);
    else
        *cache = TREE_CACHE_DROP;
    return 0;
}

static int may_open(struct tree *tree, struct node *node, int flags)
{
    if (node->kind == NODE_DIRECTORY)
        return -EISDIR;
    if (node->kind == NODE_SYMLINK)
        return -ELOOP;
    if (!wants_to_change(flags))
        return 0;
    if (tree->options.read_only)
        return -EROFS;
    if (node->kind != NODE_KEY && node->kind != NODE_SCRATCH)
        return -EACCES;
    return directory_accepts(node->home) ? 0 : -EACCES;
}

int tree_open(struct tree *tree, uint64_t id, int flags, struct tree_handle **out,
              enum tree_cache *cache)
{
    struct node *node = node_pin_id(tree, id);
    enum tree_cache chosen;
    struct text *text;
    int code;

    if (!node)
        return -ESTALE;
    pthread_mutex_lock(&node->lock);
    code = may_open(tree, node, flags);
    if (code == 0) {
        code = open_text(tree, node, flags, &text, &chosen);
        if (code == 0) {
            code = handle_new(tree, node, flags, text, chosen, out);
            if (code)
                text_release(text);
            else
                *cache = chosen;
        }
    }
    pthread_mutex_unlock(&node->lock);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

int tree_read(struct tree_handle *handle, off_t offset, size_t size, tree_reader *reply,
              void *context)
{
    struct node *node = handle->node;
    struct text *text = NULL;
    int code = 0;

    if (offset < 0)
        return -EINVAL;
    pthread_mutex_lock(&node->lock);
    if (node->draft)
        reply(context, bytes_part(buffer_bytes(&node->draft->text->bytes), (size_t)offset, size));
    else if (!handle->text)
        reply(context, (struct bytes){NULL, 0});
    else if ((code = told_read(handle)) == 0)
        text = text_reference(handle->text);
    pthread_mutex_unlock(&node->lock);
    if (text) {
        reply(context, bytes_part(buffer_bytes(&text->bytes), (size_t)offset, size));
        text_release(text);
    }
    return code;
}

/* A part is missing from now on, so what is there must not be saved as if it were all. */
static void refuse_part(struct tree *tree, struct node *node, int code)
{
    struct draft *draft = node->draft;
    struct failure failure = {0};

    if (draft->state == DRAFT_REFUSED)
        return;
    failure_set(&failure, code, 0, "a write failed: %s", strerror(-code));
    control_refuse(tree, node, buffer_bytes(&draft->text->bytes), &failure);
    draft->state = DRAFT_REFUSED;
    draft->refused = code;
}

static int write_part(struct tree_handle *handle, bool append, off_t offset, struct bytes bytes)
{
    struct tree *tree = handle->tree;
    struct node *node = handle->node;
    bool fresh;
    int code;

    if (!handle->writable)
        return -EBADF;
    if (offset < 0)
        return -EINVAL;
    if (bytes.size == 0)
        return 0;
    pthread_mutex_lock(&node->lock);
    fresh = !node->draft;
    code = content_start_draft(tree, node, handle->text);
    if (code == 0) {
        size_t at = append ? node->draft->text->bytes.size : (size_t)offset;

        code = content_write(tree, node, at, bytes);
        if (code == 0)
            told_written(node, (size_t)offset + bytes.size);
        else if (fresh)
            content_drop_draft(tree, node);
        else
            refuse_part(tree, node, code);
    }
    pthread_mutex_unlock(&node->lock);
    return code;
}

int tree_write(struct tree_handle *handle, off_t offset, struct bytes bytes)
{
    return write_part(handle, handle->append, offset, bytes);
}

int tree_write_page(struct tree_handle *handle, off_t offset, struct bytes bytes)
{
    return write_part(handle, false, offset, bytes);
}

static int handle_commit(struct tree_handle *handle, enum commit why)
{
    struct tree *tree = handle->tree;
    struct node *node = handle->node;
    bool names = commit_lock(tree, node);
    int code = commit_node(tree, node, why);

    commit_unlock(tree, node, names);
    tree_notify(tree);
    return code;
}

int tree_flush(struct tree_handle *handle)
{
    return handle_commit(handle, COMMIT_FLUSH);
}

int tree_fsync(struct tree_handle *handle)
{
    struct node *node = handle->node;
    int code = handle_commit(handle, COMMIT_SETTLE);
    bool stored;

    pthread_mutex_lock(&node->lock);
    stored = node->kind == NODE_KEY;
    pthread_mutex_unlock(&node->lock);
    return code || !stored ? code : store_sync(handle->tree->store);
}

/* Node lock held. */
static void handle_leave(struct tree_handle *handle)
{
    struct tree_handle **at = &handle->node->handles;

    while (*at != handle)
        at = &(*at)->next;
    *at = handle->next;
}

/* The node's lock must not be held: it may go with its last handle. */
static void handle_free(struct tree_handle *handle)
{
    struct tree *tree = handle->tree;

    text_release(handle->text);
    pthread_mutex_lock(&tree->lock);
    list_leave(&handle->all);
    node_unpin_locked(tree, handle->node);
    pthread_mutex_unlock(&tree->lock);
    free(handle);
}

static bool has_writer(const struct node *node)
{
    const struct tree_handle *handle = node->handles;

    while (handle && !handle->writable)
        handle = handle->next;
    return handle != NULL;
}

/* Nobody has the file open any more. Node lock held. */
static void closed(struct tree *tree, struct node *node)
{
    bool refused = node->draft && node->kind == NODE_KEY;

    if (refused)
        content_drop_draft(tree, node); /* control.c has kept its text */
    else
        content_keep_draft(tree, node);
    pthread_mutex_lock(&tree->lock);
    if (refused)
        tree_notice(tree, node);
    if (node->kind == NODE_KEY)
        texts_idle(&tree->texts, &node->cached);
    scratch_queue(tree, node);
    pthread_mutex_unlock(&tree->lock);
}

void tree_release(struct tree_handle *handle)
{
    struct tree *tree = handle->tree;
    struct node *node = handle->node;
    bool names = commit_lock(tree, node);

    handle_leave(handle);
    if (handle->writable && !has_writer(node))
        commit_node(tree, node, COMMIT_CLOSE);
    if (!node->handles)
        closed(tree, node);
    commit_unlock(tree, node, names);
    handle_free(handle);
    tree_notify(tree);
}

int files_finish(struct tree *tree)
{
    int first = 0;

    for (struct list *at = tree->handles.next; at != &tree->handles; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct tree_handle, all)->node;
        bool names = commit_lock(tree, node);
        /* A file that was only emptied keeps its value: what was to come is not known. */
        bool written = node->draft && node->draft->state == DRAFT_WRITTEN;
        int code = written ? commit_node(tree, node, COMMIT_SETTLE) : 0;

        commit_unlock(tree, node, names);
        if (code && !first)
            first = code;
    }
    return first;
}

void files_abandon(struct tree *tree)
{
    while (!list_empty(&tree->handles)) {
        struct tree_handle *handle = CONTAINER_OF(tree->handles.next, struct tree_handle, all);

        handle_leave(handle);
        content_drop_draft(tree, handle->node);
        handle_free(handle);
    }
}
