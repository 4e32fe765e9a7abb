/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A listing of a stored value's instructions for people: what a loader would do, step by step, without doing it.
 */
#ifndef SHELVEFS_PICKLE_DIS_H
#define SHELVEFS_PICKLE_DIS_H

#include "src/bytes.h"

/*
 * Appends the listing of all pickles in `stored`, up to where they break, with the reason. Each line holds an instruction's
 * offset, its byte, its name, the stack's depth and open marks behind it, its argument and what it does to the
 * memo. It ends with what a loader would look up and call. Everything is printable UTF-8, and no line is longer
 * than a kilobyte.
 *
 * A listing that exceeds the buffer's limit is cut, which it says: first its instructions at three quarters of the limit. -ENOMEM;
 * -EFBIG only where the limit is less than a few kilobytes.
 */
int pickle_dis(struct bytes stored, struct buffer *text);

#endif
