/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A keeper from within: keeper_read.c reads, keeper.c writes. */
#ifndef SHELVEFS_KEEPER_STATE_H
#define SHELVEFS_KEEPER_STATE_H

#include "fs/keeper.h"
#include "fs/kept.h"

#include <pthread.h>

struct sidecar;

/* A database, and its file as last seen. */
struct identity {
    char engine[16];
    uint64_t device, inode;
    struct timespec changed;        /* its mtime */
    struct timespec foreign, names; /* tree->foreign_change and names_change */
    uint64_t known;                 /* entries when all of them belonged to keys that exist */
};

struct keeper {
    pthread_mutex_t lock;
    struct store *store;     /* borrowed */
    struct log *log;         /* borrowed */
    struct sidecar *sidecar; /* NULL: none */
    bool told;               /* the present failure was logged */
    bool full;               /* it was logged that a file can't be kept */
    bool all;                /* the file is a new one: everything is to be put */

    struct digest_key secret;
    struct identity identity; /* as read or written last; no engine: none */
    struct dialect dialect;
    bool has_dialect;
    struct attributes directory;       /* of the root, as read or written last */
    struct attribute_table attributes; /* as read; the tree's after keeper_give() */
    struct kept_records files;         /* as read; empty after keeper_give() */
    size_t kept, kept_bytes;           /* scratch files that have a record */
};

/* Pages of attributes are the records "times/NNN", three hexadecimal digits. */
#define KEEPER_PAGES "times/"

static inline bool keeper_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

#endif
