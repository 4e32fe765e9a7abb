/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How often to look again at all keys, for those who ask what changed: not so often that it costs more than the questions.
 * Of a small database it is done each time, of a large one after many questions or some rest.
 */
#ifndef SHELVEFS_PACE_H
#define SHELVEFS_PACE_H

#include "src/base.h"

#include <time.h>

struct pace {
    struct timespec rests_since; /* scratch_clock() */
    int64_t took;                /* ns, the last look */
    size_t cost;                 /* of that: about how many keys of usual length it met */
    size_t asked;                /* questions since */
};

/* Another question. Whether it is time to look. */
bool pace_ask(struct pace *pace);
/* A look that began then is over. */
void pace_looked(struct pace *pace, struct timespec began, size_t cost);

#endif
