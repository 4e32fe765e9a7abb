/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What becomes of a database's file while it is in use: it may be taken away, replaced by another one, or by something that is
 * no database. Engines look at the name before they use the file (stat() takes half a microsecond); here is what the user
 * hears about it, once each time, through store_notes().
 *
 * Every call needs the store's mutex held.
 */
#ifndef SHELVEFS_STORE_PRESENCE_H
#define SHELVEFS_STORE_PRESENCE_H

#include "src/store/engine.h"

/*
 * Whether the path leads to another file than the known one, or to none: then a change that was made is nowhere, and is made again.
 * Where that can't be found out, it does not: a removal or an exchange that was made must not be made again.
 */
bool presence_has_moved(const char *path, const struct stat *known);
/* The name leads to no database, for this reason (negative errno); others, such as a lock, are no news. */
void presence_lost(struct store *store, int status);
/* It leads to one. `replaced`: to another file than the last time. */
void presence_found(struct store *store, bool replaced);

#endif
