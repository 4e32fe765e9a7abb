/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lets libgdbm change a copy of a database, and tells what it changed.
 *
 * libgdbm writes in place, piece by piece, and a process that is killed between two pieces leaves a file that "needs
 * recovery" or worse. So it gets a private file in memory instead, which has the same size and, of the database's
 * content, only what libgdbm is going to read: some 20 kB, whatever the size of the database. What differs there
 * afterwards is the update, and the journal writes it in one step.
 *
 * libgdbm reads and writes nothing else: a page that it wrote and that was not copied before is copied, and the update
 * is planned again; what it read is known from its source (gdbm_file_ranges()), and the result is read back. The tables of free space, of which a large database has
 * hundreds, are not copied at first: libgdbm takes them from the front, where it needs one, so if the first is still in the chain, it has looked at none.
 * If not, it gets more of them.
 */
#ifndef SHELVEFS_STORE_GDBM_PLAN_H
#define SHELVEFS_STORE_GDBM_PLAN_H

#include "src/store/gdbm_file.h"
#include "src/store/inplace.h"
#include "src/store/shadow.h"

struct gdbm_plan {
    struct shadow copy;
    struct buffer extents; /* of the database, that the copy needs */
    off_t unread;          /* the first table of free space that it does not have; 0: none */
};

#define GDBM_PLAN_INIT ((struct gdbm_plan){.copy = SHADOW_INIT, .extents = BUFFER_INIT})
void gdbm_plan_release(struct gdbm_plan *plan);

/*
 * Fills `out` with what has to be written. -EUCLEAN: the database is damaged; -EIO: libgdbm answered nonsense.
 */
int gdbm_plan_update(struct gdbm_plan *plan, struct gdbm_file *file, const struct update *update,
                     struct changes *out);

/* Makes an empty database in the file `fd`, which is empty. */
int gdbm_plan_create(int fd);

/*
 * Lets gdbm_recover() write all records of the database `fd` into a new file called `name`, which it makes with a suffix
 * and then renames. After a failure the file with that suffix may be there. -EUCLEAN: some record can't be saved.
 */
int gdbm_plan_recover(const char *name, int fd, size_t *keys);

#endif
