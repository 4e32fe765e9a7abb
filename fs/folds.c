/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/folds.h"

#include "fs/scratch.h"
#include "fs/tree_state.h"

#include <errno.h>
#include <stdlib.h>

enum { USUAL_KEY = 64 }; /* bytes; a visit of a longer one costs more */

/* Constant, so that node ids are the same in every mount. Never change it. */
static const struct digest_key hash_key = {{0x7368656c76656673, 0x666f6c6473}};
/* Keeps the ids of folds apart from the digests of keys, which the same secret makes. Never change it. */
static const uint64_t id_domain = 0x666f6c6420696473;

int folds_init(struct folds *folds, enum keyname_style style, struct attribute_table *attributes)
{
    int code;

    *folds = (struct folds){.style = style, .attributes = attributes};
    list_init(&folds->top);
    list_init(&folds->keys);
    code = chains_init(&folds->by_name);
    return code ? code : chains_init(&folds->keys_by_name);
}

void folds_release(struct folds *folds)
{
    struct chain_link *link;

    while (folds->keys_by_name.buckets && (link = chains_any(&folds->keys_by_name))) {
        chains_remove(&folds->keys_by_name, link);
        free(CONTAINER_OF(link, struct fold_key, by_name));
    }
    while (folds->by_name.buckets && (link = chains_any(&folds->by_name))) {
        chains_remove(&folds->by_name, link);
        free(CONTAINER_OF(link, struct fold, by_name));
    }
    chains_release(&folds->keys_by_name);
    chains_release(&folds->by_name);
}

/* --- directories --- */

void fold_add_path(const struct fold *fold, struct buffer *path)
{
    const struct fold *at;
    size_t size = 0;
    uint8_t *end;

    for (at = fold; at; at = at->parent)
        size += at->size + 1;
    end = buffer_extend(path, size);
    if (!end)
        return;
    end += size;
    for (at = fold; at; at = at->parent) {
        *--end = '/';
        end -= at->size;
        memcpy(end, at->name, at->size);
    }
}

static uint64_t hash_of(const struct fold *parent, struct bytes name)
{
    struct digest_key key = hash_key;

    if (parent)
        key.words[1] ^= parent->by_name.hash;
    return digest_bytes(&key, name).words[0];
}

/* `parent`: the id of the fold above, or zeros. With the secret, nobody can make two folds of one id. */
static struct digest id_of(const struct folds *folds, struct digest parent, struct bytes name)
{
    struct digest_key key = folds->attributes->hash_key;

    key.words[0] ^= parent.words[0];
    key.words[1] ^= parent.words[1] ^ id_domain;
    return digest_bytes(&key, name);
}

static struct fold *find(struct folds *folds, const struct fold *parent, struct bytes name)
{
    struct chain_link *link = chains_find(&folds->by_name, hash_of(parent, name));

    for (; link; link = chains_next(link)) {
        struct fold *fold = CONTAINER_OF(link, struct fold, by_name);

        if (fold->parent == parent && bytes_equal(bytes_of(fold->name, fold->size), name))
            return fold;
    }
    return NULL;
}

struct fold *folds_find(struct folds *folds, const struct fold *parent, const char *name)
{
    return find(folds, parent, bytes_of_string(name));
}

bool fold_exists(const struct fold *fold)
{
    return fold->uses > 0;
}

void fold_pin(struct fold *fold)
{
    if (fold)
        fold->pins++;
}

/* Frees it if nobody needs it, and then perhaps those above. */
static void fold_drop(struct folds *folds, struct fold *fold)
{
    while (fold && fold->pins == 0 && fold->uses == 0) {
        struct fold *parent = fold->parent;

        chains_remove(&folds->by_name, &fold->by_name);
        list_leave(&fold->sibling);
        free(fold);
        if (parent)
            parent->pins--;
        fold = parent;
    }
}

void fold_unpin(struct folds *folds, struct fold *fold)
{
    if (!fold)
        return;
    fold->pins--;
    fold_drop(folds, fold);
}

/* The fold of that name, made if need be, without a pin; NULL: out of memory. */
static struct fold *enter(struct folds *folds, struct fold *parent, struct bytes name)
{
    struct fold *fold = find(folds, parent, name);

    if (fold)
        return fold;
    fold = malloc(sizeof *fold + name.size + 1);
    if (!fold)
        return NULL;
    *fold = (struct fold){.parent = parent, .size = name.size};
    fold->id = id_of(folds, parent ? parent->id : (struct digest){{0}}, name);
    memcpy(fold->name, name.data, name.size);
    fold->name[name.size] = '\0';
    list_init(&fold->folds);
    list_init(&fold->keys);
    list_init(&fold->sibling);
    list_append(parent ? &parent->folds : &folds->top, &fold->sibling);
    chains_add(&folds->by_name, &fold->by_name, hash_of(parent, name));
    fold_pin(parent);
    return fold;
}

int folds_enter(struct folds *folds, struct fold *parent, const char *name, struct fold **out)
{
    struct bytes above = {NULL, 0};
    struct fold *fold;
    int code;

    if (parent)
        above = bytes_of(parent->name, parent->size);
    code = scratch_is_directory(name)
               ? !scratch_is_directory(parent ? parent->name : "")
               : keyname_can_fold(folds->style, above, bytes_of_string(name));
    if (code <= 0)
        return code ? code : -EINVAL;
    fold = enter(folds, parent, bytes_of_string(name));
    if (!fold)
        return -ENOMEM;
    fold_pin(fold);
    *out = fold;
    return 0;
}

void fold_use(struct fold *fold)
{
    for (; fold; fold = fold->parent) {
        fold->uses++;
        fold->lingers = false;
    }
}

/* `lingers`: those that nobody uses any more can still be removed. */
static void unuse(struct folds *folds, struct fold *fold, bool lingers)
{
    struct timespec now = scratch_clock();

    for (struct fold *at = fold; at; at = at->parent) {
        if (--at->uses == 0) {
            at->lingers = lingers;
            at->emptied = now;
            attributes_drop_digest(folds->attributes, at->id);
        }
    }
    fold_drop(folds, fold);
}

void fold_unuse(struct folds *folds, struct fold *fold)
{
    if (fold)
        unuse(folds, fold, true);
}

void fold_make(struct fold *fold)
{
    if (fold->made)
        return;
    fold->made = true;
    fold_use(fold);
}

void fold_unmake(struct folds *folds, struct fold *fold)
{
    fold->lingers = false;
    if (!fold->made)
        return;
    fold->made = false;
    /* Those above may have been there for this one only; somebody is removing them, too. */
    fold_pin(fold);
    unuse(folds, fold, true);
    fold->lingers = false;
    fold_unpin(folds, fold);
}

void fold_changed(struct folds *folds, struct fold *fold, struct timespec now)
{
    struct attributes entry = {0};

    if (!fold || !fold_exists(fold))
        return;
    attributes_find_digest(folds->attributes, fold->id, &entry);
    entry.mtime = now;
    entry.set |= ATTRIBUTE_MTIME;
    attributes_set_digest(folds->attributes, fold->id, &entry);
}

/* By somebody else: it is as new as the database. */
static void changed_elsewhere(struct folds *folds, struct fold *fold)
{
    struct attributes entry;

    if (!attributes_find_digest(folds->attributes, fold->id, &entry) ||
        !(entry.set & ATTRIBUTE_MTIME))
        return;
    entry.set &= ~(unsigned)ATTRIBUTE_MTIME;
    attributes_set_digest(folds->attributes, fold->id, &entry);
}

/* --- keys --- */

static struct fold_key *find_key(struct folds *folds, const struct fold *fold, struct bytes name)
{
    struct chain_link *link = chains_find(&folds->keys_by_name, hash_of(fold, name));

    for (; link; link = chains_next(link)) {
        struct fold_key *key = CONTAINER_OF(link, struct fold_key, by_name);

        if (key->fold == fold && bytes_equal(bytes_of(key->name, key->size), name))
            return key;
    }
    return NULL;
}

static int add_last(struct folds *folds, struct fold *fold, struct bytes name, bool foreign)
{
    struct fold_key *key = find_key(folds, fold, name);

    if (!key) {
        key = malloc(sizeof *key + name.size + 1);
        if (!key)
            return -ENOMEM;
        *key = (struct fold_key){.fold = fold, .size = name.size};
        memcpy(key->name, name.data, name.size);
        key->name[name.size] = '\0';
        list_init(&key->sibling);
        list_init(&key->all);
        list_append(&fold->keys, &key->sibling);
        chains_add(&folds->keys_by_name, &key->by_name, hash_of(fold, name));
        fold_use(fold);
        if (foreign && folds->complete)
            changed_elsewhere(folds, fold);
    }
    key->seen = folds->visit;
    list_leave(&key->all);
    list_append(&folds->keys, &key->all);
    return 0;
}

/* The folds that were made for this key are as good as any other now. */
static void settle_made(struct folds *folds, struct fold *fold)
{
    for (; fold; fold = fold->parent) {
        if (fold->made) {
            fold->made = false;
            unuse(folds, fold, true);
        }
    }
}

/* `path` has more than one component. `foreign`: it was not we who stored the key. */
static int add_path(struct folds *folds, struct bytes path, bool foreign)
{
    struct fold *fold = NULL;
    size_t slash;
    int code = 0;

    while (code == 0 && (slash = bytes_find_byte(path, '/')) < path.size) {
        struct fold *next = enter(folds, fold, bytes_part(path, 0, slash));

        if (!next)
            code = -ENOMEM;
        else
            fold = next;
        path = bytes_part(path, slash + 1, SIZE_MAX);
    }
    if (code == 0)
        code = add_last(folds, fold, path, foreign);
    if (code == 0)
        settle_made(folds, fold);
    else
        fold_drop(folds, fold);
    return code;
}

static void remove_key(struct folds *folds, struct fold_key *key, bool lingers)
{
    struct fold *fold = key->fold;

    chains_remove(&folds->keys_by_name, &key->by_name);
    list_leave(&key->sibling);
    list_leave(&key->all);
    free(key);
    unuse(folds, fold, lingers);
}

static void remove_path(struct folds *folds, struct bytes path)
{
    struct fold *fold = NULL;
    struct fold_key *key;
    size_t slash;

    while ((slash = bytes_find_byte(path, '/')) < path.size) {
        fold = find(folds, fold, bytes_part(path, 0, slash));
        if (!fold)
            return;
        path = bytes_part(path, slash + 1, SIZE_MAX);
    }
    key = find_key(folds, fold, path);
    if (key)
        remove_key(folds, key, true);
}

/* The path if it has more than one component. False: it has not, or there is no memory. */
static bool long_path(enum keyname_style style, struct bytes key, struct buffer *path)
{
    return keyname_may_fold(key.size) && keyname_encode(style, key, path) == 0 &&
           bytes_find_byte(buffer_bytes(path), '/') < path->size;
}

void folds_mark(struct folds *folds, struct bytes key)
{
    struct buffer path = BUFFER_INIT;
    struct bytes left;
    struct digest id = {{0}};
    size_t slash;

    if (long_path(folds->style, key, &path)) {
        left = buffer_bytes(&path);
        while ((slash = bytes_find_byte(left, '/')) < left.size) {
            id = id_of(folds, id, bytes_part(left, 0, slash));
            attributes_mark_digest(folds->attributes, id);
            left = bytes_part(left, slash + 1, SIZE_MAX);
        }
    }
    buffer_release(&path);
}

void folds_stored(struct folds *folds, struct bytes key)
{
    struct buffer path = BUFFER_INIT;

    if (long_path(folds->style, key, &path) && add_path(folds, buffer_bytes(&path), false))
        folds->complete = false;
    if (buffer_status(&path))
        folds->complete = false;
    buffer_release(&path);
}

void folds_removed(struct folds *folds, struct bytes key)
{
    struct buffer path = BUFFER_INIT;

    if (long_path(folds->style, key, &path))
        remove_path(folds, buffer_bytes(&path));
    if (buffer_status(&path))
        folds->complete = false;
    buffer_release(&path);
}

/* --- what others changed --- */

struct visit {
    struct tree *tree;
    struct buffer path;
    size_t cost;
    int code;
};

static bool visit_key(void *context, struct bytes key)
{
    struct visit *visit = context;
    struct folds *folds = &visit->tree->folds;

    visit->cost += 1 + key.size / USUAL_KEY;
    buffer_clear(&visit->path);
    if (long_path(folds->style, key, &visit->path)) {
        pthread_mutex_lock(&visit->tree->lock);
        visit->code = add_path(folds, buffer_bytes(&visit->path), true);
        pthread_mutex_unlock(&visit->tree->lock);
    }
    if (visit->code == 0)
        visit->code = buffer_status(&visit->path);
    return visit->code == 0;
}

/*
 * What was not met is gone; but what we stored ourselves since the visit began has its number, too. Nobody removes a
 * key here meanwhile, or the visit might have brought it back: names is held.
 */
static void sweep(struct folds *folds)
{
    while (!list_empty(&folds->keys)) {
        struct fold_key *key = CONTAINER_OF(folds->keys.next, struct fold_key, all);

        if (key->seen == folds->visit)
            return;
        changed_elsewhere(folds, key->fold);
        remove_key(folds, key, false);
    }
}

static bool is_due(struct tree *tree, bool now, const struct store_stamp *stamp)
{
    struct folds *folds = &tree->folds;
    bool is;

    pthread_mutex_lock(&tree->lock);
    is = pace_ask(&folds->pace) || now || !folds->complete;
    if (folds->complete && stamp && folds->stamped &&
        memcmp(stamp, &folds->stamp, sizeof *stamp) == 0)
        is = false;
    if (is)
        folds->visit++;
    pthread_mutex_unlock(&tree->lock);
    return is;
}

int folds_refresh(struct tree *tree, bool now)
{
    struct visit visit = {.tree = tree, .path = BUFFER_INIT};
    struct folds *folds = &tree->folds;
    struct store_stamp stamp;
    bool stamped = store_stamp(tree->store, &stamp) == 0;
    struct timespec began = scratch_clock();
    int code;

    if (!is_due(tree, now, stamped ? &stamp : NULL))
        return 0;
    code = store_visit(tree->store, visit_key, &visit);
    if (code == 0 || code == -EIO) /* a damaged database shows what it still can */
        code = visit.code;
    buffer_release(&visit.path);
    pthread_mutex_lock(&tree->lock);
    if (code == 0) {
        sweep(folds);
        folds->complete = true;
        folds->stamped = stamped;
        folds->stamp = stamp;
        pace_looked(&folds->pace, began, visit.cost);
    }
    pthread_mutex_unlock(&tree->lock);
    return code;
}
