/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file that appears under its name complete or not at all.
 *
 * It is made beside the target (whose symbolic links are followed), exclusively and never through a
 * link. It has no name until it is published where the filesystem allows that (O_TMPFILE), so a
 * crash leaves no litter. A file that it replaces passes on its mode, and its owner where that is
 * permitted; access control lists are not kept.
 */
#ifndef SHELVEFS_IO_DRAFT_H
#define SHELVEFS_IO_DRAFT_H

#include "src/bytes.h"

#include <sys/stat.h>

struct io_draft {
    int fd;
    char *temporary; /* its name until it is published; NULL: none */
    char *path;      /* the target */
};
int io_draft_open(const char *path, struct io_draft *out);
/* For a file that must not be there yet: `path` is taken as it is, and the draft is owned as `like`. */
int io_draft_new(const char *path, const struct stat *like, struct io_draft *out);
/* Gives it a name now, for libraries that open files by name. */
int io_draft_name(struct io_draft *draft);
enum io_publish {
    IO_REPLACE, /* whatever has that name */
    IO_CREATE,  /* -EEXIST if something has that name */
};
/* fsync, rename, fsync of the directory. The draft is gone afterwards, also on failure. */
int io_draft_publish(struct io_draft *draft, enum io_publish how);
/*
 * Publishes it in place of the file that has the name, if that is the `expected` one, which is called `aside` then (if that can't be, it is gone). -ESTALE:
 * it is another one, which keeps its name, or there is none; -EOPNOTSUPP: the filesystem can't exchange names, and the draft is as it was.
 */
typedef bool io_expected(const void *context, const struct stat *file);
int io_draft_exchange(struct io_draft *draft, io_expected *expected, const void *context,
                      const char *aside);
/* Publishes as new what `make` writes under the draft's name, or discards it. Ends the draft either way. */
int io_draft_create(struct io_draft *draft, int (*make)(const char *path));
void io_draft_discard(struct io_draft *draft);
/* The three in one. */
int io_write_file(const char *path, struct bytes content, enum io_publish how);

/*
 * Gives an open file this mode, and this owner as far as that is permitted: that it isn't is no reason to refuse a save,
 * the writer owns the file then.
 */
int io_own_as(int fd, const struct stat *like);

/* Makes what happened to the names in the directory of `path` durable. */
int io_sync_directory_of(const char *path);

#endif
