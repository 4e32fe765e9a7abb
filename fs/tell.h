/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel is told that it did not ask for. Never from inside a request: see notifier.h. */
#ifndef SHELVEFS_TELL_H
#define SHELVEFS_TELL_H

#include "src/base.h"

struct mount;

/* It must not use what it has cached of this any longer; see tree_options.invalidate. */
void tell_outdated(struct mount *mount, uint64_t node, uint64_t parent, const char *name);
/* Nor the attributes and pages of any file that it may know. */
void tell_all_outdated(struct mount *mount);
/* The text of a file, if its pages may hold that. */
void tell_text(struct mount *mount, uint64_t node);

#endif
