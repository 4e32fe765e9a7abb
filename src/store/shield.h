/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finishing some writes although this process is killed in the middle of them.
 *
 * Other programs know nothing of our journal. Between a kill and the next mount they would find half an update. So the
 * update is written by a process of its own, which shares memory with this one while this thread waits for it, and does
 * not die with it. It also shares open files, and with them their locks: these last until the update is complete.
 */
#ifndef SHELVEFS_STORE_SHIELD_H
#define SHELVEFS_STORE_SHIELD_H

/*
 * Returns what `run` returns. It must be quick, make system calls on open files only, and neither allocate nor lock. If
 * there can be no other process, this one runs it; -EINTR: the other was killed.
 */
int shield_run(int (*run)(void *context), void *context);

#endif
