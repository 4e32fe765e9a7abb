/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading the index of a dbm.dumb database, also one that a crash, a power cut or a person has spoiled. The part of
 * dumb_index.c that looks at what it finds.
 */
#ifndef SHELVEFS_STORE_DUMB_READING_H
#define SHELVEFS_STORE_DUMB_READING_H

#include "src/store/dumb_index.h"

/* What NAME.dir, or if it stays away NAME.bak, says, instead of what is known. `values` is the open NAME.dat. */
int dumb_reading_load(struct dumb_index *index, int values);

/* Whether the value was cut off with the end of the values; farther behind it is nonsense. */
bool dumb_is_cut_off(const struct table_entry *entry, int64_t values_size);
/*
 * Where the line at `start` begins, if it can be made a comment on the one before it, else 0: that must end with "\n"
 * alone, for "\r" would end it still.
 */
int64_t dumb_comment_place(struct bytes text, size_t start);

#endif
