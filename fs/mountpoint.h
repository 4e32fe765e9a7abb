/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The directory to mount on: whether it will do, said in words that help. */
#ifndef SHELVEFS_MOUNTPOINT_H
#define SHELVEFS_MOUNTPOINT_H

#include "src/failure.h"

#include <sys/types.h>

/*
 * The absolute path, to be freed, of a directory that can be mounted on. "/dev/fd/N" (mount.fuse3 -o drop_privileges
 * has mounted there already) is taken as it is.
 */
int mountpoint_resolve(const char *given, char **path, struct failure *failure);
/* -EINVAL if the mount would cover the database, which would wait for itself at the next access. */
int mountpoint_check_beside(const char *mountpoint, const char *database, struct failure *failure);
/*
 * The device number of what is mounted there, without a question to who serves it: every mount has one of its own. 0: it can't be
 * told, or it is no directory.
 */
dev_t mountpoint_device(const char *mountpoint);

#endif
