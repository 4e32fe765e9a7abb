/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directory listings: the names as they were at opendir.
 *
 * A snapshot is one buffer of names with a type byte before each, and the offset of each entry, so that a position
 * (an index plus one) can be sought. The store is asked for keys only; values are looked at by readdirplus.
 *
 * Who lists a very large directory gets the first names while the others are still being taken: opendir is answered in
 * the middle of the visit, and the thread that took the request goes on. It is one visit, under the store's lock, so the names
 * are those of one moment all the same. A reader that is faster waits. Whoever is last, taker or reader, frees the listing.
 *
 * A key may be shadowed: by a scratch file of its name (another process made the key meanwhile), or because it is
 * displaced. Shadowed names are few, so they are sorted once and looked up for each key.
 *
 * A view's own directory is listed from the store's keys. Many of them may lead to one fold, so the folds' names are
 * collected, sorted, and entered once each. A fold is listed from what is known of it (folds.h).
 */
#include "fs/content.h"
#include "fs/displaced.h"
#include "fs/listing.h"
#include "fs/tree_state.h"
#include "src/keyname.h"

#include <errno.h>
#include <stdlib.h>

/* So many names are taken before anybody gets one; and so many more before the next ones are shown. */
enum { AT_ONCE = 1 << 17, STEP = 1 << 10 };

/* A set of names: filled, sorted, then searched or walked. */
struct name_set {
    struct buffer names; /* each with its NUL */
    const char **sorted;
    size_t count;
};

static void add_entry(struct tree_listing *listing, mode_t type, struct bytes name)
{
    size_t start;

    pthread_mutex_lock(&listing->lock);
    start = listing->names.size;
    buffer_add_byte(&listing->names, (uint8_t)(type >> 12));
    buffer_add(&listing->names, name);
    buffer_add_byte(&listing->names, 0);
    if (buffer_status(&listing->names) == 0)
        buffer_add(&listing->offsets, bytes_of(&start, sizeof start));
    pthread_mutex_unlock(&listing->lock);
}

static mode_t type_of(enum node_kind kind)
{
    return kind == NODE_DIRECTORY ? S_IFDIR : kind == NODE_SYMLINK ? S_IFLNK : S_IFREG;
}

/* --- sets of names --- */

static void set_add(struct name_set *set, struct bytes name)
{
    buffer_add(&set->names, name);
    buffer_add_byte(&set->names, 0);
    set->count++;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int set_sort(struct name_set *set)
{
    const char *name = (const char *)set->names.data;

    if (buffer_status(&set->names))
        return buffer_status(&set->names);
    if (!set->count)
        return 0;
    set->sorted = calloc(set->count, sizeof *set->sorted);
    if (!set->sorted)
        return -ENOMEM;
    for (size_t i = 0; i < set->count; i++) {
        set->sorted[i] = name;
        name += strlen(name) + 1;
    }
    qsort(set->sorted, set->count, sizeof *set->sorted, compare_names);
    return 0;
}

/* Sorted before. */
static bool set_has(const struct name_set *set, const char *name)
{
    return set->count && bsearch(&name, set->sorted, set->count, sizeof name, compare_names);
}

static void set_release(struct name_set *set)
{
    free(set->sorted);
    buffer_release(&set->names);
}

/* --- taking a snapshot --- */

struct snapshot {
    struct tree *tree;
    struct tree_listing *listing;
    tree_opened *opened;
    void *context;
    bool shared; /* opened() was called: somebody may be reading */
    size_t count; /* of keys so far */
    bool damaged; /* there may be keys that the store can't list */
    struct place place;
    struct name_set shadows; /* names that keys must not have in this listing */
    struct name_set folds;   /* names of directories, perhaps many times */
    struct buffer path;      /* of what is looked at */
};

/* The fold of `place` that leads to what is in `fold`; NULL: it is not below it. */
static struct fold *fold_below(struct place place, struct fold *fold)
{
    while (fold && fold->parent != place.fold)
        fold = fold->parent;
    return fold;
}

static void add_fold(struct snapshot *snapshot, const struct fold *fold)
{
    if (fold)
        set_add(&snapshot->folds, bytes_of(fold->name, fold->size));
}

/* Views share their folds; refused texts are in folds of their own. */
static bool shows_folds_of(enum directory_number home, const struct node *node)
{
    if (node->home == DIRECTORY_REJECTED)
        return home == DIRECTORY_REJECTED;
    return directories[home].view != NULL;
}

/* Files that live in memory. Tree lock held. */
static void add_held(struct snapshot *snapshot)
{
    struct list *held = &snapshot->tree->nodes.held, *at;

    for (at = held->next; at != held; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, held);
        struct bytes name = bytes_of(node->name->text, node->name->size);

        if (!node->linked)
            continue;
        if (node->home == snapshot->place.home && node->fold == snapshot->place.fold) {
            add_entry(snapshot->listing, type_of(node->kind), name);
            set_add(&snapshot->shadows, name);
        } else if (shows_folds_of(snapshot->place.home, node)) {
            add_fold(snapshot, fold_below(snapshot->place, node->fold));
        }
    }
}

/* The last piece of the key's path if it is in this directory. */
static bool name_here(struct snapshot *snapshot, struct bytes key, struct bytes *name)
{
    struct buffer *path = &snapshot->path;
    size_t prefix;

    buffer_clear(path);
    fold_add_path(snapshot->place.fold, path);
    prefix = path->size;
    keyname_encode(snapshot->tree->folds.style, key, path);
    *name = bytes_part(buffer_bytes(path), prefix, SIZE_MAX);
    if (buffer_status(path) || !bytes_start_with(*name, bytes_part(buffer_bytes(path), 0, prefix)))
        return false;
    *name = bytes_part(*name, prefix, SIZE_MAX);
    return bytes_find_byte(*name, '/') == name->size;
}

/* Tree lock held. */
static void add_displaced(struct snapshot *snapshot)
{
    struct list *all = &snapshot->tree->displaced, *at;
    struct bytes name;

    for (at = all->next; at != all; at = at->next) {
        if (name_here(snapshot, CONTAINER_OF(at, struct displaced, list)->key, &name))
            set_add(&snapshot->shadows, name);
    }
}

/* Folds that were made and have no keys yet. Tree lock held. */
static void add_made(struct snapshot *snapshot)
{
    struct list *all = &snapshot->tree->folds.top, *at;

    for (at = all->next; at != all; at = at->next) {
        struct fold *fold = CONTAINER_OF(at, struct fold, sibling);

        if (fold->uses && list_empty(&fold->keys))
            add_fold(snapshot, fold);
    }
}

static void add_file(struct snapshot *snapshot, const char *name, size_t size)
{
    if (!set_has(&snapshot->shadows, name))
        add_entry(snapshot->listing, S_IFREG, bytes_of(name, size));
}

/* From now on there are readers. */
static void share(struct snapshot *snapshot)
{
    snapshot->listing->read = snapshot->shared = true;
    snapshot->opened(snapshot->context, snapshot->listing);
}

/* Shows what was taken so far to readers. Whether there are any, or will be. */
static bool show(struct snapshot *snapshot)
{
    struct tree_listing *listing = snapshot->listing;
    bool wanted;

    if (!snapshot->shared) {
        share(snapshot);
        return true;
    }
    pthread_mutex_lock(&listing->lock);
    wanted = listing->read;
    pthread_cond_broadcast(&listing->grown);
    pthread_mutex_unlock(&listing->lock);
    return wanted;
}

static bool add_key(void *context, struct bytes key)
{
    struct snapshot *snapshot = context;
    struct buffer *path = &snapshot->path;
    size_t slash;

    if (++snapshot->count >= AT_ONCE && snapshot->count % STEP == 0 && !show(snapshot))
        return false;

    buffer_clear(path);
    keyname_encode(snapshot->tree->folds.style, key, path);
    slash = bytes_find_byte(buffer_bytes(path), '/');
    if (slash < path->size) {
        set_add(&snapshot->folds, bytes_part(buffer_bytes(path), 0, slash));
    } else {
        buffer_add_byte(path, 0);
        if (buffer_status(path) == 0)
            add_file(snapshot, (const char *)path->data, slash);
    }
    return buffer_status(path) == 0 && buffer_status(&snapshot->listing->names) == 0 &&
           buffer_status(&snapshot->folds.names) == 0;
}

static int add_keys(struct snapshot *snapshot)
{
    int code = store_visit(snapshot->tree->store, add_key, snapshot);

    snapshot->damaged = code == -EIO;
    return code && code != -EIO ? code : buffer_status(&snapshot->path);
}

/* Tree lock held. */
static void add_fold_content(struct snapshot *snapshot)
{
    const struct fold *fold = snapshot->place.fold;
    const struct list *at;

    for (at = fold->folds.next; at != &fold->folds; at = at->next) {
        struct fold *below = CONTAINER_OF(at, struct fold, sibling);

        if (fold_exists(below))
            add_fold(snapshot, below);
    }
    for (at = fold->keys.next; at != &fold->keys; at = at->next) {
        struct fold_key *key = CONTAINER_OF(at, struct fold_key, sibling);

        add_file(snapshot, key->name, key->size);
    }
}

static int add_folds(struct snapshot *snapshot)
{
    struct name_set *folds = &snapshot->folds;
    int code = set_sort(folds);

    for (size_t i = 0; i < folds->count && code == 0; i++) {
        if (i == 0 || strcmp(folds->sorted[i], folds->sorted[i - 1]) != 0)
            add_entry(snapshot->listing, S_IFDIR, bytes_of_string(folds->sorted[i]));
    }
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

/* What other processes changed about folds is seen; that needs names. */
static int refresh_folds(struct tree *tree, struct place place)
{
    int code;

    if (!place.fold || !directories[place.home].view)
        return 0;
    pthread_mutex_lock(&tree->names);
    code = folds_refresh(tree, false);
    pthread_mutex_unlock(&tree->names);
    return code;
}

static int add_all(struct snapshot *snapshot)
{
    struct tree *tree = snapshot->tree;
    bool keys = directories[snapshot->place.home].view;
    int code = refresh_folds(tree, snapshot->place);

    if (code)
        return code;
    pthread_mutex_lock(&tree->lock);
    add_held(snapshot);
    add_displaced(snapshot);
    code = set_sort(&snapshot->shadows);
    if (code == 0 && keys && snapshot->place.fold)
        add_fold_content(snapshot);
    else if (code == 0 && keys)
        add_made(snapshot);
    pthread_mutex_unlock(&tree->lock);
    if (code == 0 && keys && !snapshot->place.fold)
        code = add_keys(snapshot);
    return code ? code : add_folds(snapshot);
}

static int take_snapshot(struct snapshot *snapshot)
{
    struct tree_listing *listing = snapshot->listing;
    int code;

    add_entry(listing, S_IFDIR, BYTES("."));
    add_entry(listing, S_IFDIR, BYTES(".."));
    if (snapshot->place.home == DIRECTORY_CONTROL)
        add_control(listing);
    code = add_all(snapshot);
    set_release(&snapshot->shadows);
    set_release(&snapshot->folds);
    buffer_release(&snapshot->path);
    if (code == 0)
        code = buffer_status(&listing->names);
    if (code == 0)
        code = buffer_status(&listing->offsets);
    return code;
}

static int listing_new(struct tree *tree, struct node *directory, struct tree_listing **out)
{
    struct tree_listing *listing = malloc(sizeof *listing);

    if (!listing)
        return -ENOMEM;
    *listing = (struct tree_listing){
        .tree = tree,
        .directory = directory,
        .names = BUFFER_INIT,
        .offsets = BUFFER_INIT,
        .uses = 1,
        .prepared = {.entries = BUFFER_INIT, .names = BUFFER_INIT},
    };
    pthread_mutex_init(&listing->lock, NULL);
    pthread_cond_init(&listing->grown, NULL);
    pthread_mutex_lock(&tree->lock);
    list_append(&tree->listings, &listing->all);
    pthread_mutex_unlock(&tree->lock);
    *out = listing;
    return 0;
}

static void listing_free(struct tree_listing *listing)
{
    struct tree *tree = listing->tree;

    listing_drop_prepared(listing);
    pthread_mutex_lock(&tree->lock);
    list_leave(&listing->all);
    node_unpin_locked(tree, listing->directory);
    pthread_mutex_unlock(&tree->lock);
    buffer_release(&listing->names);
    buffer_release(&listing->offsets);
    pthread_cond_destroy(&listing->grown);
    pthread_mutex_destroy(&listing->lock);
    free(listing);
}

void listing_leave(struct tree_listing *listing)
{
    bool wanted;

    pthread_mutex_lock(&listing->lock);
    listing->uses--;
    listing->looking = false;
    pthread_cond_broadcast(&listing->grown);
    wanted = listing->uses || listing->read;
    pthread_mutex_unlock(&listing->lock);
    if (!wanted)
        listing_free(listing);
}

/* No names come any more. */
static void complete(struct tree_listing *listing, int status)
{
    pthread_mutex_lock(&listing->lock);
    listing->complete = true;
    listing->status = status;
    pthread_mutex_unlock(&listing->lock);
    listing_leave(listing);
}

int tree_opendir(struct tree *tree, uint64_t id, tree_opened *opened, void *context)
{
    struct snapshot snapshot = {
        .tree = tree,
        .opened = opened,
        .context = context,
        .shadows.names = BUFFER_INIT,
        .folds.names = BUFFER_INIT,
        .path = BUFFER_INIT,
    };
    struct node *directory;
    int code = tree_enter(tree, id, &directory);

    if (code)
        return code;
    snapshot.place = directory->opens;
    code = listing_new(tree, directory, &snapshot.listing);
    if (code) {
        node_unpin(tree, directory);
        return code;
    }
    code = take_snapshot(&snapshot);
    if (code == 0 && !snapshot.shared)
        share(&snapshot);
    complete(snapshot.listing, code ? code : snapshot.damaged ? -EIO : 0);
    return snapshot.shared ? 0 : code;
}

void tree_closedir(struct tree_listing *listing)
{
    bool used;

    if (!listing)
        return;
    pthread_mutex_lock(&listing->lock);
    listing->read = false;
    used = listing->uses > 0;
    pthread_mutex_unlock(&listing->lock);
    if (!used)
        listing_free(listing);
}

void listings_abandon(struct tree *tree)
{
    while (!list_empty(&tree->listings))
        tree_closedir(CONTAINER_OF(tree->listings.next, struct tree_listing, all));
}
