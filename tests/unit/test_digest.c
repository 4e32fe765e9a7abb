/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/digest.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

/*
 * vectors_sip128 of the authors' reference (github.com/veorq/SipHash, vectors.h): key 00 01 ... 0f,
 * message 00 01 ... of the given size. "openssl mac -macopt size:16 SIPHASH" agrees.
 */
static const struct {
    size_t size;
    const char *hex;
} published[] = {
    {0, "a3817f04ba25a8e66df67214c7550293"},  {1, "da87c1d86b99af44347659119b22fc45"},
    {2, "8177228da4a45dc7fca38bdef60affe4"},  {3, "9c70b60c5267a94e5f33b6b02985ed51"},
    {4, "f88164c12d9c8faf7d0f6e7c7bcd5579"},  {5, "1368875980776f8854527a07690e9627"},
    {6, "14eeca338b208613485ea0308fd7a15e"},  {7, "a1f1ebbed8dbc153c0b84aa61ff08239"},
    {8, "3b62a9ba6258f5610f83e264f31497b4"},  {9, "264499060ad9baabc47f8b02bb6d71ed"},
    {10, "00110dc378146956c95447d3f3d0fbba"}, {11, "0151c568386b6677a2b4dc6f81e5dc18"},
    {12, "d626b266905ef35882634df68532c125"}, {13, "9869e247e9c08b10d029934fc4b952f7"},
    {14, "31fcefac66d7de9c7ec7485fe4494902"}, {15, "5493e99933b0a8117e08ec0f97cfc3d9"},
    {16, "6ee2a4ca67b054bbfd3315bf85230577"}, {17, "473d06e8738db89854c066c47ae47740"},
    {31, "2939b0183223fafc1723de4f52c43d35"}, {32, "7c3956ca5eeafc3e363e9d556546eb68"},
    {33, "77c6077146f01c32b6b69d5f4ea9ffcf"}, {63, "5150d1772f50834a503e069a973fbd7c"},
};

static struct digest_key counting_key(void)
{
    return (struct digest_key){{0x0706050403020100u, 0x0f0e0d0c0b0a0908u}};
}

static void to_hex(struct digest digest, char out[33])
{
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", (unsigned)(digest.words[i / 8] >> (8 * (i % 8)) & 0xFF));
}

static void test_published_vectors(void **state)
{
    struct digest_key key = counting_key();
    uint8_t message[64];
    char hex[33];

    for (unsigned i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_SIZE(published); i++) {
        to_hex(digest_bytes(&key, bytes_of(message, published[i].size)), hex);
        assert_string_equal(hex, published[i].hex);
    }
}

static void test_alignment_does_not_matter(void **state)
{
    struct digest_key key = counting_key();
    uint8_t room[80];
    struct digest first = {{0, 0}};

    for (size_t shift = 0; shift < 8; shift++) {
        struct digest digest;

        for (unsigned i = 0; i < 64; i++)
            room[shift + i] = (uint8_t)i;
        digest = digest_bytes(&key, bytes_of(room + shift, 64));
        if (shift == 0)
            first = digest;
        assert_true(digest_equal(first, digest));
    }
}

static void test_every_byte_and_the_key_count(void **state)
{
    struct digest_key key = counting_key(), other = key;
    uint8_t message[41] = {0};
    struct digest first = digest_bytes(&key, bytes_of(message, sizeof message));

    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = 1;
        assert_false(digest_equal(first, digest_bytes(&key, bytes_of(message, sizeof message))));
        message[i] = 0;
    }
    assert_false(digest_equal(first, digest_bytes(&key, bytes_of(message, sizeof message - 1))));
    other.words[1] ^= 1;
    assert_false(digest_equal(first, digest_bytes(&other, bytes_of(message, sizeof message))));
    assert_true(digest_equal(first, digest_bytes(&key, bytes_of(message, sizeof message))));
}

static void test_random_keys_differ(void **state)
{
    struct digest_key a = {{0, 0}}, b = {{0, 0}};

    assert_int_equal(digest_key_random(&a), 0);
    assert_int_equal(digest_key_random(&b), 0);
    assert_memory_not_equal(&a, &b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_alignment_does_not_matter),
        cmocka_unit_test(test_every_byte_and_the_key_count),
        cmocka_unit_test(test_random_keys_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
