/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Updates of a file in place: what a crash leaves, and what is made of that. */
#include "src/io.h"
#include "src/store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 10000 };

struct fixture {
    char folder[64], path[96], journal_path[128];
    int fd;
    uint8_t before[SIZE], after[SIZE + 100];
    struct journal journal;
    struct changes changes;
};

static void read_stat(struct fixture *f, struct stat *out)
{
    assert_int_equal(fstat(f->fd, out), 0);
}

static enum journal_outcome begin(struct fixture *f)
{
    enum journal_outcome outcome = JOURNAL_CLEAN;
    struct stat stat;

    read_stat(f, &stat);
    assert_int_equal(journal_begin(&f->journal, f->fd, &stat, &outcome), 0);
    return outcome;
}

static void set_content(struct fixture *f, const uint8_t *data, size_t size)
{
    assert_int_equal(ftruncate(f->fd, (off_t)size), 0);
    assert_int_equal(io_write(f->fd, bytes_of(data, size), 0), 0);
}

static void assert_content(struct fixture *f, const uint8_t *data, size_t size)
{
    struct buffer content = BUFFER_INIT;

    assert_int_equal(io_read_all(f->fd, &content), 0);
    assert_int_equal(content.size, size);
    assert_memory_equal(content.data, data, size);
    buffer_release(&content);
}

/* Two ranges within the file, and one that makes it longer. */
static void plan(struct fixture *f)
{
    for (size_t i = 0; i < SIZE; i++)
        f->before[i] = (uint8_t)(i * 7 + i / 256);
    memcpy(f->after, f->before, SIZE);
    memset(f->after + 100, 'x', 5);
    memset(f->after + 4000, 'y', 300);
    memset(f->after + SIZE, 'z', 100);
    changes_release(&f->changes);
    f->changes = CHANGES_INIT;
    f->changes.size_before = SIZE;
    f->changes.size_after = SIZE + 100;
    changes_compare(&f->changes, 0, bytes_of(f->before, SIZE), bytes_of(f->after, SIZE + 100));
    assert_int_equal(buffer_status(&f->changes.ranges), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    snprintf(f->folder, sizeof f->folder, "%s/shelvefs-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/db", f->folder);
    snprintf(f->journal_path, sizeof f->journal_path, "%s/.db.shelvefs-journal", f->folder);
    f->fd = open(f->path, O_RDWR | O_CREAT | O_EXCL, 0640);
    assert_true(f->fd >= 0);
    plan(f);
    set_content(f, f->before, SIZE);
    assert_int_equal(journal_init(&f->journal, f->path), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    journal_release(&f->journal);
    changes_release(&f->changes);
    close(f->fd);
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void test_commit_and_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct stat stat;

    assert_false(journal_is_pending(&f->journal));
    assert_int_equal(begin(f), JOURNAL_CLEAN);
    assert_int_equal(lstat(f->journal_path, &stat), 0);
    assert_int_equal(stat.st_mode & 07777, 0640);
    assert_int_equal(journal_commit(&f->journal, f->fd, &f->changes), 0);
    assert_content(f, f->after, SIZE + 100);
    assert_true(journal_is_pending(&f->journal));
    assert_int_equal(journal_checkpoint(&f->journal, f->fd), 0);
    assert_false(journal_is_pending(&f->journal));
    journal_end(&f->journal, true);
    assert_int_equal(access(f->journal_path, F_OK), -1);
}

/* A power cut may bring back the record of a change that the disk has by then; the next commit waits for the disk anyway. */
static void test_cut_before_it_is_settled(void **state)
{
    struct fixture *f = *state;
    struct buffer journal = BUFFER_INIT;
    struct changes nothing = CHANGES_INIT;

    begin(f);
    assert_int_equal(journal_commit(&f->journal, f->fd, &f->changes), 0);
    assert_int_equal(io_read_file(f->journal_path, &journal), 0);
    assert_int_equal(journal_checkpoint(&f->journal, f->fd), 0);
    assert_true(f->journal.unsettled);
    assert_int_equal(journal_settle(&f->journal), 0);
    assert_false(f->journal.unsettled);

    assert_int_equal(io_write(f->journal.fd, buffer_bytes(&journal), 0), 0);
    f->journal.boot[0]++;
    journal_end(&f->journal, false);
    assert_int_equal(begin(f), JOURNAL_REPLAYED);
    assert_content(f, f->after, SIZE + 100);

    f->journal.unsettled = true;
    nothing.size_before = nothing.size_after = SIZE + 100;
    assert_int_equal(journal_commit(&f->journal, f->fd, &nothing), 0);
    assert_false(f->journal.unsettled);
    buffer_release(&journal);
}

static void test_shrinking(void **state)
{
    struct fixture *f = *state;
    struct changes changes = CHANGES_INIT;

    changes.size_before = SIZE;
    changes.size_after = 50;
    changes_compare(&changes, 50, bytes_of(f->before + 50, SIZE - 50), (struct bytes){NULL, 0});
    assert_int_equal(changes_apply(&changes, f->fd), 0);
    assert_content(f, f->before, 50);
    assert_int_equal(changes_undo(&changes, f->fd), 0);
    assert_content(f, f->before, SIZE);
    changes_release(&changes);
}

/* The database as a crash may leave it; the power goes with it, or only the process. */
enum crash { POWER_CUT, KILL };
static const struct outcome {
    const char *label;
    enum crash crash;
    size_t written; /* of the new content, from the start; SIZE + 100: all */
    bool marked;    /* the journal says that all was written */
    size_t foreign; /* a byte there is another program's; 0: none */
    enum journal_outcome replay;
    bool completed; /* else the content stays as it is */
} outcomes[] = {
    {"killed before", KILL, 0, false, 0, JOURNAL_CLEAN, false},
    {"killed in the first range", KILL, 102, false, 0, JOURNAL_REPLAYED, true},
    {"killed between", KILL, 3000, false, 0, JOURNAL_REPLAYED, true},
    {"killed after", KILL, SIZE + 100, false, 0, JOURNAL_REPLAYED, true},
    {"killed after, and told", KILL, SIZE + 100, true, 0, JOURNAL_REPLAYED, true},
    {"power cut before", POWER_CUT, 0, true, 0, JOURNAL_REPLAYED, true},
    {"power cut between", POWER_CUT, 4100, true, 0, JOURNAL_REPLAYED, true},
    {"foreign byte in a range", KILL, 3000, false, 4010, JOURNAL_DROPPED, false},
    {"foreign byte elsewhere", KILL, 3000, false, 9000, JOURNAL_REPLAYED, true},
    {"foreign byte in a range after a power cut", POWER_CUT, 3000, true, 102, JOURNAL_DROPPED,
     false},
};

/* Sets the database to what it is in that case. */
static void crash(struct fixture *f, const struct outcome *outcome, uint8_t *now, size_t *size)
{
    struct timespec times[2];
    struct stat stat;

    *size = outcome->written > SIZE ? SIZE + 100 : SIZE;
    memcpy(now, f->after, outcome->written);
    if (outcome->written < SIZE)
        memcpy(now + outcome->written, f->before + outcome->written, SIZE - outcome->written);
    if (outcome->foreign)
        now[outcome->foreign] = (uint8_t)~f->after[outcome->foreign] ^ 0x55;
    read_stat(f, &stat);
    times[0] = stat.st_atim;
    times[1] = stat.st_mtim;
    set_content(f, now, *size);
    futimens(f->fd, times); /* nobody else wrote */
}

static void forget_mark(struct fixture *f)
{
    static const uint8_t zero[8];
    struct stat stat;
    int fd = open(f->journal_path, O_RDWR);
    off_t mark;

    assert_int_equal(fstat(fd, &stat), 0);
    mark = stat.st_size - (off_t)f->changes.ranges.size - (off_t)sizeof zero;
    assert_int_equal(io_write(fd, bytes_of(zero, sizeof zero), mark), 0);
    close(fd);
}

static void test_crashes(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        const struct outcome *outcome = &outcomes[i];
        uint8_t now[SIZE + 100];
        size_t size;
        enum journal_outcome replay;

        set_content(f, f->before, SIZE);
        begin(f);
        assert_int_equal(journal_commit(&f->journal, f->fd, &f->changes), 0);
        journal_end(&f->journal, false);
        if (!outcome->marked)
            forget_mark(f);
        crash(f, outcome, now, &size);
        if (outcome->crash == POWER_CUT)
            f->journal.boot[0]++;
        replay = begin(f);
        if (replay != outcome->replay)
            fail_msg("%s: %d", outcome->label, replay);
        if (outcome->completed) {
            if (outcome->foreign)
                f->after[outcome->foreign] = now[outcome->foreign];
            assert_content(f, f->after, SIZE + 100);
            plan(f);
        } else {
            assert_content(f, now, size);
        }
        assert_false(journal_is_pending(&f->journal));
        journal_end(&f->journal, false);
    }
}

/* Whoever changed the database after it was complete found it so: that must not be undone, even byte by byte. */
static void test_reverted_by_another_program(void **state)
{
    struct fixture *f = *state;
    struct timespec later[2];
    struct stat stat;

    begin(f);
    assert_int_equal(journal_commit(&f->journal, f->fd, &f->changes), 0);
    journal_end(&f->journal, false);
    set_content(f, f->before, SIZE);
    read_stat(f, &stat);
    later[0] = later[1] = (struct timespec){.tv_sec = stat.st_mtim.tv_sec + 1};
    assert_int_equal(futimens(f->fd, later), 0);
    assert_int_equal(begin(f), JOURNAL_CLEAN);
    assert_content(f, f->before, SIZE);
}

/* Cut off at every length, a journal is either complete or nothing; also several updates in it. */
static void test_torn_journals(void **state)
{
    struct fixture *f = *state;
    struct buffer journal = BUFFER_INIT;
    struct changes second = CHANGES_INIT;
    uint8_t last[SIZE + 100];

    memcpy(last, f->after, sizeof last);
    last[0] = 'l';
    second.size_before = second.size_after = SIZE + 100;
    changes_compare(&second, 0, bytes_of(f->after, 100), bytes_of(last, 100));
    begin(f);
    assert_int_equal(journal_commit(&f->journal, f->fd, &f->changes), 0);
    assert_int_equal(journal_commit(&f->journal, f->fd, &second), 0);
    journal_end(&f->journal, false);
    assert_int_equal(io_read_file(f->journal_path, &journal), 0);
    f->journal.boot[0]++;
    for (size_t size = 0; size <= journal.size;
         size += size < journal.size - 1 && size % 7 ? 3 : 1) {
        struct stat stat;
        int fd = open(f->journal_path, O_RDWR | O_TRUNC);
        enum journal_outcome replay;

        assert_int_equal(io_write(fd, bytes_of(journal.data, size), 0), 0);
        close(fd);
        set_content(f, f->before, SIZE);
        futimens(f->fd, (struct timespec[2]){{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}});
        replay = begin(f);
        read_stat(f, &stat);
        if (replay == JOURNAL_CLEAN)
            assert_content(f, f->before, SIZE);
        else if (size == journal.size)
            assert_content(f, last, SIZE + 100);
        else
            assert_content(f, f->after, SIZE + 100);
        journal_end(&f->journal, false);
    }
    changes_release(&second);
    buffer_release(&journal);
}

/* Each bit of a journal flipped: what the database becomes is its old or its new content. */
static void test_flipped_journals(void **state)
{
    struct fixture *f = *state;
    struct buffer journal = BUFFER_INIT;

    begin(f);
    assert_int_equal(journal_commit(&f->journal, f->fd, &f->changes), 0);
    journal_end(&f->journal, false);
    assert_int_equal(io_read_file(f->journal_path, &journal), 0);
    f->journal.boot[0]++;
    for (size_t bit = 0; bit < journal.size * 8; bit++) {
        int fd = open(f->journal_path, O_RDWR | O_TRUNC);

        journal.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(io_write(fd, buffer_bytes(&journal), 0), 0);
        journal.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        close(fd);
        set_content(f, f->before, SIZE);
        futimens(f->fd, (struct timespec[2]){{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1}});
        if (begin(f) == JOURNAL_REPLAYED)
            assert_content(f, f->after, SIZE + 100);
        else
            assert_content(f, f->before, SIZE);
        journal_end(&f->journal, false);
    }
    buffer_release(&journal);
}

static void test_another_file_of_that_name(void **state)
{
    struct fixture *f = *state;
    int other;

    begin(f);
    assert_int_equal(journal_commit(&f->journal, f->fd, &f->changes), 0);
    journal_end(&f->journal, false);
    forget_mark(f);
    other = open(f->path, O_RDONLY);
    unlink(f->path);
    close(f->fd);
    f->fd = open(f->path, O_RDWR | O_CREAT | O_EXCL, 0640);
    set_content(f, f->before, SIZE);
    io_write(f->fd, bytes_of(f->after, 102), 0);
    assert_int_equal(begin(f), JOURNAL_DROPPED);
    assert_content(f, (memcpy(f->before, f->after, 102), f->before), SIZE);
    close(other);
}

/* What others may have put there is not believed. */
static void test_untrusted_journals(void **state)
{
    struct fixture *f = *state;
    enum journal_outcome outcome;
    struct stat stat;
    int fd;

    read_stat(f, &stat);
    assert_int_equal(symlink("/dev/null", f->journal_path), 0);
    assert_int_equal(journal_begin(&f->journal, f->fd, &stat, &outcome), -EPERM);
    unlink(f->journal_path);
    assert_int_equal(mkfifo(f->journal_path, 0600), 0);
    assert_int_equal(journal_begin(&f->journal, f->fd, &stat, &outcome), -EPERM);
    unlink(f->journal_path);
    assert_int_equal(link(f->path, f->journal_path), 0);
    assert_int_equal(journal_begin(&f->journal, f->fd, &stat, &outcome), -EPERM);
    unlink(f->journal_path);
    fd = open(f->journal_path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(fchmod(fd, 0666), 0);
    assert_int_equal(journal_begin(&f->journal, f->fd, &stat, &outcome), -EPERM);
    assert_int_equal(fchmod(fd, 0600), 0);
    assert_int_equal(journal_begin(&f->journal, f->fd, &stat, &outcome), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commit_and_checkpoint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_before_it_is_settled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shrinking, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_crashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reverted_by_another_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_torn_journals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flipped_journals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_file_of_that_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_untrusted_journals, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
