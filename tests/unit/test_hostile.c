/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values made to exhaust whoever reads them. Each is shown, listed, and what was shown is read and stored again, within 64 bytes of memory for a
 * byte of what goes in, plus a mebibyte.
 *
 * Memory is what the process had in RAM at most (HOSTILE_FIGURES=1 prints it), of a child for each row, so that room which is never touched costs nothing. Time is
 * not measured: inputs are so large that anything quadratic would run into the test's time limit.
 */
#include "codecs/codec.h"
#include "codecs/pickle_dis.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum {
    MANY = 1 << 18,
    PER_BYTE = 64,
    SLACK_KIB = 1024,
};

static void add_times(struct buffer *out, struct bytes bytes, size_t times)
{
    while (times--)
        buffer_add(out, bytes);
}

static void repeat(struct buffer *out, const char *start, struct bytes middle, size_t times,
                   const char *end)
{
    buffer_add_string(out, start);
    add_times(out, middle, times);
    buffer_add_string(out, end);
}

/* The rows: what they are made of. */

static void make_marks(struct buffer *out)
{
    repeat(out, "", BYTES("("), 10 * MANY, "N.");
}

static void make_deep_lists(struct buffer *out)
{
    repeat(out, "", BYTES("]"), MANY, "");
    repeat(out, "", BYTES("a"), MANY - 1, ".");
}

static void make_deep_tuples(struct buffer *out)
{
    repeat(out, "N", BYTES("\x85"), 10000000, ".");
}

static void make_deep_calls(struct buffer *out)
{
    repeat(out, "cm\nf\n", BYTES(")R"), MANY, ".");
}

static void make_deep_builds(struct buffer *out)
{
    repeat(out, "cm\nf\n", BYTES("Nb"), MANY, ".");
}

static void make_doubling_tuples(struct buffer *out)
{
    repeat(out, "N", BYTES("2\x86"), MANY, ".");
}

static void make_doubling_lists(struct buffer *out)
{
    repeat(out, "N", BYTES("2(22222222l"), MANY / 8, ".");
}

static void make_empty_lists(struct buffer *out)
{
    repeat(out, "](", BYTES("]"), MANY, "e.");
}

static void make_empty_dicts(struct buffer *out)
{
    repeat(out, "(", BYTES("}"), MANY, "l.");
}

static void make_empty_sets(struct buffer *out)
{
    repeat(out, "\x80\x04(", BYTES("\x8f"), MANY, "t.");
}

static void make_empty_tuples(struct buffer *out)
{
    repeat(out, "(", BYTES(")"), MANY, "t.");
}

static void make_nones(struct buffer *out)
{
    repeat(out, "(", BYTES("N"), MANY, "t.");
}

static void make_deep_nones(struct buffer *out)
{
    add_times(out, BYTES("]("), 15);
    repeat(out, "(", BYTES("N"), MANY, "t");
    repeat(out, "", BYTES("e"), 15, ".");
}

static void make_memoised(struct buffer *out)
{
    repeat(out, "\x80\x04](", BYTES("]\x94"), MANY, "e.");
}

static void make_sparse_memo(struct buffer *out)
{
    for (uint32_t i = 0; i < MANY / 4; i++) {
        uint32_t index = i * 15000u + 5;
        uint8_t op[] = {'N', 'r', (uint8_t)index, (uint8_t)(index >> 8), (uint8_t)(index >> 16),
                        (uint8_t)(index >> 24), '0'};

        buffer_add(out, bytes_of(op, sizeof op));
    }
    buffer_add_string(out, "N.");
}

static void make_far_memo(struct buffer *out)
{
    buffer_add(out, BYTES("Nr\xff\xff\xff\xffp999999999999999999\np1000000000\n."));
}

static void make_far_lengths(struct buffer *out)
{
    buffer_add(out, BYTES("\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."));
}

static void make_persistent(struct buffer *out)
{
    repeat(out, "N", BYTES("Q"), MANY, ".");
}

static void make_buffers(struct buffer *out)
{
    repeat(out, "\x80\x05(", BYTES("\x97"), MANY, "t.");
}

static void make_popped_calls(struct buffer *out)
{
    repeat(out, "cm\nf\n", BYTES("2)R0"), MANY / 2, ".");
}

static void make_extensions(struct buffer *out)
{
    repeat(out, "\x80\x02(", BYTES("\x82\x01"), MANY, "t.");
}

static void make_steps(struct buffer *out)
{
    repeat(out, "cm\nf\n", BYTES("NaNNs"), MANY / 2, ".");
}

static void make_repeated_string(struct buffer *out)
{
    buffer_add(out, BYTES("\x80\x04\x8c\x28"));
    add_times(out, BYTES("\x01"), 40);
    repeat(out, "\x94](", BYTES("h\0"), MANY, "e.");
}

static void make_repeated_global(struct buffer *out)
{
    buffer_add_string(out, "c");
    repeat(out, "", BYTES("m"), 99, "\n");
    repeat(out, "", BYTES("n"), 99, "\nq");
    buffer_add_byte(out, 0);
    repeat(out, "](", BYTES("h\0"), MANY, "e.");
}

static void make_shared_long_string(struct buffer *out)
{
    buffer_add(out, BYTES("\x80\x04X\x00\x00\x04\x00"));
    add_times(out, BYTES("s"), MANY);
    repeat(out, "\x94](", BYTES("h\0"), MANY / 4, "e.");
}

static void make_controls(struct buffer *out)
{
    buffer_add(out, BYTES("\x80\x04(X\x00\x00\x04\x00"));
    add_times(out, BYTES("\x01"), MANY);
    buffer_add_string(out, "l.");
}

static void make_bytes(struct buffer *out)
{
    buffer_add(out, BYTES("\x80\x04(B\x00\x00\x04\x00"));
    add_times(out, BYTES("\xff"), MANY);
    buffer_add_string(out, "l.");
}

static void make_digits(struct buffer *out)
{
    repeat(out, "L", BYTES("7"), 4000, "L\n.");
}

static void make_many_digits(struct buffer *out)
{
    repeat(out, "L", BYTES("7"), MANY, "L\n.");
}

static void make_big_integer(struct buffer *out)
{
    buffer_add(out, BYTES("\x80\x02\x8b\x00\x00\x04\x00"));
    repeat(out, "", BYTES("\x7f"), MANY, ".");
}

static void make_globals(struct buffer *out)
{
    repeat(out, "(", BYTES("cm\nn\n"), MANY / 4, "t.");
}

static void make_truncated(struct buffer *out)
{
    repeat(out, "", BYTES("]("), MANY, "");
}

static void make_trailing(struct buffer *out)
{
    repeat(out, "N.", BYTES("cos\nsystem\n."), MANY / 8, "");
}

static void make_unordered(struct buffer *out)
{
    repeat(out, "]q\1cbuiltins\ntuple\nh\1\x85R0(", BYTES("]"), MANY, "l0h\1K\1a.");
}

static const struct row {
    const char *name;
    void (*make)(struct buffer *out);
} rows[] = {
    {"marks", make_marks},
    {"deep lists", make_deep_lists},
    {"deep tuples", make_deep_tuples},
    {"deep calls", make_deep_calls},
    {"deep builds", make_deep_builds},
    {"doubling tuples", make_doubling_tuples},
    {"doubling lists", make_doubling_lists},
    {"empty lists", make_empty_lists},
    {"empty dicts", make_empty_dicts},
    {"empty sets", make_empty_sets},
    {"empty tuples", make_empty_tuples},
    {"nones", make_nones},
    {"deep nones", make_deep_nones},
    {"memoised lists", make_memoised},
    {"sparse memo", make_sparse_memo},
    {"far memo", make_far_memo},
    {"far lengths", make_far_lengths},
    {"persistent", make_persistent},
    {"buffers", make_buffers},
    {"popped calls", make_popped_calls},
    {"extensions", make_extensions},
    {"steps", make_steps},
    {"repeated string", make_repeated_string},
    {"repeated global", make_repeated_global},
    {"shared long string", make_shared_long_string},
    {"controls", make_controls},
    {"bytes", make_bytes},
    {"digits", make_digits},
    {"many digits", make_many_digits},
    {"big integer", make_big_integer},
    {"globals", make_globals},
    {"truncated", make_truncated},
    {"trailing", make_trailing},
    {"unordered", make_unordered},
};

/* Memory */

static long most_kib(void)
{
    char line[256];
    long size = -1;
    FILE *file = fopen("/proc/self/status", "r");

    while (file && size < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            size = atol(line + 6);
    if (file)
        fclose(file);
    return size;
}

/* Begins to measure at what is in RAM now. */
static void forget_most(void)
{
    int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

    if (file >= 0 && write(file, "5", 1) != 1)
        perror("clear_refs");
    if (file >= 0)
        close(file);
}

enum work { RENDER, ACCEPT, ACCEPT_AGAIN, DIS, WORKS };
static const char *const work_names[] = {"render", "accept", "accept again", "dis"};

static int do_work(enum work work, struct bytes stored, struct bytes input, struct buffer *out)
{
    const struct dialect dialect = dialect_default(CODEC_PICKLE);
    const struct codec_rules rules = {.max_value = SIZE_MAX, .any_globals = true};
    struct failure failure;

    switch (work) {
    case RENDER:
        return codec_render(&dialect, input, out, NULL);
    case ACCEPT:
        return codec_accept(&dialect, &rules, input, NULL, out, &failure);
    case ACCEPT_AGAIN:
        return codec_accept(&dialect, &rules, input, &stored, out, &failure);
    default:
        return pickle_dis(input, out);
    }
}

/* In the child: 0 if it stays within the bound. */
static int measure(const struct row *row, enum work work)
{
    struct buffer stored = BUFFER_INIT, text = BUFFER_INIT, out = BUFFER_INIT;
    struct bytes input;
    long before, most;
    size_t bound;
    int status = 0;

    row->make(&stored);
    if (work == ACCEPT || work == ACCEPT_AGAIN)
        status = do_work(RENDER, buffer_bytes(&stored), buffer_bytes(&stored), &text);
    input = work == RENDER || work == DIS ? buffer_bytes(&stored) : buffer_bytes(&text);
    forget_most();
    before = most_kib();
    if (!status)
        status = do_work(work, buffer_bytes(&stored), input, &out);
    most = most_kib() - before;
    bound = (input.size + (work == ACCEPT_AGAIN ? stored.size : 0)) * PER_BYTE / 1024 + SLACK_KIB;
    /* A listing has a line an instruction, and ends where its buffer does. That may be copied when it grows. */
    if (work == DIS)
        bound += 2 * out.size / 1024;
    if ((size_t)most > bound || getenv("HOSTILE_FIGURES"))
        fprintf(stderr, "%s, %s: %zu bytes in, %zu out, %ld KiB of %zu at most: %.1f a byte%s\n", row->name,
                work_names[work], input.size, out.size, most, bound,
                (double)most * 1024 / (double)input.size, (size_t)most > bound ? " TOO MUCH" : "");
    if (status && status != -EINVAL && status != -EFBIG)
        return 2;
    return (size_t)most > bound;
}

/* Whether it went well, in a child of its own. */
static bool check(const struct row *row, enum work work)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (!child)
        _exit(measure(row, work));
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status)
        print_error("%s, %s: wait status %d\n", row->name, work_names[work], status);
    return status == 0;
}

static bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#else
    return false;
#endif
}

static void test_memory(void **state)
{
    unsigned failed = 0;

    if (is_sanitized()) {
        print_message("skipped: AddressSanitizer takes memory of its own\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (enum work work = 0; work < WORKS; work++)
            failed += !check(&rows[i], work);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_memory)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
