/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What outlasts the mount: the one who knows what is in the sidecar, between it and the tree.
 *
 * The tree works in memory; the keeper reads all of it at first, and writes what has changed since: every few seconds, at
 * the end, and at once where a crash must not lose it. The records of the sidecar:
 *
 *     secret           the key of all digests in it
 *     database         which one it belongs to, and the times of its file as last seen
 *     dialect          a header line (codecs/dialect.h)
 *     directory        the attributes of the mount's root
 *     times/000 to 7ff pages of the attributes of keys and folds (attributes.h)
 *     file/NUMBER      a file that exists only in the mount (kept.h)
 *
 * The sidecar belongs to a database with the same engine that is the same file, or has a value that the sidecar knows among its
 * first 256 keys: so a copy, a restored backup or a reorganised file finds its times again. Another database's is set
 * aside. An entry counts only while its key has the very value that the entry was made for.
 *
 * Without a file, and after a failure, the mount works all the same: what would be kept lasts until the unmount. A failure is
 * logged once; what could not be written is tried again the next time.
 *
 * Locks: keeper->lock comes after a node's lock and before tree->lock (nodes.h).
 */
#ifndef SHELVEFS_KEEPER_H
#define SHELVEFS_KEEPER_H

#include "codecs/dialect.h"
#include "fs/attributes.h"
#include "src/store.h"

struct keeper;
struct log;
struct node;
struct tree;

/*
 * Reads the sidecar of the store: `path`, or where it usually is (NULL). A sidecar that can't be used is logged, no
 * failure. `read_only`: it is never written. -ENOMEM.
 */
int keeper_new(struct store *store, const char *path, bool read_only, struct log *log,
               struct keeper **out);
void keeper_free(struct keeper *keeper); /* NULL is allowed */

/* The dialect that was found when the database was first mounted; false: it is not known. */
bool keeper_dialect(const struct keeper *keeper, struct dialect *out);
void keeper_set_dialect(struct keeper *keeper, struct dialect dialect);

/*
 * All of the following accept NULL for no keeper.
 *
 * Gives what it read to a tree that is being made, which has an empty table of attributes and knows the times of the
 * database's file. -ENOMEM: the tree is of no use.
 */
int keeper_give(struct keeper *keeper, struct tree *tree);
/*
 * Node lock held, or it is NODE_REJECTED: writes the file, which exists only here, at once, unless it is as it was written last.
 * Harmless for other nodes.
 */
int keeper_keep(struct keeper *keeper, struct tree *tree, struct node *node, bool durable);
/* Tree lock held: the file exists only here no longer. */
void keeper_forget(struct keeper *keeper, struct tree *tree, struct node *node);
/* No lock held. Writes what has changed; `durable`: waits for the disk. */
int keeper_write(struct keeper *keeper, struct tree *tree, bool durable);
/* Seconds until the next keeper_write() is due. */
unsigned keeper_wait(const struct keeper *keeper);
/* At the end, after the last change: also forgets keys that are no more, when there are many. */
int keeper_finish(struct keeper *keeper, struct tree *tree);
/* One line about the sidecar, for .shelvefs/status. */
void keeper_describe(const struct keeper *keeper, struct buffer *out);

#endif
