/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the command to the daemon.
 *
 * The process forks before anything is opened: record locks are not inherited by a child, and threads neither. The
 * child opens, mounts and then reports one line through a pipe. The parent waits for it, prints it, and exits with
 * its status, so "shelvefs DB MNT && ls MNT" works, and so does "shelvefs DB MNT | cat": by then the child has
 * let go of the terminal.
 *
 * In the foreground there is no fork; the line is printed by the process itself.
 */
#ifndef SHELVEFS_STARTUP_H
#define SHELVEFS_STARTUP_H

#include "src/bytes.h"
#include "src/log.h"

/* What the command's exit status tells. */
enum exit_status {
    EXIT_USAGE = 2,
    EXIT_DATABASE = 3, /* cannot open or detect it */
    EXIT_LOCKED = 4,   /* by another process */
    EXIT_MOUNT = 5,
};

struct startup {
    int pipe;      /* to the parent; -1: foreground */
    bool reported; /* the one line was given */
};

/* Stays in the foreground. */
void startup_init(struct startup *startup);
/*
 * Forks. Returns true in the parent, once there is a report, and then the command's exit status. Returns false in
 * the child, and where no fork was possible: it goes on and reports.
 */
bool startup_fork(struct startup *startup, int *exit_status);
/*
 * The mount works: gives `line` for standard output; the child then becomes a daemon, whose log is syslog. Returns
 * negative errno if nobody listens any more: the user gave up, so must we.
 */
int startup_succeed(struct startup *startup, struct log *log, struct bytes line);
/* Gives `line` for standard error. Does nothing after a report. */
void startup_fail(struct startup *startup, enum exit_status exit_status, struct bytes line);

#endif
