/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A database's dialect, from its first values. */
#ifndef SHELVEFS_SAMPLE_H
#define SHELVEFS_SAMPLE_H

#include "codecs/dialect.h"
#include "src/store.h"

/*
 * `*keys` is how many keys were looked at, DIALECT_SAMPLE_VALUES + 1 if there are more. A value larger than
 * `max_value`, or that can't be read, tells nothing.
 */
int sample_dialect(struct store *store, size_t max_value, struct dialect *dialect, unsigned *keys,
                   struct failure *failure);

#endif
