/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who keeps this process from a database: which others hold a lock that it has to wait for by the engine's own rules
 * (`struct engine`), now and as far as /proc/locks tells (locks.h).
 */
#ifndef SHELVEFS_STORE_HOLDERS_H
#define SHELVEFS_STORE_HOLDERS_H

#include "src/store/engine.h"

/*
 * Appends "process 12 (python3), process 15 (celery) and 2 more", fit for a terminal; "another program" if that can't be
 * told. `path` is that of the file with the values.
 */
void holders_name(const struct engine *engine, const char *path, struct buffer *out);

/* For engine->open: -EBUSY, with a sentence that names them and ends with what to do. */
int holders_refuse(const struct engine *engine, const char *path, const char *advice,
                   struct failure *failure);

#endif
