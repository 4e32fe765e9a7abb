/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Attributes that many files have alike, kept once: of a million keys that a listing showed, all have the time of the database.
 * Only the digest of the value is each file's own, and not in here.
 */
#ifndef SHELVEFS_ALIKE_H
#define SHELVEFS_ALIKE_H

#include "src/chains.h"
#include "src/digest.h"

struct attributes;
struct alike;

/* Each has a number, which takes less room than a pointer: from 1 to ALIKE_LAST. */
enum { ALIKE_BITS = 24, ALIKE_LAST = (1 << ALIKE_BITS) - 1 };

/* Of a number. */
union alike_place {
    struct alike *alike;
    uint32_t next; /* a number that is free, as this one is; 0: there is none */
};

struct alikes {
    struct chains all;
    union alike_place *places;
    uint32_t used, capacity; /* of `places`; nobody has 0 */
    uint32_t free;           /* the first number that is free again, or 0 */
    uint32_t last; /* that was asked for: usually the one that is asked for next; 0: none */
    struct digest_key hash_key;
};

/* Returns 0 or -ENOMEM; a zeroed one may be released. */
int alikes_init(struct alikes *alikes, const struct digest_key *key);
void alikes_release(struct alikes *alikes);
/* One more use of what is set there; 0: no memory, or no number. */
uint32_t alikes_use(struct alikes *alikes, const struct attributes *attributes);
/* One less. */
void alikes_unuse(struct alikes *alikes, uint32_t number);
/* All but the value. */
void alikes_get(const struct alikes *alikes, uint32_t number, struct attributes *out);

#endif
