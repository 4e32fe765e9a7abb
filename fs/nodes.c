/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/nodes.h"

#include "fs/content.h"
#include "fs/files.h"
#include "fs/heap.h"
#include "fs/keeper.h"
#include "fs/tree_state.h"
#include "src/keyname.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MANY = 1 << 16 };

/* Constant, so that ids are the same in every mount. Never change it. */
static const struct digest_key id_key = {{0x7368656c76656673, 0x6e6f646520696473}};

static int key_of(enum keyname_style style, struct place place, struct bytes name,
                  struct buffer *key)
{
    struct buffer path = BUFFER_INIT;
    int code;

    if (keyname_is_fold(name))
        return -ENOENT;
    if (!place.fold)
        return keyname_decode(style, name, key);
    fold_add_path(place.fold, &path);
    buffer_add(&path, name);
    code = buffer_status(&path);
    if (code == 0)
        code = keyname_decode(style, buffer_bytes(&path), key);
    buffer_release(&path);
    return code;
}

int node_name_new(enum keyname_style style, struct place place, const char *name,
                  struct node_name **out)
{
    size_t size = strlen(name);
    struct buffer key = BUFFER_INIT;
    struct node_name *made;
    size_t more;
    int code;

    if (size > NAME_LONGEST)
        return -ENAMETOOLONG;
    code = key_of(style, place, bytes_of(name, size), &key);
    if (code && code != -ENOENT) {
        buffer_release(&key);
        return code;
    }
    /* Most names are their keys. */
    more = bytes_equal(buffer_bytes(&key), bytes_of(name, size)) ? 0 : key.size;
    made = malloc(sizeof *made + size + 1 + more);
    if (made) {
        *made = (struct node_name){.has_key = code == 0, .size = (uint32_t)size};
        memcpy(made->text, name, size + 1);
        if (more)
            memcpy(made->text + size + 1, key.data, more);
        made->key = bytes_of(made->text + (more ? size + 1 : 0), key.size);
        *out = made;
    }
    buffer_release(&key);
    return made ? 0 : -ENOMEM;
}

int node_name_refusal(struct place place, const struct node_name *name)
{
    size_t longest = place.fold ? KEYNAME_PIECE_MAX : KEYNAME_MAX;

    return name->size > longest ? -ENAMETOOLONG : -EINVAL;
}

/* A fold stands for itself by its hash: "VIEW/HASH/name", where no view's path has a '/' in its place. */
uint64_t node_hash(struct place place, const char *name)
{
    const char *above = directories[place.home].path;
    size_t start = strlen(above), size = strnlen(name, NAME_LONGEST);
    char path[96 + NAME_LONGEST];
    uint64_t hash;

    memcpy(path, above, start);
    if (place.fold)
        start += (size_t)snprintf(path + start, 20, "//%016" PRIx64, place.fold->by_name.hash);
    path[start++] = '/';
    memcpy(path + start, name, size);
    hash = digest_bytes(&id_key, bytes_of(path, start + size)).words[0];
    return hash > TREE_ROOT ? hash : hash + 2;
}

static void node_init(struct node *node, struct place place, enum node_kind kind,
                      struct node_name *name)
{
    *node = (struct node){
        .home = place.home, .fold = place.fold, .kind = kind, .name = name, .pins = 1};
    fold_pin(place.fold);
    pthread_mutex_init(&node->lock, NULL);
    cached_text_init(&node->cached);
    list_init(&node->held);
    list_init(&node->due);
}

static void node_destroy(struct node *node)
{
    pthread_mutex_destroy(&node->lock);
    free(node->refusal);
    free(node->name);
}

static void nodes_link(struct nodes *nodes, struct node *node)
{
    chains_add(&nodes->by_name, &node->by_name, node_hash(node_place(node), node->name->text));
    node->linked = true;
}

/* Ids are given by probing: a name's own number may be with a file that was renamed away. */
static void nodes_number(struct nodes *nodes, struct node *node, uint64_t id)
{
    while (id <= TREE_ROOT || nodes_find_id(nodes, id))
        id++;
    node->id = id;
    chains_add(&nodes->by_id, &node->by_id, id);
}

static int add_directory(struct nodes *nodes, enum directory_number number)
{
    struct place parent = {.home = directories[number].parent};
    struct node *node = &nodes->directories[number];
    struct node_name *name;
    int code = node_name_new(KEYNAME_EXACT, parent, directories[number].name, &name);

    if (code)
        return code;
    node_init(node, parent, NODE_DIRECTORY, name);
    node->opens = (struct place){.home = number};
    if (number == DIRECTORY_ROOT) {
        node->id = TREE_ROOT;
        chains_add(&nodes->by_id, &node->by_id, TREE_ROOT);
    } else {
        nodes_number(nodes, node, node_hash(parent, name->text));
        nodes_link(nodes, node);
    }
    return 0;
}

int nodes_init(struct nodes *nodes)
{
    int code;

    *nodes = (struct nodes){0};
    list_init(&nodes->held);
    code = chains_init(&nodes->by_id);
    if (code == 0)
        code = chains_init(&nodes->by_name);
    for (int i = 0; i < DIRECTORY_COUNT && code == 0; i++)
        code = add_directory(nodes, (enum directory_number)i);
    return code;
}

static void node_free(struct tree *tree, struct node *node)
{
    chains_remove(&tree->nodes.by_id, &node->by_id);
    nodes_unlink(&tree->nodes, node);
    texts_set(&tree->texts, &node->cached, NULL);
    content_drop_draft(tree, node);
    handles_free(node);
    fold_unpin(&tree->folds, node->fold);
    fold_unpin(&tree->folds, node->opens.fold);
    node_destroy(node);
    free(node);
    tree->nodes.freed++;
}

/* Tree lock held. Many were freed, and none since the last call: the kernel has done with it. */
static bool has_emptied(struct nodes *nodes)
{
    bool quiet = nodes->freed == nodes->freed_before;

    nodes->freed_before = nodes->freed;
    return quiet && nodes->freed >= MANY;
}

bool nodes_trim(struct tree *tree)
{
    struct nodes *nodes = &tree->nodes;
    bool emptied, watched, turned;

    pthread_mutex_lock(&tree->lock);
    emptied = has_emptied(nodes);
    if (emptied) {
        nodes->freed = nodes->freed_before = 0;
        attribute_table_gather(&tree->attributes);
    }
    watched = nodes->by_id.count >= MANY || nodes->freed >= MANY;
    turned = watched != nodes->watched;
    nodes->watched = watched;
    pthread_mutex_unlock(&tree->lock);
    if (emptied)
        heap_return();
    if (turned)
        heap_set_thrifty(watched);
    return watched;
}

void nodes_release(struct tree *tree)
{
    struct nodes *nodes = &tree->nodes;
    struct chain_link *link;

    for (int i = 0; i < DIRECTORY_COUNT; i++) {
        struct node *node = &nodes->directories[i];

        if (!node->name)
            continue;
        nodes_unlink(nodes, node);
        chains_remove(&nodes->by_id, &node->by_id);
        node_destroy(node);
    }
    while (nodes->by_id.buckets && (link = chains_any(&nodes->by_id)))
        node_free(tree, CONTAINER_OF(link, struct node, by_id));
    chains_release(&nodes->by_id);
    chains_release(&nodes->by_name);
}

struct node *nodes_find(struct nodes *nodes, struct place place, const char *name)
{
    struct chain_link *link = chains_find(&nodes->by_name, node_hash(place, name));

    for (; link; link = chains_next(link)) {
        struct node *node = CONTAINER_OF(link, struct node, by_name);

        if (place_equal(node_place(node), place) && strcmp(node->name->text, name) == 0)
            return node;
    }
    return NULL;
}

struct node *nodes_find_place(struct nodes *nodes, struct place place)
{
    if (!place.fold)
        return &nodes->directories[place.home];
    return nodes_find(nodes, (struct place){place.home, place.fold->parent}, place.fold->name);
}

struct node *nodes_find_id(struct nodes *nodes, uint64_t id)
{
    struct chain_link *link = chains_find(&nodes->by_id, id);

    return link ? CONTAINER_OF(link, struct node, by_id) : NULL;
}

int nodes_add(struct nodes *nodes, struct place place, enum node_kind kind, struct node_name *name,
              struct node **out)
{
    struct node *node = malloc(sizeof *node);

    if (!node)
        return -ENOMEM;
    node_init(node, place, kind, name);
    nodes_number(nodes, node, node_hash(place, name->text));
    nodes_link(nodes, node);
    *out = node;
    return 0;
}

int nodes_replace(struct nodes *nodes, struct node *before, struct node **out)
{
    struct node_name *name;
    int code = node_name_new(KEYNAME_EXACT, node_place(before), before->name->text, &name);

    if (code)
        return code;
    /* Its number is taken, so the new one gets another. */
    code = nodes_add(nodes, node_place(before), before->kind, name, out);
    if (code)
        free(name);
    else
        nodes_unlink(nodes, before);
    return code;
}

int nodes_add_fold(struct nodes *nodes, struct place place, struct node_name *name,
                   struct fold *fold, struct node **out)
{
    int code = nodes_add(nodes, place, NODE_DIRECTORY, name, out);

    if (code)
        return code;
    (*out)->opens = (struct place){place.home, fold};
    fold_pin(fold);
    return 0;
}

void nodes_unlink(struct nodes *nodes, struct node *node)
{
    if (!node->linked)
        return;
    chains_remove(&nodes->by_name, &node->by_name);
    node->linked = false;
}

/* Of the files that exist only here, refused texts do not keep a directory in the views. */
static bool uses_its_fold(const struct node *node)
{
    return !list_empty(&node->held) && node->kind != NODE_REJECTED;
}

void nodes_relink(struct tree *tree, struct node *node, struct fold *fold, struct node_name *name)
{
    struct nodes *nodes = &tree->nodes;
    struct fold *before = node->fold;
    bool uses = uses_its_fold(node);

    nodes_unlink(nodes, node);
    free(node->name);
    node->name = name;
    node->fold = fold;
    node->unkept = true;
    fold_pin(fold);
    if (uses) {
        fold_use(fold);
        fold_unuse(&tree->folds, before);
    }
    fold_unpin(&tree->folds, before);
    nodes_link(nodes, node);
}

void nodes_exchange(struct nodes *nodes, struct node *one, struct node *other)
{
    struct node_name *name = one->name;
    struct fold *fold = one->fold;

    nodes_unlink(nodes, one);
    nodes_unlink(nodes, other);
    one->name = other->name;
    one->fold = other->fold;
    other->name = name;
    other->fold = fold;
    nodes_link(nodes, one);
    nodes_link(nodes, other);
}

void nodes_hold(struct nodes *nodes, struct node *node)
{
    node->pins++;
    list_append(&nodes->held, &node->held);
    node->unkept = true;
    if (uses_its_fold(node))
        fold_use(node->fold);
}

void nodes_let_go(struct tree *tree, struct node *node)
{
    if (list_empty(&node->held))
        return;
    if (uses_its_fold(node))
        fold_unuse(&tree->folds, node->fold);
    list_leave(&node->held);
    keeper_forget(tree->options.keeper, tree, node);
    node_unpin_locked(tree, node);
}

struct node *node_pin_id(struct tree *tree, uint64_t id)
{
    struct node *node;

    pthread_mutex_lock(&tree->lock);
    node = nodes_find_id(&tree->nodes, id);
    if (node)
        node->pins++;
    pthread_mutex_unlock(&tree->lock);
    return node;
}

void node_unpin_locked(struct tree *tree, struct node *node)
{
    if (--node->pins == 0 && node->lookups == 0)
        node_free(tree, node);
}

void node_unpin(struct tree *tree, struct node *node)
{
    if (!node)
        return;
    pthread_mutex_lock(&tree->lock);
    node_unpin_locked(tree, node);
    pthread_mutex_unlock(&tree->lock);
}

void node_looked_up(struct tree *tree, struct node *node)
{
    pthread_mutex_lock(&tree->lock);
    node->lookups++;
    pthread_mutex_unlock(&tree->lock);
}

void tree_forget(struct tree *tree, uint64_t id, uint64_t count)
{
    struct node *node;

    pthread_mutex_lock(&tree->lock);
    node = nodes_find_id(&tree->nodes, id);
    if (node) {
        node->lookups -= count < node->lookups ? count : node->lookups;
        if (node->lookups == 0 && node->pins == 0)
            node_free(tree, node);
    }
    pthread_mutex_unlock(&tree->lock);
}
