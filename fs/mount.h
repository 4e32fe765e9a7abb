/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One mount: what main() opens, the session serves and the operations get as their userdata. It owns everything
 * in it. `src` and `tree` know nothing of it; operations.c and session.c use its parts directly.
 */
#ifndef SHELVEFS_MOUNT_H
#define SHELVEFS_MOUNT_H

#include "codecs/codec.h"
#include "fs/ahead.h"
#include "fs/guard.h"
#include "fs/keeper.h"
#include "fs/notifier.h"
#include "fs/options.h"
#include "fs/startup.h"
#include "fs/tree.h"
#include "fs/vigil.h"
#include "src/log.h"
#include "src/store.h"

struct fuse_session;

struct mount {
    struct log *log;         /* borrowed */
    struct startup *startup; /* borrowed; whom to tell that the mount is ready */
    struct store *store;
    struct keeper *keeper; /* NULL: no sidecar is wanted */
    struct tree *tree;
    struct notifier *notifier;
    struct vigil vigil; /* the notifier's thread, once it runs */
    struct ahead *ahead;
    struct guard guard;
    atomic_uint at_leisure; /* threads that have replied and prepare the next answer */
    bool unasked; /* the kernel opens files without asking: frozen.h */
    struct fuse_session *session; /* set while there is one */
    const char *mountpoint;       /* borrowed; likewise */
    dev_t device;                 /* of what is mounted there; 0: unknown */
    struct buffer notes;          /* the store's, as far as they were logged */
    unsigned max_read;            /* largest read request; 0: the kernel's own */
    struct buffer source;  /* the database's absolute name, NUL-terminated */
    struct buffer summary; /* "NAME: tdb, 4 keys, pickle protocol 4" */
};

/*
 * Opens the database, finds its dialect and makes the tree; no thread is started. The failure's sentence names
 * what to do; its code is what store_open() or memory gave.
 */
int mount_open(struct mount *mount, const struct options *options, struct log *log,
               struct startup *startup, struct failure *failure);
/*
 * Saves what is not saved, closes the database, and logs what a user must know. Returns the first failure; the
 * mount is gone all the same. The session must have ended.
 */
int mount_close(struct mount *mount);

#endif
