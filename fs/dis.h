/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shelvefs --dis DATABASE KEY: what .shelvefs/dis/KEY shows, without a mount. */
#ifndef SHELVEFS_DIS_H
#define SHELVEFS_DIS_H

#include "fs/options.h"

/* Appends the listing of one value. Returns the command's exit status, with a failure unless it is 0. */
int dis_show(const struct options *options, struct buffer *text, struct failure *failure);

#endif
