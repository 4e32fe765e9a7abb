/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Extended attributes: what a user may want to know of a value beside its text. */
#include "fs/content.h"
#include "fs/tree_state.h"

#include <errno.h>

/* A text that a user wrote says nothing about the value's codec: render what is stored, once. */
static int note(struct tree *tree, struct node *node, struct codec_note *out)
{
    struct text *text;
    struct buffer stored, rendered;
    int code = content_look(tree, node, &text);

    if (code == 0 && node->trouble)
        code = node->trouble;
    if (code)
        return code;
    if (text->id.edition == 0) {
        *out = text->note;
        text_release(text);
        return 0;
    }
    text_release(text);
    buffer_init(&stored, tree->options.rules.max_value);
    buffer_init(&rendered, tree->options.rules.max_value);
    code = store_fetch(tree->store, node->name->key, &stored);
    if (code == 0)
        code = directories[node->home].view->render(&tree->options.dialect, buffer_bytes(&stored),
                                                    &rendered, out);
    buffer_release(&stored);
    buffer_release(&rendered);
    return code;
}

static int get_key(struct tree *tree, struct node *node, struct buffer *value)
{
    buffer_add(value, node->name->key);
    return buffer_status(value);
}

static int get_codec(struct tree *tree, struct node *node, struct buffer *value)
{
    struct codec_note found;
    int code = note(tree, node, &found);

    if (code == 0)
        dialect_describe(found.dialect, value);
    return code ? code : buffer_status(value);
}

static int get_type(struct tree *tree, struct node *node, struct buffer *value)
{
    struct codec_note found;
    int code = note(tree, node, &found);

    if (code == 0)
        buffer_add_string(value, found.type);
    return code ? code : buffer_status(value);
}

static int get_error(struct tree *tree, struct node *node, struct buffer *value)
{
    const char *reason;

    pthread_mutex_lock(&tree->lock);
    reason = control_reason(tree, node);
    if (reason)
        buffer_add_string(value, reason);
    pthread_mutex_unlock(&tree->lock);
    return reason ? buffer_status(value) : -ENODATA;
}

static const struct {
    const char *name;
    int (*get)(struct tree *tree, struct node *node, struct buffer *value);
    bool always; /* every key has it; else only when it is there, and scratch files too */
} extended[] = {
    {"user.shelvefs.key", get_key, true},
    {"user.shelvefs.codec", get_codec, true},
    {"user.shelvefs.type", get_type, true},
    {"user.shelvefs.error", get_error, false},
};

static bool has_extended(struct tree *tree, struct node *node, size_t i)
{
    bool has;

    if (!node->linked || (node->kind != NODE_KEY && node->kind != NODE_SCRATCH))
        return false;
    if (extended[i].always)
        return node->kind == NODE_KEY;
    pthread_mutex_lock(&tree->lock);
    has = control_reason(tree, node);
    pthread_mutex_unlock(&tree->lock);
    return has;
}

int tree_getxattr(struct tree *tree, uint64_t id, const char *name, struct buffer *value)
{
    struct node *node;
    int code = -ENODATA;

    /* After this answer ls and others don't ask for the access list and the label of each file. */
    if (strncmp(name, "user.", 5) != 0)
        return -ENOTSUP;
    node = node_pin_id(tree, id);
    if (!node)
        return -ESTALE;
    pthread_mutex_lock(&node->lock);
    for (size_t i = 0; i < ARRAY_SIZE(extended); i++) {
        if (strcmp(extended[i].name, name) == 0 && has_extended(tree, node, i))
            code = extended[i].get(tree, node, value);
    }
    pthread_mutex_unlock(&node->lock);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

int tree_changexattr(struct tree *tree, const char *name)
{
    int code = tree_writable(tree);

    if (code)
        return code;
    for (size_t i = 0; i < ARRAY_SIZE(extended); i++) {
        if (strcmp(extended[i].name, name) == 0)
            return 0;
    }
    return -ENOTSUP;
}

int tree_listxattr(struct tree *tree, uint64_t id, struct buffer *names)
{
    struct node *node = node_pin_id(tree, id);

    if (!node)
        return -ESTALE;
    pthread_mutex_lock(&node->lock);
    for (size_t i = 0; i < ARRAY_SIZE(extended); i++) {
        if (has_extended(tree, node, i))
            buffer_add(names, bytes_of(extended[i].name, strlen(extended[i].name) + 1));
    }
    pthread_mutex_unlock(&node->lock);
    node_unpin(tree, node);
    return buffer_status(names);
}
