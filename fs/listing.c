/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directory listings: the names as they were at opendir.
 *
 * A snapshot is one buffer of names with a type byte before each, and the offset of each entry, so that a position
 * (an index plus one) can be sought. The store is asked for keys only; values are looked at by readdirplus.
 *
 * A key may be shadowed: by a scratch file of its name (another process made the key meanwhile), or because it is
 * displaced. Shadowed names are few, so they are sorted once and looked up for each key.
 */
#include "fs/content.h"
#include "fs/displaced.h"
#include "fs/tree_state.h"
#include "src/keyname.h"

#include <errno.h>
#include <stdlib.h>

struct tree_listing {
    struct tree *tree;
    enum directory_number home;
    struct buffer names;   /* per entry: a type byte (S_IFMT bits >> 12), the name, NUL */
    struct buffer offsets; /* size_t each: where an entry starts in `names` */
};

/* Names that keys must not have in this listing. */
struct shadows {
    struct buffer names; /* each with its NUL */
    const char **sorted;
    size_t count;
};

static void add_entry(struct tree_listing *listing, mode_t type, struct bytes name)
{
    size_t start = listing->names.size;

    buffer_add_byte(&listing->names, (uint8_t)(type >> 12));
    buffer_add(&listing->names, name);
    buffer_add_byte(&listing->names, 0);
    buffer_add(&listing->offsets, bytes_of(&start, sizeof start));
}

static size_t entry_count(const struct tree_listing *listing)
{
    return listing->offsets.size / sizeof(size_t);
}

static const char *entry_at(const struct tree_listing *listing, size_t i, mode_t *type)
{
    size_t start;

    memcpy(&start, listing->offsets.data + i * sizeof start, sizeof start);
    *type = (mode_t)listing->names.data[start] << 12;
    return (const char *)listing->names.data + start + 1;
}

static mode_t type_of(enum node_kind kind)
{
    return kind == NODE_DIRECTORY ? S_IFDIR : kind == NODE_SYMLINK ? S_IFLNK : S_IFREG;
}

static void shadow(struct shadows *shadows, struct bytes name)
{
    buffer_add(&shadows->names, name);
    buffer_add_byte(&shadows->names, 0);
    shadows->count++;
}

/* Files that live in memory. Tree lock held. */
static void add_held(struct tree *tree, struct tree_listing *listing, struct shadows *shadows)
{
    struct list *at;

    for (at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, held);
        struct bytes name = bytes_of(node->name->text, node->name->size);

        if (node->home != listing->home || !node->linked)
            continue;
        add_entry(listing, type_of(node->kind), name);
        shadow(shadows, name);
    }
}

/* Tree lock held. */
static void add_displaced(struct tree *tree, struct shadows *shadows)
{
    struct list *at;

    for (at = tree->displaced.next; at != &tree->displaced; at = at->next) {
        struct displaced *displaced = CONTAINER_OF(at, struct displaced, list);
        struct buffer name = BUFFER_INIT;

        if (keyname_encode(displaced->key, &name) == 0)
            shadow(shadows, buffer_bytes(&name));
        buffer_release(&name);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort_shadows(struct shadows *shadows)
{
    const char *name = (const char *)shadows->names.data;

    if (buffer_status(&shadows->names))
        return buffer_status(&shadows->names);
    if (!shadows->count)
        return 0;
    shadows->sorted = calloc(shadows->count, sizeof *shadows->sorted);
    if (!shadows->sorted)
        return -ENOMEM;
    for (size_t i = 0; i < shadows->count; i++) {
        shadows->sorted[i] = name;
        name += strlen(name) + 1;
    }
    qsort(shadows->sorted, shadows->count, sizeof *shadows->sorted, compare_names);
    return 0;
}

struct visit {
    struct tree_listing *listing;
    const struct shadows *shadows;
    struct buffer name;
};

static bool add_key(void *context, struct bytes key)
{
    struct visit *visit = context;
    const char *name;

    buffer_clear(&visit->name);
    /* A name that is too long is counted and told in .shelvefs/status. */
    if (keyname_encode(key, &visit->name) == -ENAMETOOLONG)
        return true;
    buffer_add_byte(&visit->name, 0);
    if (buffer_status(&visit->name))
        return false;
    name = (const char *)visit->name.data;
    if (visit->shadows->count &&
        bsearch(&name, visit->shadows->sorted, visit->shadows->count, sizeof name, compare_names))
        return true;
    add_entry(visit->listing, S_IFREG, bytes_of(name, visit->name.size - 1));
    return buffer_status(&visit->listing->names) == 0;
}

static int add_keys(struct tree_listing *listing, const struct shadows *shadows)
{
    struct visit visit = {listing, shadows, BUFFER_INIT};
    int code = store_visit(listing->tree->store, add_key, &visit);

    if (code == 0)
        code = buffer_status(&visit.name);
    buffer_release(&visit.name);
    return code;
}

static void add_control(struct tree_listing *listing)
{
    add_entry(listing, S_IFREG, BYTES("status"));
    add_entry(listing, S_IFREG, BYTES("errors"));
    for (int i = 0; i < DIRECTORY_COUNT; i++) {
        if (directories[i].parent == DIRECTORY_CONTROL)
            add_entry(listing, S_IFDIR, bytes_of_string(directories[i].name));
    }
}

static int take_snapshot(struct tree *tree, struct tree_listing *listing)
{
    struct shadows shadows = {.names = BUFFER_INIT};
    int code;

    add_entry(listing, S_IFDIR, BYTES("."));
    add_entry(listing, S_IFDIR, BYTES(".."));
    if (listing->home == DIRECTORY_CONTROL)
        add_control(listing);
    pthread_mutex_lock(&tree->lock);
    add_held(tree, listing, &shadows);
    add_displaced(tree, &shadows);
    pthread_mutex_unlock(&tree->lock);
    code = sort_shadows(&shadows);
    if (code == 0 && directories[listing->home].view)
        code = add_keys(listing, &shadows);
    free(shadows.sorted);
    buffer_release(&shadows.names);
    if (code == 0)
        code = buffer_status(&listing->names);
    return code ? code : buffer_status(&listing->offsets);
}

int tree_opendir(struct tree *tree, uint64_t id, struct tree_listing **out)
{
    struct tree_listing *listing;
    enum directory_number home;
    int code = tree_directory(tree, id, &home);

    if (code)
        return code;
    listing = malloc(sizeof *listing);
    if (!listing)
        return -ENOMEM;
    *listing = (struct tree_listing){tree, home, BUFFER_INIT, BUFFER_INIT};
    code = take_snapshot(tree, listing);
    if (code)
        tree_closedir(listing);
    else
        *out = listing;
    return code;
}

/* The id that a look-up would tell. */
static uint64_t entry_id(struct tree *tree, enum directory_number home, const char *name)
{
    struct node *node;
    uint64_t id;

    pthread_mutex_lock(&tree->lock);
    node = nodes_find(&tree->nodes, home, name);
    id = node ? node->id : node_hash(home, name);
    pthread_mutex_unlock(&tree->lock);
    return id;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int dots_stat(struct tree_listing *listing, const char *name, struct stat *out)
{
    struct nodes *nodes = &listing->tree->nodes;
    enum directory_number parent = directories[listing->home].parent;

    return tree_getattr(listing->tree, nodes->directories[name[1] ? parent : listing->home].id,
                        out);
}

int tree_readdir(struct tree_listing *listing, off_t position, bool plus, tree_entry *entry,
                 void *context)
{
    struct tree *tree = listing->tree;
    uint64_t here = tree->nodes.directories[listing->home].id;
    size_t count = entry_count(listing);

    if (position < 0)
        return -EINVAL;
    for (size_t i = (size_t)position; i < count; i++) {
        struct stat stat = {0};
        const char *name = entry_at(listing, i, &stat.st_mode);
        bool referenced = plus && !is_dots(name);
        int code = 0;

        if (is_dots(name))
            code = dots_stat(listing, name, &stat);
        else if (plus)
            code = tree_lookup(tree, here, name, &stat);
        else
            stat.st_ino = entry_id(tree, listing->home, name);
        if (code == -ENOENT)
            continue;
        if (code)
            return code;
        if (!entry(context, name, &stat, (off_t)i + 1)) {
            if (referenced)
                tree_forget(tree, stat.st_ino, 1);
            break;
        }
    }
    return 0;
}

int tree_fsyncdir(struct tree_listing *listing)
{
    return store_sync(listing->tree->store);
}

void tree_closedir(struct tree_listing *listing)
{
    if (!listing)
        return;
    buffer_release(&listing->names);
    buffer_release(&listing->offsets);
    free(listing);
}
