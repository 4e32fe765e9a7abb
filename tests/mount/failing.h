/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * To be preloaded into shelvefs: its calls of the system and of the C library fail on demand, those of libfuse and the engines'
 * libraries, too. Allocations are in failing_memory.c, all others in failing_calls.c. tests/mount/failing.py drives it.
 */
#ifndef SHELVEFS_TESTS_MOUNT_FAILING_H
#define SHELVEFS_TESTS_MOUNT_FAILING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which calls are counted, and what becomes of those whose turn it is. */
enum failing_mode {
    FAILING_ALLOCATIONS, /* ENOMEM */
    FAILING_CALLS,       /* all others: what is likely for each */
    FAILING_SPACE,       /* what needs space: ENOSPC */
    FAILING_DISK,        /* what changes files: EIO */
    FAILING_SIGNALS,     /* what signals interrupt: EINTR */
    FAILING_SHORT,       /* reads and writes: only a half is done */
    FAILING_KILL,        /* what changes files: the program is killed before it, but not a helper process that makes the call */
    FAILING_KILL_ALL,    /* likewise, the helper, too */
    FAILING_KILL_TORN,   /* likewise, after a half of it */
};

/* What the test shares with the program: a file that the environment variable FAILING names. */
struct failing {
    _Atomic uint64_t calls;  /* so many were there */
    _Atomic uint64_t first;  /* the first one that is to fail, counted from 1; 0: none */
    _Atomic uint64_t end;    /* the one behind the last */
    _Atomic uint64_t blocks; /* of memory in use */
    _Atomic uint64_t mode;
    _Atomic uint64_t device; /* unless it is 0, only files of this device count, and not the standard ones */
    _Atomic uint64_t pid;    /* of the program */
    char name[40];           /* of the call that failed last */
};

/* NULL: nothing fails, nothing counts. */
extern struct failing *failing;

/* Counts a call. Returns whether it is one that is to fail. */
bool failing_now(void);

#endif
