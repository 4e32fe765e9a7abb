/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What stands behind -o: one table for parsing and for the help. */
#ifndef SHELVEFS_SETTINGS_H
#define SHELVEFS_SETTINGS_H

#include "fs/options.h"

/* A list with commas; a backslash takes the meaning from a comma or a backslash. Errors as options_parse(). */
int settings_parse(struct options *options, const char *list, struct failure *failure);

enum settings_group {
    SETTINGS_OURS,
    SETTINGS_OF_FUSE,
    SETTINGS_QUIET, /* not worth a line in the help */
};
/* A line or more of the help for each option of a group; and one such entry: `lines` are separated by newlines. */
void settings_help(enum settings_group group, struct buffer *out);
void settings_help_line(struct buffer *out, const char *left, const char *lines);

#endif
