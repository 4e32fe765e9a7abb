/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The conversation with the kernel: mounting, serving, unmounting. With operations.c the only code that knows
 * libfuse.
 */
#ifndef SHELVEFS_SESSION_H
#define SHELVEFS_SESSION_H

#include "fs/mount.h"
#include "fs/options.h"

/*
 * Mounts at `mountpoint` (absolute) and sets mount->session. What libfuse and fusermount3 say is not printed; it
 * becomes the failure's sentence. -EINVAL: libfuse refuses an option; -EIO: it cannot be mounted.
 */
int session_open(struct mount *mount, struct options *options, const char *mountpoint,
                 struct failure *failure);
/*
 * Serves until the directory is unmounted or a signal such as SIGTERM, SIGINT or SIGHUP comes; starts and stops the
 * notifier. 0, or negative errno if the connection broke.
 */
int session_serve(struct mount *mount, const struct options *options);
/* Unmounts. Nothing happens if there is no session. */
void session_close(struct mount *mount);

const char *session_library_version(void);

#endif
