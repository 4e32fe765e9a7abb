/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names: create, unlink and what can't be made. lookup.c finds them; rename.c has the one that is a story of its own. */
#include "fs/absence.h"
#include "fs/content.h"
#include "fs/displaced.h"
#include "fs/files.h"
#include "fs/keeper.h"
#include "fs/tree_state.h"
#include "src/keyname.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* Ends what entered `directory` to make `node`: on success the kernel knows that, and `*out` is as it was found. */
static int leave_directory(struct tree *tree, struct node *directory, struct node *node, int code,
                           const struct stat *found, struct stat *out)
{
    if (code == 0) {
        node_looked_up(tree, node);
        *out = *found;
    }
    node_unpin(tree, directory);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

/* The directory, pinned, in a mount that may be written. */
static int enter_to_change(struct tree *tree, uint64_t parent, struct node **out)
{
    int code = tree_writable(tree);

    return code ? code : tree_enter(tree, parent, out);
}

/* Whether a file of this name may be made; an existing one is another matter. */
static int may_make(struct tree *tree, struct place place, const struct node_name *name)
{
    if (!directory_accepts(place.home))
        return -EPERM;
    if (name->has_key)
        return 0;
    if (tree->options.scratch && scratch_shape(place.fold, name->text) != SHAPE_PLAIN)
        return 0;
    return node_name_refusal(place, name);
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

/* A file belongs to who made it; where that is the database's owner, it follows the database. Takes the tree lock. */
static struct attributes attributes_of_new(struct tree *tree, mode_t mode,
                                           const struct tree_caller *caller)
{
    const struct stat owner = {.st_uid = caller->uid, .st_gid = caller->gid};
    struct attributes made = {
        .set = ATTRIBUTE_MODE | ATTRIBUTE_MTIME, .mode = mode & 0777, .mtime = tree_now()};
    struct stat database;

    tree_database(tree, &database);
    attributes_own(&made, ATTRIBUTE_UID, &owner, &database);
    attributes_own(&made, ATTRIBUTE_GID, &owner, &database);
    return made;
}

/* Adds a scratch file unless the name leads to a node. Tree lock held. */
static int add_scratch(struct tree *tree, struct place place, enum node_kind kind,
                       struct node_name *name, struct node **out)
{
    struct node *node;
    int code = nodes_add(&tree->nodes, place, kind, name, &node);

    if (code)
        return code;
    nodes_hold(&tree->nodes, node);
    if (tree->options.scratch && !displaced_find(tree, name->key))
        node->shape = scratch_shape(place.fold, name->text);
    tree_names_changed(tree, place);
    *out = node;
    return 0;
}

/* The pinned node of the name, if that exists. */
static int find_existing(struct tree *tree, struct place place, const char *name, struct node **out)
{
    struct node *node;
    int code = tree_find(tree, place, name, &node);

    if (code)
        return code;
    code = exists(tree, node);
    if (code)
        node_unpin(tree, node);
    else
        *out = node;
    return code;
}

/*
 * names held. The pinned node of the name: the one that exists (`made` is false), or new scratch. Another thread's
 * lookup may put a node for the key in memory between two looks, hence the loop.
 */
static int find_or_make(struct tree *tree, struct place place, enum node_kind kind,
                        const char *name, struct node **out, bool *made)
{
    for (;;) {
        struct node_name *own_name;
        struct node *node;
        bool taken;
        int code = -ENOENT;

        if (!absence_take(tree, place, name))
            code = find_existing(tree, place, name, out);
        if (code == 0)
            *made = false;
        if (code != -ENOENT)
            return code;
        code = node_name_new(tree->folds.style, place, name, &own_name);
        if (code)
            return code;
        code = may_make(tree, place, own_name);
        pthread_mutex_lock(&tree->lock);
        taken = code || nodes_find(&tree->nodes, place, name);
        if (!taken)
            code = add_scratch(tree, place, kind, own_name, &node);
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
    struct attributes own = attributes_of_new(tree, mode, caller);
    int code;

    pthread_mutex_lock(&tree->lock);
    node->own = own;
    pthread_mutex_unlock(&tree->lock);
    code = content_empty(tree, node);
    if (code == 0)
        code = tree_stat(tree, node, stat);
    if (code == 0)
        code = handle_new(tree, node, flags, NULL, TREE_CACHE_DROP, handle);
    if (code)
        abandon(tree, node);
    return code;
}

static int open_existing(struct tree *tree, struct node *node, int flags, struct stat *stat,
                         struct tree_handle **handle, enum tree_cache *cache)
{
    int code;

    if (flags & O_EXCL)
        return -EEXIST;
    code = tree_open(tree, node->id, flags, handle, cache);
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
                const struct tree_caller *caller, struct stat *out, struct tree_handle **handle,
                enum tree_cache *cache)
{
    enum tree_cache chosen = TREE_CACHE_DROP;
    struct tree_handle *opened;
    struct node *directory, *node = NULL;
    struct stat found;
    bool made = false;
    int code = enter_to_change(tree, parent, &directory);

    if (code)
        return code;
    pthread_mutex_lock(&tree->names);
    code = find_or_make(tree, directory->opens, NODE_SCRATCH, name, &node, &made);
    if (code == 0 && made) {
        pthread_mutex_lock(&node->lock);
        code = start_file(tree, node, mode, flags, caller, &found, &opened);
        pthread_mutex_unlock(&node->lock);
    }
    pthread_mutex_unlock(&tree->names);
    if (code == 0 && !made)
        code = open_existing(tree, node, flags, &found, &opened, &chosen);
    if (code == 0) {
        node_looked_up(tree, node);
        *out = found;
        *handle = opened;
        *cache = chosen;
    }
    node_unpin(tree, directory);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

/* names and node lock held. */
static int start_symlink(struct tree *tree, struct node *node, const char *target,
                         const struct tree_caller *caller, struct stat *stat)
{
    struct attributes own = attributes_of_new(tree, 0777, caller);
    int code = content_start_draft(tree, node, NULL);

    if (code == 0)
        code = content_write(tree, node, 0, bytes_of_string(target));
    if (code == 0) {
        pthread_mutex_lock(&tree->lock);
        node->own = own;
        pthread_mutex_unlock(&tree->lock);
        content_keep_draft(tree, node);
        keeper_keep(tree->options.keeper, tree, node, false);
        code = tree_stat(tree, node, stat);
    }
    if (code)
        abandon(tree, node);
    return code;
}

/* Only as an editor's own file: a key is never a symlink. */
static bool may_link(struct tree *tree, struct place place, const char *name)
{
    return directory_accepts(place.home) && tree->options.scratch &&
           scratch_shape(place.fold, name) == SHAPE_COMPANION;
}

int tree_symlink(struct tree *tree, uint64_t parent, const char *name, const char *target,
                 const struct tree_caller *caller, struct stat *out)
{
    struct node *directory, *node = NULL;
    struct stat found;
    bool made;
    int code = enter_to_change(tree, parent, &directory);

    if (code)
        return code;
    pthread_mutex_lock(&tree->names);
    code = -EPERM;
    if (may_link(tree, directory->opens, name))
        code = find_or_make(tree, directory->opens, NODE_SYMLINK, name, &node, &made);
    if (code == 0 && !made)
        code = -EEXIST;
    if (code == 0) {
        pthread_mutex_lock(&node->lock);
        code = start_symlink(tree, node, target, caller, &found);
        pthread_mutex_unlock(&node->lock);
    }
    pthread_mutex_unlock(&tree->names);
    return leave_directory(tree, directory, node, code, &found, out);
}

/* names and node lock held. */
static int unlink_key(struct tree *tree, struct node *node)
{
    int code = displaced_end_with(tree, node);

    if (code == 0)
        code = store_remove(tree->store, node->name->key);
    if (code && code != -ENOENT)
        return control_blocked(tree, node, "not removed", code);
    /* Also one that another process removed just before. */
    tree_removed(tree, node->name->key);
    pthread_mutex_lock(&tree->lock);
    nodes_unlink(&tree->nodes, node);
    attributes_take(&tree->attributes, node->name->key, &node->own);
    tree_names_changed(tree, node_place(node));
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
    struct node *directory, *node = NULL;
    int code = enter_to_change(tree, parent, &directory);

    if (code)
        return code;
    pthread_mutex_lock(&tree->names);
    code = tree_find(tree, directory->opens, name, &node);
    if (code == 0) {
        pthread_mutex_lock(&node->lock);
        code = unlink_node(tree, node);
        pthread_mutex_unlock(&node->lock);
    }
    pthread_mutex_unlock(&tree->names);
    node_unpin(tree, directory);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}

/* --- directories --- */

/* What mkdir can make: a fold that is not there. names held. */
static int make_fold(struct tree *tree, struct place place, const char *name, struct fold **out)
{
    int code;

    if (strlen(name) > NAME_LONGEST)
        return -ENAMETOOLONG;
    if (!directory_accepts(place.home))
        return -EPERM;
    code = keyname_is_fold(bytes_of_string(name)) ? folds_refresh(tree, false)
                                                  : scratch_may_make_directory(tree, place, name);
    if (code)
        return code;
    pthread_mutex_lock(&tree->lock);
    code = folds_enter(&tree->folds, place.fold, name, out);
    if (code == 0 && fold_exists(*out)) {
        fold_unpin(&tree->folds, *out);
        code = -EEXIST;
    }
    if (code == 0)
        fold_make(*out);
    pthread_mutex_unlock(&tree->lock);
    return code;
}

static int start_directory(struct tree *tree, struct place place, const char *name, mode_t mode,
                           const struct tree_caller *caller, struct node **node, struct stat *stat)
{
    struct attributes own = attributes_of_new(tree, mode, caller);
    struct fold *fold;
    int code = make_fold(tree, place, name, &fold);

    if (code)
        return code;
    code = tree_find(tree, place, name, node);
    pthread_mutex_lock(&tree->lock);
    if (code) {
        fold_unmake(&tree->folds, fold);
    } else {
        attributes_set_digest(&tree->attributes, fold->id, &own);
        tree_names_changed(tree, place);
    }
    fold_unpin(&tree->folds, fold);
    pthread_mutex_unlock(&tree->lock);
    return code ? code : tree_stat(tree, *node, stat);
}

int tree_mkdir(struct tree *tree, uint64_t parent, const char *name, mode_t mode,
               const struct tree_caller *caller, struct stat *out)
{
    struct node *directory, *node = NULL;
    struct stat found;
    int code = enter_to_change(tree, parent, &directory);

    if (code)
        return code;
    pthread_mutex_lock(&tree->names);
    code = start_directory(tree, directory->opens, name, mode, caller, &node, &found);
    pthread_mutex_unlock(&tree->names);
    return leave_directory(tree, directory, node, code, &found, out);
}

/* Tree lock held. */
static bool fold_is_empty(const struct fold *fold)
{
    return fold->uses == (fold->made ? 1 : 0);
}

/* names held. */
static int remove_fold(struct tree *tree, struct node *node)
{
    struct fold *fold = node->opens.fold;
    bool is_empty;
    int code = 0;

    if (!directory_accepts(node->home))
        return -EPERM;
    pthread_mutex_lock(&tree->lock);
    is_empty = fold_is_empty(fold);
    pthread_mutex_unlock(&tree->lock);
    if (!is_empty)
        code = folds_refresh(tree, true);
    pthread_mutex_lock(&tree->lock);
    if (code == 0 && !fold_is_empty(fold))
        code = -ENOTEMPTY;
    if (code == 0) {
        fold_unmake(&tree->folds, fold);
        nodes_unlink(&tree->nodes, node);
        tree_names_changed(tree, node_place(node));
    }
    pthread_mutex_unlock(&tree->lock);
    return code;
}

/* Other files may become keys meanwhile. */
static bool is_directory(struct node *node)
{
    bool is;

    pthread_mutex_lock(&node->lock);
    is = node->kind == NODE_DIRECTORY;
    pthread_mutex_unlock(&node->lock);
    return is;
}

int tree_rmdir(struct tree *tree, uint64_t parent, const char *name)
{
    struct node *directory, *node = NULL;
    int code = enter_to_change(tree, parent, &directory);

    if (code)
        return code;
    pthread_mutex_lock(&tree->names);
    code = tree_find(tree, directory->opens, name, &node);
    if (code == 0 && !is_directory(node))
        code = exists(tree, node) ? -ENOENT : -ENOTDIR;
    else if (code == 0)
        code = node->opens.fold ? remove_fold(tree, node) : -EPERM;
    pthread_mutex_unlock(&tree->names);
    node_unpin(tree, directory);
    node_unpin(tree, node);
    tree_notify(tree);
    return code;
}
