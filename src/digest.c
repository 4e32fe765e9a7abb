/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SipHash-2-4-128, written from Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012),
 * section 2, and the 128-bit variant of their reference: v1 starts with 0xEE, v2 gets 0xEE instead
 * of 0xFF, and a second word follows after v1 ^= 0xDD and four more rounds.
 */
#include "src/digest.h"

#include <endian.h>
#include <errno.h>
#include <sys/random.h>

enum { COMPRESS_ROUNDS = 2, FINISH_ROUNDS = 4 };

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void sip_rounds(struct sip *s, unsigned rounds)
{
    while (rounds--) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_rounds(s, COMPRESS_ROUNDS);
    s->v0 ^= word;
}

static inline uint64_t sip_output(struct sip *s)
{
    sip_rounds(s, FINISH_ROUNDS);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

struct digest digest_bytes(const struct digest_key *key, struct bytes bytes)
{
    struct sip s = {
        .v0 = key->words[0] ^ 0x736f6d6570736575u, /* "somepseudorandomlygeneratedbytes" */
        .v1 = key->words[1] ^ 0x646f72616e646f6du ^ 0xEE,
        .v2 = key->words[0] ^ 0x6c7967656e657261u,
        .v3 = key->words[1] ^ 0x7465646279746573u,
    };
    struct digest digest;
    uint64_t word;
    size_t offset = 0;

    for (; bytes.size - offset >= sizeof word; offset += sizeof word) {
        memcpy(&word, bytes.data + offset, sizeof word);
        sip_word(&s, le64toh(word));
    }
    word = (uint64_t)bytes.size << 56;
    for (unsigned shift = 0; offset < bytes.size; offset++, shift += 8)
        word |= (uint64_t)bytes.data[offset] << shift;
    sip_word(&s, word);

    s.v2 ^= 0xEE;
    digest.words[0] = sip_output(&s);
    s.v1 ^= 0xDD;
    digest.words[1] = sip_output(&s);
    return digest;
}

int digest_key_random(struct digest_key *key)
{
    struct digest_key random;
    ssize_t size;

    do
        size = getrandom(&random, sizeof random, 0);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return -errno;
    /* The kernel never gives less of so few bytes once it is seeded (getrandom(2)). */
    if (size != sizeof random)
        return -EIO;
    *key = random;
    return 0;
}
