/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The index of a dbm.dumb database: NAME.dir, in memory and on disk. dumb.c has the design.
 *
 * The table holds what the file says; a failed change forgets what is known of the file, so that
 * the next refresh reads it again and memory never differs from the disk for long.
 */
#ifndef SHELVEFS_STORE_DUMB_INDEX_H
#define SHELVEFS_STORE_DUMB_INDEX_H

#include "src/store.h"
#include "src/store/table.h"

#include <sys/stat.h>

/* A file as it was: equal marks, same content. */
struct file_mark {
    uint64_t inode;
    int64_t mtime_ns;
    int64_t size;
};

struct dumb_index {
    struct table table; /* offset and size of each key; lines that were not understood */
    char *path;         /* NAME.dir */
    char *backup;       /* NAME.bak */
    struct file_mark mark;
    bool known;          /* `mark` and `table` are the file's */
    bool ours;           /* the last change that we know of was made by us */
    bool needs_rewrite;  /* Python could not read the file, or would read another value */
    bool ends_open;      /* the last line has no line end, but is whole */
    bool ends_clean;     /* the last line ends with "\n" and nothing else */
    bool dirty;          /* appended to since the last fsync */
    uint32_t lines;      /* in the file: superseded ones too, about as many as were removed in place */
    uint32_t cut_off;    /* keys whose values lie behind the end of the values, but not absurdly far */
    struct buffer notes; /* what the reading found, for the user */
    const struct store_progress *progress; /* of the reading; NULL: nobody listens */
};

int dumb_index_init(struct dumb_index *index, const char *base);
void dumb_index_release(struct dumb_index *index);

enum dumb_purpose {
    DUMB_LOOK,    /* what is there right now */
    DUMB_REWRITE, /* all of it: wait while another process seems to be writing the file */
};
/*
 * Reads the file again if it is not the one we know. `values` is the open NAME.dat: a record that
 * lies beyond its end does not supersede one that doesn't. If NAME.dir is missing, NAME.bak is read
 * and a rewrite is due. -ENOENT: neither is there.
 */
int dumb_index_refresh(struct dumb_index *index, int values, enum dumb_purpose purpose);
/*
 * Sets a record by appending a line. -ESTALE: the file changed since the refresh, nothing is done
 * or known.
 */
int dumb_index_append(struct dumb_index *index, struct bytes key, int64_t offset, int64_t size);
/*
 * Removes a key by a single byte: the end of the line before its own becomes '#', which makes that line a comment on the
 * other one. So every reader sees the key or doesn't, and so does the next one after a kill. -ENOTSUP: it has several
 * lines or there is none before it; rewrite the file. -ESTALE as above.
 */
int dumb_index_comment_out(struct dumb_index *index, struct table_entry *entry);
/*
 * To be called before the values grow: keys whose values were cut off would seem to have some again. They become comments,
 * and the notes tell.
 */
int dumb_index_give_up_lost(struct dumb_index *index, int64_t values_size);
/*
 * Replaces the file by what the table says; the old one becomes NAME.bak. Durable when it returns. -ESTALE: it is not the
 * one that the table says, which was noticed before it was replaced.
 */
int dumb_index_rewrite(struct dumb_index *index);
/* Whether superseded lines outweigh the others. */
bool dumb_index_is_sparse(const struct dumb_index *index);
int dumb_index_sync(struct dumb_index *index);

/*
 * NAME.dat was replaced by another file: waits a moment for another NAME.dir, too. Whoever puts a copy in place has to do it
 * one after the other, and what the one index says makes no sense in the other values. -ENOENT: there is none.
 */
int dumb_index_follow(struct dumb_index *index);

void file_mark_set(struct file_mark *mark, const struct stat *stat);

#endif
