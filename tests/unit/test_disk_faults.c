/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk that fails under an engine, at each system call in turn, once or from then on: a change that fails says why and leaves the
 * old value, the others are as they were, a later change works, and the engine's own check finds nothing. So do reads that fail, and
 * looks at files.
 *
 * SHELVEFS_STRIDE is how many calls lie between two that fail; 1 lets all fail.
 */
#include "src/io.h"
#include "src/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/folder.h"
#include "tests/unit/amount.h"

/* --- system calls, also those that libraries make: this program's symbols come first --- */

enum kind { WRITES, READS, LOOKS };

static struct {
    bool armed;
    enum kind kind;
    int code;
    bool for_ever;
    size_t calls, fail_at;
    const char *failed; /* the last one's name */
} disk;

static bool fails(enum kind kind, const char *name)
{
    bool failing;

    if (!disk.armed || kind != disk.kind)
        return false;
    failing = disk.for_ever ? disk.calls >= disk.fail_at : disk.calls == disk.fail_at;
    disk.calls++;
    if (failing) {
        disk.failed = name;
        errno = disk.code;
    }
    return failing;
}

#define CALL(result, name, alias, parameters, kind, ...)                                           \
    result name parameters __asm__(alias);                                                         \
    result name parameters                                                                         \
    {                                                                                              \
        return fails(kind, alias) ? (result)-1 : (result)syscall(__VA_ARGS__);                     \
    }

CALL(ssize_t, disk_write, "write", (int fd, const void *data, size_t size), WRITES, SYS_write, fd,
     data, size)
CALL(ssize_t, disk_pwrite, "pwrite", (int fd, const void *data, size_t size, off_t at), WRITES,
     SYS_pwrite64, fd, data, size, at)
CALL(ssize_t, disk_pwrite64, "pwrite64", (int fd, const void *data, size_t size, off_t at), WRITES,
     SYS_pwrite64, fd, data, size, at)
CALL(int, disk_ftruncate, "ftruncate", (int fd, off_t size), WRITES, SYS_ftruncate, fd, size)
CALL(int, disk_ftruncate64, "ftruncate64", (int fd, off_t size), WRITES, SYS_ftruncate, fd, size)
CALL(int, disk_fsync, "fsync", (int fd), WRITES, SYS_fsync, fd)
CALL(int, disk_fdatasync, "fdatasync", (int fd), WRITES, SYS_fdatasync, fd)
CALL(int, disk_msync, "msync", (void *from, size_t size, int how), WRITES, SYS_msync, from, size,
     how)
CALL(int, disk_rename, "rename", (const char *from, const char *to), WRITES, SYS_rename, from, to)
CALL(ssize_t, disk_read, "read", (int fd, void *data, size_t size), READS, SYS_read, fd, data, size)
CALL(ssize_t, disk_pread, "pread", (int fd, void *data, size_t size, off_t at), READS, SYS_pread64,
     fd, data, size, at)
CALL(ssize_t, disk_pread64, "pread64", (int fd, void *data, size_t size, off_t at), READS,
     SYS_pread64, fd, data, size, at)
CALL(int, disk_stat, "stat", (const char *path, struct stat *out), LOOKS, SYS_newfstatat, AT_FDCWD,
     path, out, 0)
CALL(int, disk_stat64, "stat64", (const char *path, struct stat *out), LOOKS, SYS_newfstatat,
     AT_FDCWD, path, out, 0)

/* This one answers with the code. */
int disk_fallocate(int fd, off_t from, off_t size) __asm__("posix_fallocate");
int disk_fallocate(int fd, off_t from, off_t size)
{
    if (fails(WRITES, "posix_fallocate"))
        return errno;
    return syscall(SYS_fallocate, fd, 0, from, size) ? errno : 0;
}

/* --- databases --- */

struct fixture {
    const char *engine;
    const char *suffix; /* of its file */
    size_t stride;      /* where SHELVEFS_STRIDE says nothing */
    const char *tool;   /* says whether the file is whole, as its exit status */
    char folder[64], base[128], path[160];
    struct buffer before; /* the file */
    unsigned failed, kept, went_through;
};

enum { KEYS = 4, LARGE = 20000 };

static struct bytes key_of(int i)
{
    static const char *const keys[KEYS] = {"alpha", "beta", "gamma", "delta"};

    return bytes_of_string(keys[i]);
}

static struct bytes value_of(int i)
{
    static const char *const values[KEYS] = {"1", "two words", "", "a value of some more words"};

    return bytes_of_string(values[i]);
}

static struct bytes large(void)
{
    static uint8_t bytes[LARGE];

    memset(bytes, 'x', sizeof bytes);
    return bytes_of(bytes, sizeof bytes);
}

static struct store *open_store(const struct fixture *fixture)
{
    struct store_options options = {.engine = fixture->engine, .lock_timeout = 1};
    struct failure failure = {0};
    struct store *store;

    if (store_open(fixture->base, &options, &store, &failure))
        fail_msg("%s: %s", fixture->engine, failure.message);
    return store;
}

/* Also what a try left beside it. */
static void restore(struct fixture *fixture)
{
    DIR *folder = opendir(fixture->folder);
    int fd;

    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2)
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    fd = open(fixture->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(io_write(fd, buffer_bytes(&fixture->before), 0), 0);
    close(fd);
}

/* --- changes --- */

static int put_new(struct store *store)
{
    return store_store(store, BYTES("new"), BYTES("new value"), STORE_REPLACE);
}

static int put_large(struct store *store)
{
    return store_store(store, key_of(0), large(), STORE_REPLACE);
}

static int replace_and_sync(struct store *store)
{
    int status = store_store(store, key_of(0), BYTES("another"), STORE_REPLACE);

    return status ? status : store_sync(store);
}

static int rename_key(struct store *store)
{
    return store_rename(store, key_of(0), BYTES("new"), STORE_REPLACE);
}

static int remove_key(struct store *store)
{
    return store_remove(store, key_of(0));
}

struct change {
    const char *label;
    int (*make)(struct store *store);
    bool key_stays; /* key 0 has a value afterwards */
    bool is_new;    /* and "new" has */
};

static const struct change changes[] = {
    {"a new key", put_new, true, true},
    {"a large value", put_large, true, false},
    {"put and sync", replace_and_sync, true, false},
    {"rename", rename_key, false, true},
    {"remove", remove_key, false, false},
};

/* Of key 0 and "new": both as before the change, both as after it, or neither. */
enum sight { OLD, NEW, NEITHER };

static enum sight sight_of(struct store *store, const struct change *change)
{
    struct buffer first = BUFFER_INIT, second = BUFFER_INIT;
    int of_first = store_fetch(store, key_of(0), &first);
    int of_second = store_fetch(store, BYTES("new"), &second);
    bool as_before = bytes_equal(buffer_bytes(&first), value_of(0)), expected;
    enum sight sight = NEITHER;

    if ((of_first && of_first != -ENOENT) || (of_second && of_second != -ENOENT))
        fail_msg("%s, call %zu (%s) failed with %d: afterwards, fetches answer %d and %d",
                 change->label, disk.fail_at, disk.failed, disk.code, of_first, of_second);
    if (change->make == put_large)
        expected = bytes_equal(buffer_bytes(&first), large());
    else if (change->make == replace_and_sync)
        expected = bytes_equal(buffer_bytes(&first), BYTES("another"));
    else
        expected = as_before;
    if (of_first == 0 && as_before && of_second == -ENOENT)
        sight = OLD;
    else if ((of_first == 0) == change->key_stays && (of_first || expected) &&
             (of_second == 0) == change->is_new &&
             (of_second || second.size == (change->key_stays ? 9 : 1)))
        sight = NEW;
    buffer_release(&first);
    buffer_release(&second);
    return sight;
}

static void assert_others(struct store *store)
{
    for (int i = 1; i < KEYS; i++) {
        struct buffer value = BUFFER_INIT;

        assert_int_equal(store_fetch(store, key_of(i), &value), 0);
        assert_true(bytes_equal(buffer_bytes(&value), value_of(i)));
        buffer_release(&value);
    }
}

static void assert_whole(const struct fixture *fixture)
{
    struct store *store = open_store(fixture);
    struct buffer findings = BUFFER_INIT;

    assert_others(store);
    assert_int_equal(store_check(store, NULL, &findings), 0);
    if (findings.size)
        fail_msg("%s: %.*s", fixture->engine, (int)findings.size, (char *)findings.data);
    buffer_release(&findings);
    assert_int_equal(store_close(store), 0);
    assert_int_equal(setenv("DATABASE", fixture->path, 1), 0);
    assert_int_equal(system(fixture->tool), 0);
}

/* --- failing writes --- */

/* Whether nothing failed. */
static bool fail_one(struct fixture *fixture, const struct change *change)
{
    struct store *store;
    enum sight sight;
    int status, synced, closed;
    bool through;

    restore(fixture);
    store = open_store(fixture);
    disk.calls = 0;
    disk.armed = true;
    status = change->make(store);
    disk.armed = false;
    through = disk.calls <= disk.fail_at;
    sight = sight_of(store, change);
    if (sight == NEITHER || (status == 0 && sight != NEW))
        fail_msg("%s, %s, call %zu (%s) fails with %d: %d, sees %d", fixture->engine, change->label,
                 disk.fail_at, disk.failed, disk.code, status, sight);
    /* What a library does not tell apart, or what fails where it can't be taken back any more, is EIO. */
    if (status && status != -disk.code && status != -EIO)
        fail_msg("%s, %s, call %zu (%s) fails with %d: the answer is %d", fixture->engine,
                 change->label, disk.fail_at, disk.failed, disk.code, status);
    fixture->failed += status != 0;
    fixture->kept += status && sight == OLD;
    fixture->went_through += !through && !status;
    assert_others(store);
    /* The disk works again. */
    assert_int_equal(store_store(store, key_of(0), value_of(0), STORE_REPLACE), 0);
    synced = store_sync(store);
    /* A turn that ended before that may have had the last failure. */
    if (synced && synced != -disk.code)
        fail_msg("%s: a sync answers %d", fixture->engine, synced);
    assert_int_equal(synced ? store_sync(store) : 0, 0);
    closed = store_close(store);
    assert_int_equal(closed, 0);
    assert_whole(fixture);
    return through;
}

static void test_failing_writes(void **state)
{
    static const int codes[] = {EIO, ENOSPC};
    struct fixture *fixture = *state;
    size_t turn = 0;

    disk.kind = WRITES;
    for (size_t c = 0; c < ARRAY_SIZE(changes); c++)
        for (size_t i = 0; i < 2 * ARRAY_SIZE(codes); i++) {
            disk.code = codes[i / 2];
            disk.for_ever = i % 2;
            disk.fail_at = turn++ % amount("SHELVEFS_STRIDE", fixture->stride);
            while (!fail_one(fixture, &changes[c]))
                disk.fail_at += amount("SHELVEFS_STRIDE", fixture->stride);
        }
    print_message(
        "%s: %u changes failed, %u of them kept the old value; %u succeeded all the same\n",
        fixture->engine, fixture->failed, fixture->kept, fixture->went_through);
    assert_true(fixture->failed > 0);
}

/* A change that was made must not be made again because nobody can tell whether it was in the right file: its key would be missing. */
static void test_failing_looks(void **state)
{
    struct fixture *fixture = *state;

    disk.kind = LOOKS;
    disk.code = EIO;
    disk.for_ever = false;
    for (size_t c = 0; c < ARRAY_SIZE(changes); c++) {
        disk.fail_at = 0;
        while (!fail_one(fixture, &changes[c]))
            disk.fail_at++;
    }
    print_message("%s: %u changes failed; %u succeeded all the same\n", fixture->engine,
                  fixture->failed, fixture->went_through);
}

/* --- failing reads --- */

static bool count_key(void *context, struct bytes key)
{
    ++*(unsigned *)context;
    return true;
}

static bool fail_one_read(struct fixture *fixture, bool opening)
{
    struct store_options options = {.engine = fixture->engine, .lock_timeout = 1};
    struct store *store = NULL;
    unsigned count = 0;
    int status;
    bool through;

    restore(fixture);
    disk.calls = 0;
    disk.armed = opening;
    status = store_open(fixture->base, &options, &store, NULL);
    if (!opening)
        assert_int_equal(status, 0);
    disk.armed = !status;
    for (int i = 0; !status && i < KEYS; i++) {
        struct buffer value = BUFFER_INIT;
        int found = store_fetch(store, key_of(i), &value);

        if (found == 0)
            assert_true(bytes_equal(buffer_bytes(&value), value_of(i)));
        else if (found != -EIO)
            fail_msg("%s: read %zu fails, a fetch answers %d", fixture->engine, disk.fail_at,
                     found);
        fixture->failed += found != 0;
        buffer_release(&value);
    }
    if (!status && store_visit(store, count_key, &count) == 0)
        assert_int_equal(count, KEYS);
    if (!status)
        replace_and_sync(store);
    disk.armed = false;
    through = disk.calls <= disk.fail_at;
    /* The disk works again: what could not be read is no damage. */
    if (!status) {
        int saved = store_store(store, key_of(0), value_of(0), STORE_REPLACE);

        if (saved || store_damaged(store)) {
            struct buffer notes = BUFFER_INIT;

            store_notes(store, &notes);
            fail_msg("%s: read %zu (%s) failed, and now a save answers %d: %.*s", fixture->engine,
                     disk.fail_at, disk.failed, saved, (int)notes.size, (const char *)notes.data);
        }
    }
    store_close(store);
    assert_whole(fixture);
    return through;
}

static void test_failing_reads(void **state)
{
    struct fixture *fixture = *state;

    disk.kind = READS;
    disk.code = EIO;
    for (int i = 0; i < 4; i++) {
        disk.for_ever = i % 2;
        disk.fail_at = (size_t)i % amount("SHELVEFS_STRIDE", fixture->stride);
        while (!fail_one_read(fixture, i / 2))
            disk.fail_at += amount("SHELVEFS_STRIDE", fixture->stride);
    }
    print_message("%s: %u fetches failed\n", fixture->engine, fixture->failed);
}

/* --- */

static int set_up(void **state)
{
    struct fixture *fixture = *state;
    struct store_options options = {
        .engine = fixture->engine, .lock_timeout = 1, .flags = STORE_CREATE};
    struct store *store;

    folder_make(fixture->folder, sizeof fixture->folder);
    snprintf(fixture->base, sizeof fixture->base, "%s/db", fixture->folder);
    snprintf(fixture->path, sizeof fixture->path, "%s%s", fixture->base, fixture->suffix);
    assert_int_equal(store_open(fixture->base, &options, &store, NULL), 0);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(store_store(store, key_of(i), value_of(i), STORE_REPLACE), 0);
    assert_int_equal(store_close(store), 0);
    fixture->before = BUFFER_INIT;
    fixture->failed = fixture->kept = fixture->went_through = 0;
    assert_int_equal(io_read_file(fixture->path, &fixture->before), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    disk.armed = false;
    buffer_release(&fixture->before);
    folder_remove(fixture->folder);
    return 0;
}

int main(int argc, char **argv)
{
    struct fixture fixtures[] = {
        {"gdbm", "", 9, "! command -v gdbm_dump >/dev/null || gdbm_dump \"$DATABASE\" >/dev/null"},
        {"ndbm", ".db", 9, "! command -v db5.3_verify >/dev/null || db5.3_verify -q \"$DATABASE\""},
        {"sqlite", "", 9, "test -s \"$DATABASE\""}, /* store_check() has run integrity_check */
        {"tdb", "", 61,
         "! command -v tdbtool >/dev/null || tdbtool \"$DATABASE\" check | grep -q 'is OK'"},
    };
    int failed = 0;

    for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++) {
        struct fixture *fixture = &fixtures[i];
        const struct CMUnitTest tests[] = {
            {"writes", test_failing_writes, set_up, tear_down, fixture},
            {"reads", test_failing_reads, set_up, tear_down, fixture},
            {"looks", test_failing_looks, set_up, tear_down, fixture},
        };

        if ((argc > 1 && strcmp(argv[1], fixture->engine) != 0) || !store_has_engine(fixture->engine))
            continue;
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
