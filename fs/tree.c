/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/displaced.h"
#include "fs/files.h"
#include "fs/keeper.h"
#include "fs/tree_state.h"
#include "src/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    IDLE_TEXTS = 64 << 20, /* bytes of texts that nobody has open */
    TICK_LONGEST = 60,     /* seconds */
    TRIM_SECONDS = 3,
};

/* What the kernel is to be told. */
struct notice {
    struct list list;
    uint64_t node, parent;
    char name[NAME_LONGEST + 1];
};

struct timespec tree_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

int tree_new(struct store *store, const struct tree_options *options, struct tree **out)
{
    struct tree *tree = calloc(1, sizeof *tree);
    struct stat file;
    int code;

    if (!tree)
        return -ENOMEM;
    tree->store = store;
    tree->options = *options;
    if (store_read_only(store))
        tree->options.read_only = true;
    pthread_mutex_init(&tree->names, NULL);
    pthread_mutex_init(&tree->lock, NULL);
    list_init(&tree->notices);
    buffer_init(&tree->gone, SIZE_MAX);
    texts_init(&tree->texts, IDLE_TEXTS);
    list_init(&tree->due);
    list_init(&tree->handles);
    list_init(&tree->listings);
    frozen_init(&tree->readers);
    list_init(&tree->displaced);
    code = digest_key_random(&tree->digest_key);
    if (code == 0)
        code = attribute_table_init(&tree->attributes, &tree->digest_key);
    if (code == 0)
        code = folds_init(&tree->folds, options->names, &tree->attributes);
    if (code == 0)
        code = nodes_init(&tree->nodes);
    if (code == 0)
        code = control_add_reports(tree);
    if (code) {
        tree_free(tree);
        return code;
    }
    tree->names_change = tree->foreign_change = tree_now();
    if (store_stat(store, &file) == 0)
        tree->names_change = tree->foreign_change = file.st_mtim;
    code = keeper_give(options->keeper, tree);
    if (code)
        tree_free(tree);
    else
        *out = tree;
    return code;
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    files_abandon(tree);
    listings_abandon(tree);
    displaced_release(tree);
    glances_release(tree);
    frozen_release(tree);
    nodes_release(tree);
    folds_release(&tree->folds);
    attribute_table_release(&tree->attributes);
    control_release(&tree->control);
    buffer_release(&tree->gone);
    while (!list_empty(&tree->notices)) {
        struct notice *notice = CONTAINER_OF(tree->notices.next, struct notice, list);

        list_leave(&notice->list);
        free(notice);
    }
    pthread_mutex_destroy(&tree->names);
    pthread_mutex_destroy(&tree->lock);
    free(tree);
}

unsigned tree_tick(struct tree *tree)
{
    unsigned wait, kept = keeper_wait(tree->options.keeper);

    glances_expire(tree);
    frozen_expire(tree);
    scratch_settle(tree, false);
    keeper_write(tree->options.keeper, tree, true);
    wait = scratch_wait(tree);
    if (nodes_trim(tree) && wait > TRIM_SECONDS)
        wait = TRIM_SECONDS;
    tree_notify(tree);
    wait = kept < wait ? kept : wait;
    return wait < TICK_LONGEST ? wait : TICK_LONGEST;
}

/* One line for each file that is no key. Tree lock held. */
static void report_files(struct tree *tree, struct buffer *report)
{
    struct list *at;

    for (at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, held);
        bool kept = node->record && !node->unkept;

        if (node->kind == NODE_REJECTED)
            buffer_add_string(report, "refused text ");
        else if (node->shape == SHAPE_COMPANION)
            buffer_add_string(report, "companion file ");
        else
            buffer_add_string(report, "new file not saved, ");
        buffer_add_string(report, kept ? "kept in the sidecar: " : "not kept: ");
        log_escape(bytes_of_string(node->name->text), report);
        buffer_add_byte(report, '\n');
    }
}

int tree_finish(struct tree *tree, struct buffer *report)
{
    int code = 0, synced = 0;

    if (!tree->options.read_only) {
        code = files_finish(tree);
        synced = scratch_settle(tree, true);
        if (synced == 0)
            synced = store_sync(tree->store);
        keeper_finish(tree->options.keeper, tree);
    }
    pthread_mutex_lock(&tree->lock);
    report_files(tree, report);
    pthread_mutex_unlock(&tree->lock);
    tree_notify(tree);
    return code ? code : synced;
}

int tree_writable(const struct tree *tree)
{
    return tree->options.read_only ? -EROFS : 0;
}

int tree_enter(struct tree *tree, uint64_t id, struct node **out)
{
    struct node *node;
    int code = -ENOENT;

    pthread_mutex_lock(&tree->lock);
    node = nodes_find_id(&tree->nodes, id);
    if (node && node->kind == NODE_DIRECTORY) {
        node->pins++;
        *out = node;
        code = 0;
    } else if (node) {
        code = -ENOTDIR;
    }
    pthread_mutex_unlock(&tree->lock);
    return code;
}

/* Whether the directory is there for those who ask for it by name. Tree lock held. */
static bool fold_is_found(struct tree *tree, struct place place, const struct fold *fold)
{
    if (!fold)
        return false;
    if (place.home == DIRECTORY_REJECTED)
        return control_has_rejected(tree, fold);
    if (!directories[place.home].view)
        return false;
    return fold_exists(fold) || (fold->lingers && scratch_wait_for(tree, fold->emptied) > 0);
}

/* A node for a name that is not in memory. Tree lock held. */
static int add_node(struct tree *tree, struct place place, struct node_name *name,
                    struct node **out)
{
    struct fold *fold = folds_find(&tree->folds, place.fold, name->text);

    if (fold_is_found(tree, place, fold))
        return nodes_add_fold(&tree->nodes, place, name, fold, out);
    if (!directories[place.home].view || !name->has_key || displaced_find(tree, name->key))
        return -ENOENT;
    return nodes_add(&tree->nodes, place, NODE_KEY, name, out);
}

int tree_find_locked(struct tree *tree, struct place place, const char *name, struct node **out)
{
    struct node *node = nodes_find(&tree->nodes, place, name);
    struct node_name *made;
    int code;

    if (node) {
        if (node->opens.fold && !fold_is_found(tree, place, node->opens.fold))
            return -ENOENT;
        node->pins++;
        *out = node;
        return 0;
    }
    code = node_name_new(tree->folds.style, place, name, &made);
    if (code)
        return code;
    code = add_node(tree, place, made, out);
    if (code)
        free(made);
    return code;
}

int tree_find(struct tree *tree, struct place place, const char *name, struct node **out)
{
    int code;

    pthread_mutex_lock(&tree->lock);
    code = tree_find_locked(tree, place, name, out);
    pthread_mutex_unlock(&tree->lock);
    return code;
}

void tree_database(struct tree *tree, struct stat *out)
{
    struct stat file;
    int code = store_stat(tree->store, &file);

    pthread_mutex_lock(&tree->lock);
    if (code) {
        /* No file: a store in memory, or the database was deleted while it is mounted. */
        file = (struct stat){.st_mode = S_IFREG | 0600, .st_uid = getuid(), .st_gid = getgid()};
        file.st_atim = file.st_mtim = file.st_ctim = tree->foreign_change;
    } else if (file.st_mtim.tv_sec != tree->own_change.tv_sec ||
               file.st_mtim.tv_nsec != tree->own_change.tv_nsec) {
        tree->foreign_change = file.st_mtim;
    }
    pthread_mutex_unlock(&tree->lock);
    *out = file;
}

static void database_changed(struct tree *tree, struct bytes key,
                             void (*enter)(struct folds *folds, struct bytes key))
{
    struct stat file;
    int code = store_stat(tree->store, &file);

    atomic_fetch_add(&tree->changes, 1);
    atomic_fetch_add(&tree->touches, 1);
    pthread_mutex_lock(&tree->lock);
    if (code == 0)
        tree->own_change = file.st_mtim;
    enter(&tree->folds, key);
    pthread_mutex_unlock(&tree->lock);
}

void tree_stored(struct tree *tree, struct bytes key)
{
    database_changed(tree, key, folds_stored);
}

void tree_removed(struct tree *tree, struct bytes key)
{
    database_changed(tree, key, folds_removed);
}

void tree_names_changed(struct tree *tree, struct place place)
{
    tree->names_change = tree_now();
    fold_changed(&tree->folds, place.fold, tree->names_change);
    for (int i = 0; i < DIRECTORY_COUNT; i++)
        tree->nodes.directories[i].own.set &= ~(unsigned)ATTRIBUTE_MTIME;
}

void tree_touch_begin(struct tree *tree)
{
    atomic_fetch_add(&tree->touching, 1);
    atomic_fetch_add(&tree->touches, 1);
}

void tree_touch_end(struct tree *tree)
{
    atomic_fetch_sub(&tree->touching, 1);
}

void tree_notice(struct tree *tree, struct node *node)
{
    struct node *parent = nodes_find_place(&tree->nodes, node_place(node));
    struct notice *notice;

    atomic_fetch_add(&tree->touches, 1);
    /* Without memory the kernel finds out when its timeout is over; of a directory without a node it knows nothing. */
    if (!tree->options.invalidate || !parent || !(notice = malloc(sizeof *notice)))
        return;
    notice->node = node->id;
    notice->parent = parent->id;
    memcpy(notice->name, node->name->text, node->name->size + 1);
    list_init(&notice->list);
    list_append(&tree->notices, &notice->list);
    atomic_store(&tree->noticed, true);
}

void tree_notify(struct tree *tree)
{
    while (atomic_load(&tree->noticed)) {
        struct notice *notice = NULL;

        pthread_mutex_lock(&tree->lock);
        if (list_empty(&tree->notices)) {
            atomic_store(&tree->noticed, false);
        } else {
            notice = CONTAINER_OF(tree->notices.next, struct notice, list);
            list_leave(&notice->list);
        }
        pthread_mutex_unlock(&tree->lock);
        if (!notice)
            return;
        tree->options.invalidate(tree->options.context, notice->node, notice->parent, notice->name);
        free(notice);
    }
}
