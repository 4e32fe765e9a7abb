/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shelvefs --info DATABASE: what it is, and who uses it. */
#ifndef SHELVEFS_INFO_H
#define SHELVEFS_INFO_H

#include "fs/options.h"

/*
 * Appends "name: value" lines. Returns the command's exit status; if that is not 0, with a failure, and what could be
 * found out nevertheless stands in `text`.
 */
int info_database(const struct options *options, struct buffer *text, struct failure *failure);

#endif
