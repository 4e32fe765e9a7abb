/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/displaced.h"
#include "fs/files.h"
#include "fs/tree_state.h"
#include "src/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    IDLE_TEXTS = 64 << 20, /* bytes of texts that nobody has open */
    TICK_LONGEST = 60,     /* seconds */
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
    texts_init(&tree->texts, IDLE_TEXTS);
    list_init(&tree->due);
    list_init(&tree->handles);
    list_init(&tree->displaced);
    code = digest_key_random(&tree->digest_key);
    if (code == 0)
        code = attribute_table_init(&tree->attributes, &tree->digest_key);
    if (code == 0)
        code = nodes_init(&tree->nodes);
    if (code == 0)
        code = control_add_reports(tree);
    if (code) {
        tree_free(tree);
        return code;
    }
    tree->names_change = tree->foreign_change = tree_now();
    if (stat(store_path(store), &file) == 0)
        tree->names_change = tree->foreign_change = file.st_mtim;
    *out = tree;
    return 0;
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    files_abandon(tree);
    displaced_release(tree);
    nodes_release(tree);
    attribute_table_release(&tree->attributes);
    control_release(&tree->control);
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
    unsigned wait;

    scratch_settle(tree, false);
    wait = scratch_wait(tree);
    tree_notify(tree);
    return wait < TICK_LONGEST ? wait : TICK_LONGEST;
}

/* One line for each file that goes with the mount. Tree lock held. */
static void report_lost(struct tree *tree, struct buffer *report)
{
    struct list *at;

    for (at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, held);

        if (node->kind == NODE_REJECTED)
            buffer_add_string(report, "refused text not saved: ");
        else if (node->shape == SHAPE_COMPANION)
            buffer_add_string(report, "companion file not kept: ");
        else
            buffer_add_string(report, "new file not saved: ");
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
    }
    pthread_mutex_lock(&tree->lock);
    report_lost(tree, report);
    pthread_mutex_unlock(&tree->lock);
    tree_notify(tree);
    return code ? code : synced;
}

int tree_writable(const struct tree *tree)
{
    return tree->options.read_only ? -EROFS : 0;
}

int tree_directory(struct tree *tree, uint64_t id, enum directory_number *out)
{
    struct node *node;
    int code = -ENOENT;

    pthread_mutex_lock(&tree->lock);
    node = nodes_find_id(&tree->nodes, id);
    if (node && node->kind == NODE_DIRECTORY) {
        *out = node->opens;
        code = 0;
    } else if (node) {
        code = -ENOTDIR;
    }
    pthread_mutex_unlock(&tree->lock);
    return code;
}

/* Tree lock held. */
static int find_or_add(struct tree *tree, enum directory_number home, const char *name,
                       struct node **out)
{
    struct node *node = nodes_find(&tree->nodes, home, name);
    struct node_name *made;
    int code;

    if (node) {
        node->pins++;
        *out = node;
        return 0;
    }
    if (strlen(name) > NAME_LONGEST)
        return -ENAMETOOLONG;
    if (!directories[home].view)
        return -ENOENT;
    code = node_name_new(name, &made);
    if (code)
        return code;
    if (!made->has_key || displaced_find(tree, made->key))
        code = -ENOENT;
    else
        code = nodes_add(&tree->nodes, home, NODE_KEY, made, out);
    if (code)
        free(made);
    return code;
}

int tree_find(struct tree *tree, enum directory_number home, const char *name, struct node **out)
{
    int code;

    pthread_mutex_lock(&tree->lock);
    code = find_or_add(tree, home, name, out);
    pthread_mutex_unlock(&tree->lock);
    return code;
}

void tree_database(struct tree *tree, struct stat *out)
{
    struct stat file;
    int code = stat(store_path(tree->store), &file);

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

void tree_database_changed(struct tree *tree)
{
    struct stat file;

    if (stat(store_path(tree->store), &file))
        return;
    pthread_mutex_lock(&tree->lock);
    tree->own_change = file.st_mtim;
    pthread_mutex_unlock(&tree->lock);
}

void tree_names_changed(struct tree *tree)
{
    tree->names_change = tree_now();
    for (int i = 0; i < DIRECTORY_COUNT; i++)
        tree->nodes.directories[i].own.set &= ~(unsigned)ATTRIBUTE_MTIME;
}

void tree_notice(struct tree *tree, struct node *node)
{
    struct notice *notice;

    /* Without memory the kernel finds out when its timeout is over. */
    if (!tree->options.invalidate || !(notice = malloc(sizeof *notice)))
        return;
    notice->node = node->id;
    notice->parent = tree->nodes.directories[node->home].id;
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
