/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files: opening the right one, and reading and writing all that was asked for.
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

#endif
