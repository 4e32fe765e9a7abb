/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SHELVEFS_TESTS_EFFECTS_H
#define SHELVEFS_TESTS_EFFECTS_H

#include "src/bytes.h"

/*
 * What a loader does for a pickle that others can notice: appends each call, change and hashing, with all that can be reached from what it
 * gets, as it is at that time; and the value. What is made and never seen leaves nothing. False: it can't be decoded, or is too large.
 */
bool effects_of(struct bytes pickle, struct buffer *log);

#endif
