/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/nodes.h"

#include "fs/content.h"
#include "fs/files.h"
#include "fs/tree_state.h"
#include "src/keyname.h"

#include <errno.h>
#include <stdlib.h>

/* Constant, so that ids are the same in every mount. Never change it. */
static const struct digest_key id_key = {{0x7368656c76656673, 0x6e6f646520696473}};

int node_name_new(const char *name, struct node_name **out)
{
    size_t size = strlen(name);
    struct buffer key = BUFFER_INIT;
    struct node_name *made;
    int code;

    if (size > NAME_LONGEST)
        return -ENAMETOOLONG;
    code = keyname_decode(bytes_of(name, size), &key);
    if (code && code != -ENOENT) {
        buffer_release(&key);
        return code;
    }
    made = malloc(sizeof *made + size + 1 + key.size);
    if (made) {
        *made = (struct node_name){.has_key = code == 0, .size = size};
        memcpy(made->text, name, size + 1);
        if (key.size)
            memcpy(made->text + size + 1, key.data, key.size);
        made->key = bytes_of(made->text + size + 1, key.size);
        *out = made;
    }
    buffer_release(&key);
    return made ? 0 : -ENOMEM;
}

uint64_t node_hash(enum directory_number home, const char *name)
{
    uint8_t path[64 + NAME_LONGEST];
    size_t prefix = strlen(directories[home].path), size = strlen(name);
    uint64_t hash;

    if (size > NAME_LONGEST)
        size = NAME_LONGEST;
    memcpy(path, directories[home].path, prefix);
    path[prefix] = '/';
    memcpy(path + prefix + 1, name, size);
    hash = digest_bytes(&id_key, bytes_of(path, prefix + 1 + size)).words[0];
    return hash > TREE_ROOT ? hash : hash + 2;
}

static void node_init(struct node *node, enum directory_number home, enum node_kind kind,
                      struct node_name *name)
{
    *node = (struct node){.home = home, .kind = kind, .name = name, .pins = 1};
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
    chains_add(&nodes->by_name, &node->by_name, node_hash(node->home, node->name->text));
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

int nodes_init(struct nodes *nodes)
{
    int code;

    *nodes = (struct nodes){0};
    list_init(&nodes->held);
    code = chains_init(&nodes->by_id);
    if (code == 0)
        code = chains_init(&nodes->by_name);
    for (int i = 0; i < DIRECTORY_COUNT && code == 0; i++) {
        struct node *node = &nodes->directories[i];
        struct node_name *name;

        code = node_name_new(directories[i].name, &name);
        if (code)
            break;
        node_init(node, directories[i].parent, NODE_DIRECTORY, name);
        node->opens = (enum directory_number)i;
        if (i == DIRECTORY_ROOT) {
            node->id = TREE_ROOT;
            chains_add(&nodes->by_id, &node->by_id, TREE_ROOT);
        } else {
            nodes_number(nodes, node, node_hash(node->home, name->text));
            nodes_link(nodes, node);
        }
    }
    return code;
}

static void node_free(struct tree *tree, struct node *node)
{
    chains_remove(&tree->nodes.by_id, &node->by_id);
    nodes_unlink(&tree->nodes, node);
    texts_set(&tree->texts, &node->cached, NULL);
    content_drop_draft(tree, node);
    handles_free(node);
    node_destroy(node);
    free(node);
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

struct node *nodes_find(struct nodes *nodes, enum directory_number home, const char *name)
{
    struct chain_link *link = chains_find(&nodes->by_name, node_hash(home, name));

    for (; link; link = chains_next(link)) {
        struct node *node = CONTAINER_OF(link, struct node, by_name);

        if (node->home == home && strcmp(node->name->text, name) == 0)
            return node;
    }
    return NULL;
}

struct node *nodes_find_id(struct nodes *nodes, uint64_t id)
{
    struct chain_link *link = chains_find(&nodes->by_id, id);

    return link ? CONTAINER_OF(link, struct node, by_id) : NULL;
}

int nodes_add(struct nodes *nodes, enum directory_number home, enum node_kind kind,
              struct node_name *name, struct node **out)
{
    struct node *node = malloc(sizeof *node);

    if (!node)
        return -ENOMEM;
    node_init(node, home, kind, name);
    nodes_number(nodes, node, node_hash(home, name->text));
    nodes_link(nodes, node);
    *out = node;
    return 0;
}

void nodes_unlink(struct nodes *nodes, struct node *node)
{
    if (!node->linked)
        return;
    chains_remove(&nodes->by_name, &node->by_name);
    node->linked = false;
}

void nodes_relink(struct nodes *nodes, struct node *node, struct node_name *name)
{
    nodes_unlink(nodes, node);
    free(node->name);
    node->name = name;
    nodes_link(nodes, node);
}

void nodes_hold(struct nodes *nodes, struct node *node)
{
    node->pins++;
    list_append(&nodes->held, &node->held);
}

void nodes_let_go(struct tree *tree, struct node *node)
{
    if (list_empty(&node->held))
        return;
    list_leave(&node->held);
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

void node_pin(struct tree *tree, struct node *node)
{
    pthread_mutex_lock(&tree->lock);
    node->pins++;
    pthread_mutex_unlock(&tree->lock);
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
    if (node && node->kind != NODE_DIRECTORY) {
        node->lookups -= count < node->lookups ? count : node->lookups;
        if (node->lookups == 0 && node->pins == 0)
            node_free(tree, node);
    }
    pthread_mutex_unlock(&tree->lock);
}
