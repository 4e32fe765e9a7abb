/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/keyname.h"
#include "src/utf8.h"
#include "tests/unit/amount.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

struct pair {
    struct bytes key;
    const char *name;
};

static const struct pair pairs[] = {
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

/* With -o nulkeys. */
static const struct pair nul_pairs[] = {
    {BYTES("greeting\0"), "greeting"},
    {BYTES("greeting"), "greeting%-"},
    {BYTES("\0"), "%"},
    {BYTES(""), "%%-"},
    {BYTES("%\0"), "%25"},
    {BYTES("%"), "%25%-"},
    {BYTES("%-\0"), "%25-"},
    {BYTES("%-"), "%25-%-"},
    {BYTES("a%-\0"), "a%25-"},
    {BYTES("%-a\0"), "%-a"},
    {BYTES("%%-\0"), "%%25-"},
    {BYTES("a%+\0"), "a%25+"},
    {BYTES("a%+"), "a%25+%-"},
    {BYTES("a\0\0"), "a%00"},
    {BYTES("a\0b"), "a%00b%-"},
    {BYTES(".\0"), "%2E"},
    {BYTES("."), "%2E%-"},
    {BYTES(".shelvefs\0"), "%2Eshelvefs"},
    {BYTES("100%\0"), "100%"},
    {BYTES("100%"), "100%%-"},
};

static void check_pair(enum keyname_style style, const struct pair *pair)
{
    struct buffer name = BUFFER_INIT, key = BUFFER_INIT;

    assert_int_equal(keyname_encode(style, pair->key, &name), 0);
    buffer_add_byte(&name, '\0');
    assert_string_equal((char *)name.data, pair->name);
    assert_int_equal(keyname_decode(style, bytes_of_string(pair->name), &key), 0);
    assert_true(bytes_equal(buffer_bytes(&key), pair->key));
    buffer_release(&name);
    buffer_release(&key);
}

static void test_pairs(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        check_pair(KEYNAME_EXACT, &pairs[i]);
    for (size_t i = 0; i < ARRAY_SIZE(nul_pairs); i++)
        check_pair(KEYNAME_NUL_HIDDEN, &nul_pairs[i]);
}

static const struct bytes aliases[] = {
    BYTES(""),           BYTES("."),
    BYTES(".."),         BYTES(".shelvefs"),
    BYTES("a/b"),        BYTES("a\0b"),
    BYTES("a\n"),        BYTES("\x7f"),
    BYTES("\xff"),       BYTES("\xed\xa0\x80"),
    BYTES("%41"),        BYTES("%2f"),
    BYTES("%2e"),        BYTES("%2E%2E"),
    BYTES(".%2E"),       BYTES("%2Ea"),
    BYTES("%ff"),        BYTES("%C3%BC"),
    BYTES("%25x"),       BYTES("a%25"),
    BYTES("%25%25"),     BYTES("a%+"),
    BYTES("%+"),         BYTES("a%25+b"),
    BYTES("%20"),        BYTES("%7E"),
    BYTES("%2Eshelvef"),
};

static const struct bytes nul_aliases[] = {
    BYTES("a%-%-x%2f"), BYTES("a%25-%2d"), BYTES("%25%2500"),
    BYTES("%-"),        BYTES(".%-"),      BYTES("%25-%25-"),
};

static void check_alias(enum keyname_style style, struct bytes path)
{
    struct buffer key = BUFFER_INIT;

    buffer_add_string(&key, "kept");
    assert_int_equal(keyname_decode(style, path, &key), -ENOENT);
    assert_true(bytes_equal(buffer_bytes(&key), BYTES("kept")));
    buffer_release(&key);
}

static void test_names_that_are_not_canonical_name_nothing(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++)
        check_alias(KEYNAME_EXACT, aliases[i]);
    for (size_t i = 0; i < ARRAY_SIZE(nul_aliases); i++)
        check_alias(KEYNAME_NUL_HIDDEN, nul_aliases[i]);
}

/* --- folding --- */

/* `count` times `unit`. */
static void repeat(struct buffer *out, const char *unit, size_t count)
{
    while (count--)
        buffer_add_string(out, unit);
}

/* A key or path written as letters and counts. */
struct run {
    const char *unit;
    size_t count;
};

static void spell(struct buffer *out, const struct run *runs)
{
    buffer_clear(out);
    for (; runs->unit; runs++)
        repeat(out, runs->unit, runs->count);
}

static const struct {
    struct run key[6], path[8];
} folded[] = {
    /* What fits into one component is not folded, what does not is cut so that pieces are as long as can be. */
    {{{"a", 240}}, {{"a", 240}}},
    {{{"a", 241}}, {{"a", 238}, {"%+/aaa", 1}}},
    {{{"a", 476}}, {{"a", 238}, {"%+/", 1}, {"a", 238}}},
    {{{"a", 477}}, {{"a", 238}, {"%+/", 1}, {"a", 238}, {"%+/a", 1}}},
    /* Never inside an escape or a character. */
    {{{"/", 81}}, {{"%2F", 79}, {"%+/", 1}, {"%2F", 2}}},
    {{{"a", 237}, {"\xc3\xbc", 2}}, {{"a", 237}, {"%+/\xc3\xbc\xc3\xbc", 1}}},
    {{{"a", 236}, {"\xc3\xbc", 3}}, {{"a", 236}, {"\xc3\xbc%+/\xc3\xbc\xc3\xbc", 1}}},
    {{{"a", 235}, {"\xf0\x9f\x90\x8d", 2}},
     {{"a", 235}, {"%+/\xf0\x9f\x90\x8d\xf0\x9f\x90\x8d", 1}}},
    {{{"a", 237}, {"\xff", 2}}, {{"a", 237}, {"%+/%FF%FF", 1}}},
    {{{"a", 237}, {"%41", 2}}, {{"a", 237}, {"%+/%2541%2541", 1}}},
    {{{"a", 235}, {"%41", 2}}, {{"a", 235}, {"%25%+/41%2541", 1}}},
    {{{"a", 234}, {"%41", 2}}, {{"a", 234}, {"%254%+/1%2541", 1}}},
    {{{"a", 237}, {"%zz", 2}}, {{"a", 237}, {"%%+/zz%zz", 1}}},
    /* Last pieces that would mean something else. */
    {{{"a", 476}, {".", 1}}, {{"a", 238}, {"%+/", 1}, {"a", 238}, {"%+/%2E", 1}}},
    {{{"a", 476}, {"..", 1}}, {{"a", 238}, {"%+/", 1}, {"a", 238}, {"%+/%2E.", 1}}},
    {{{"a", 476}, {"...", 1}}, {{"a", 238}, {"%+/", 1}, {"a", 238}, {"%+/...", 1}}},
    {{{"a", 476}, {"%", 1}}, {{"a", 238}, {"%+/", 1}, {"a", 238}, {"%+/%", 1}}},
    {{{"a", 238}, {".shelvefs", 1}}, {{"a", 238}, {"%+/.shelvefs", 1}}},
    {{{"a", 238}, {"b%+", 1}}, {{"a", 238}, {"%+/b%25+", 1}}},
    {{{"a", 235}, {"b%+b%+", 1}}, {{"a", 235}, {"b%+%+/b%25+", 1}}},
    {{{"a", 473}, {"%+", 1}}, {{"a", 238}, {"%+/", 1}, {"a", 235}, {"%25%+/+", 1}}},
};

static void test_long_names_are_folded(void **state)
{
    struct buffer key = BUFFER_INIT, path = BUFFER_INIT, out = BUFFER_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(folded); i++) {
        spell(&key, folded[i].key);
        spell(&path, folded[i].path);
        buffer_clear(&out);
        assert_int_equal(keyname_encode(KEYNAME_EXACT, buffer_bytes(&key), &out), 0);
        assert_true(bytes_equal(buffer_bytes(&out), buffer_bytes(&path)));
        buffer_clear(&out);
        assert_int_equal(keyname_decode(KEYNAME_EXACT, buffer_bytes(&path), &out), 0);
        assert_true(bytes_equal(buffer_bytes(&out), buffer_bytes(&key)));
    }
    buffer_release(&key);
    buffer_release(&path);
    buffer_release(&out);
}

static const struct run unfoldable[][8] = {
    {{"a", 241}},
    {{"a", 238}, {"%+/aa", 1}},   /* it fits into one name */
    {{"a", 237}, {"%+/aaaa", 1}}, /* cut too early */
    {{"a", 239}, {"%+/aaaa", 1}}, /* and too late */
    {{"a", 238}, {"/aaaa", 1}},   /* no directory's name */
    {{"a", 238}, {"%+aaaa", 1}},
    {{"a", 238}, {"%+//aaaa", 1}},
    {{"/", 1}, {"a", 238}, {"%+/aaaa", 1}},
    {{"a", 238}, {"%+/", 1}},
    {{"a", 238}, {"%+/aaaa/", 1}},
    {{"a", 238}, {"%+/aaaa%+", 1}},
    {{"a", 238}, {"%+/aaaa%+/a", 1}},
    {{"a", 238}, {"%+/", 1}, {"a", 239}},
    {{"a", 237}, {"%%+/41aa", 1}}, /* '%' before digits is escaped wherever the cut is */
    {{"a", 235}, {"%25%+/zzzz", 1}},
    {{"a", 235}, {"%C3%+/%BCaa", 1}}, /* together they are a character */
    {{"a", 238}, {"%+/", 1}, {"a", 238}, {"%+/.", 1}},
    {{"a", 238}, {"%+/", 1}, {"a", 238}, {"%+/%2E%2E", 1}},
    {{"a%+/aaaa", 1}},
    {{"%+/a", 1}},
};

static void test_paths_that_are_not_canonical_name_nothing(void **state)
{
    struct buffer path = BUFFER_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(unfoldable); i++) {
        spell(&path, unfoldable[i]);
        check_alias(KEYNAME_EXACT, buffer_bytes(&path));
    }
    buffer_release(&path);
}

static const struct {
    struct run parent[4], name[4];
    int can;
} directories[] = {
    {{{0}}, {{"a", 238}, {"%+", 1}}, 1},
    {{{0}}, {{"a", 235}, {"%+", 1}}, 1}, /* before a character of four bytes */
    {{{0}}, {{"a", 234}, {"%+", 1}}, 0},
    {{{0}}, {{"a", 239}, {"%+", 1}}, 0},
    {{{0}}, {{"a", 238}}, 0},
    {{{0}}, {{"folder%+", 1}}, 0},
    {{{0}}, {{"%+", 1}}, 0},
    {{{0}}, {{"a", 235}, {"%25%+", 1}}, 1},  /* before two digits */
    {{{0}}, {{"a", 234}, {"%254%+", 1}}, 1}, /* before one */
    {{{0}}, {{"a", 234}, {"%25z%+", 1}}, 0},
    {{{0}}, {{"a", 235}, {"%FF%+", 1}}, 1},
    {{{0}}, {{"a", 235}, {"%ff%+", 1}}, 0},
    {{{0}}, {{"a", 236}, {"/%+", 1}}, 0},
    {{{0}}, {{".", 238}, {"%+", 1}}, 1},
    {{{"a", 238}, {"%+", 1}}, {{"a", 238}, {"%+", 1}}, 1},
    {{{"a", 237}, {"%+", 1}}, {{"a", 238}, {"%+", 1}}, 0},
    {{{"a", 237}, {"%+", 1}}, {{"\xc3\xbc", 119}, {"%+", 1}}, 1},
    {{{"a", 235}, {"%25%+", 1}}, {{"41", 119}, {"%+", 1}}, 1},
    {{{"a", 235}, {"%25%+", 1}}, {{"z1", 119}, {"%+", 1}}, 0},
    {{{"a", 237}, {"%%+", 1}}, {{"z1", 119}, {"%+", 1}}, 1},
    {{{"a", 237}, {"%%+", 1}}, {{"41", 119}, {"%+", 1}}, 0},
    {{{"a", 235}, {"%C3%+", 1}}, {{"%BC", 1}, {"a", 235}, {"%+", 1}}, 0},
    {{{"a", 238}, {"%+", 1}},
     {{"a", 235}, {"%25%+", 1}},
     1}, /* also before the "+" that ends a key */
};

static void test_directories(void **state)
{
    struct buffer parent = BUFFER_INIT, name = BUFFER_INIT;

    for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
        spell(&parent, directories[i].parent);
        spell(&name, directories[i].name);
        assert_int_equal(
            keyname_can_fold(KEYNAME_EXACT, buffer_bytes(&parent), buffer_bytes(&name)),
            directories[i].can);
    }
    buffer_release(&parent);
    buffer_release(&name);
}

static void test_a_key_of_a_megabyte(void **state)
{
    struct buffer key = BUFFER_INIT, path = BUFFER_INIT, back = BUFFER_INIT;

    repeat(&key, "\xff", 1 << 20);
    assert_int_equal(keyname_encode(KEYNAME_EXACT, buffer_bytes(&key), &path), 0);
    assert_int_equal(keyname_decode(KEYNAME_EXACT, buffer_bytes(&path), &back), 0);
    assert_true(bytes_equal(buffer_bytes(&key), buffer_bytes(&back)));
    buffer_release(&key);
    buffer_release(&path);
    buffer_release(&back);
}

static void test_failed_memory_is_told(void **state)
{
    struct buffer small;

    buffer_init(&small, 2);
    assert_int_equal(keyname_encode(KEYNAME_EXACT, BYTES("abc"), &small), -EFBIG);
    buffer_clear(&small);
    assert_int_equal(keyname_decode(KEYNAME_EXACT, BYTES("abc"), &small), -EFBIG);
    buffer_release(&small);
}

/* --- random ones --- */

enum { KEYS = 60000, LONGEST = 800 };

/* More of them for a long run: SHELVEFS_RANDOM_KEYS=1000000. */
static size_t random_keys(void)
{
    return amount("SHELVEFS_RANDOM_KEYS", KEYS);
}

/* Bytes that the rules are about come often, all others now and then. */
static size_t random_bytes(uint8_t *out, size_t most)
{
    static const uint8_t likely[] =
        "%%%%+/-..0123456789ABCDEFabcdef\0\0\n\x7f\xc3\xbc\xed\xa0\x80.shelvefs";
    size_t size = (size_t)rand() % (most + 1);

    for (size_t i = 0; i < size; i++)
        out[i] = rand() % 4 ? likely[(size_t)rand() % (sizeof likely - 1)] : (uint8_t)rand();
    return size;
}

/* Mostly plain, with the bytes that the rules are about where it will be cut. */
static size_t random_long_key(uint8_t *out)
{
    size_t size = 200 + (size_t)rand() % (LONGEST - 200);

    memset(out, 'a', size);
    for (size_t at = 230; at < size; at += 238)
        random_bytes(out + at, size - at < 16 ? size - at : 16);
    random_bytes(out + size - 8, 8);
    return size;
}

static void check_component(struct bytes name, struct bytes parent, enum keyname_style style,
                            bool last)
{
    assert_true(name.size > 0 && name.size <= KEYNAME_MAX);
    assert_true(utf8_valid(name, UTF8_STRICT));
    assert_false(bytes_equal(name, BYTES(".")) || bytes_equal(name, BYTES("..")));
    assert_int_equal(bytes_find_byte(name, '\0'), name.size);
    assert_int_equal(keyname_is_fold(name), !last);
    assert_int_equal(keyname_can_fold(style, parent, name), !last);
}

static void check_components(struct bytes path, enum keyname_style style)
{
    struct bytes parent = {NULL, 0};

    for (;;) {
        size_t slash = bytes_find_byte(path, '/');
        struct bytes name = bytes_part(path, 0, slash);

        check_component(name, parent, style, slash == path.size);
        if (slash == path.size)
            return;
        parent = name;
        path = bytes_part(path, slash + 1, SIZE_MAX);
    }
}

static void check_key(enum keyname_style style, struct bytes key, struct buffer *path,
                      struct buffer *back)
{
    buffer_clear(path);
    buffer_clear(back);
    assert_int_equal(keyname_encode(style, key, path), 0);
    check_components(buffer_bytes(path), style);
    assert_true(keyname_may_fold(key.size) || path->size <= KEYNAME_MAX);
    assert_int_equal(keyname_decode(style, buffer_bytes(path), back), 0);
    assert_true(bytes_equal(buffer_bytes(back), key));
}

/* Whatever is no path of a key is refused, whatever is one is the path of that key alone. */
static void check_path(enum keyname_style style, struct bytes path, struct buffer *key,
                       struct buffer *again)
{
    int status;

    buffer_clear(key);
    buffer_clear(again);
    status = keyname_decode(style, path, key);
    if (status) {
        assert_int_equal(status, -ENOENT);
        assert_int_equal(key->size, 0);
        return;
    }
    assert_int_equal(keyname_encode(style, buffer_bytes(key), again), 0);
    assert_true(bytes_equal(buffer_bytes(again), path));
}

/* A true path with one thing wrong. */
static void check_damaged(enum keyname_style style, struct buffer *path, struct buffer *a,
                          struct buffer *b)
{
    static const char likely[] = "%+/-.0Aa\xc3";
    size_t at = path->size ? (size_t)rand() % path->size : 0;

    if (path->size == 0)
        return;
    path->data[at] = (uint8_t)likely[(size_t)rand() % (sizeof likely - 1)];
    check_path(style, buffer_bytes(path), a, b);
    check_path(style, bytes_part(buffer_bytes(path), 0, at), a, b);
}

static void test_random_keys_and_names(void **state)
{
    struct buffer a = BUFFER_INIT, b = BUFFER_INIT, path = BUFFER_INIT;
    uint8_t room[LONGEST];

    srand(20261121);
    for (unsigned i = 0; i < random_keys(); i++) {
        enum keyname_style style = i & 1 ? KEYNAME_NUL_HIDDEN : KEYNAME_EXACT;
        struct bytes bytes =
            bytes_of(room, i % 4 ? random_bytes(room, i % 3 ? 6 : 24) : random_long_key(room));

        check_key(style, bytes, &path, &b);
        check_path(style, bytes, &a, &b);
        check_damaged(style, &path, &a, &b);
    }
    buffer_release(&a);
    buffer_release(&b);
    buffer_release(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_names_that_are_not_canonical_name_nothing),
        cmocka_unit_test(test_long_names_are_folded),
        cmocka_unit_test(test_paths_that_are_not_canonical_name_nothing),
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_a_key_of_a_megabyte),
        cmocka_unit_test(test_failed_memory_is_told),
        cmocka_unit_test(test_random_keys_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
