/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an SQLite database holds beside what dbm.sqlite3 put there, and whether it can be worked with at all. Nothing that
 * the schema of a file brings along is to be run: Dict has to be an ordinary table of two columns, with one unique index and without rules.
 */
#ifndef SHELVEFS_STORE_SQLITE_SCHEMA_H
#define SHELVEFS_STORE_SQLITE_SCHEMA_H

#include "src/store/sqlite_file.h"

/* -EMEDIUMTYPE: another kind of SQLite database, which the sentence names. */
int sqlite_schema_judge(struct sqlite_file *file, const char *path, struct failure *failure);

/* Appends the first names of a list, fit for a terminal, and counts all. */
int sqlite_schema_odd_keys(struct sqlite_file *file, struct buffer *names, unsigned *count);
int sqlite_schema_other_tables(struct sqlite_file *file, struct buffer *names, unsigned *count);

#endif
