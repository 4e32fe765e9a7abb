/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making a gdbm file whole that a writer left in the middle of an update.
 *
 * gdbm_recover() writes all records into a new file, under a name of its choice, which stays when it gives up or the process
 * dies; and it gives the database another name before the new file gets the database's. So here it works in a directory of our own beside
 * the database, `.NAME.shelvefs-rescue`, and the new file replaces the database in one step. The next rescue, or the next
 * mount, removes what a killed one left there.
 *
 * All calls need the database locked against everybody else.
 */
#ifndef SHELVEFS_STORE_GDBM_RESCUE_H
#define SHELVEFS_STORE_GDBM_RESCUE_H

#include "src/base.h"

struct gdbm_rescue {
    size_t keys; /* that were saved */
    char *
        backup; /* where the file is now as it was: NAME.~1~, or a higher number; the caller frees it */
};

/*
 * `fd` is the database at `path`, which belongs to another file afterwards. -EUCLEAN: some record can't be saved; nothing
 * was changed then, nor after any other failure. -EPERM: somebody else has made the directory.
 */
int gdbm_rescue_run(const char *path, int fd, struct gdbm_rescue *out);

/* Whether one was killed, and what it left is still there; and removes that. */
bool gdbm_rescue_is_left(const char *path);
void gdbm_rescue_clear(const char *path);

#endif
