/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files: reading and writing all that was asked for, and replacing a file in one step.
 *
 * Everything returns 0 or negative errno, survives signals and short counts, and opens with
 * O_CLOEXEC.
 */
#ifndef SHELVEFS_IO_H
#define SHELVEFS_IO_H

#include "src/bytes.h"

#include <sys/stat.h>
#include <sys/types.h>

/* open(2), O_CLOEXEC, which returns negative errno. */
int io_open(const char *path, int flags, mode_t mode);
int io_truncate(int fd, off_t size);
/* Reads at `offset` up to `size` bytes; fewer, in `*done`, only at the end of the file. */
int io_read(int fd, void *data, size_t size, off_t offset, size_t *done);
/* All of it. -EUCLEAN: the file ends before. */
int io_read_exactly(int fd, void *data, size_t size, off_t offset);
bool io_is_same_file(const struct stat *one, const struct stat *other);
/* Whether both are of the same file, and nobody has written to it in between, as far as its times tell. */
bool io_is_unchanged(const struct stat *before, const struct stat *after);
/* Writes all of it at `offset`. After a failure the file may hold a part of it. */
int io_write(int fd, struct bytes bytes, off_t offset);
/*
 * Appends the file from its start to its end, also if that moves meanwhile; `out` is as before on
 * failure.
 */
int io_read_all(int fd, struct buffer *out);
int io_read_file(const char *path, struct buffer *out);
/*
 * Opens a regular file and nothing else: never waits for a FIFO, -EISDIR for a directory, -ENOTSUP
 * for the rest.
 */
int io_open_regular(const char *path, int flags, struct stat *stat, int *out);

/*
 * The same of a file that nobody named: it goes with one that somebody did. Who may write to the directory could lead us to any file by a
 * symbolic link, so that is followed only if it belongs to root or to us, or leads to a file of its own owner (as Linux's
 * protected_symlinks does in sticky directories); else -EPERM.
 */
int io_open_companion(const char *path, int flags, struct stat *stat, int *out);

/*
 * A file that appears under its name complete or not at all.
 *
 * It is made beside the target (whose symbolic links are followed), exclusively and never through a
 * link. It has no name until it is published where the filesystem allows that (O_TMPFILE), so a
 * crash leaves no litter. A file that it replaces passes on its mode, and its owner where that is
 * permitted; access control lists are not kept.
 */
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
