/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which of several processes deals with a path: a lock that needs no file, so that it can be taken for one that does not
 * exist yet, and ends with its process. It is a name in the kernel's table of abstract sockets (unix(7)), so processes
 * in another network namespace don't meet it, and anybody may take any name: it is for waiting, not for safety.
 */
#ifndef SHELVEFS_RESERVATION_H
#define SHELVEFS_RESERVATION_H

/*
 * Reserves an absolute path, waiting at most so long. Returns a descriptor, to be closed to end it, or
 * negative errno; -EBUSY: another process has it.
 */
int reservation_take(const char *path, unsigned seconds);

#endif
