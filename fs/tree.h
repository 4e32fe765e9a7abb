/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the mounted directory looks like and does. Knows no FUSE: a unit test drives it over the in-memory store.
 *
 * Files are named to the kernel by node ids (nodes.h says which identifiers exist). A node id is valid from the
 * call that returned it (lookup, create, symlink, mkdir: each counts one reference) until as many references
 * were forgotten. `struct stat` results are complete: st_ino is the node id, st_size the exact size of the text.
 *
 * Every function returns 0 or a negative errno that a user's program understands, outputs are last and touched
 * only on success, and any function may be called from any thread at any time.
 */
#ifndef SHELVEFS_TREE_H
#define SHELVEFS_TREE_H

#include "codecs/codec.h"
#include "fs/attributes.h"
#include "src/keyname.h"
#include "src/store.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <time.h>

enum { TREE_ROOT = 1 };

struct keeper;
struct log;
struct tree;
struct tree_handle;  /* one open file */
struct tree_listing; /* one open directory: a snapshot of its names */

struct tree_options {
    struct dialect dialect;
    struct codec_rules rules;
    bool read_only;
    enum keyname_style names;
    /* Owner, group and permission bits that all files show, whatever is kept of them; as far as they are set. */
    struct attributes shown;
    bool scratch;               /* editors' files stay out of the database */
    unsigned transient_seconds; /* how long a transient may stay closed before it becomes a key */
    /*
     * Called from any thread, without locks held, when what the kernel may have cached is no longer true: of the
     * node (0: none) its attributes and pages, of the parent the entry `name` (NULL: none).
     */
    void (*invalidate)(void *context, uint64_t node, uint64_t parent, const char *name);
    void *context;
    struct log *log; /* borrowed; refused saves and what else a user must know; NULL: nowhere */
    struct keeper *keeper; /* borrowed; of this store; NULL: nothing outlasts the tree */
};

/* Who asks: the owner of what it creates. */
struct tree_caller {
    uid_t uid;
    gid_t gid;
    struct bytes groups; /* gid_t each: the others that it is in, as far as they are known */
};

/* Borrows the store, which must outlive the tree. */
int tree_new(struct store *store, const struct tree_options *options, struct tree **out);
/*
 * Saves what is not saved yet: transients and displaced keys become keys. `report` gets one line per thing that a
 * user must know (companion files that are lost, texts that could not be saved). Returns the first failure.
 */
int tree_finish(struct tree *tree, struct buffer *report);
void tree_free(struct tree *tree); /* NULL is allowed */

/* Does what time makes due. Returns the seconds until it wants to be called again. */
unsigned tree_tick(struct tree *tree);

/* How the kernel may cache the file that was opened. */
enum tree_cache {
    TREE_CACHE_KEEP,   /* what it has of this file is still true */
    TREE_CACHE_DROP,   /* it must read the file anew */
    TREE_CACHE_BYPASS, /* the kernel has another text or size: this handle must not share its pages */
};

/* --- names --- */
int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct stat *out);
/* Looks at these files of a directory, which will probably be looked up next: NUL-terminated names. */
void tree_look_at(struct tree *tree, uint64_t parent, struct bytes names);
void tree_forget(struct tree *tree, uint64_t node, uint64_t count);
int tree_create(struct tree *tree, uint64_t parent, const char *name, mode_t mode, int flags,
                const struct tree_caller *caller, struct stat *stat, struct tree_handle **out,
                enum tree_cache *cache);
int tree_symlink(struct tree *tree, uint64_t parent, const char *name, const char *target,
                 const struct tree_caller *caller, struct stat *out);
int tree_mkdir(struct tree *tree, uint64_t parent, const char *name, mode_t mode,
               const struct tree_caller *caller, struct stat *out);
int tree_unlink(struct tree *tree, uint64_t parent, const char *name);
int tree_rmdir(struct tree *tree, uint64_t parent, const char *name);
/* `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE of renameat2(2). */
int tree_rename(struct tree *tree, uint64_t parent, const char *name, uint64_t new_parent,
                const char *new_name, unsigned flags);
int tree_readlink(struct tree *tree, uint64_t node, struct buffer *target);

/* --- what the kernel keeps --- */
/*
 * What of that is out of date once the database has changed, in a read-only mount: of a directory its attributes, of other files that the name leads
 * to them.
 */
struct tree_known {
    uint64_t node; /* a directory, or 0 */
    uint64_t parent; /* of the name that comes next */
    size_t size; /* of that, with its NUL; 0: none */
};
/* Appends a struct tree_known and its name for each node that it may know. What a glance saw before does not hold any more. */
int tree_known(struct tree *tree, struct buffer *out);
/* How long what it was just told of this file stays true. */
enum tree_lasting {
    TREE_LASTS_NOT,
    TREE_LASTS_A_MOMENT, /* as long as one may be late in seeing what other programs change */
    TREE_LASTS,          /* until the database changes */
};
enum tree_lasting tree_lasts(struct tree *tree, uint64_t node);
/*
 * Calls `push` with the text of a file if the kernel's pages may hold it and don't. It returns whether the kernel took the text. Never from inside a
 * request. Returns the size of what it was called with, or 0.
 */
typedef bool tree_pusher(void *context, uint64_t node, struct bytes text);
size_t tree_push(struct tree *tree, uint64_t node, tree_pusher *push, void *context);

/* --- attributes --- */
enum tree_set {
    TREE_SET_MODE = 1 << 0,
    TREE_SET_UID = 1 << 1,
    TREE_SET_GID = 1 << 2,
    TREE_SET_SIZE = 1 << 3,
    TREE_SET_ATIME = 1 << 4,
    TREE_SET_MTIME = 1 << 5,
    TREE_SET_ATIME_NOW = 1 << 6,
    TREE_SET_MTIME_NOW = 1 << 7,
};
int tree_getattr(struct tree *tree, uint64_t node, struct stat *out);
/* `handle`: the open file that asks (ftruncate), or NULL: a truncation by path is then saved at once. */
int tree_setattr(struct tree *tree, uint64_t node, struct tree_handle *handle,
                 const struct stat *in, unsigned set, const struct tree_caller *caller,
                 struct stat *out);
int tree_access(struct tree *tree, uint64_t node, int mask, const struct tree_caller *caller);
int tree_getxattr(struct tree *tree, uint64_t node, const char *name, struct buffer *value);
/*
 * Setting or removing an attribute of this name. Ours follow the value, whatever a copy brings along (rsync -X, mv): 0, and
 * nothing changes. -ENOTSUP for all others.
 */
int tree_changexattr(struct tree *tree, const char *name);
/* Appends NUL-terminated names. */
int tree_listxattr(struct tree *tree, uint64_t node, struct buffer *names);
int tree_statfs(struct tree *tree, struct statvfs *out);

/* --- files --- */
/*
 * -ESTALE: the name does not lead to this file any more. The kernel then looks the name up again, and makes a file if that is
 * what the caller wants.
 */
int tree_open(struct tree *tree, uint64_t node, int flags, struct tree_handle **out,
              enum tree_cache *cache);
/* Calls `reply` exactly once on success with the bytes that are there (fewer at the end), else never. */
typedef void tree_reader(void *context, struct bytes part);
int tree_read(struct tree_handle *handle, off_t offset, size_t size, tree_reader *reply,
              void *context);
/* The same of a read-only mount, whose files are opened without asking (frozen.h). -ESTALE: what it held is gone. */
int tree_read_node(struct tree *tree, uint64_t node, off_t offset, size_t size, tree_reader *reply,
                   void *context);
int tree_write(struct tree_handle *handle, off_t offset, struct bytes bytes);
/* What was written to a mapping. The kernel takes any handle for it, also one that appends. */
int tree_write_page(struct tree_handle *handle, off_t offset, struct bytes bytes);
/* A descriptor was closed: saves what was written. */
int tree_flush(struct tree_handle *handle);
/* Saves, and returns when it is durable. */
int tree_fsync(struct tree_handle *handle);
void tree_release(struct tree_handle *handle);

/* --- directories --- */
/*
 * Calls `opened` once on success with the listing, which is the caller's to close, else never. If the directory is very large, that
 * is before the end of the call, which then goes on to take names.
 */
typedef void tree_opened(void *context, struct tree_listing *listing);
int tree_opendir(struct tree *tree, uint64_t node, tree_opened *opened, void *context);
/* Whether all names are taken. Until then the store is busy with that. */
bool tree_listing_complete(struct tree_listing *listing);
/* The room that there is for entries with attributes: bytes, of which each takes `each` beside its name. */
struct tree_room {
    size_t bytes, each;
};
/*
 * Calls `entry` for the names from `position` on (0: from the start) until it returns false (no room; that name
 * comes again at the next call). Waits for the first of them, or with `room` for all names, until it is known. `next` is the position after the name. With `room`, which tells how many files to
 * look at together, `stat` is complete and the node got a reference if `entry` returned true. Without (NULL), and for "." and
 * "..", only st_ino and the type in st_mode are set.
 */
typedef bool tree_entry(void *context, const char *name, const struct stat *stat, off_t next);
int tree_readdir(struct tree_listing *listing, off_t position, const struct tree_room *room,
                 tree_entry *entry, void *context);
/*
 * Who was answered a page with attributes is busy with it for a while, and wants the next one then: prepares it, so that tree_readdir() has little to
 * do if nothing happens meanwhile (tree_touch_begin()). tree_keep_listing() comes before the answer, so that a tree_closedir() meanwhile does no harm, and
 * tree_look_ahead() after it in any case. `position`: where the next page begins; 0: nothing is to be done.
 */
void tree_keep_listing(struct tree_listing *listing);
void tree_look_ahead(struct tree_listing *listing, off_t position, const struct tree_room *room);
/*
 * Around each request that changes something, or tells the kernel attributes of a file: what was prepared before it began is not given any more, and nothing
 * is prepared before it ended. From any thread.
 */
void tree_touch_begin(struct tree *tree);
void tree_touch_end(struct tree *tree);
int tree_fsyncdir(struct tree_listing *listing);
void tree_closedir(struct tree_listing *listing);

#endif
