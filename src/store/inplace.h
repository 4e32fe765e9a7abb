/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the engines have in common whose libraries know no transactions, and write in place into one file that other
 * programs use too: gdbm and ndbm. They take turns at the file (turn.h), read it with code of ours that checks what it
 * reads, let the library plan each change aside (shadow.h), and carry it out through the journal (journal.h).
 */
#ifndef SHELVEFS_STORE_INPLACE_H
#define SHELVEFS_STORE_INPLACE_H

#include "src/store/turn.h"
#include "src/store/walk.h"

/* A key is to get a value, or, if it has none here, to go: then it must be there. */
struct step {
    struct bytes key;
    const struct bytes *value;
};
/* What is to change, in this order; the keys are different. */
struct update {
    struct step steps[2];
    size_t count;
};

struct inplace {
    struct store store; /* first */
    struct turn turn;
    struct changes changes;
    const struct inplace_ops *ops;
    bool burst;            /* the turn outlasts the operation */
    bool checked;          /* all of the file, by ops->check */
    off_t size;            /* when it was looked at the last time: only a cut makes it smaller */
    struct stat condemned; /* the file as it was when it was found to be damaged */
};

struct inplace_ops {
    const struct engine *engine;
    /* A turn began, or the file was changed: looks at it anew. -EUCLEAN, -EMEDIUMTYPE; sets the failure. */
    int (*look)(struct inplace *inplace, struct failure *failure);
    /* Whether a crash left what prepare() would put right; NULL: no. */
    bool (*needs_writing)(struct inplace *inplace);
    /* Before each update: puts that right. May give up the turn and take another. NULL: there is nothing to do. */
    int (*prepare)(struct inplace *inplace);
    /* Before the first change: whether all of it makes sense, as far as the library relies on that. -EUCLEAN, and inplace_damaged(). */
    int (*check)(struct inplace *inplace);
    /* As that of struct store_ops; `value` NULL: only whether it is there. -EUCLEAN: damaged. */
    int (*fetch)(struct inplace *inplace, struct bytes key, struct buffer *value);
    int (*visit)(struct inplace *inplace, struct walk *walk);
    /* -EUCLEAN: the library refuses to change it. */
    int (*plan)(struct inplace *inplace, const struct update *update, struct changes *out);
    /* Many values are about to be fetched, or (`rest`) were: as that of struct store_ops. NULL: nothing can be done about it. */
    void (*hurry)(struct inplace *inplace);
    void (*rest)(struct inplace *inplace);
    void (*release)(struct inplace *inplace); /* all but `struct inplace` itself */
    /* Whether the times of the file tell that somebody wrote to it; NULL: yes. */
    bool (*has_stamp)(struct inplace *inplace);
    bool
        ignored_by_others; /* nobody else looks at our lock: what makes no sense may be a change that is under way */
};

extern const struct store_ops inplace_store_ops;

/* engine_damaged(), until the file is another one, or was written to: then somebody may have put it right. */
void inplace_damaged(struct inplace *inplace, const char *how);

/*
 * Opens what engine_new() made with these operations; the engine's own part must be ready for ops->release. On failure
 * all of it is freed.
 */
int inplace_open(struct inplace *inplace, const struct inplace_ops *ops,
                 const struct store_options *options, struct failure *failure);

#endif
