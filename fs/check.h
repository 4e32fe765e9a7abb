/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shelvefs --check DATABASE: whether everything in it can be read. */
#ifndef SHELVEFS_CHECK_H
#define SHELVEFS_CHECK_H

#include "fs/options.h"

/*
 * Appends a line for each thing that is wrong, and one that counts. Returns the command's exit status: EXIT_FAILURE if
 * anything is wrong; others with a failure.
 */
int check_database(const struct options *options, struct buffer *text, struct failure *failure);

#endif
