/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file beside a database that keeps what the database can't: named records in a file of libtdb, each with a checksum.
 * What they mean is its user's business.
 *
 * - Made by the first sidecar_begin(), and under its name from that transaction's sidecar_end() on, with all that was put
 *   in it; with the owner and mode of the database, which it also follows later.
 * - Never reached through a symbolic link, and not used if it has another name (hard link) or belongs to anybody but the
 *   database's owner, us or root: who may not change the database must not change what is told about it.
 * - One process at a time changes it; another may read it. Who opens it to change it waits some seconds for one that is
 *   just ending, also where there is no file yet.
 * - A file that is damaged, or that its user does not want, is renamed to NAME.old (one is kept), and the next
 *   sidecar_begin() makes a new one. So does it when somebody took the file away; but when somebody else put
 *   one there meanwhile, that one is left alone, and nothing is kept any more (-EEXIST).
 * - Transactions: a process killed at any moment leaves all records as before or after one.
 *
 * Not for several threads at once, but for sidecar_writable() and sidecar_name(). Errors are negative errno.
 */
#ifndef SHELVEFS_SIDECAR_H
#define SHELVEFS_SIDECAR_H

#include "src/bytes.h"
#include "src/failure.h"

struct sidecar;

/* Appends the usual path, ".NAME.shelvefs" beside the database, with a NUL. `database`: the file that holds the values. */
int sidecar_path(const char *database, struct buffer *out);

/* Touches no file. `database`: whose owner and mode count. */
int sidecar_new(const char *path, const char *database, bool read_only, struct sidecar **out);
/* Gives up a transaction that is open. NULL is allowed. */
void sidecar_free(struct sidecar *sidecar);

/*
 * Opens the file, once. 0; -ENOENT: there is none, which is no failure. For anything else the sentence says why it is not
 * used: -EBUSY: another process changes it, so it can be read only; -EUCLEAN: it was damaged and has been renamed;
 * other errors: it can neither be read nor changed, and stays as it is.
 */
int sidecar_open(struct sidecar *sidecar, struct failure *failure);
/* Whether it may be changed, or made, as far as is known. */
bool sidecar_writable(const struct sidecar *sidecar);
const char *sidecar_name(const struct sidecar *sidecar);

/*
 * Calls `visitor` for each record that is whole; `damaged` gets the number of the others. Slices are borrowed for the call,
 * in which the sidecar must not be used. Without a file there are none.
 */
typedef void sidecar_visitor(void *context, struct bytes name, struct bytes content);
int sidecar_visit(struct sidecar *sidecar, sidecar_visitor *visitor, void *context,
                  size_t *damaged);

/* Starts a transaction; makes the file if need be. 0, or 1: the file is new, so everything must be put again. */
int sidecar_begin(struct sidecar *sidecar, struct failure *failure);
int sidecar_put(struct sidecar *sidecar, struct bytes name, struct bytes content);
/* A record that isn't there is no error. */
int sidecar_remove(struct sidecar *sidecar, struct bytes name);
/*
 * Commits if `status` is 0, else takes back what was done and returns `status`. `durable`: waits until it survives a power
 * cut.
 */
int sidecar_end(struct sidecar *sidecar, int status, bool durable, struct failure *failure);

/* Renames the file to NAME.old. */
int sidecar_set_aside(struct sidecar *sidecar);

#endif
