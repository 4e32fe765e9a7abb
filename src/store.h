/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One interface over all engines. Keys and values are plain byte slices; a store never knows what
 * they mean.
 *
 * Found, absent and failed are three results: 0, -ENOENT and any other negative errno. An engine
 * translates its library's errors at its own edge. Each change is one atomic step for every other
 * process that respects the engine's own rules, and is not lost by `kill -9` afterwards;
 * store_sync() makes it survive power loss.
 *
 * A store may be called from any thread: store.c serialises calls, so engines need not.
 */
#ifndef SHELVEFS_STORE_H
#define SHELVEFS_STORE_H

#include "src/bytes.h"
#include "src/failure.h"

#include <sys/stat.h>

struct store;
struct store_ops;

enum store_flags {
    STORE_READ_ONLY = 1 << 0,
    STORE_CREATE = 1 << 1,  /* make it when it does not exist */
    STORE_NO_LOCK = 1 << 2, /* peek at a locked file; only with STORE_READ_ONLY */
};

/*
 * Hears how far something is that may take long: `done` of `total` (0: nobody knows) of what `what` calls, a constant
 * like "reading the index". It may be called often.
 */
struct store_progress {
    void (*report)(void *context, const char *what, uint64_t done, uint64_t total);
    void *context;
};

struct store_options {
    unsigned flags;
    const char *engine;    /* NULL or "auto": by content */
    unsigned lock_timeout; /* seconds to wait for another process */
    const struct store_progress *progress; /* of the opening; NULL: nobody listens */
};

/*
 * Opens `name` as Python finds it: the exact path, else NAME.db, NAME.dir + NAME.dat, NAME.pag, by
 * content. Errors, each with a sentence that says what to do: -ENOENT no such database,
 * -EMEDIUMTYPE not a database (or an engine that this build lacks), -EBUSY locked by another
 * process, -EUCLEAN damaged, -EACCES, -EROFS, other errno.
 */
int store_open(const char *name, const struct store_options *options, struct store **out,
               struct failure *failure);
/*
 * What a name means, without opening it as an engine does: also where this build lacks the engine, or it is locked. The
 * errors are those of store_open().
 */
struct store_place {
    const char *engine;
    const char *what;    /* "a gdbm file" */
    struct buffer files; /* the files that there are, each with a NUL behind it; release it */
};
int store_locate(const char *name, const struct store_options *options, struct store_place *out,
                 struct failure *failure);

/*
 * Flushes and closes. The errno of a failed flush is returned, the store is gone all the same. NULL
 * is allowed.
 */
int store_close(struct store *store);

/*
 * Appends the value to `value`. -ENOENT: no such key. -EIO: the record is damaged. A database that is found to be
 * damaged may be read as far as it goes, but every change is refused (-EUCLEAN), and store_notes() says why.
 */
int store_fetch(struct store *store, struct bytes key, struct buffer *value);
/* One of several keys whose values are fetched together. */
struct store_want {
    struct bytes key;
    int status;         /* of store_fetch(), or -EAGAIN: ask for this one alone */
    size_t start, size; /* where its value is in the buffer */
};
/*
 * Fetches all of them for less than one by one would take: the engine looks once whether the file is what it was, and locks
 * it once. Values are appended to `values` as far as its limit allows. Returns the failure of that look or lock.
 */
int store_fetch_all(struct store *store, struct store_want *wants, size_t count,
                    struct buffer *values);
/* There was no store_fetch_all() for a while: what an engine keeps for the next one is given back. Does not wait for other calls. */
void store_rest(struct store *store);
/* Whether the key exists: 1, 0 or negative errno. */
int store_exists(struct store *store, struct bytes key);

enum store_mode {
    STORE_REPLACE, /* insert or replace */
    STORE_INSERT,  /* -EEXIST if the key exists */
    STORE_EXCHANGE, /* only store_rename(): the two keys swap their values */
};
int store_store(struct store *store, struct bytes key, struct bytes value, enum store_mode mode);
int store_remove(struct store *store, struct bytes key);
/*
 * `to` gets the value of `from`, which is gone, in one step where the engine has transactions.
 * Replaces `to` unless mode is STORE_INSERT (-EEXIST). With STORE_EXCHANGE both keys must be there, and the step is one
 * on every engine that does it at all (-ENOTSUP).
 */
int store_rename(struct store *store, struct bytes from, struct bytes to, enum store_mode mode);

/*
 * Return false to stop. The slice is borrowed for the call. The store must not be called from
 * inside.
 */
typedef bool store_visitor(void *context, struct bytes key);
/* -EIO: a part of the database is damaged, and keys that are there may be missing; the others were visited. */
int store_visit(struct store *store, store_visitor *visitor, void *context);

/*
 * Appends why an operation answered `code`, negative errno, as a person reads it. For -EBUSY that is who has the database
 * locked now: to be asked at once.
 */
void store_explain(const struct store *store, int code, struct buffer *out);

/* Everything changed before the call survives power loss after it. */
int store_sync(struct store *store);

/* Equal stamps: nobody has changed the database between the two calls. */
struct store_stamp {
    uint64_t words[6];
};
/* -ENOTSUP: this engine can't tell cheaply; look at the values. */
int store_stamp(struct store *store, struct store_stamp *out);

const char *store_engine(const struct store *store); /* "dumb", "tdb", ... */
/* The file that holds the values: its owner, mode and times are the mount's defaults. */
const char *store_path(const struct store *store);
/*
 * That file, with the time of the latest change, which may be in a log beside it, and the permissions that all files of the database have.
 * 0 or negative errno.
 */
int store_stat(const struct store *store, struct stat *out);
bool store_read_only(const struct store *store);
/* Found out so far; a note says how. */
bool store_damaged(struct store *store);
/* "dumb, tdb": what this build has, and what it has not; for -V and messages. */
void store_engines(struct buffer *out);
void store_missing_engines(struct buffer *out);
bool store_has_engine(const char *name);
/* Whether there is such an engine, be it in this build or not. */
bool store_knows_engine(const char *name);
/*
 * Appends a line for each thing about the database that its owner should know: what was recovered, what is damaged, when its
 * file was taken away or replaced.
 */
void store_notes(struct store *store, struct buffer *out);
/* The same for a reader: "note: " before each, and escaped, for they may quote what is somebody else's. */
void store_report_notes(struct store *store, struct buffer *out);

/*
 * Looks at all of the database's structure, as far as the engine can, and appends a line for each thing that is wrong.
 * 0 also then; negative errno if it can't be looked at.
 */
int store_check(struct store *store, const struct store_progress *progress, struct buffer *findings);

/* An engine for unit tests: no file, one process. */
struct store *store_new_memory(void);

/*
 * A decorator for unit tests: forwards to `inner` (which it owns), appends a line per call to
 * `log`, and lets the call numbered `fail_at` (from 0, counted over all operations; SIZE_MAX: none)
 * fail with `fail_code`.
 */
struct store_trace {
    struct buffer log;
    size_t calls;
    size_t fail_at;
    int fail_code;
};
struct store *store_new_trace(struct store *inner, struct store_trace *trace);

/*
 * What an engine implements (src/store/engine.h has the rest). Contracts are those of the functions
 * above, except that calls come one at a time, never change a read-only store, and never rename a
 * key to itself. `struct store` is the first member of an engine's own structure. NULL means:
 * exists: fetch and drop; burst, rest: nothing to spare; stamp: -ENOTSUP; rename (also where it returns -ENOTSUP): fetch, store, remove (an
 * engine without transactions only), and no STORE_EXCHANGE; sync: nothing to do.
 */
struct store_ops {
    int (*close)(struct store *store); /* releases all but the store itself, which store.c frees */
    int (*fetch)(struct store *store, struct bytes key, struct buffer *value);
    int (*exists)(struct store *store, struct bytes key);
    /*
     * Between a burst that begins and its end only fetch is called, soon and often: what is the same for all of them is done
     * at the beginning. The end's failure: what was fetched may be wrong.
     */
    int (*burst)(struct store *store, bool begins);
    void (*rest)(struct store *store);
    int (*store)(struct store *store, struct bytes key, struct bytes value, enum store_mode mode);
    int (*remove)(struct store *store, struct bytes key);
    int (*rename)(struct store *store, struct bytes from, struct bytes to, enum store_mode mode);
    int (*visit)(struct store *store, store_visitor *visitor, void *context);
    int (*sync)(struct store *store);
    int (*stamp)(struct store *store, struct store_stamp *out);
};

#endif
