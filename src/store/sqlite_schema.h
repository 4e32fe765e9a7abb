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

/*
 * Appends a line each about keys and tables that are left alone, with their first names, fit for a terminal. That something can't be read
 * now shows when it is asked for.
 */
void sqlite_schema_note(struct sqlite_file *file, struct buffer *notes);

#endif
