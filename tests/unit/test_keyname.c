/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/keyname.h"
#include "src/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

static const struct {
    struct bytes key;
    const char *name;
} pairs[] = {
    {BYTES("greeting"), "greeting"},
    {BYTES("with space"), "with space"},
    {BYTES("Z\xc3\xbcrich"), "Z\xc3\xbcrich"},
    {BYTES("\xf0\x9f\x90\x8d"), "\xf0\x9f\x90\x8d"},
    {BYTES(""), "%"},
    {BYTES("."), "%2E"},
    {BYTES(".."), "%2E."},
    {BYTES("..."), "..."},
    {BYTES(".a"), ".a"},
    {BYTES(".shelvefs"), "%2Eshelvefs"},
    {BYTES(".shelvefs2"), ".shelvefs2"},
    {BYTES("x.shelvefs"), "x.shelvefs"},
    {BYTES("a/b"), "a%2Fb"},
    {BYTES("a\0b"), "a%00b"},
    {BYTES("a\n\t\x7f"), "a%0A%09%7F"},
    {BYTES("\xff\xfe"), "%FF%FE"},
    {BYTES("\xc3("), "%C3("},
    {BYTES("\xed\xa0\x80"), "%ED%A0%80"}, /* a surrogate */
    {BYTES("\xc0\xaf"), "%C0%AF"},        /* an overlong slash */
    {BYTES("\xc2\x85"), "\xc2\x85"},      /* U+0085 is valid UTF-8 */
    {BYTES("%"), "%25"},
    {BYTES("%%"), "%%"},
    {BYTES("100%"), "100%"},
    {BYTES("100% wool"), "100% wool"},
    {BYTES("%2"), "%2"},
    {BYTES("%2F"), "%252F"},
    {BYTES("%2f"), "%252f"},
    {BYTES("%25"), "%2525"},
    {BYTES("%%41"), "%%2541"},
    {BYTES("%/"), "%%2F"},
    {BYTES("%2/"), "%2%2F"},
    {BYTES("%\xff"), "%%FF"},
    {BYTES("a%+"), "a%25+"},
    {BYTES("%+"), "%25+"},
    {BYTES("%+a"), "%+a"},
    {BYTES("%25+"), "%2525+"},
};

static void test_pairs(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        struct buffer name = BUFFER_INIT, key = BUFFER_INIT;

        assert_int_equal(keyname_encode(pairs[i].key, &name), 0);
        buffer_add_byte(&name, '\0');
        assert_string_equal((char *)name.data, pairs[i].name);
        assert_int_equal(keyname_decode(bytes_of_string(pairs[i].name), &key), 0);
        assert_true(bytes_equal(buffer_bytes(&key), pairs[i].key));
        buffer_release(&name);
        buffer_release(&key);
    }
}

static const struct bytes aliases[] = {
    BYTES(""),       BYTES("."),      BYTES(".."),          BYTES(".shelvefs"), BYTES("a/b"),
    BYTES("a\0b"),   BYTES("a\n"),    BYTES("\x7f"),        BYTES("\xff"),      BYTES("\xed\xa0\x80"),
    BYTES("%41"),    BYTES("%2f"),    BYTES("%2e"),         BYTES("%2E%2E"),    BYTES(".%2E"),
    BYTES("%2Ea"),   BYTES("%ff"),    BYTES("%C3%BC"),      BYTES("%25x"),      BYTES("a%25"),
    BYTES("%25%25"), BYTES("a%+"),    BYTES("%+"),          BYTES("a%25+b"),    BYTES("%20"),
    BYTES("%7E"),    BYTES("%2Eshelvef"),
};

static void test_names_that_are_not_canonical_name_nothing(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
        struct buffer key = BUFFER_INIT;

        buffer_add_string(&key, "kept");
        assert_int_equal(keyname_decode(aliases[i], &key), -ENOENT);
        assert_true(bytes_equal(buffer_bytes(&key), BYTES("kept")));
        buffer_release(&key);
    }
}

static void test_length_limit(void **state)
{
    uint8_t letters[KEYNAME_MAX + 1];
    struct buffer out = BUFFER_INIT;

    memset(letters, 'a', sizeof letters);
    assert_int_equal(keyname_encode(bytes_of(letters, KEYNAME_MAX), &out), 0);
    assert_int_equal(out.size, KEYNAME_MAX);
    assert_int_equal(keyname_encode(bytes_of(letters, KEYNAME_MAX + 1), &out), -ENAMETOOLONG);
    assert_int_equal(out.size, KEYNAME_MAX);
    assert_int_equal(keyname_decode(bytes_of(letters, KEYNAME_MAX + 1), &out), -ENOENT);
    letters[0] = '/';
    assert_int_equal(keyname_encode(bytes_of(letters, KEYNAME_MAX), &out), -ENAMETOOLONG);
    assert_int_equal(keyname_encode(bytes_of(letters, KEYNAME_MAX - 2), &out), 0);
    assert_int_equal(out.size, 2 * KEYNAME_MAX);
    buffer_release(&out);
}

static void test_failed_memory_is_told(void **state)
{
    struct buffer small;

    buffer_init(&small, 2);
    assert_int_equal(keyname_encode(BYTES("abc"), &small), -EFBIG);
    buffer_clear(&small);
    assert_int_equal(keyname_decode(BYTES("abc"), &small), -EFBIG);
    buffer_release(&small);
}

/* Bytes that the rules are about come often, all others now and then. */
static size_t random_bytes(uint8_t *out, size_t most)
{
    static const uint8_t likely[] = "%%%%+/..0123456789ABCDEFabcdef\0\n\x7f\xc3\xbc\xed\xa0\x80.shelvefs";
    size_t size = (size_t)rand() % (most + 1);

    for (size_t i = 0; i < size; i++)
        out[i] = rand() % 4 ? likely[(size_t)rand() % (sizeof likely - 1)] : (uint8_t)rand();
    return size;
}

static void check_key(struct bytes key, struct buffer *name, struct buffer *back)
{
    buffer_clear(name);
    buffer_clear(back);
    assert_int_equal(keyname_encode(key, name), 0);
    assert_true(name->size > 0 && name->size <= KEYNAME_MAX);
    assert_true(utf8_valid(buffer_bytes(name), UTF8_STRICT));
    assert_int_equal(bytes_find_byte(buffer_bytes(name), '/'), name->size);
    assert_int_equal(bytes_find_byte(buffer_bytes(name), '\0'), name->size);
    assert_false(bytes_end_with(buffer_bytes(name), BYTES("%+")));
    assert_int_equal(keyname_decode(buffer_bytes(name), back), 0);
    assert_true(bytes_equal(buffer_bytes(back), key));
}

/* Whatever is no name of a key is refused, whatever is one is the name of that key alone. */
static void check_name(struct bytes name, struct buffer *key, struct buffer *again)
{
    int status;

    buffer_clear(key);
    buffer_clear(again);
    status = keyname_decode(name, key);
    if (status) {
        assert_int_equal(status, -ENOENT);
        assert_int_equal(key->size, 0);
        return;
    }
    assert_int_equal(keyname_encode(buffer_bytes(key), again), 0);
    assert_true(bytes_equal(buffer_bytes(again), name));
}

static void test_random_keys_and_names(void **state)
{
    struct buffer a = BUFFER_INIT, b = BUFFER_INIT;
    uint8_t room[24];

    srand(20261121);
    for (unsigned i = 0; i < 200000; i++) {
        struct bytes bytes = bytes_of(room, random_bytes(room, i % 3 ? 6 : sizeof room));

        check_key(bytes, &a, &b);
        check_name(bytes, &a, &b);
    }
    buffer_release(&a);
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_names_that_are_not_canonical_name_nothing),
        cmocka_unit_test(test_length_limit),
        cmocka_unit_test(test_failed_memory_is_told),
        cmocka_unit_test(test_random_keys_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
