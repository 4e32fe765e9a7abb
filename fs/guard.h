/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A small process that breaks the connection to the kernel when ours was killed and the kernel does not notice.
 *
 * Where the notifier tells the kernel that a name is out of date, the kernel waits for the lock of the directory, which a program
 * may hold that waits for our answer. No signal ends that wait. If we are killed then, the thread that is left keeps all of our
 * descriptors open, so the kernel does not notice that nobody will answer: thread, program, and everybody who uses the mount
 * hang until root calls umount -f. With eight programs listing and writing, that was 10 of 353 kills.
 *
 * The guard is told by the kernel as soon as our first thread is gone, whatever the others do, and writes to the file by which the
 * connection can be aborted: every request fails then, as it does after any other kill, and the last thread ends. It holds
 * nothing but that file and the link to us, sleeps until then, and is gone when we are.
 *
 * What it does not do: unmount (that is for -o auto_unmount, or for a person), and help where it is killed with us, or can't
 * have that file. It is the mount owner's, in /sys/fs/fuse/connections; root has it also where nothing is mounted there.
 */
#ifndef SHELVEFS_GUARD_H
#define SHELVEFS_GUARD_H

#include <sys/types.h>

struct guard {
    pid_t process; /* 0: none */
    int link;      /* to it; -1: none */
};

/*
 * Before there is any other thread than the calling one, whose end it waits for, and much in memory that it would share. Having
 * none is no failure.
 */
void guard_start(struct guard *guard);
/* Gives it the connection of the mount with that device number (0: unknown), or ends it where it could do nothing. */
void guard_arm(struct guard *guard, dev_t device);
/* Ends it and waits for that. Nothing happens if there is none. */
void guard_end(struct guard *guard);

#endif
