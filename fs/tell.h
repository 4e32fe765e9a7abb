/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Telling the kernel what it must no longer believe: messages that nobody asked for, on a channel of their own. Their form
 * is that of <linux/fuse.h>.
 *
 * The kernel may let such a message wait for the lock of a directory or a page, which a program holds that waits for our answer. If we are
 * killed then, the message keeps our channel open, so the kernel does not notice that nobody will answer, and program, message and
 * mount hang until somebody calls umount -f. Through a channel of its own (FUSE_DEV_IOC_CLONE) the message can't: the one for
 * requests is closed with us, and what was being answered there fails.
 */
#ifndef SHELVEFS_TELL_H
#define SHELVEFS_TELL_H

#include "src/bytes.h"

/* A channel to the session of that descriptor, or `session` itself where the kernel gives none. */
int tell_open(int session);
void tell_close(int channel, int session);

/* The kernel may not know what this is about, or the mount may be going away: no failure. */
void tell_inode(int channel, uint64_t node);
void tell_entry(int channel, uint64_t parent, const char *name);
/* The text of a file for its pages. Whether the kernel took it. */
bool tell_text(int channel, uint64_t node, struct bytes text);

#endif
