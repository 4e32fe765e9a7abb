/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading an open file through memory: what the kernel has of it costs no system call, which counts where many small pieces are read.
 *
 * Others may cut the file meanwhile, and a disk may fail: what was read just then is read again by pread(), which tells (lost_pages.h).
 * So is what lies behind the part that was mapped, and all of a file that can't be mapped.
 *
 * What others write is seen as by pread(). Not for several threads.
 */
#ifndef SHELVEFS_MAPPED_H
#define SHELVEFS_MAPPED_H

#include "src/base.h"

#include <sys/stat.h>

/* What stays mapped between uses is not larger: there each small piece is a page by itself, which costs no less to map than to read. */
enum { MAPPED_MOST = 128 << 20 };

struct mapped {
    int fd;              /* borrowed */
    const uint8_t *data; /* NULL: it is not mapped */
    size_t size;
    unsigned lost; /* lost_pages_count() when it was mapped */
    dev_t device;  /* of the open file */
    ino_t inode;
};

#define MAPPED_INIT ((struct mapped){.fd = -1})

/* This file from now on, of which fstat() says `stat`. It stays mapped if it is the same one, in its length. */
void mapped_set(struct mapped *mapped, int fd, const struct stat *stat);
/*
 * What is mapped keeps the open file that it is of, and so the flock() locks of that one, even when it is closed. So such a file is opened another time
 * for it. One that has POSIX locks must not be: they go with the first close() of any of its open files in the process.
 */
enum mapped_locks { MAPPED_FLOCK, MAPPED_POSIX };
/* Maps the file's first `size` bytes, unless just these are. If that fails it is read all the same. */
void mapped_begin(struct mapped *mapped, off_t size, enum mapped_locks locks);
/* Harmless if it isn't mapped. */
void mapped_end(struct mapped *mapped);
/* All of it. -EUCLEAN: the file ends before; other negative errno. */
int mapped_read(struct mapped *mapped, void *out, size_t size, off_t offset);

#endif
