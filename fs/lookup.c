/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding files by their names, alone or together. */
#include "fs/absence.h"
#include "fs/frozen.h"
#include "fs/tree_state.h"
#include "src/keyname.h"

#include <errno.h>
#include <string.h>

/* Like tree_find(); what other processes changed about folds is seen. */
static int find_fresh(struct tree *tree, struct place place, const char *name, struct node **out)
{
    int code = 0;

    if (directories[place.home].view && keyname_is_fold(bytes_of_string(name))) {
        pthread_mutex_lock(&tree->names);
        code = folds_refresh(tree, false);
        pthread_mutex_unlock(&tree->names);
    }
    return code ? code : tree_find(tree, place, name, out);
}

/*
 * The reference is counted before anybody can make another file of what was found. The node may become another one. `again`: the name leads to
 * another one meanwhile.
 */
static int look_up(struct tree *tree, struct place place, struct node **node, struct stat *out,
                   bool *again)
{
    uint64_t changes = tree->changes;
    struct stat found;
    int code = 0;

    *again = false;
    /* In this order: the kind is read without the node's lock, and changes only where keys may be renamed. */
    if (tree->options.read_only && (*node)->kind == NODE_REPORT)
        code = frozen_renew_report(tree, place, node);
    if (code)
        return code;
    pthread_mutex_lock(&(*node)->lock);
    code = tree_stat(tree, *node, &found);
    if (code == -ENOENT && (*node)->kind == NODE_KEY && !(*node)->replaced)
        absence_note(tree, node_place(*node), (*node)->name->text, changes);
    /* A key that another process removed while it is open has attributes, but no name. */
    if (code == 0 && !(*node)->linked)
        code = -ENOENT;
    *again = code == -ENOENT && (*node)->replaced;
    if (code == 0) {
        node_looked_up(tree, *node);
        *out = found;
    }
    pthread_mutex_unlock(&(*node)->lock);
    return code;
}

int tree_lookup_in(struct tree *tree, struct place place, const char *name, struct stat *out)
{
    struct node *node;
    bool again;
    int code;

    do {
        code = find_fresh(tree, place, name, &node);
        if (code)
            return code;
        code = look_up(tree, place, &node, out, &again);
        node_unpin(tree, node);
        tree_notify(tree);
    } while (again);
    return code;
}

int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct stat *out)
{
    struct node *directory;
    int code = tree_enter(tree, parent, &directory);

    if (code)
        return code;
    code = tree_lookup_in(tree, directory->opens, name, out);
    node_unpin(tree, directory);
    return code;
}

static const char *next_name(void *context)
{
    struct bytes *names = context;
    const char *name = (const char *)names->data;

    if (!names->size)
        return NULL;
    *names = bytes_part(*names, strlen(name) + 1, SIZE_MAX);
    return name;
}

void tree_look_at(struct tree *tree, uint64_t parent, struct bytes names)
{
    struct node *directory;
    struct glance glance;

    if (tree_enter(tree, parent, &directory))
        return;
    glance_take(tree, directory->opens, next_name, &names, &glance);
    glance_park(&glance);
    node_unpin(tree, directory);
    tree_notify(tree);
}
