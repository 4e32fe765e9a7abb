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

struct alikes {
    struct chains all;
    struct alike *last; /* that was asked for: usually the one that is asked for next */
    struct digest_key hash_key;
};

/* Returns 0 or -ENOMEM; a zeroed one may be released. */
int alikes_init(struct alikes *alikes, const struct digest_key *key);
void alikes_release(struct alikes *alikes);
/* One more use of what is set there; NULL: no memory. */
struct alike *alikes_use(struct alikes *alikes, const struct attributes *attributes);
/* One less. */
void alikes_unuse(struct alikes *alikes, struct alike *alike);
/* All but the value. */
void alike_get(const struct alike *alike, struct attributes *out);

#endif
