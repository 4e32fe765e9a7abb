/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/scratch.h"

#include "fs/commit.h"
#include "fs/displaced.h"
#include "fs/tree_state.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Shapes of names. '*' (once a pattern) stands for one or more bytes, '?' for any one, '@' for a letter or digit:
 * mkstemp(3) draws from those.
 */
static const struct {
    const char *pattern;
    enum scratch_shape shape;
} shapes[] = {
    {".*.sw?", SHAPE_COMPANION},           /* vim's swap files: .swp, .swo, ... */
    {".*.swpx", SHAPE_COMPANION},          /* vim looks whether long names work */
    {"*~", SHAPE_COMPANION},               /* backups: vim, emacs, nano */
    {"#*#", SHAPE_COMPANION},              /* emacs' auto-save */
    {".#*", SHAPE_COMPANION},              /* emacs' lock, a symlink */
    {".~lock.*#", SHAPE_COMPANION},        /* LibreOffice */
    {"._*", SHAPE_COMPANION},              /* macOS, resource forks */
    {".DS_Store", SHAPE_COMPANION},        /* macOS, Finder */
    {".nfs*", SHAPE_COMPANION},            /* an NFS client's unlinked open file */
    {".fuse_hidden*", SHAPE_COMPANION},    /* libfuse's */
    {"sed@@@@@@", SHAPE_TRANSIENT},        /* sed -i */
    {".*.@@@@@@", SHAPE_TRANSIENT},        /* rsync */
    {".goutputstream-*", SHAPE_TRANSIENT}, /* GIO */
};

static bool matches_byte(char pattern, char byte)
{
    if (pattern == '@')
        return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
               (byte >= 'a' && byte <= 'z');
    return pattern == '?' || pattern == byte;
}

static bool matches_part(const char *pattern, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!matches_byte(pattern[i], text[i]))
            return false;
    }
    return true;
}

static bool matches(const char *pattern, const char *name)
{
    const char *star = strchr(pattern, '*');
    size_t size = strlen(name), before, after;

    if (!star)
        return strlen(pattern) == size && matches_part(pattern, name, size);
    before = (size_t)(star - pattern);
    after = strlen(star + 1);
    return size > before + after && matches_part(pattern, name, before) &&
           matches_part(star + 1, name + size - after, after);
}

/* Also rsync's own suggestion for --partial-dir. */
static const char *const tool_directories[] = {".~tmp~", ".rsync-partial"};

bool scratch_is_directory(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(tool_directories); i++) {
        if (strcmp(tool_directories[i], name) == 0)
            return true;
    }
    return false;
}

int scratch_may_make_directory(struct tree *tree, struct place place, const char *name)
{
    struct node_name *made;
    int code;

    if (!tree->options.scratch || !scratch_is_directory(name))
        return -EPERM;
    code = node_name_new(tree->folds.style, place, name, &made);
    if (code)
        return code;
    if (made->has_key)
        code = store_exists(tree->store, made->key);
    free(made);
    return code > 0 ? -EEXIST : code;
}

enum scratch_shape scratch_shape(const struct fold *fold, const char *name)
{
    if (fold && scratch_is_directory(fold->name))
        return SHAPE_COMPANION;
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        if (matches(shapes[i].pattern, name))
            return shapes[i].shape;
    }
    return SHAPE_PLAIN;
}

struct timespec scratch_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now;
}

unsigned scratch_wait_for(const struct tree *tree, struct timespec since)
{
    time_t passed = scratch_clock().tv_sec - since.tv_sec;
    unsigned patience = tree->options.transient_seconds;

    return passed >= (time_t)patience ? 0 : patience - (unsigned)passed;
}

/* Tree lock held. The scratch file is gone; handles go on with what it holds. */
static void unlink_scratch(struct tree *tree, struct node *node)
{
    nodes_unlink(&tree->nodes, node);
    list_leave(&node->due);
    nodes_let_go(tree, node);
    tree_names_changed(tree, node_place(node));
}

int scratch_remove(struct tree *tree, struct node *node)
{
    int code = displaced_end_with(tree, node);

    if (code)
        return code;
    pthread_mutex_lock(&tree->lock);
    unlink_scratch(tree, node);
    pthread_mutex_unlock(&tree->lock);
    return 0;
}

void scratch_replaced(struct tree *tree, struct node *node)
{
    int code = displaced_end_with(tree, node);

    pthread_mutex_lock(&tree->lock);
    /* The value could not be removed: it appears under its old name again. */
    if (code)
        displaced_end(tree, displaced_as(tree, node));
    unlink_scratch(tree, node);
    pthread_mutex_unlock(&tree->lock);
}

/* --- time --- */

void scratch_queue(struct tree *tree, struct node *node)
{
    if (node->kind != NODE_SCRATCH || !node->linked || node->shape == SHAPE_COMPANION ||
        node->refused || node->handles)
        return;
    list_leave(&node->due);
    node->closed = scratch_clock();
    list_append(&tree->due, &node->due);
}

/* The first transient whose time has come, pinned and out of the queue. */
static struct node *next_due(struct tree *tree, bool all)
{
    struct node *node = NULL;

    pthread_mutex_lock(&tree->lock);
    if (!list_empty(&tree->due)) {
        node = CONTAINER_OF(tree->due.next, struct node, due);
        if (all || scratch_wait_for(tree, node->closed) == 0) {
            node->pins++;
            list_leave(&node->due);
        } else {
            node = NULL;
        }
    }
    pthread_mutex_unlock(&tree->lock);
    return node;
}

static int settle_transients(struct tree *tree, bool all)
{
    struct node *node;
    int first = 0;

    while ((node = next_due(tree, all))) {
        bool names = commit_lock(tree, node);
        /* Opened again meanwhile: its next close counts. */
        int code = node->handles && !all ? 0 : commit_node(tree, node, COMMIT_SETTLE);

        commit_unlock(tree, node, names);
        node_unpin(tree, node);
        if (code && !first)
            first = code;
    }
    return first;
}

int scratch_settle(struct tree *tree, bool all)
{
    int first = settle_transients(tree, all);
    int second = displaced_settle(tree, all);

    return first ? first : second;
}

unsigned scratch_wait(struct tree *tree)
{
    unsigned wait, due;

    pthread_mutex_lock(&tree->lock);
    wait = displaced_wait(tree);
    if (!list_empty(&tree->due)) {
        due = scratch_wait_for(tree, CONTAINER_OF(tree->due.next, struct node, due)->closed);
        wait = due < wait ? due : wait;
    }
    pthread_mutex_unlock(&tree->lock);
    return wait ? wait : 1;
}
