/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Folds: the directories into which long names are folded (src/keyname.h), and which keys are in them.
 *
 * They are derived from the keys, so but for their attributes nothing of them is stored: a fold exists while a key's path leads through it,
 * a file that is no key is in it, or somebody made it by mkdir(2) and has not used it yet. All views show the same
 * folds. When the last use went by a change of ours, a fold lingers for some seconds: it is not listed, but can
 * still be looked up and removed, as `rm -r` does with a directory that it has emptied.
 *
 * What the keys are is learnt by a visit of the whole store, when a fold is first asked for. Our own changes are
 * entered one by one, other processes' by another visit: when the stamp has changed, and so many questions were asked
 * that a visit costs little beside them, or the last one was a second ago, or longer in proportion to what it took. So a
 * tree of 100,000 folds is walked with a few visits, also while it is written to, or over an engine that has no stamp.
 *
 * Guarded by tree->lock, but for folds_refresh(), which takes it. The names of a key are removed with tree->names held.
 */
#ifndef SHELVEFS_FOLDS_H
#define SHELVEFS_FOLDS_H

#include "fs/attributes.h"
#include "fs/pace.h"
#include "fs/views.h"
#include "src/chains.h"
#include "src/digest.h"
#include "src/keyname.h"
#include "src/list.h"
#include "src/store.h"

struct tree;

struct fold {
    struct chain_link by_name; /* its hash is constant over mounts */
    struct fold *parent;       /* pinned; NULL: at the top */
    struct list sibling;       /* in its parent's `folds` */
    struct list folds, keys;
    size_t uses; /* keys, files that are no keys, and folds made but unused, at or below it */
    size_t pins; /* nodes that are in it or stand for it, and folds in it */
    bool made;   /* one of the uses is that of being made */
    bool lingers;
    struct timespec emptied; /* if it lingers: since when (scratch_clock()) */
    struct digest id;        /* by which its attributes are kept */
    size_t size;             /* of the name, without its NUL */
    char name[];
};

/* The last piece of a key's path. */
struct fold_key {
    struct chain_link by_name;
    struct fold *fold;   /* used */
    struct list sibling; /* in its fold's `keys` */
    struct list all;     /* in folds.keys */
    uint64_t seen;       /* the number of the last visit when it was known to be there */
    size_t size;
    char name[];
};

/* Part of struct tree. */
struct folds {
    enum keyname_style style;           /* constant */
    struct attribute_table *attributes; /* the tree's */
    struct chains by_name, keys_by_name;
    struct list top;  /* folds without a parent */
    struct list keys; /* all, by `seen` */
    bool complete;    /* all keys were entered once, and none was lost since */
    bool stamped;     /* `stamp` is that of the store before the last visit */
    struct store_stamp stamp;
    uint64_t visit; /* its number */
    struct pace pace;
};

/* `attributes`: borrowed; its secret must not change once there are folds. */
int folds_init(struct folds *folds, enum keyname_style style, struct attribute_table *attributes);
void folds_release(struct folds *folds);

/* --- directories --- */

/* A directory of the mount: one of the views' own, or a fold in it. */
struct place {
    enum directory_number home;
    struct fold *fold; /* NULL: the view's own directory */
};

static inline bool place_equal(struct place a, struct place b)
{
    return a.home == b.home && a.fold == b.fold;
}

/* Appends the path from the view's directory to a name in `fold`: "", or components each with a '/' behind. */
void fold_add_path(const struct fold *fold, struct buffer *path);
/* NULL: no such fold is in memory. One that is need not exist. */
struct fold *folds_find(struct folds *folds, const struct fold *parent, const char *name);
bool fold_exists(const struct fold *fold);
/*
 * The fold of that name, entered if need be; pinned. -EINVAL: no key has a path through it.
 */
int folds_enter(struct folds *folds, struct fold *parent, const char *name, struct fold **out);
/* NULL is allowed for all of these: the view's own directory needs no care. */
void fold_pin(struct fold *fold);
void fold_unpin(struct folds *folds, struct fold *fold);
/* A file that is no key is in it from now on, or no longer. */
void fold_use(struct fold *fold);
void fold_unuse(struct folds *folds, struct fold *fold);
/* mkdir(2) and rmdir(2): the fold exists without keys, or no longer. */
void fold_make(struct fold *fold);
void fold_unmake(struct folds *folds, struct fold *fold);

/* A name in it was added or removed by us, at that moment. */
void fold_changed(struct folds *folds, struct fold *fold, struct timespec now);

/* --- keys --- */

/* Marks the attributes of all folds on the key's path, see attributes_mark(). */
void folds_mark(struct folds *folds, struct bytes key);
/* A key was stored or removed by us. */
void folds_stored(struct folds *folds, struct bytes key);
void folds_removed(struct folds *folds, struct bytes key);
/*
 * names held, tree lock not. Brings in what other processes changed; `now`: even if that was done just before. Errors
 * are the store's.
 */
int folds_refresh(struct tree *tree, bool now);

#endif
