/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who holds a lock on a file, as far as /proc/locks tells (proc_locks(5)): without opening the file, since closing it
 * would drop this process's own POSIX locks on it. Processes of other PID namespaces don't appear, and on some
 * filesystems (NFS, overlayfs, btrfs) the numbers there are not those of stat().
 */
#ifndef SHELVEFS_LOCKS_H
#define SHELVEFS_LOCKS_H

#include "src/bytes.h"

#include <sys/stat.h>

struct lock_holder {
    long process;  /* its id; -1: the kernel does not say, as of a lock that belongs to an open file (F_OFD_SETLK) */
    bool writes;   /* an exclusive lock */
    bool waits;    /* does not have it yet */
    bool is_flock; /* of all of the file, by flock(); else of a range, by fcntl() */
    uint64_t from; /* where that range begins */
};

/*
 * Calls `visit` for each process that locks the file, once a lock. -ENOENT: there is no /proc/locks here.
 */
int locks_visit(const struct stat *file,
                void (*visit)(void *context, const struct lock_holder *holder), void *context);
/* One line of /proc/locks: whether it is about the file. */
bool locks_parse(const char *line, const struct stat *file, struct lock_holder *out);
/* Appends "process 1234 (python3)", fit for a terminal. */
void locks_add_process(long process, struct buffer *out);

#endif
