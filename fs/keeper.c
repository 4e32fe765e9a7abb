/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/keeper.h"

#include "fs/content.h"
#include "fs/keeper_state.h"
#include "fs/tree_state.h"
#include "src/log.h"
#include "src/sidecar.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WRITE_SECONDS = 3, /* between two writes */
    /* Entries may belong to keys that are no more: so many, and as many as were known to exist. */
    STALE_ENTRIES = 1024,
    NAME_SIZE = 16,
};

/* --- records --- */

static void pack_word(struct buffer *out, uint64_t word)
{
    for (unsigned i = 0; i < sizeof word; i++)
        buffer_add_byte(out, (uint8_t)(word >> 8 * i));
}

static void pack_time(struct buffer *out, struct timespec time)
{
    pack_word(out, (uint64_t)time.tv_sec);
    pack_word(out, (uint64_t)time.tv_nsec);
}

static void pack_secret(const struct keeper *keeper, struct buffer *out)
{
    pack_word(out, keeper->secret.words[0]);
    pack_word(out, keeper->secret.words[1]);
}

static void pack_identity(const struct identity *identity, struct buffer *out)
{
    buffer_add(out, bytes_of(identity->engine, sizeof identity->engine));
    pack_word(out, identity->device);
    pack_word(out, identity->inode);
    pack_time(out, identity->changed);
    pack_time(out, identity->foreign);
    pack_time(out, identity->names);
    pack_word(out, identity->known);
}

static struct bytes page_name(char *room, unsigned page)
{
    snprintf(room, NAME_SIZE, KEEPER_PAGES "%03x", page);
    return bytes_of_string(room);
}

/* --- writing --- */

static bool keeps(const struct keeper *keeper)
{
    return keeper && keeper->sidecar && sidecar_writable(keeper->sidecar);
}

/* What is written in one transaction. */
struct writing {
    struct keeper *keeper;
    struct tree *tree;
    struct identity identity;
    struct attributes directory;
    bool pages[ATTRIBUTE_PAGES]; /* that were taken */
    struct buffer gone;          /* likewise */
    uint64_t number;             /* one file alone, and its record; 0: all but files */
    struct bytes file;
};

/* Fills in what is to be written beside the pages; whether there is anything. Takes the tree lock. */
static bool is_changed(struct writing *writing)
{
    struct keeper *keeper = writing->keeper;
    struct tree *tree = writing->tree;
    struct identity *identity = &writing->identity;
    struct stat file;
    bool changed;

    tree_database(tree, &file);
    snprintf(identity->engine, sizeof identity->engine, "%s", store_engine(keeper->store));
    identity->device = file.st_dev;
    identity->inode = file.st_ino;
    identity->changed = file.st_mtim;
    identity->known = keeper->identity.known;
    pthread_mutex_lock(&tree->lock);
    identity->foreign = tree->foreign_change;
    identity->names = tree->names_change;
    writing->directory = tree->nodes.directories[DIRECTORY_ROOT].own;
    changed = attribute_page_changed(&tree->attributes, 0) < ATTRIBUTE_PAGES || tree->gone.size ||
              memcmp(&writing->directory, &keeper->directory, sizeof writing->directory) != 0;
    pthread_mutex_unlock(&tree->lock);
    /* Times of the file alone are no reason to make a sidecar. */
    return changed || (keeper->identity.engine[0] &&
                       !keeper_same_time(identity->changed, keeper->identity.changed));
}

static int put(struct keeper *keeper, const char *name, struct buffer *content)
{
    int code = buffer_status(content);

    if (code == 0)
        code = sidecar_put(keeper->sidecar, bytes_of_string(name), buffer_bytes(content));
    buffer_clear(content);
    return code;
}

static int put_head(struct writing *writing, struct buffer *content)
{
    struct keeper *keeper = writing->keeper;
    int code;

    pack_secret(keeper, content);
    code = put(keeper, "secret", content);
    pack_identity(&writing->identity, content);
    if (code == 0)
        code = put(keeper, "database", content);
    attributes_pack(&writing->directory, content);
    if (code == 0)
        code = put(keeper, "directory", content);
    if (code == 0 && keeper->has_dialect) {
        header_print(keeper->dialect, content);
        code = put(keeper, "dialect", content);
    }
    return code;
}

static int put_page(struct writing *writing, unsigned page, struct buffer *content)
{
    struct tree *tree = writing->tree;
    struct sidecar *sidecar = writing->keeper->sidecar;
    char room[NAME_SIZE];
    struct bytes name = page_name(room, page);

    buffer_clear(content);
    pthread_mutex_lock(&tree->lock);
    attribute_page_pack(&tree->attributes, page, content);
    pthread_mutex_unlock(&tree->lock);
    writing->pages[page] = true;
    if (buffer_status(content))
        return buffer_status(content);
    return content->size ? sidecar_put(sidecar, name, buffer_bytes(content))
                         : sidecar_remove(sidecar, name);
}

static unsigned next_page(struct tree *tree, unsigned from)
{
    unsigned page;

    pthread_mutex_lock(&tree->lock);
    page = attribute_page_changed(&tree->attributes, from);
    pthread_mutex_unlock(&tree->lock);
    return page;
}

static int remove_gone(struct writing *writing)
{
    struct bytes gone;
    int code = 0;

    pthread_mutex_lock(&writing->tree->lock);
    buffer_take(&writing->gone, &writing->tree->gone);
    pthread_mutex_unlock(&writing->tree->lock);
    gone = buffer_bytes(&writing->gone);
    for (; gone.size && code == 0; gone = bytes_part(gone, sizeof(uint64_t), SIZE_MAX)) {
        char room[KEPT_NAME_SIZE];
        uint64_t number;

        memcpy(&number, gone.data, sizeof number);
        code = sidecar_remove(writing->keeper->sidecar, kept_name(room, number));
    }
    return code;
}

static int put_changed(struct writing *writing, struct buffer *content)
{
    int code = remove_gone(writing);

    for (unsigned page = 0; code == 0 && (page = next_page(writing->tree, page)) < ATTRIBUTE_PAGES;
         page++)
        code = put_page(writing, page, content);
    return code;
}

static int put_file(struct writing *writing)
{
    char room[KEPT_NAME_SIZE];

    return sidecar_put(writing->keeper->sidecar, kept_name(room, writing->number), writing->file);
}

static int put_all(struct writing *writing)
{
    struct buffer content = BUFFER_INIT;
    int code = put_head(writing, &content);

    if (code == 0)
        code = writing->number ? put_file(writing) : put_changed(writing, &content);
    buffer_release(&content);
    return code;
}

/* The next attempt puts it again. */
static void failed(struct writing *writing)
{
    pthread_mutex_lock(&writing->tree->lock);
    for (unsigned page = 0; page < ATTRIBUTE_PAGES; page++) {
        if (writing->pages[page])
            attribute_page_taint(&writing->tree->attributes, page);
    }
    buffer_add(&writing->tree->gone, buffer_bytes(&writing->gone));
    pthread_mutex_unlock(&writing->tree->lock);
}

static int begin(struct writing *writing, struct failure *failure)
{
    struct tree *tree = writing->tree;
    int code = sidecar_begin(writing->keeper->sidecar, failure);

    if (code <= 0)
        return code;
    pthread_mutex_lock(&tree->lock);
    attribute_table_taint(&tree->attributes);
    for (struct list *at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next)
        CONTAINER_OF(at, struct node, held)->unkept = true;
    pthread_mutex_unlock(&tree->lock);
    return 0;
}

/* Keeper lock held. */
static int write_changed(struct writing *writing, bool durable)
{
    struct keeper *keeper = writing->keeper;
    struct failure failure = {0};
    int code = begin(writing, &failure);

    if (code == 0)
        code = sidecar_end(keeper->sidecar, put_all(writing), durable, &failure);
    if (code == 0) {
        keeper->identity = writing->identity;
        keeper->directory = writing->directory;
        keeper->told = false;
        return 0;
    }
    failed(writing);
    if (!keeper->told)
        log_error(keeper->log, "what the database can't hold is not kept at present: %s",
                  failure.message);
    keeper->told = true;
    return code;
}

/* Keeper lock held. The record that the file gets; 0: there is no room for one. */
static uint64_t number_for(struct keeper *keeper, struct tree *tree, const struct node *node,
                           size_t size)
{
    uint64_t number;

    pthread_mutex_lock(&tree->lock);
    number = node->record ? node->record : keeper->files.last + 1;
    if (node->kind != NODE_REJECTED &&
        ((!node->record && keeper->kept >= KEPT_MOST) ||
         size > KEPT_ALL_BYTES - (keeper->kept_bytes - node->recorded)))
        number = 0;
    pthread_mutex_unlock(&tree->lock);
    return number;
}

/* Tree lock held. */
static void count_file(struct keeper *keeper, struct node *node, uint64_t record, size_t size)
{
    if (node->kind != NODE_REJECTED) {
        keeper->kept += (record != 0) - (size_t)(node->record != 0);
        keeper->kept_bytes += size - node->recorded;
    }
    node->record = record;
    node->recorded = size;
}

static void add_gone(struct tree *tree, uint64_t record)
{
    buffer_add(&tree->gone, bytes_of(&record, sizeof record));
}

/* Keeper lock held. The file may have become a key, or its text settled, meanwhile. */
static void recorded(struct writing *writing, struct node *node)
{
    struct keeper *keeper = writing->keeper;
    struct tree *tree = writing->tree;

    if (writing->number > keeper->files.last)
        keeper->files.last = writing->number;
    pthread_mutex_lock(&tree->lock);
    if (list_empty(&node->held))
        add_gone(tree, writing->number);
    else
        count_file(keeper, node, writing->number, writing->file.size);
    pthread_mutex_unlock(&tree->lock);
}

static int write_file(struct keeper *keeper, struct tree *tree, struct node *node,
                      struct bytes content, bool durable)
{
    struct writing writing = {.keeper = keeper, .tree = tree, .file = content, .gone = BUFFER_INIT};
    int code = -EFBIG;

    pthread_mutex_lock(&keeper->lock);
    writing.number = number_for(keeper, tree, node, content.size);
    if (writing.number) {
        is_changed(&writing);
        code = write_changed(&writing, durable);
    }
    if (code == 0)
        recorded(&writing, node);
    pthread_mutex_unlock(&keeper->lock);
    return code;
}

static void tell_full(struct keeper *keeper, const struct node *node)
{
    bool told;

    pthread_mutex_lock(&keeper->lock);
    told = keeper->full;
    keeper->full = true;
    pthread_mutex_unlock(&keeper->lock);
    if (!told)
        log_error(keeper->log, "%s: no room to keep %s, and perhaps others, after the unmount",
                  sidecar_name(keeper->sidecar), node->name->text);
}

/* Node lock held, or it is NODE_REJECTED. */
static int keep(struct keeper *keeper, struct tree *tree, struct node *node, bool durable)
{
    struct buffer content = BUFFER_INIT;
    int code;

    if (!atomic_exchange(&node->unkept, false) && !durable)
        return 0;
    code = kept_pack_node(tree, node, &content);
    if (code == 0)
        code = write_file(keeper, tree, node, buffer_bytes(&content), durable);
    if (code)
        node->unkept = true;
    if (code == -EFBIG)
        tell_full(keeper, node);
    buffer_release(&content);
    return code;
}

int keeper_keep(struct keeper *keeper, struct tree *tree, struct node *node, bool durable)
{
    bool held;

    if (!keeps(keeper) || (node->kind == NODE_SCRATCH && node->shape != SHAPE_COMPANION))
        return 0;
    pthread_mutex_lock(&tree->lock);
    held = !list_empty(&node->held);
    pthread_mutex_unlock(&tree->lock);
    return held ? keep(keeper, tree, node, durable) : 0;
}

void keeper_forget(struct keeper *keeper, struct tree *tree, struct node *node)
{
    if (!keeper || !node->record)
        return;
    add_gone(tree, node->record);
    count_file(keeper, node, 0, 0);
}

/* A file that somebody has open may soon be a key, or gone; but a companion may be open for days. */
static bool is_settled(const struct node *node)
{
    return node->kind != NODE_SCRATCH || node->shape == SHAPE_COMPANION || !node->handles;
}

static void keep_pinned(struct keeper *keeper, struct tree *tree, struct node *node)
{
    pthread_mutex_lock(&node->lock);
    if (is_settled(node) && node->linked)
        keep(keeper, tree, node, false);
    pthread_mutex_unlock(&node->lock);
    node_unpin(tree, node);
}

/* What finds no memory waits for the next time. */
static void keep_all(struct keeper *keeper, struct tree *tree)
{
    struct buffer changed = BUFFER_INIT;
    struct node *node;

    pthread_mutex_lock(&tree->lock);
    for (struct list *at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        node = CONTAINER_OF(at, struct node, held);
        if (!node->unkept)
            continue;
        buffer_add(&changed, bytes_of(&node, sizeof node));
        if (buffer_status(&changed))
            break;
        node->pins++;
    }
    pthread_mutex_unlock(&tree->lock);
    for (size_t at = 0; at + sizeof node <= changed.size; at += sizeof node) {
        memcpy(&node, changed.data + at, sizeof node);
        keep_pinned(keeper, tree, node);
    }
    buffer_release(&changed);
}

int keeper_write(struct keeper *keeper, struct tree *tree, bool durable)
{
    struct writing writing = {.keeper = keeper, .tree = tree, .gone = BUFFER_INIT};
    int code = 0;

    if (!keeps(keeper))
        return 0;
    keep_all(keeper, tree);
    pthread_mutex_lock(&keeper->lock);
    if (is_changed(&writing))
        code = write_changed(&writing, durable);
    pthread_mutex_unlock(&keeper->lock);
    buffer_release(&writing.gone);
    return code;
}

unsigned keeper_wait(const struct keeper *keeper)
{
    return keeps(keeper) ? WRITE_SECONDS : UINT_MAX;
}

static bool mark_key(void *context, struct bytes key)
{
    struct tree *tree = context;

    attributes_mark(&tree->attributes, key);
    folds_mark(&tree->folds, key);
    return true;
}

/* Nobody else uses the tree any more. */
static void forget_stale(struct keeper *keeper, struct tree *tree)
{
    struct attribute_table *table = &tree->attributes;

    if (table->count / 2 <= keeper->identity.known + STALE_ENTRIES ||
        store_visit(keeper->store, mark_key, tree))
        return;
    attributes_drop_unmarked(table);
    keeper->identity.known = table->count;
}

int keeper_finish(struct keeper *keeper, struct tree *tree)
{
    if (keeps(keeper))
        forget_stale(keeper, tree);
    return keeper_write(keeper, tree, true);
}

void keeper_describe(const struct keeper *keeper, struct buffer *out)
{
    buffer_add_string(out, "sidecar: ");
    if (!keeper || !keeper->sidecar) {
        buffer_add_string(out, "none\n");
        return;
    }
    log_escape(bytes_of_string(sidecar_name(keeper->sidecar)), out);
    buffer_add_string(out, sidecar_writable(keeper->sidecar) ? "\n" : " (not written)\n");
}
