/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel is told that it did not ask for. Never from inside a request: see notifier.h. */
#ifndef SHELVEFS_TELL_H
#define SHELVEFS_TELL_H

#include "src/base.h"

struct mount;

/* It must not use what it has cached of this any longer; see tree_options.invalidate. */
void tell_outdated(struct mount *mount, uint64_t node, uint64_t parent, const char *name);
/* Nor what it knows of any file: the database has changed. */
void tell_all_outdated(struct mount *mount);
/* The text of a file, if its pages may hold that. Returns its size, or 0: it was not told. */
size_t tell_text(struct mount *mount, uint64_t node);

#endif
