/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/log.h"

#include <setjmp.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

static const struct {
    struct bytes text;
    const char *escaped;
} escapes[] = {
    {BYTES("plain, with 100% and \\"), "plain, with 100% and \\"},
    {BYTES("Z\xc3\xbcrich \xe6\x9d\xb1\xe4\xba\xac"), "Z\xc3\xbcrich \xe6\x9d\xb1\xe4\xba\xac"},
    {BYTES("two\nlines\r\t"), "two\\x0alines\\x0d\\x09"},
    {BYTES("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f"},
    {BYTES("a\0b"), "a\\x00b"},
    {BYTES("\xff\xc3("), "\\xff\\xc3("},
    {BYTES("\xc2\x9b"
           "1m"),
     "\\xc2\\x9b"
     "1m"}, /* CSI as a C1 control */
    {BYTES("\xe2\x80\xae"
           "abc"),
     "\\xe2\\x80\\xae"
     "abc"},                                    /* right-to-left override */
    {BYTES("\xed\xa0\x80"), "\\xed\\xa0\\x80"}, /* a surrogate */
};

static void test_escapes(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
        struct buffer out = BUFFER_INIT;

        log_escape(escapes[i].text, &out);
        buffer_add_byte(&out, '\0');
        assert_int_equal(buffer_status(&out), 0);
        assert_string_equal((char *)out.data, escapes[i].escaped);
        buffer_release(&out);
    }
}

/* The end that a log writes to and the one that the test reads from. */
struct ends {
    int read, write;
};

static struct ends open_ends(void)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    return (struct ends){fds[0], fds[1]};
}

static void close_ends(struct ends ends)
{
    close(ends.read);
    close(ends.write);
}

/* What was logged since the last call. */
static const char *logged(struct ends ends, char *room, size_t size)
{
    ssize_t got = read(ends.read, room, size - 1);

    room[got > 0 ? got : 0] = '\0';
    return room;
}

/* The clock of a log is a plain function, so its time is too. */
static time_t test_time;

static time_t test_clock(void)
{
    return test_time;
}

static void test_lines(void **state)
{
    struct ends ends = open_ends();
    struct log log;
    char room[1024];

    log_init(&log, "shelvefs", ends.write);
    log_error(&log, "%s: %d", "k\x1b", 5);
    log_note(&log, "seen\nonce");
    assert_string_equal(logged(ends, room, sizeof room),
                        "shelvefs: k\\x1b: 5\nshelvefs: seen\\x0aonce\n");
    log_release(&log);
    assert_string_equal(logged(ends, room, sizeof room), "");
    close_ends(ends);
}

static unsigned count_lines(const char *text)
{
    unsigned lines = 0;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void test_refusals_are_limited(void **state)
{
    struct ends ends = open_ends();
    struct log log;
    char room[4096];

    log_init(&log, "shelvefs", ends.write);
    log.clock = test_clock;
    test_time = 100;
    for (unsigned i = 0; i < 25; i++)
        log_refusal(&log, "refused %u", i);
    assert_int_equal(count_lines(logged(ends, room, sizeof room)), LOG_REFUSALS);
    log_error(&log, "still heard");
    assert_string_equal(logged(ends, room, sizeof room), "shelvefs: still heard\n");
    test_time += LOG_REFUSAL_SECONDS - 1;
    log_tick(&log);
    assert_string_equal(logged(ends, room, sizeof room), "");
    test_time += 1;
    log_tick(&log);
    assert_string_equal(logged(ends, room, sizeof room),
                        "shelvefs: refusals in 10 seconds that are not shown: 15\n");
    log_tick(&log);
    assert_string_equal(logged(ends, room, sizeof room), "");
    log_refusal(&log, "heard again");
    assert_string_equal(logged(ends, room, sizeof room), "shelvefs: heard again\n");
    log_release(&log);
    assert_string_equal(logged(ends, room, sizeof room), "");
    close_ends(ends);
}

static void test_what_is_held_back_is_told_at_the_end_and_by_the_next(void **state)
{
    struct ends ends = open_ends();
    struct log log;
    char room[4096];

    log_init(&log, "shelvefs", ends.write);
    log.clock = test_clock;
    for (unsigned i = 0; i < LOG_REFUSALS + 1; i++)
        log_refusal(&log, "refused");
    logged(ends, room, sizeof room);
    test_time += LOG_REFUSAL_SECONDS;
    for (unsigned i = 0; i < LOG_REFUSALS + 2; i++)
        log_refusal(&log, "next");
    assert_int_equal(
        strncmp(logged(ends, room, sizeof room),
                "shelvefs: refusals in 10 seconds that are not shown: 1\nshelvefs: next\n", 69),
        0);
    log_release(&log);
    assert_string_equal(logged(ends, room, sizeof room),
                        "shelvefs: refusals in 10 seconds that are not shown: 2\n");
    close_ends(ends);
}

static void test_no_log(void **state)
{
    log_error(NULL, "x");
    log_refusal(NULL, "x");
    log_note(NULL, "x");
    log_tick(NULL);
    log_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_refusals_are_limited),
        cmocka_unit_test(test_what_is_held_back_is_told_at_the_end_and_by_the_next),
        cmocka_unit_test(test_no_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
