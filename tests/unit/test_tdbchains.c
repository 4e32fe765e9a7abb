/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TDB files that libtdb writes, read without it: whole ones as it reads them, and damaged ones without harm. */
#include "src/tdbchains.h"

#include "src/io.h"
#include "src/tdbfile.h"
#include "src/tdbheader.h"

#include <tdb.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

enum { KEYS = 500, CHAINS = 37, ENOUGH = 10000 };

struct fixture {
    char folder[64], path[80];
    struct tdbfile *file;
};

static struct bytes key_of(unsigned i, char *room)
{
    return bytes_of(room, (size_t)sprintf(room, "%.*skey %u", (int)(i % 20), "a long beginning, ", i));
}

/* A byte that is not ASCII is where hash functions differ; some values are empty, one is large. */
static struct bytes value_of(unsigned i, uint8_t *room)
{
    size_t size = i == 7 ? 9000 : i % 50;

    memset(room, (int)(0x80 + i), size);
    return bytes_of(room, size);
}

static TDB_DATA data_of(struct bytes bytes)
{
    return (TDB_DATA){.dptr = (unsigned char *)bytes.data, .dsize = bytes.size};
}

static uint32_t jenkins_hash(struct bytes key)
{
    TDB_DATA data = data_of(key);

    return tdb_jenkins_hash(&data);
}

static unsigned int foreign_hash(TDB_DATA *key)
{
    return (unsigned)key->dsize * 77;
}

static void write_file(struct fixture *fixture, int flags, tdb_hash_func hash)
{
    struct tdb_context *tdb =
        tdb_open_ex(fixture->path, CHAINS, flags, O_RDWR | O_CREAT | O_TRUNC, 0600, NULL, hash);
    char key[64];
    uint8_t value[10000];

    assert_non_null(tdb);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(tdb_store(tdb, data_of(key_of(i, key)), data_of(value_of(i, value)), 0), 0);
    /* Some space is free, and some records are longer than they need to be. */
    for (unsigned i = 0; i < KEYS; i += 10)
        assert_int_equal(tdb_delete(tdb, data_of(key_of(i, key))), 0);
    for (unsigned i = 0; i < KEYS; i += 20)
        assert_int_equal(tdb_store(tdb, data_of(key_of(i, key)), data_of(value_of(i, value)), 0), 0);
    assert_int_equal(tdb_close(tdb), 0);
}

static bool is_there(unsigned i)
{
    return i % 10 != 0 || i % 20 == 0;
}

static bool note_key(void *context, struct bytes key)
{
    unsigned *seen = context, i;
    char room[64];

    for (i = 0; i < KEYS && !bytes_equal(key, key_of(i, room)); i++)
        ;
    assert_true(i < KEYS);
    seen[i]++;
    return true;
}

static void expect_found(struct tdbchains *chains, unsigned i)
{
    struct buffer found = BUFFER_INIT;
    uint8_t value[10000];
    char key[64];
    int status = tdbchains_find(chains, key_of(i, key), &found);

    if (!chains->hash) {
        assert_int_equal(status, -EAGAIN);
    } else if (i < KEYS && is_there(i)) {
        assert_int_equal(status, 0);
        assert_true(bytes_equal(buffer_bytes(&found), value_of(i, value)));
    } else {
        assert_int_equal(status, -ENOENT);
    }
    buffer_release(&found);
}

static bool expect_key(void *context, struct bytes key)
{
    struct tdbchains *chains = context;
    char room[64];
    unsigned i;

    for (i = 0; i < KEYS && !bytes_equal(key, key_of(i, room)); i++)
        ;
    expect_found(chains, i);
    if (i % 7 == 0)
        expect_found(chains, i); /* again: it is not behind itself */
    if (i % 11 == 0)
        expect_found(chains, KEYS + i % 10);
    return true;
}

/* In the order of the chains, where each is found from the one before, and in others. */
static void expect_in_any_order(struct tdbchains *chains)
{
    struct tdbchains visited = *chains;
    struct tdbchains_walk walk = {.visitor = expect_key, .context = chains, .key = BUFFER_INIT};

    for (unsigned i = 0; i < KEYS + 10; i++)
        expect_found(chains, i);
    for (unsigned i = KEYS; i-- > 0;)
        expect_found(chains, i);
    while (chains->hash && walk.chain < visited.count)
        assert_int_equal(tdbchains_visit(&visited, &walk), 0);
    assert_false(walk.damaged);
    buffer_release(&walk.key);
}

static void expect_all(struct fixture *fixture, bool known)
{
    unsigned seen[KEYS] = {0};
    struct tdbchains chains;
    struct tdb_header header;
    int fd = io_open(fixture->path, O_RDONLY, 0);
    struct stat stat;

    assert_int_equal(tdbheader_read(fd, &header), 0);
    assert_int_equal(fstat(fd, &stat), 0);
    tdbchains_init(&chains, &header, jenkins_hash);
    assert_int_equal(!!chains.hash, known);
    tdbchains_hurry(&chains, fd, &stat, INT64_MAX);
    expect_in_any_order(&chains);
    mapped_end(&chains.mapped);
    close(fd);
    assert_int_equal(tdbfile_open(fixture->path, 0, &fixture->file), 0);
    assert_int_equal(tdbfile_visit_keys(fixture->file, note_key, seen), 0);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(seen[i], is_there(i));
    assert_int_equal(tdbfile_close(fixture->file), 0);
}

static void test_as_libtdb_reads_them(void **state)
{
    struct fixture *fixture = *state;

    write_file(fixture, TDB_DEFAULT, NULL);
    expect_all(fixture, true);
    write_file(fixture, TDB_INCOMPATIBLE_HASH, NULL);
    expect_all(fixture, true);
    /* Left to libtdb. */
    write_file(fixture, TDB_CONVERT, NULL);
    expect_all(fixture, false);
}

static void test_a_hash_function_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    struct tdbchains chains;
    struct tdb_header header;
    int fd;

    write_file(fixture, TDB_DEFAULT, foreign_hash);
    fd = io_open(fixture->path, O_RDONLY, 0);
    assert_int_equal(tdbheader_read(fd, &header), 0);
    tdbchains_init(&chains, &header, jenkins_hash);
    assert_null(chains.hash);
    close(fd);
}

static void test_held_and_let_go(void **state)
{
    struct fixture *fixture = *state;
    struct buffer value = BUFFER_INIT;
    struct tdb_context *other;

    write_file(fixture, TDB_DEFAULT, NULL);
    assert_int_equal(tdbfile_open(fixture->path, 0, &fixture->file), 0);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(tdbfile_hold(fixture->file, true), 0);
        buffer_clear(&value);
        assert_int_equal(tdbfile_fetch(fixture->file, BYTES("key 0"), &value), 0);
        assert_int_equal(value.size, 0);
        assert_int_equal(tdbfile_fetch(fixture->file, BYTES("absent"), &value), -ENOENT);
        /* The buffer's limit counts as ever. */
        value.limit = 5;
        assert_int_equal(tdbfile_fetch(fixture->file, BYTES("a long akey 7"), &value), -ENOENT);
        value.limit = SIZE_MAX;
        assert_int_equal(tdbfile_hold(fixture->file, false), 0);
        tdbfile_rest(fixture->file);
    }
    buffer_release(&value);
    assert_int_equal(tdbfile_close(fixture->file), 0);
    /* It was locked and unlocked as often. */
    other = tdb_open(fixture->path, 0, TDB_DEFAULT, O_RDWR, 0);
    assert_int_equal(tdb_lockall_nonblock(other), 0);
    tdb_close(other);
}

/* --- damaged files --- */

static bool count_key(void *context, struct bytes key)
{
    return ++*(unsigned *)context < ENOUGH;
}

/* All that can be asked of it ends, and a value that is found is the right one. */
static void ask_all(struct tdbchains *chains)
{
    struct tdbchains_walk walk = {.visitor = count_key, .key = BUFFER_INIT};
    unsigned seen = 0;
    char key[64];

    for (unsigned i = 0; i < KEYS; i += 11) {
        struct buffer found = BUFFER_INIT;
        int status = tdbchains_find(chains, key_of(i, key), &found);

        assert_true(status == 0 || status == -ENOENT || status == -EAGAIN);
        buffer_release(&found);
    }
    walk.context = &seen;
    while (walk.chain < chains->count && walk.chain < CHAINS && !walk.stopped)
        assert_int_equal(tdbchains_visit(chains, &walk), 0);
    assert_true(seen < ENOUGH);
    buffer_release(&walk.key);
}

static void test_any_word_is_nonsense(void **state)
{
    static const uint32_t nonsense[] = {0, 1, 0x7fffffff, 0xffffffff, 0xfffffff0, TDB_LAYOUT_DEAD};
    struct fixture *fixture = *state;
    struct buffer before = BUFFER_INIT;
    struct tdbchains chains;
    struct stat stat;
    int fd;

    write_file(fixture, TDB_DEFAULT, NULL);
    assert_int_equal(io_read_file(fixture->path, &before), 0);
    fd = io_open(fixture->path, O_RDWR, 0);
    assert_int_equal(fstat(fd, &stat), 0);
    tdbchains_init(&chains, (const struct tdb_header *)before.data, jenkins_hash);
    tdbchains_hurry(&chains, fd, &stat, INT64_MAX);
    for (size_t at = TDB_LAYOUT_FREE_LIST; at + 4 <= before.size; at += at < 4000 ? 4 : 404) {
        uint32_t was;

        memcpy(&was, before.data + at, sizeof was);
        for (size_t i = 0; i <= ARRAY_SIZE(nonsense); i++) {
            uint32_t word = i < ARRAY_SIZE(nonsense) ? nonsense[i] : (uint32_t)at;

            assert_int_equal(io_write(fd, bytes_of(&word, sizeof word), (off_t)at), 0);
            ask_all(&chains);
        }
        assert_int_equal(io_write(fd, bytes_of(&was, sizeof was), (off_t)at), 0);
    }
    /* Cut anywhere. */
    for (off_t size = stat.st_size; size > 0; size -= 1 + size / 7) {
        assert_int_equal(io_truncate(fd, size), 0);
        ask_all(&chains);
    }
    mapped_end(&chains.mapped);
    buffer_release(&before);
    close(fd);
}

/* Each chain ends where it began. */
static void test_circles(void **state)
{
    struct fixture *fixture = *state;
    struct tdbchains chains;
    struct buffer before = BUFFER_INIT, value = BUFFER_INIT;
    struct stat stat;
    int fd;

    write_file(fixture, TDB_DEFAULT, NULL);
    assert_int_equal(io_read_file(fixture->path, &before), 0);
    fd = io_open(fixture->path, O_RDWR, 0);
    for (size_t chain = 1; chain <= CHAINS; chain++) {
        uint32_t first, at, next;

        memcpy(&first, before.data + TDB_LAYOUT_FREE_LIST + chain * TDB_LAYOUT_HEAD, sizeof first);
        for (at = next = first; next; memcpy(&next, before.data + at, sizeof next))
            at = next;
        if (at)
            assert_int_equal(io_write(fd, bytes_of(&first, sizeof first), at), 0);
    }
    assert_int_equal(fstat(fd, &stat), 0);
    tdbchains_init(&chains, (const struct tdb_header *)before.data, jenkins_hash);
    tdbchains_hurry(&chains, fd, &stat, INT64_MAX);
    ask_all(&chains);
    assert_int_equal(tdbchains_find(&chains, BYTES("absent"), &value), -EAGAIN);
    mapped_end(&chains.mapped);
    buffer_release(&before);
    close(fd);
}

static int set_up(void **state)
{
    static struct fixture fixture;

    folder_make(fixture.folder, sizeof fixture.folder);
    snprintf(fixture.path, sizeof fixture.path, "%s/db", fixture.folder);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    folder_remove(fixture->folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_libtdb_reads_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_hash_function_of_its_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_held_and_let_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_word_is_nonsense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_circles, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
