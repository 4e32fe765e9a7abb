/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/sidecar.h"

#include "src/io.h"
#include "src/io_draft.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    KILLS = 100,
    USED = 16384, /* libtdb keeps much more room than it uses */
};

struct world {
    char folder[64], database[96], path[128], old[160], victim[96];
    struct sidecar *sidecar;
    struct failure failure;
};

static int set_up(void **state)
{
    static struct world world;
    struct buffer path = BUFFER_INIT;

    world = (struct world){.sidecar = NULL};
    snprintf(world.folder, sizeof world.folder, "%s/shelvefs-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(world.folder));
    snprintf(world.database, sizeof world.database, "%s/shelf.tdb", world.folder);
    snprintf(world.victim, sizeof world.victim, "%s/victim", world.folder);
    assert_int_equal(io_write_file(world.database, BYTES("values"), IO_CREATE), 0);
    assert_int_equal(chmod(world.database, 0640), 0);
    assert_int_equal(sidecar_path(world.database, &path), 0);
    snprintf(world.path, sizeof world.path, "%s", (char *)path.data);
    snprintf(world.old, sizeof world.old, "%s.old", world.path);
    buffer_release(&path);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    sidecar_free(world->sidecar);
    unlink(world->database);
    unlink(world->victim);
    unlink(world->old);
    if (unlink(world->path))
        rmdir(world->path);
    /* Fails if anything else was left behind. */
    assert_int_equal(rmdir(world->folder), 0);
    return 0;
}

/* Opens it anew; returns what sidecar_open() does. */
static int reopen(struct world *world, bool read_only)
{
    sidecar_free(world->sidecar);
    world->sidecar = NULL;
    world->failure = (struct failure){0};
    assert_int_equal(sidecar_new(world->path, world->database, read_only, &world->sidecar), 0);
    return sidecar_open(world->sidecar, &world->failure);
}

static void put(struct world *world, const char *name, const char *content)
{
    assert_in_range(sidecar_begin(world->sidecar, &world->failure), 0, 1);
    assert_int_equal(sidecar_put(world->sidecar, bytes_of_string(name), bytes_of_string(content)),
                     0);
    assert_int_equal(sidecar_end(world->sidecar, 0, false, NULL), 0);
}

static void add_record(void *context, struct bytes name, struct bytes content)
{
    struct buffer *list = context;

    buffer_add(list, name);
    buffer_add_byte(list, '=');
    buffer_add(list, content);
    buffer_add_byte(list, ' ');
}

/* "NAME=CONTENT " of each record that is whole, in the file's order. */
static size_t list_records(struct world *world, struct buffer *list)
{
    size_t damaged;

    buffer_clear(list);
    if (sidecar_visit(world->sidecar, add_record, list, &damaged))
        damaged++;
    buffer_add_byte(list, 0);
    assert_int_equal(buffer_status(list), 0);
    return damaged;
}

static void assert_holds(struct world *world, const char *records)
{
    struct buffer list = BUFFER_INIT;

    assert_int_equal(list_records(world, &list), 0);
    assert_string_equal((char *)list.data, records);
    buffer_release(&list);
}

static void test_paths(void **state)
{
    struct world *world = *state;
    static const char *const rows[][2] = {
        {"shelf.dat", "/.shelf.shelvefs"}, /* dbm.dumb's */
        {"shelf.db", "/.shelf.db.shelvefs"},
        {".dat", "/..dat.shelvefs"},
        {"a.dat.dat", "/.a.dat.shelvefs"},
    };

    assert_string_equal(strrchr(world->path, '/'), "/.shelf.tdb.shelvefs");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buffer path = BUFFER_INIT;
        char file[128], link_name[128];

        snprintf(file, sizeof file, "%s/%s", world->folder, rows[i][0]);
        snprintf(link_name, sizeof link_name, "%s/link", world->folder);
        assert_int_equal(io_write_file(file, BYTES(""), IO_CREATE), 0);
        /* A link to a database is the database. */
        assert_int_equal(symlink(file, link_name), 0);
        assert_int_equal(sidecar_path(link_name, &path), 0);
        assert_string_equal(strrchr((char *)path.data, '/'), rows[i][1]);
        buffer_release(&path);
        unlink(file);
        unlink(link_name);
    }
}

static void test_made_when_needed(void **state)
{
    struct world *world = *state;

    assert_int_equal(reopen(world, false), -ENOENT);
    assert_holds(world, "");
    assert_int_equal(access(world->path, F_OK), -1);
    assert_int_equal(sidecar_begin(world->sidecar, NULL), 1);
    assert_int_equal(sidecar_put(world->sidecar, BYTES("a"), BYTES("1")), 0);
    /* What was taken back is as never done, and everything is still wanted. */
    assert_int_equal(sidecar_end(world->sidecar, -ENOSPC, false, NULL), -ENOSPC);
    assert_holds(world, "");
    assert_int_equal(sidecar_begin(world->sidecar, NULL), 1);
    assert_int_equal(sidecar_put(world->sidecar, BYTES("a"), BYTES("1")), 0);
    /* Who finds the file finds the records. */
    assert_int_equal(access(world->path, F_OK), -1);
    assert_int_equal(sidecar_end(world->sidecar, 0, true, NULL), 0);
    assert_int_equal(sidecar_begin(world->sidecar, NULL), 0);
    assert_int_equal(sidecar_remove(world->sidecar, BYTES("absent")), 0);
    assert_int_equal(sidecar_end(world->sidecar, 0, false, NULL), 0);
    assert_int_equal(reopen(world, false), 0);
    assert_holds(world, "a=1 ");
    assert_int_equal(sidecar_begin(world->sidecar, NULL), 0);
    assert_int_equal(sidecar_remove(world->sidecar, BYTES("a")), 0);
    assert_int_equal(sidecar_end(world->sidecar, 0, false, NULL), 0);
    assert_int_equal(reopen(world, true), 0);
    assert_holds(world, "");
}

static void test_read_only(void **state)
{
    struct world *world = *state;

    assert_int_equal(reopen(world, true), -ENOENT);
    assert_false(sidecar_writable(world->sidecar));
    assert_int_equal(sidecar_begin(world->sidecar, NULL), -EROFS);
    assert_int_equal(access(world->path, F_OK), -1);
    assert_int_equal(reopen(world, false), -ENOENT);
    put(world, "a", "1");
    assert_int_equal(reopen(world, true), 0);
    assert_holds(world, "a=1 ");
    assert_int_equal(sidecar_begin(world->sidecar, NULL), -EROFS);
}

static void test_owned_as_the_database(void **state)
{
    struct world *world = *state;
    struct stat file;

    assert_int_equal(reopen(world, false), -ENOENT);
    put(world, "a", "1");
    assert_int_equal(stat(world->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0640);
    assert_int_equal(chmod(world->database, 0600), 0);
    put(world, "a", "2");
    assert_int_equal(stat(world->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(world->database, 1234, 4321), 0);
    put(world, "a", "3");
    assert_int_equal(stat(world->path, &file), 0);
    assert_int_equal(file.st_uid, 1234);
    assert_int_equal(file.st_gid, 4321);
    assert_int_equal(reopen(world, false), 0);
    /* Somebody else's */
    assert_int_equal(chown(world->path, 4444, 4321), 0);
    assert_int_equal(reopen(world, false), -EPERM);
    assert_holds(world, "");
    assert_int_equal(sidecar_begin(world->sidecar, NULL), -EROFS);
}

static void make_link(struct world *world)
{
    assert_int_equal(io_write_file(world->victim, BYTES("victim"), IO_CREATE), 0);
    assert_int_equal(symlink(world->victim, world->path), 0);
}

static void make_dangling_link(struct world *world)
{
    assert_int_equal(symlink(world->victim, world->path), 0);
}

static void make_second_name(struct world *world)
{
    assert_int_equal(io_write_file(world->victim, BYTES("victim"), IO_CREATE), 0);
    assert_int_equal(link(world->victim, world->path), 0);
}

static void make_fifo(struct world *world)
{
    assert_int_equal(mkfifo(world->path, 0600), 0);
}

static void make_folder(struct world *world)
{
    assert_int_equal(mkdir(world->path, 0700), 0);
}

/* Things that may be found at its name: neither read, nor changed, nor replaced. */
static void test_planted(void **state)
{
    struct world *world = *state;
    static const struct {
        void (*make)(struct world *world);
        int code;
    } rows[] = {
        {make_link, -ELOOP},   {make_dangling_link, -ELOOP}, {make_second_name, -EMLINK},
        {make_fifo, -ENOTSUP}, {make_folder, -ENOTSUP},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct stat before, after;
        struct buffer content = BUFFER_INIT;

        rows[i].make(world);
        assert_int_equal(lstat(world->path, &before), 0);
        for (int read_only = 0; read_only < 2; read_only++) {
            assert_int_equal(reopen(world, read_only), rows[i].code);
            assert_true(world->failure.message[0]);
            assert_holds(world, "");
            assert_int_equal(sidecar_begin(world->sidecar, NULL), -EROFS);
        }
        assert_int_equal(lstat(world->path, &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        if (io_read_file(world->victim, &content) == 0)
            assert_true(bytes_equal(buffer_bytes(&content), BYTES("victim")));
        buffer_release(&content);
        unlink(world->victim);
        if (unlink(world->path))
            assert_int_equal(rmdir(world->path), 0);
    }
}

/* Planted between the look and the making. */
static void test_planted_later(void **state)
{
    struct world *world = *state;

    assert_int_equal(reopen(world, false), -ENOENT);
    make_dangling_link(world);
    assert_int_equal(sidecar_begin(world->sidecar, NULL), -EEXIST);
    assert_int_equal(access(world->victim, F_OK), -1);
    assert_false(sidecar_writable(world->sidecar));
    assert_int_equal(sidecar_begin(world->sidecar, NULL), -EROFS);
}

/* Planted while the records were put. */
static void test_planted_last(void **state)
{
    struct world *world = *state;

    assert_int_equal(reopen(world, false), -ENOENT);
    assert_int_equal(sidecar_begin(world->sidecar, &world->failure), 1);
    assert_int_equal(sidecar_put(world->sidecar, BYTES("a"), BYTES("1")), 0);
    make_dangling_link(world);
    assert_int_equal(sidecar_end(world->sidecar, 0, false, &world->failure), -EEXIST);
    assert_non_null(strstr(world->failure.message, "made by another mount"));
    assert_int_equal(access(world->victim, F_OK), -1);
    assert_holds(world, "");
    assert_int_equal(sidecar_begin(world->sidecar, NULL), -EROFS);
}

static void test_taken_away(void **state)
{
    struct world *world = *state;

    assert_int_equal(reopen(world, false), -ENOENT);
    put(world, "a", "1");
    assert_int_equal(unlink(world->path), 0);
    assert_int_equal(sidecar_begin(world->sidecar, NULL), 1);
    assert_int_equal(sidecar_put(world->sidecar, BYTES("b"), BYTES("2")), 0);
    assert_int_equal(sidecar_end(world->sidecar, 0, false, NULL), 0);
    assert_holds(world, "b=2 ");
    assert_int_equal(sidecar_set_aside(world->sidecar), 0);
    assert_int_equal(access(world->old, F_OK), 0);
    assert_int_equal(access(world->path, F_OK), -1);
    assert_holds(world, "");
    put(world, "c", "3");
    assert_int_equal(reopen(world, false), 0);
    assert_holds(world, "c=3 ");
}

/* A process that owns the sidecar until it is killed, or writes pairs of records until then. */
/* An error of the disk says nothing of who has the name. */
static void test_not_to_be_seen_for_a_while(void **state)
{
    struct world *world = *state;
    char folder[96], away[96];

    snprintf(folder, sizeof folder, "%s/side", world->folder);
    snprintf(away, sizeof away, "%s/away", world->folder);
    snprintf(world->path, sizeof world->path, "%s/sidecar", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(reopen(world, false), -ENOENT);
    put(world, "a", "1");
    assert_int_equal(rename(folder, away), 0);
    assert_int_equal(symlink(folder, folder), 0);
    assert_int_equal(sidecar_begin(world->sidecar, &world->failure), -ELOOP);
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(rename(away, folder), 0);
    assert_true(sidecar_writable(world->sidecar));
    put(world, "b", "2");
    assert_int_equal(reopen(world, true), 0);
    assert_holds(world, "b=2 a=1 ");
    assert_int_equal(unlink(world->path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static pid_t start_owner(struct world *world, bool writes)
{
    int ready[2];
    char byte;
    pid_t child;

    sidecar_free(world->sidecar);
    world->sidecar = NULL;
    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        reopen(world, false);
        put(world, "first", "0");
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (unsigned long i = 1; writes; i++) {
            char number[24];

            snprintf(number, sizeof number, "%0*lu", (int)(i % 20), i);
            sidecar_begin(world->sidecar, NULL);
            sidecar_put(world->sidecar, BYTES("first"), bytes_of_string(number));
            sidecar_put(world->sidecar, BYTES("second"), bytes_of_string(number));
            if (sidecar_end(world->sidecar, 0, false, NULL))
                _exit(2);
        }
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

/* The first mount is just ending when the next one opens the sidecar, which is not there yet. */
static void test_made_while_the_next_one_waits(void **state)
{
    struct world *world = *state;
    int ready[2];
    char byte;
    int status;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        reopen(world, false);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        usleep(300000);
        put(world, "last", "1");
        sidecar_free(world->sidecar);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(reopen(world, false), 0);
    assert_true(sidecar_writable(world->sidecar));
    assert_holds(world, "last=1 ");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
}

static void end_owner(pid_t child)
{
    int status;

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void test_one_owner(void **state)
{
    struct world *world = *state;
    pid_t child = start_owner(world, false);

    assert_int_equal(reopen(world, false), -EBUSY);
    assert_non_null(strstr(world->failure.message, "in use by another mount"));
    assert_holds(world, "first=0 ");
    assert_int_equal(sidecar_begin(world->sidecar, NULL), -EROFS);
    assert_int_equal(reopen(world, true), 0);
    assert_holds(world, "first=0 ");
    end_owner(child);
    assert_int_equal(reopen(world, false), 0);
    put(world, "second", "1");
}

static void collect_pair(void *context, struct bytes name, struct bytes content)
{
    struct buffer *pair = context;

    if (bytes_equal(name, BYTES("first")))
        buffer_add(&pair[0], content);
    else
        buffer_add(&pair[1], content);
}

static void test_killed(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < KILLS; i++) {
        struct buffer pair[2] = {BUFFER_INIT, BUFFER_INIT};
        struct timespec some = {.tv_nsec = 1000 * 37 * (i % 50)};
        pid_t child = start_owner(world, true);
        size_t damaged;

        nanosleep(&some, NULL);
        end_owner(child);
        assert_int_equal(reopen(world, false), 0);
        assert_int_equal(sidecar_visit(world->sidecar, collect_pair, pair, &damaged), 0);
        assert_int_equal(damaged, 0);
        /* Both of one transaction, or what stood there before the first one. */
        assert_true(pair[0].size > 0);
        if (!bytes_equal(buffer_bytes(&pair[0]), BYTES("0")))
            assert_true(bytes_equal(buffer_bytes(&pair[0]), buffer_bytes(&pair[1])));
        buffer_release(&pair[0]);
        buffer_release(&pair[1]);
    }
}

/* --- damage --- */

static void write_bytes(struct world *world, struct bytes content)
{
    int fd = open(world->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(io_write(fd, content, 0), 0);
    close(fd);
}

static unsigned count_records(const char *list)
{
    unsigned count = 0;

    for (const char *at = list; (at = strchr(at, '=')); at++)
        count++;
    return count;
}

/* Whatever stands there: each record that is told is one that was put, and a new one can be kept. */
static void check_damaged(struct world *world, const char *whole, unsigned *lost)
{
    struct buffer list = BUFFER_INIT;
    int status = reopen(world, false);
    size_t damaged = list_records(world, &list);
    char *rest = (char *)list.data, *record;

    if (status && status != -EUCLEAN)
        fail_msg("%d: %s", status, world->failure.message);
    if (status == 0 && !damaged && strcmp(rest, whole) != 0)
        assert_int_equal(count_records(rest), count_records(whole));
    while ((record = strsep(&rest, " ")) && *record)
        assert_non_null(strstr(whole, record));
    *lost += status || damaged;
    if (status)
        assert_int_equal(access(world->old, F_OK), 0);
    put(world, "new", "one");
    assert_int_equal(reopen(world, false), 0);
    list_records(world, &list);
    assert_non_null(strstr((char *)list.data, "new=one "));
    buffer_release(&list);
}

static void test_damage(void **state)
{
    struct world *world = *state;
    struct buffer file = BUFFER_INIT, list = BUFFER_INIT;
    unsigned lost = 0;

    assert_int_equal(reopen(world, false), -ENOENT);
    for (int i = 0; i < 5; i++) {
        char name[16], content[400];

        snprintf(name, sizeof name, "record%d", i);
        memset(content, 'a' + i, sizeof content);
        content[80 * i + 79] = 0;
        put(world, name, content);
    }
    list_records(world, &list);
    sidecar_free(world->sidecar);
    world->sidecar = NULL;
    assert_int_equal(io_read_file(world->path, &file), 0);
    for (size_t i = 0; i < file.size; i += i < 200 ? 1 : i < USED ? 17 : 20011) {
        file.data[i] ^= (uint8_t)(1 << i % 8);
        write_bytes(world, buffer_bytes(&file));
        check_damaged(world, (char *)list.data, &lost);
        file.data[i] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t size = 0; size < file.size; size += size < USED ? 509 : 30011) {
        write_bytes(world, bytes_part(buffer_bytes(&file), 0, size));
        check_damaged(world, (char *)list.data, &lost);
    }
    assert_true(lost > 50);
    buffer_release(&file);
    buffer_release(&list);
}

/* A file of libtdb, but nothing of ours in it. */
static void test_foreign_records(void **state)
{
    struct world *world = *state;
    struct buffer file = BUFFER_INIT, list = BUFFER_INIT;
    uint8_t *format;

    assert_int_equal(reopen(world, false), -ENOENT);
    put(world, "name", "content");
    sidecar_free(world->sidecar);
    world->sidecar = NULL;
    assert_int_equal(io_read_file(world->path, &file), 0);
    format = memmem(file.data, file.size, "name\1", 5);
    assert_non_null(format);
    format[4] = 2; /* as a later version may write */
    write_bytes(world, buffer_bytes(&file));
    assert_int_equal(reopen(world, false), 0);
    assert_int_equal(list_records(world, &list), 1);
    assert_string_equal((char *)list.data, "");
    buffer_release(&file);
    buffer_release(&list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_paths),
        TEST(test_made_when_needed),
        TEST(test_read_only),
        TEST(test_owned_as_the_database),
        TEST(test_planted),
        TEST(test_planted_later),
        TEST(test_planted_last),
        TEST(test_taken_away),
        TEST(test_not_to_be_seen_for_a_while),
        TEST(test_one_owner),
        TEST(test_killed),
        TEST(test_damage),
        TEST(test_foreign_records),
        TEST(test_made_while_the_next_one_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
