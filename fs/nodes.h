/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Nodes: what is known in memory about the files that the kernel or a running call refers to.
 *
 * Many things identify a file here, and none of them does another's work:
 *
 * - The *key* is the store's own name: any bytes. It outlives the mount. It does not say through which view a
 *   file shows it, and a file that is still scratch has none yet.
 * - The *name* is one component of a path. Key and path are a bijection (src/keyname.h), but not every name
 *   has a key: sockets of an editor and names cut in an escape have not. A name says nothing about which
 *   file it was a moment ago, and in a fold it is the key's last piece only.
 * - The *place* is the directory that a name is in: a view, and perhaps a fold in it (folds.h), which all views share.
 * - The *node id* is st_ino and the number by which the kernel asks. Its first choice is a hash of directory
 *   and name, so it is the same in every mount (rsync, tar and find compare it). It can't be turned back into
 *   a name. It belongs to a node, not to a name: after `mv a b`, b keeps the id that a had for as long as
 *   the node is in memory, and a new a takes the next free number. It is unique among the nodes in memory only.
 * - The *node pointer* is valid while the node has lookups or pins. The kernel never sees it, so a late or
 *   wrong request can't make us follow it.
 * - The *lookup count* is how often the kernel was told the id, less what it forgot: its references, not
 *   ours. It says nothing about open files: those are pins.
 * - *Pins* are our references: handles, running calls, and being content that exists only here (scratch,
 *   rejected texts, directories).
 * - The *handle* is one open(2). It sees the text that it opened until somebody writes through this mount.
 * - The *generation* that FUSE has beside the id is always 0: an id that is used again later stands for
 *   the same directory and name, unless it was a second choice; over NFS such a file may turn out to be another.
 * - The *text id* (texts.h) names content, whoever's it is: it tells whether the kernel's pages are still true.
 *
 * Locks, in the order in which they are taken; a thread may skip, never go back:
 * 1. tree->names: held while a name changes its meaning (create, unlink, rename, a scratch file that replaces a
 *    displaced key). Only under it may one thread hold the locks of two nodes.
 * 2. node->lock: content. Held while a value is fetched, decoded, printed, parsed or stored, so a slow value
 *    holds up the callers of its own file (and, while it is renamed onto a key, other changes of names) alone.
 * 3. the store's own lock, inside store.c.
 * 4. tree->lock: all tables, lists and the cache. Held for a few instructions, never across a call of the
 *    store or of a codec.
 *
 * Which lock guards which field is written beside the field. "node+tree" means: written with both, so
 * reading needs one of them.
 */
#ifndef SHELVEFS_NODES_H
#define SHELVEFS_NODES_H

#include "fs/attributes.h"
#include "fs/folds.h"
#include "fs/scratch.h"
#include "fs/texts.h"
#include "fs/told.h"
#include "fs/views.h"
#include "src/digest.h"
#include "src/list.h"
#include "src/store.h"
#include "src/chains.h"

#include <pthread.h>

struct tree;
struct draft;

/* When a glance saw a file (glance.h). */
struct seen {
    int64_t ms;       /* clock_ms(); 0: never */
    uint64_t changes; /* tree->changes then */
};

enum node_kind {
    NODE_DIRECTORY,
    NODE_KEY,      /* a key of the store through the view of its directory */
    NODE_SCRATCH,  /* content that is only here (scratch.h) */
    NODE_SYMLINK,  /* scratch too: the content is the target */
    NODE_REPORT,   /* written when it is asked for: status, errors */
    NODE_REJECTED, /* a text that could not be saved */
};

/* A name and the key that it stands for, in one piece of memory. */
struct node_name {
    struct bytes key; /* points into `text`: the name itself, or what is after it */
    uint32_t size;    /* of the name, without its NUL */
    bool has_key;
    char text[];
};

enum { NAME_LONGEST = 255 };

/*
 * A name in that directory. Returns 0, -ENAMETOOLONG (over NAME_LONGEST), -ENOMEM. Names without a key are fine.
 * Free with free().
 */
int node_name_new(enum keyname_style style, struct place place, const char *name,
                  struct node_name **out);
/* Why a file can't get this name, which has no key. */
int node_name_refusal(struct place place, const struct node_name *name);

/* There may be millions, so the small fields stand together. */
struct node {
    struct chain_link by_id;    /* tree */
    struct chain_link by_name;  /* tree; a member while `linked` */
    uint64_t id;                /* constant */
    uint64_t lookups;           /* tree */
    unsigned pins;              /* tree */
    enum directory_number home; /* constant: the view's directory that it is or was in */
    struct fold *fold;          /* node+tree: the fold in that, pinned; NULL: none */
    struct place opens;         /* constant: for NODE_DIRECTORY, which one it is; pinned */
    struct node_name *name;     /* node+tree; the last one when it is not linked any more */
    enum node_kind kind;        /* node+tree */
    enum scratch_shape shape;   /* node+tree: what its name makes of it while it is NODE_SCRATCH */
    int trouble;                /* node: why the value can't be shown, negative errno */
    bool linked;                /* node+tree: the name leads here */
    bool replaced;              /* node+tree: it does not, because another file was renamed to it */
    bool known;                 /* node: `digest` is valid */
    bool stamped;               /* node: `stamp` is valid */
    bool refused;               /* node: the last save failed; control.c knows why */
    atomic_bool unkept; /* a scratch file or rejected text: it was changed since it was kept */

    pthread_mutex_t lock;
    struct draft *draft;         /* node: what was written and is not saved, or NULL */
    struct tree_handle *handles; /* node: all that are open */
    struct digest digest;        /* node: of the stored bytes when last looked at */
    struct store_stamp stamp;    /* node: of the store before it was looked at */
    struct seen seen;            /* node+tree: by the last glance that saw it */
    struct text_id pages;        /* node: what the kernel's page cache holds, if anything */
    struct told told;            /* node: the size that the kernel believes in */
    struct cached_text cached;   /* tree: the content as last rendered, written or generated */
    struct attributes
        own; /* tree: of a file that is no key (any more); its times as first seen if it is */

    /* Scratch files and rejected texts. */
    char *refusal;          /* constant: of NODE_REJECTED, why it could not be saved; or NULL */
    struct list held;       /* tree: in nodes.held while it exists only here */
    struct list due;        /* tree: in tree->due while time may turn it into a key */
    struct timespec closed; /* tree: when it joined `due` (monotonic) */
    uint64_t record;        /* tree: of the sidecar, which has it; 0: none (kept.h) */
    size_t recorded;        /* tree: the size of that */
};

/* All nodes. Part of struct tree; everything in it is guarded by tree->lock. */
struct nodes {
    struct chains by_id, by_name;
    size_t freed, freed_before; /* since nodes_trim() last did something; when it was called last */
    bool watched;               /* there are, or were a moment ago, very many */
    struct list
        held; /* scratch files and rejected texts, oldest first: they exist only in memory */
    struct node directories[DIRECTORY_COUNT];
};

int nodes_init(struct nodes *nodes);
/*
 * When the kernel has forgotten very many files, and seems to have done with it, gives their memory back to the system. Returns whether
 * it should be called again within some seconds. Takes the tree lock. One thread at a time.
 */
bool nodes_trim(struct tree *tree);
void nodes_release(struct tree *tree);

/* The id that a name would have if it were free, never 0 or 1: also the hash of nodes.by_name. */
uint64_t node_hash(struct place place, const char *name);
/* Whether it is the key of its name, which a removed file is no longer. Tree lock held, or the node's. */
static inline bool node_is_key(const struct node *node)
{
    return node->kind == NODE_KEY && node->linked;
}
/* Tree lock held, or the node's. */
static inline struct place node_place(const struct node *node)
{
    return (struct place){node->home, node->fold};
}

/*
 * Tree lock held. The node that the name leads to, or NULL: not in memory (or no such file). No pin is taken.
 */
struct node *nodes_find(struct nodes *nodes, struct place place, const char *name);
/* The node of a directory; NULL: it is not in memory. */
struct node *nodes_find_place(struct nodes *nodes, struct place place);
struct node *nodes_find_id(struct nodes *nodes, uint64_t id);
/*
 * Tree lock held; the name must be free. A linked node with one pin. Takes ownership of `name` on success.
 */
int nodes_add(struct nodes *nodes, struct place place, enum node_kind kind, struct node_name *name,
              struct node **out);
/* The same for a fold's directory. */
int nodes_add_fold(struct nodes *nodes, struct place place, struct node_name *name,
                   struct fold *fold, struct node **out);
/* Tree lock held, and the node's: the name of this one, which is no key, leads to a new node of its kind from now on. One pin. */
int nodes_replace(struct nodes *nodes, struct node *before, struct node **out);
/* Tree lock held (and the node's, see `linked`): the name leads nowhere from now on. Harmless twice. */
void nodes_unlink(struct nodes *nodes, struct node *node);
/* Tree and node lock held; the new name must be free. Takes ownership of `name`. The view stays. */
void nodes_relink(struct tree *tree, struct node *node, struct fold *fold, struct node_name *name);
/* Tree lock and both nodes' locks held: they get each other's name. Nodes of one view, neither is held. */
void nodes_exchange(struct nodes *nodes, struct node *one, struct node *other);
/* Tree lock held. The node exists only here from now on, or no longer: one pin. */
void nodes_hold(struct nodes *nodes, struct node *node);
void nodes_let_go(struct tree *tree, struct node *node);

/* These take the tree lock. */
struct node *node_pin_id(struct tree *tree, uint64_t id); /* NULL: no such node */
/* Frees it when it was the last reference. NULL is allowed. */
void node_unpin(struct tree *tree, struct node *node);
/* Tree lock held. */
void node_unpin_locked(struct tree *tree, struct node *node);
/* Counts a reference of the kernel. */
void node_looked_up(struct tree *tree, struct node *node);

#endif
