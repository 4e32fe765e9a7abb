/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rename(2). What it means depends on what the two names stand for:
 *
 *   a key -> a key's name              the store renames, in one step
 *   a key -> a companion's name        displaced: scratch.h
 *   scratch -> a key's name            the text is saved there, in one step: how editors and rsync save
 *   a displaced key -> its old name    nothing but the name changes
 *   a companion -> a companion's name  nothing but the name changes
 *
 * Between two views it is EXDEV: they show the same keys in different forms, and mv copies then. So it is for a fold,
 * whose keys can't be renamed in one step. A key or scratch file may go from one fold to another one.
 * RENAME_EXCHANGE swaps two keys of one view, in one step. A scratch file becomes a key first, under its own name: so both
 * contents are in the store all the time. With anything else, and for two companions, it is EINVAL, as renameat2(2) says of
 * what can't be.
 */
#include "fs/commit.h"
#include "fs/displaced.h"
#include "fs/keeper.h"
#include "fs/tree_state.h"
#include "src/keyname.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* names and the locks of both nodes are held throughout. */
struct rename {
    struct tree *tree;
    struct node *source;
    struct node *target;    /* NULL: nobody has the new name */
    struct place place;     /* where the new name is: in the same view */
    struct node_name *name; /* the new one; NULL once the source has it */
    bool exists;            /* the target is a file, not only a possible key */
    bool companion;         /* the new name is a companion's */
};

/* The source gets its name. Everything that can fail is behind us. */
static void take_name(struct rename *rename)
{
    struct tree *tree = rename->tree;
    struct node *target = rename->target;
    struct place before = node_place(rename->source);

    pthread_mutex_lock(&tree->lock);
    if (target) {
        nodes_unlink(&tree->nodes, target);
        target->replaced = true;
    }
    tree_names_changed(tree, before);
    nodes_relink(tree, rename->source, rename->place.fold, rename->name);
    rename->name = NULL;
    tree_names_changed(tree, rename->place);
    pthread_mutex_unlock(&tree->lock);
    if (target && target->kind != NODE_KEY)
        scratch_replaced(tree, target);
}

/* The source is scratch and stays so. */
static int move_scratch(struct rename *rename)
{
    struct node *node = rename->source;

    take_name(rename);
    pthread_mutex_lock(&rename->tree->lock);
    node->shape = scratch_shape(node->fold, node->name->text);
    scratch_queue(rename->tree, node);
    pthread_mutex_unlock(&rename->tree->lock);
    return 0;
}

/* What the replaced key had does not pass to the file that replaces it: who has it open goes on seeing it. */
static void drop_attributes(struct rename *rename, struct bytes key)
{
    struct attributes unseen = {0};
    bool replaced = rename->target && rename->target->kind == NODE_KEY;

    pthread_mutex_lock(&rename->tree->lock);
    attributes_take(&rename->tree->attributes, key, replaced ? &rename->target->own : &unseen);
    pthread_mutex_unlock(&rename->tree->lock);
}

static int save_scratch(struct rename *rename)
{
    struct tree *tree = rename->tree;
    struct node *node = rename->source;
    struct bytes key = rename->name->key;
    struct digest digest;
    int code = commit_text(tree, node, key, &key, content_bytes(tree, node), &digest);

    if (code) {
        if (node->draft) {
            node->draft->state = DRAFT_REFUSED;
            node->draft->refused = code;
        }
        return code;
    }
    drop_attributes(rename, key);
    take_name(rename);
    commit_done(tree, node, digest);
    return 0;
}

/* A displaced key, unchanged, goes to another key's name, perhaps back to its own. */
static int move_displaced(struct rename *rename, struct displaced *displaced)
{
    struct tree *tree = rename->tree;
    struct node *node = rename->source;
    bool home = bytes_equal(displaced->key, rename->name->key);
    int code = 0;

    if (!home) {
        code = store_rename(tree->store, displaced->key, rename->name->key, STORE_REPLACE);
        if (code)
            return code;
        tree_stored(tree, rename->name->key);
        tree_removed(tree, displaced->key);
    }
    drop_attributes(rename, rename->name->key);
    take_name(rename);
    pthread_mutex_lock(&tree->lock);
    displaced_end(tree, displaced);
    pthread_mutex_unlock(&tree->lock);
    commit_done(tree, node, node->digest);
    return 0;
}

static int rename_scratch(struct rename *rename)
{
    struct tree *tree = rename->tree;
    struct node *node = rename->source;
    bool onto_key = rename->exists && rename->target->kind == NODE_KEY;
    struct displaced *displaced;
    bool home;
    int code;

    pthread_mutex_lock(&tree->lock);
    displaced = displaced_as(tree, node);
    pthread_mutex_unlock(&tree->lock);
    home = displaced && bytes_equal(displaced->key, rename->name->key);
    if (rename->companion && node->shape == SHAPE_COMPANION && !onto_key && !home)
        return move_scratch(rename);
    if (!rename->name->has_key) {
        if (tree->options.scratch &&
            scratch_shape(rename->place.fold, rename->name->text) != SHAPE_PLAIN)
            return move_scratch(rename);
        return node_name_refusal(rename->place, rename->name);
    }
    if (displaced && !displaced_rewritten(tree, node, displaced))
        return move_displaced(rename, displaced);
    code = save_scratch(rename);
    if (code == 0 && displaced && !home)
        displaced_drop(tree, displaced);
    return code;
}

static int rename_symlink(struct rename *rename)
{
    bool onto_key = rename->exists && rename->target->kind == NODE_KEY;

    return rename->companion && !onto_key ? move_scratch(rename) : -EPERM;
}

/* What goes along with a key; the mtime as first seen becomes a lasting one. Tree lock held. */
static struct attributes take_attributes(struct tree *tree, struct node *node)
{
    struct attributes moved = node->own;

    moved.set |= ATTRIBUTE_MTIME;
    if (node->known) {
        moved.set |= ATTRIBUTE_VALUE;
        moved.value = node->digest;
    }
    attributes_take(&tree->attributes, node->name->key, &moved);
    moved.ctime = tree_now();
    moved.set |= ATTRIBUTE_CTIME;
    node->own.set = 0;
    return moved;
}

/* Tree lock held. */
static void give_attributes(struct tree *tree, struct bytes key, const struct attributes *moved)
{
    attributes_drop(&tree->attributes, key);
    attributes_set(&tree->attributes, key, moved);
}

/* A key that was copied onto another one is a key still. */
static void keep_attributes(struct rename *rename)
{
    struct node *node = rename->source;

    if (node->kind != NODE_KEY)
        return;
    drop_attributes(rename, node->name->key);
    node->stamped = false;
    pthread_mutex_lock(&rename->tree->lock);
    attributes_set(&rename->tree->attributes, node->name->key, &node->own);
    node->own.set = 0;
    pthread_mutex_unlock(&rename->tree->lock);
}

/* What was written goes along. */
static int settle(struct tree *tree, struct node *node)
{
    if (!node->draft || node->draft->state == DRAFT_REFUSED)
        return 0;
    return commit_node(tree, node, COMMIT_SETTLE);
}

/* A key that has an old name still to be removed is about to get that one again: other processes see it all the time. */
static bool goes_home(const struct rename *rename)
{
    struct tree *tree = rename->tree;
    struct displaced *displaced;
    bool home;

    pthread_mutex_lock(&tree->lock);
    displaced = displaced_as(tree, rename->source);
    home = displaced && !rename->companion && bytes_equal(displaced->key, rename->name->key);
    pthread_mutex_unlock(&tree->lock);
    return home;
}

/* It is about to get another one: one thing after the other. */
static int carry_out_before(struct tree *tree, struct node *node)
{
    struct displaced *displaced;

    pthread_mutex_lock(&tree->lock);
    displaced = displaced_as(tree, node);
    pthread_mutex_unlock(&tree->lock);
    return displaced ? displaced_carry_out(tree, displaced) : 0;
}

static int rename_key(struct rename *rename)
{
    struct tree *tree = rename->tree;
    struct node *node = rename->source;
    bool onto_key = rename->exists && rename->target->kind == NODE_KEY;
    struct bytes to = rename->name->key;
    struct attributes moved;
    int code = settle(tree, node);

    if (code == 0 && !goes_home(rename))
        code = carry_out_before(tree, node);
    if (code)
        return code;
    if (rename->companion) {
        code = displaced_begin(tree, node, rename->name, onto_key);
        if (code)
            return code;
        take_name(rename);
        keep_attributes(rename);
        return 0;
    }
    if (!rename->name->has_key)
        return node_name_refusal(rename->place, rename->name);
    code = store_rename(tree->store, node->name->key, to, STORE_REPLACE);
    if (code)
        return control_blocked(tree, node, "not renamed", code);
    tree_stored(tree, to);
    tree_removed(tree, node->name->key);
    drop_attributes(rename, to);
    pthread_mutex_lock(&tree->lock);
    moved = take_attributes(tree, node);
    give_attributes(tree, to, &moved);
    displaced_replaced(tree, to);
    pthread_mutex_unlock(&tree->lock);
    node->stamped = false;
    take_name(rename);
    return 0;
}

/* Both get the other's name. */
static void swap_names(struct tree *tree, struct node *one, struct node *other)
{
    struct attributes of_one, of_other;

    pthread_mutex_lock(&tree->lock);
    of_one = take_attributes(tree, one);
    of_other = take_attributes(tree, other);
    nodes_exchange(&tree->nodes, one, other);
    give_attributes(tree, one->name->key, &of_one);
    give_attributes(tree, other->name->key, &of_other);
    displaced_replaced(tree, one->name->key);
    displaced_replaced(tree, other->name->key);
    tree_names_changed(tree, node_place(one));
    tree_names_changed(tree, node_place(other));
    pthread_mutex_unlock(&tree->lock);
    one->stamped = other->stamped = false;
}

/* Saves a scratch file under its own name, by the rules for the key whose name it is about to get. */
static int become_key(struct tree *tree, struct node *node, const struct node *other)
{
    struct digest digest;
    int code = carry_out_before(tree, node);

    if (code || node->kind == NODE_KEY)
        return code;
    code = commit_text(tree, node, node->name->key, &other->name->key, content_bytes(tree, node),
                       &digest);
    if (code == 0)
        commit_done(tree, node, digest);
    return code;
}

static int prepare_exchange(struct tree *tree, struct node *node, const struct node *other)
{
    int code;

    if (node->kind != NODE_KEY)
        return become_key(tree, node, other);
    code = settle(tree, node);
    return code ? code : carry_out_before(tree, node);
}

static bool can_exchange(const struct node *node)
{
    return node->kind == NODE_KEY || (node->kind == NODE_SCRATCH && node->name->has_key);
}

static bool is_companion(const struct node *node)
{
    return node->kind == NODE_SCRATCH && node->shape == SHAPE_COMPANION;
}

static int exchange(struct rename *rename)
{
    struct tree *tree = rename->tree;
    struct node *one = rename->source, *other = rename->target;
    int code;

    if (!rename->exists)
        return -ENOENT;
    if (!can_exchange(one) || !can_exchange(other) || (is_companion(one) && is_companion(other)))
        return -EINVAL;
    code = prepare_exchange(tree, one, other);
    if (code == 0)
        code = prepare_exchange(tree, other, one);
    if (code == 0)
        code = store_rename(tree->store, one->name->key, other->name->key, STORE_EXCHANGE);
    if (code)
        return code == -ENOTSUP ? -EINVAL : control_blocked(tree, one, "not renamed", code);
    tree_stored(tree, one->name->key);
    tree_stored(tree, other->name->key);
    swap_names(tree, one, other);
    return 0;
}

static int rename_any(struct rename *rename, unsigned flags)
{
    struct tree *tree = rename->tree;
    struct node *target = rename->target;

    if (!rename->source->linked)
        return -ENOENT;
    if (target && target->kind == NODE_KEY) {
        int code = store_exists(tree->store, target->name->key);

        if (code < 0)
            return code;
        rename->exists = code == 1;
    } else {
        rename->exists = target != NULL;
    }
    if (rename->exists && flags & RENAME_NOREPLACE)
        return -EEXIST;
    if (flags & RENAME_EXCHANGE)
        return exchange(rename);
    if (rename->source->opens.fold)
        return -EXDEV;
    if (target && target->kind == NODE_DIRECTORY)
        return -EISDIR;
    if (rename->companion) {
        int code = displaced_make_room(tree, rename->source, target, rename->name);

        if (code)
            return code;
    }
    switch (rename->source->kind) {
    case NODE_KEY:
        return rename_key(rename);
    case NODE_SCRATCH:
        return rename_scratch(rename);
    case NODE_SYMLINK:
        return rename_symlink(rename);
    case NODE_DIRECTORY:
    case NODE_REPORT:
    case NODE_REJECTED:
        return -EPERM;
    }
    return -EIO;
}

/* names held. Both nodes pinned: another thread's look-up of the new name finds the same node. */
static int find_both(struct rename *rename, struct place from, const char *name,
                     const char *new_name)
{
    struct tree *tree = rename->tree;
    int code = tree_find(tree, from, name, &rename->source);

    if (code == 0)
        code = node_name_new(tree->folds.style, rename->place, new_name, &rename->name);
    if (code)
        return code;
    code = tree_find(tree, rename->place, new_name, &rename->target);
    return code == -ENOENT ? 0 : code;
}

static int rename_between(struct tree *tree, struct place from, const char *name, struct place to,
                          const char *new_name, unsigned flags)
{
    struct rename rename = {.tree = tree, .place = to};
    int code;

    if (from.home != to.home)
        return -EXDEV;
    if (!directory_accepts(from.home))
        return -EPERM;
    rename.companion = tree->options.scratch && scratch_shape(to.fold, new_name) == SHAPE_COMPANION;
    pthread_mutex_lock(&tree->names);
    code = find_both(&rename, from, name, new_name);
    if (code == 0 && rename.source != rename.target) {
        pthread_mutex_lock(&rename.source->lock);
        if (rename.target)
            pthread_mutex_lock(&rename.target->lock);
        code = rename_any(&rename, flags);
        if (code == 0)
            keeper_keep(tree->options.keeper, tree, rename.source, false);
        if (rename.target)
            pthread_mutex_unlock(&rename.target->lock);
        pthread_mutex_unlock(&rename.source->lock);
    }
    pthread_mutex_unlock(&tree->names);
    free(rename.name);
    node_unpin(tree, rename.source);
    node_unpin(tree, rename.target);
    return code;
}

int tree_rename(struct tree *tree, uint64_t parent, const char *name, uint64_t new_parent,
                const char *new_name, unsigned flags)
{
    struct node *from = NULL, *to = NULL;
    int code = tree_writable(tree);

    if (code == 0)
        code = tree_enter(tree, parent, &from);
    if (code == 0)
        code = tree_enter(tree, new_parent, &to);
    if (code == 0 && flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
        code = -EINVAL;
    if (code == 0)
        code = rename_between(tree, from->opens, name, to->opens, new_name, flags);
    node_unpin(tree, from);
    node_unpin(tree, to);
    tree_notify(tree);
    return code;
}
