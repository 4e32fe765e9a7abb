/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which classes and functions a save may name: a text file must not become code in somebody's Python.
 *
 * A global is allowed when the old value names it, or when it is in the harmless set: types whose construction
 * from any arguments runs no code of the user's choosing (the literals' types and the standard library's
 * date, number, container, identifier and path types).
 */
#ifndef SHELVEFS_GLOBALS_H
#define SHELVEFS_GLOBALS_H

#include "src/failure.h"
#include "src/value.h"

/*
 * 0, or -EPERM with a sentence that names the first global (or extension code) of `document` that is neither
 * harmless nor named in `old` (NULL: nothing is). Works on what a failed decoding left behind, too.
 */
int globals_check(const struct document *document, const struct document *old,
                  struct failure *failure);

/*
 * Longer modules and names, which nobody has, are compared by what they are an object of, not by content: a short value may look up
 * one long name very often. A save may not name such a global.
 */
enum { GLOBAL_NAME_LONGEST = 1024 };

/* Module and name, where both are plain text; false: computed, or cut off by a failure. */
bool global_parts(const struct value *global, struct bytes *module, struct bytes *name);
#endif
