/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One mounted tree: what the files of fs/ that make it up share. nodes.h says which lock guards what.
 */
#ifndef SHELVEFS_TREE_STATE_H
#define SHELVEFS_TREE_STATE_H

#include "fs/absence.h"
#include "fs/control.h"
#include "fs/frozen.h"
#include "fs/glance.h"
#include "fs/nodes.h"
#include "fs/tree.h"

struct tree {
    struct store *store;         /* borrowed */
    struct tree_options options; /* constant */

    pthread_mutex_t names;
    pthread_mutex_t lock;
    struct nodes nodes;
    struct folds folds;
    struct texts texts;
    struct list handles;  /* all open files */
    struct list listings; /* all open directories */
    struct glances glances;
    struct frozen_readers readers;
    atomic_uint_fast64_t changes; /* of the store, by this mount; under the lock of the node whose key it is */
    atomic_uint_fast64_t touches; /* requests that began, changes and notices: see tree_touch_begin() */
    atomic_uint touching;         /* such requests that have not ended */
    struct absence absence;
    struct attribute_table attributes;
    struct list due;       /* transients that nobody has open, by the time of their last close */
    struct list displaced; /* oldest first */
    struct control control;
    struct buffer gone; /* uint64_t each: records of files that the sidecar is to forget */
    struct digest_key digest_key; /* constant, random */
    struct timespec
        foreign_change;           /* the database file's mtime when somebody else changed it last */
    struct timespec own_change;   /* its mtime after our last change */
    struct timespec names_change; /* when a name was last added or removed here */
    struct list notices;          /* what to tell the kernel once no lock is held */
    atomic_bool noticed;          /* `notices` is not empty */
};

/* The directory with this node id, pinned. -ENOENT, -ENOTDIR: it is none. */
int tree_enter(struct tree *tree, uint64_t id, struct node **out);
/* 0, or -EROFS on a read-only mount. */
int tree_writable(const struct tree *tree);
/*
 * The node that the name leads to, pinned; a name of a possible key that is not in memory gets a
 * node whose existence content_look() has yet to confirm. -ENOENT: there can't be such a file.
 */
int tree_find(struct tree *tree, struct place place, const char *name, struct node **out);
/* The same with the tree lock held. */
int tree_find_locked(struct tree *tree, struct place place, const char *name, struct node **out);
/* Node lock held. Complete attributes; may render the file to learn its size. */
int tree_stat(struct tree *tree, struct node *node, struct stat *out);
/* tree_lookup() in this directory. */
int tree_lookup_in(struct tree *tree, struct place place, const char *name, struct stat *out);

/* Looks at the database file's attributes, and whether somebody else changed it. Takes the tree lock. */
void tree_database(struct tree *tree, struct stat *out);
/* We stored or removed this key. They take the tree lock; names must be held when a key is removed. */
void tree_stored(struct tree *tree, struct bytes key);
void tree_removed(struct tree *tree, struct bytes key);

/* Frees the listings that were never closed: the kernel may drop its last requests when the mount ends. */
void listings_abandon(struct tree *tree);

/* Tree lock held. A name was added to this directory or removed: directories are as new as this moment. */
void tree_names_changed(struct tree *tree, struct place place);
/* Tree lock held. The kernel's knowledge of this file or name is out of date: told by tree_notify(). */
void tree_notice(struct tree *tree, struct node *node);
/* No lock held: calls options.invalidate for what was noticed. Every public function ends with it. */
void tree_notify(struct tree *tree);

struct timespec tree_now(void);

#endif
