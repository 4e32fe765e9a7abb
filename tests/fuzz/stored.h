/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must be true of any bytes as a stored value, whatever they are. */
#ifndef SHELVEFS_FUZZ_STORED_H
#define SHELVEFS_FUZZ_STORED_H

#include "codecs/dialect.h"
#include "tests/fuzz/demand.h"

enum { LARGEST_TEXT = 1 << 22 };

/*
 * In a database of this dialect rendering never fails but for want of memory, the text reads back to the value, and what is
 * saved unchanged is the very bytes.
 */
void check_stored(const struct dialect *dialect, struct bytes stored);

#endif
