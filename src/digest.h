/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A keyed 128-bit hash (SipHash-2-4 with 128-bit output, Aumasson and Bernstein): tells whether a stored value is
 * the one that was rendered, spreads hash tables, and derives inode numbers. Keyed, so that nobody who can write
 * values can craft two that are taken for one another.
 */
#ifndef SHELVEFS_DIGEST_H
#define SHELVEFS_DIGEST_H

#include "src/bytes.h"

struct digest_key {
    uint64_t words[2];
};
struct digest {
    uint64_t words[2];
};

/* From the kernel's random numbers. Returns 0 or negative errno. */
int digest_key_random(struct digest_key *key);
struct digest digest_bytes(const struct digest_key *key, struct bytes bytes);
static inline bool digest_equal(struct digest a, struct digest b)
{
    return a.words[0] == b.words[0] && a.words[1] == b.words[1];
}

#endif
