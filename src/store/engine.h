/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What engines and store.c share, and nobody else sees.
 *
 * A new engine is one file that defines a `const struct engine`, one line in the table of store.c
 * and one in meson.build. How its files look and are found is in detect.c, which also knows the
 * formats that no engine of this build opens, so that the message can name them.
 */
#ifndef SHELVEFS_STORE_ENGINE_H
#define SHELVEFS_STORE_ENGINE_H

#include "src/patience.h"
#include "src/store.h"

#include <pthread.h>

struct store {
    const struct store_ops *ops;
    const char *engine;
    char *path;            /* of the file that holds the values */
    bool read_only;        /* store.c refuses changes: engines need not */
    bool damaged;          /* likewise; see engine_damaged() */
    struct buffer notes;   /* lines for the user, see store_notes() */
    struct buffer events;  /* likewise, which stay when the engine makes its notes anew; see presence.h */
    bool lost;             /* the last of them says that there is no database */
    pthread_mutex_t mutex; /* held around every operation */
};

/*
 * Allocates an engine's structure of `size` bytes, zeroed, with its store set up. NULL: out of
 * memory. store.c frees it after ops->close; an engine that fails while opening calls
 * engine_free().
 */
void *engine_new(size_t size, const char *engine, const struct store_ops *ops, const char *path,
                 bool read_only);
void engine_free(struct store *store);

/*
 * From now on the store is only read (-EUCLEAN), and a note says that it is damaged, and how: a sentence of ours, or
 * one of a library about a file that may be hostile. Called with the mutex held.
 */
void engine_damaged(struct store *store, const char *how);

/* Tells whoever listens; NULL: nobody does. */
void engine_progress(const struct store_progress *progress, const char *what, uint64_t done, uint64_t total);

struct lock_holder;

struct engine {
    const char *name;
    /* What its files may be called, behind the path that detection found; ends with NULL. */
    const char *const *suffixes;
    /* What the file of changes that are not in the other one yet has behind its path; NULL: there is no such file. */
    const char *log_suffix;
    /*
     * What the file that finds the values has instead of the other one's last four letters; NULL: there is none. Who may not use
     * both may not use the database.
     */
    const char *index_suffix;
    /* Likewise of the file that is locked instead, where it is there. */
    const char *lock_suffix;
    /* Whether a lock that somebody has on that file may keep us from writing. NULL: each flock() does, and nothing else. */
    bool (*excludes)(const struct lock_holder *lock);
    /* `path` is what detection found: for engines of several files, their common base name. */
    int (*open)(const char *path, const struct store_options *options, struct store **out,
                struct failure *failure);
    /* Makes an empty database that appears complete or not at all. -EEXIST: there is one. */
    int (*create)(const char *path, struct failure *failure);
    /* See store_check(). NULL: there is nothing to look at but the records. */
    int (*check)(struct store *store, const struct store_progress *progress, struct buffer *findings);
};
/* NULL: this build has no such engine. */
const struct engine *engine_find(const char *name);

extern const struct engine engine_dumb;
extern const struct engine engine_gdbm;
extern const struct engine engine_ndbm;
extern const struct engine engine_sqlite;
extern const struct engine engine_tdb;

#endif
