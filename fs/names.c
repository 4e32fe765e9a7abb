/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names: lookup, create, unlink and what can't be made. rename.c has the one that is a story of its own. */
#include "fs/content.h"
#include "fs/displaced.h"
#include "fs/files.h"
#include "fs/tree_state.h"
#include "src/keyname.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct stat *out)
{
    enum directory_number home;
    struct node *node;
    struct stat found;
    int code = tree_directory(tree, parent, &home);

    if (code == 0)
        code = tree_find(tree, home, name, &node);
    if (code)
        return code;
    pthread_mutex_lock(&node->lock);
    code = tree_stat(tree, node, &found);
    /* A key that another process removed while it is open has attributes, but no name. */
    if (code == 0 && !node->linked)
        code = -ENOENT;
    pthread_mutex_unlock(&node->lock);
    if (code == 0) {
        node_looked_up(tree, node);
        *out = found;
    }
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

/* Whether a file of this name may be made; an existing one is another matter. */
static int may_make(struct tree *tree, enum directory_number home, const struct node_name *name)
{
    if (!directory_accepts(home))
        return -EPERM;
    if (name->has_key)
        return 0;
    if (tree->options.scratch && scratch_shape(name->text) != SHAPE_PLAIN)
        return 0;
    return name->size > KEYNAME_MAX ? -ENAMETOOLONG : -EINVAL;
}

/* A node that is in nobody's way: no such key, or gone. */
static int exists(struct tree *tree, struct node *node)
{
    int code = 0;

    pthread_mutex_lock(&node->lock);
    if (node->kind == NODE_KEY)
        code = content_look(tree, node, NULL);
    if (code == -ENOENT) {
        pthread_mutex_lock(&tree->lock);
        nodes_unlink(&tree->nodes, node);
        pthread_mutex_unlock(&tree->lock);
    }
    pthread_mutex_unlock(&node->lock);
    return code;
}

static void own_by(struct node *node, mode_t mode, const struct tree_caller *caller)
{
    struct timespec now = tree_now();

    node->own = (struct attributes){
        .set = ATTRIBUTE_MODE | ATTRIBUTE_UID | ATTRIBUTE_GID | ATTRIBUTE_MTIME,
        .mode = mode & 0777,
        .uid = caller->uid,
        .gid = caller->gid,
        .mtime = now,
    };
}

/* Adds a scratch file unless the name leads to a node. Tree lock held. */
static int add_scratch(struct tree *tree, enum directory_number home, enum node_kind kind,
                       struct node_name *name, struct node **out)
{
    struct node *node;
    int code = nodes_add(&tree->nodes, home, kind, name, &node);

    if (code)
        return code;
    nodes_hold(&tree->nodes, node);
    if (tree->options.scratch && !displaced_find(tree, name->key))
        node->shape = scratch_shape(name->text);
    tree_names_changed(tree);
    *out = node;
    return 0;
}

/*
 * names held. The pinned node of the name: the one that exists (`made` is false), or new scratch. Another thread's
 * lookup may put a node for the key in memory between two looks, hence the loop.
 */
static int find_or_make(struct tree *tree, enum directory_number home, enum node_kind kind,
                        const char *name, struct node **out, bool *made)
{
    for (;;) {
        struct node_name *own_name;
        struct node *node;
        bool taken;
        int code = tree_find(tree, home, name, &node);

        if (code == 0) {
            code = exists(tree, node);
            if (code == 0) {
                *out = node;
                *made = false;
                return 0;
            }
            node_unpin(tree, node);
        }
        if (code != -ENOENT)
            return code;
        code = node_name_new(name, &own_name);
        if (code)
            return code;
        code = may_make(tree, home, own_name);
        pthread_mutex_lock(&tree->lock);
        taken = code || nodes_find(&tree->nodes, home, name);
        if (!taken)
            code = add_scratch(tree, home, kind, own_name, &node);
        pthread_mutex_unlock(&tree->lock);
        if (code || taken)
            free(own_name);
        if (code)
            return code;
        if (!taken) {
            *out = node;
            *made = true;
            return 0;
        }
    }
}

/* A new file that could not be completed. */
static void abandon(struct tree *tree, struct node *node)
{
    content_drop_draft(tree, node);
    pthread_mutex_lock(&tree->lock);
    nodes_unlink(&tree->nodes, node);
    nodes_let_go(tree, node);
    pthread_mutex_unlock(&tree->lock);
}

/* names and node lock held. */
static int start_file(struct tree *tree, struct node *node, mode_t mode, int flags,
                      const struct tree_caller *caller, struct stat *stat,
                      struct tree_handle **handle)
{
    int code;

    pthread_mutex_lock(&tree->lock);
    own_by(node, mode, caller);
    pthread_mutex_unlock(&tree->lock);
    code = content_empty(tree, node);
    if (code == 0)
        code = tree_stat(tree, node, stat);
    if (code == 0)
        code = handle_new(tree, node, flags, NULL, handle);
    if (code)
        abandon(tree, node);
    return code;
}

static int open_existing(struct tree *tree, struct node *node, int flags, struct stat *stat,
                         struct tree_handle **handle)
{
    enum tree_cache cache;
    int code;

    if (flags & O_EXCL)
        return -EEXIST;
    code = tree_open(tree, node->id, flags, handle, &cache);
    if (code)
        return code;
    pthread_mutex_lock(&node->lock);
    code = tree_stat(tree, node, stat);
    pthread_mutex_unlock(&node->lock);
    if (code)
        tree_release(*handle);
    return code;
}

int tree_create(struct tree *tree, uint64_t parent, const char *name, mode_t mode, int flags,
                const struct tree_caller *caller, struct stat *out, struct tree_handle **handle)
{
    enum directory_number home;
    struct tree_handle *opened;
    struct node *node = NULL;
    struct stat found;
    bool made = false;
    int code = tree_directory(tree, parent, &home);

    if (code == 0)
        code = tree_writable(tree);
    if (code)
        return code;
    pthread_mutex_lock(&tree->names);
    code = find_or_make(tree, home, NODE_SCRATCH, name, &node, &made);
    if (code == 0 && made) {
        pthread_mutex_lock(&node->lock);
        code = start_file(tree, node, mode, flags, caller, &found, &opened);
        pthread_mutex_unlock(&node->lock);
    }
    pthread_mutex_unlock(&tree->names);
    if (code == 0 && !made)
        code = open_existing(tree, node, flags, &found, &opened);
    if (code == 0) {
        node_looked_up(tree, node);
        *out = found;
        *handle = opened;
    }
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

/* names and node lock held. */
static int start_symlink(struct tree *tree, struct node *node, const char *target,
                         const struct tree_caller *caller, struct stat *stat)
{
    int code = content_start_draft(tree, node, NULL);

    if (code == 0)
        code = content_write(tree, node, 0, bytes_of_string(target));
    if (code == 0) {
        pthread_mutex_lock(&tree->lock);
        own_by(node, 0777, caller);
        pthread_mutex_unlock(&tree->lock);
        content_keep_draft(tree, node);
        code = tree_stat(tree, node, stat);
    }
    if (code)
        abandon(tree, node);
    return code;
}

int tree_symlink(struct tree *tree, uint64_t parent, const char *name, const char *target,
                 const struct tree_caller *caller, struct stat *out)
{
    enum directory_number home;
    struct node *node = NULL;
    struct stat found;
    bool made;
    int code = tree_directory(tree, parent, &home);

    if (code == 0)
        code = tree_writable(tree);
    if (code == 0 && (!directory_accepts(home) || !tree->options.scratch ||
                      scratch_shape(name) != SHAPE_COMPANION))
        code = -EPERM;
    if (code)
        return code;
    pthread_mutex_lock(&tree->names);
    code = find_or_make(tree, home, NODE_SYMLINK, name, &node, &made);
    if (code == 0 && !made)
        code = -EEXIST;
    if (code == 0) {
        pthread_mutex_lock(&node->lock);
        code = start_symlink(tree, node, target, caller, &found);
        pthread_mutex_unlock(&node->lock);
    }
    pthread_mutex_unlock(&tree->names);
    if (code == 0) {
        node_looked_up(tree, node);
        *out = found;
    }
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

int tree_mkdir(struct tree *tree, uint64_t parent, const char *name, mode_t mode,
               const struct tree_caller *caller, struct stat *out)
{
    int code = tree_writable(tree);

    return code ? code : strlen(name) > NAME_LONGEST ? -ENAMETOOLONG : -EPERM;
}

int tree_rmdir(struct tree *tree, uint64_t parent, const char *name)
{
    struct stat found;
    int code = tree_writable(tree);

    if (code == 0)
        code = tree_lookup(tree, parent, name, &found);
    if (code)
        return code;
    tree_forget(tree, found.st_ino, 1);
    return S_ISDIR(found.st_mode) ? -EPERM : -ENOTDIR;
}

/* names and node lock held. */
static int unlink_key(struct tree *tree, struct node *node)
{
    int code = store_remove(tree->store, node->name->key);

    if (code && code != -ENOENT)
        return code;
    if (code == 0)
        tree_database_changed(tree);
    pthread_mutex_lock(&tree->lock);
    nodes_unlink(&tree->nodes, node);
    attributes_drop(&tree->attributes, node->name->key);
    tree_names_changed(tree);
    pthread_mutex_unlock(&tree->lock);
    return code;
}

static int unlink_rejected(struct tree *tree, struct node *node)
{
    pthread_mutex_lock(&tree->lock);
    nodes_unlink(&tree->nodes, node);
    nodes_let_go(tree, node);
    pthread_mutex_unlock(&tree->lock);
    return 0;
}

static int unlink_node(struct tree *tree, struct node *node)
{
    if (!node->linked)
        return -ENOENT;
    switch (node->kind) {
    case NODE_DIRECTORY:
        return -EISDIR;
    case NODE_REPORT:
        return -EPERM;
    case NODE_REJECTED:
        return unlink_rejected(tree, node);
    case NODE_SCRATCH:
    case NODE_SYMLINK:
        return scratch_remove(tree, node);
    case NODE_KEY:
        return directory_accepts(node->home) ? unlink_key(tree, node) : -EPERM;
    }
    return -EIO;
}

int tree_unlink(struct tree *tree, uint64_t parent, const char *name)
{
    enum directory_number home;
    struct node *node = NULL;
    int code = tree_directory(tree, parent, &home);

    if (code == 0)
        code = tree_writable(tree);
    if (code)
        return code;
    pthread_mutex_lock(&tree->names);
    code = tree_find(tree, home, name, &node);
    if (code == 0) {
        pthread_mutex_lock(&node->lock);
        code = unlink_node(tree, node);
        pthread_mutex_unlock(&node->lock);
    }
    pthread_mutex_unlock(&tree->names);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}
