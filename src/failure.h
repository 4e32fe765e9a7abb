/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An error that a person will read: a negative errno, one sentence, and where.
 *
 * The first failure set sticks; later ones are ignored, so the cause is what is reported. Every function
 * that takes a `struct failure *` accepts NULL when only the code is wanted. Control characters and invalid
 * UTF-8 (names come from hostile files) become '?', so a message may go to a terminal or a log as it is.
 */
#ifndef SHELVEFS_FAILURE_H
#define SHELVEFS_FAILURE_H

#include "src/base.h"

struct failure {
    int code;          /* negative errno; 0: nothing failed */
    size_t offset;     /* byte offset into the input, where there is one */
    char message[240]; /* one sentence without a full stop; printable UTF-8 */
};

/* Records the failure unless one is recorded, and returns `code` (also then) for `return failure_set(...)`. */
int failure_set(struct failure *failure, int code, size_t offset, const char *format, ...)
    PRINTF_LIKE(4, 5);

#endif
