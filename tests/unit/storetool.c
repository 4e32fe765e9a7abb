/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Drives a store from a test program: one command a line in, one answer a line out, keys and values
 * in hexadecimal ("-": empty).
 *
 * storetool [-c] [-r] [-n] [-w] ENGINE PATH < commands      -c: create, -r: read-only, -n: without a lock, -w: or without waiting for one
 * put KEY VALUE | insert KEY VALUE | get KEY | del KEY | rename FROM TO | list | sync | stamp |
 * notes | engine
 * bench COUNT SIZE SYNC       nanoseconds per put of COUNT keys, with a sync after each if SYNC is
 * 1
 *
 * The answer is "ok", "ok RESULT..." or "error ERRNO TEXT".
 */
#include "src/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_WORDS = 4 };

static int hex_digit(char digit)
{
    return digit >= 'a' ? digit - 'a' + 10 : digit - '0';
}

static void decode(const char *hex, struct buffer *out)
{
    buffer_clear(out);
    if (strcmp(hex, "-") == 0)
        return;
    for (; hex[0] && hex[1]; hex += 2)
        buffer_add_byte(out, (uint8_t)(hex_digit(hex[0]) * 16 + hex_digit(hex[1])));
}

static void print_hex(struct bytes bytes)
{
    putchar(' ');
    if (!bytes.size)
        putchar('-');
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
}

static bool collect(void *context, struct bytes key)
{
    struct buffer *keys = context;

    buffer_add(keys, bytes_of(&key.size, sizeof key.size));
    buffer_add(keys, key);
    return true;
}

static void print_keys(struct bytes keys)
{
    while (keys.size) {
        size_t size;

        memcpy(&size, keys.data, sizeof size);
        print_hex(bytes_part(keys, sizeof size, size));
        keys = bytes_part(keys, sizeof size + size, SIZE_MAX);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int bench(struct store *store, long count, long size, bool sync, struct buffer *value)
{
    int64_t start = now_ns();
    int status = 0;
    char key[32];

    buffer_clear(value);
    buffer_resize(value, (size_t)size);
    if (size <= 0 || count <= 0 || buffer_status(value))
        return -EINVAL;
    for (long i = 0; !status && i < count; i++) {
        int64_t stamp = now_ns();

        /* A value like none before: a store may skip what changes nothing. */
        memcpy(value->data, &stamp, (size_t)size < sizeof stamp ? (size_t)size : sizeof stamp);
        snprintf(key, sizeof key, "bench %ld", i);
        status = store_store(store, bytes_of_string(key), buffer_bytes(value), STORE_REPLACE);
        if (!status && sync)
            status = store_sync(store);
    }
    if (!status)
        printf("ok %lld\n", (long long)((now_ns() - start) / count));
    return status;
}

static int answer_value(struct store *store, struct bytes key, struct buffer *value)
{
    int status;

    buffer_clear(value);
    status = store_fetch(store, key, value);
    if (status)
        return status;
    printf("ok");
    print_hex(buffer_bytes(value));
    putchar('\n');
    return 0;
}

static int answer_list(struct store *store, struct buffer *keys)
{
    int status;

    buffer_clear(keys);
    status = store_visit(store, collect, keys);
    if (status)
        return status;
    printf("ok");
    print_keys(buffer_bytes(keys));
    putchar('\n');
    return 0;
}

static int answer_stamp(struct store *store)
{
    struct store_stamp stamp;
    int status = store_stamp(store, &stamp);

    if (status)
        return status;
    printf("ok");
    for (size_t i = 0; i < ARRAY_SIZE(stamp.words); i++)
        printf(" %llx", (unsigned long long)stamp.words[i]);
    putchar('\n');
    return 0;
}

static int answer_notes(struct store *store, struct buffer *notes)
{
    buffer_clear(notes);
    store_notes(store, notes);
    printf("ok");
    print_hex(buffer_bytes(notes));
    putchar('\n');
    return 0;
}

static int answer_ok(int status)
{
    if (!status)
        puts("ok");
    return status;
}

/* Prints the answer, unless it is an error. */
static int answer(struct store *store, char *words[MOST_WORDS], struct buffer *a, struct buffer *b)
{
    const char *command = words[0];

    decode(words[1], a);
    decode(words[2], b);
    if (strcmp(command, "put") == 0)
        return answer_ok(store_store(store, buffer_bytes(a), buffer_bytes(b), STORE_REPLACE));
    if (strcmp(command, "insert") == 0)
        return answer_ok(store_store(store, buffer_bytes(a), buffer_bytes(b), STORE_INSERT));
    if (strcmp(command, "get") == 0)
        return answer_value(store, buffer_bytes(a), b);
    if (strcmp(command, "del") == 0)
        return answer_ok(store_remove(store, buffer_bytes(a)));
    if (strcmp(command, "rename") == 0)
        return answer_ok(store_rename(store, buffer_bytes(a), buffer_bytes(b), STORE_REPLACE));
    if (strcmp(command, "exchange") == 0)
        return answer_ok(store_rename(store, buffer_bytes(a), buffer_bytes(b), STORE_EXCHANGE));
    if (strcmp(command, "list") == 0)
        return answer_list(store, a);
    if (strcmp(command, "sync") == 0)
        return answer_ok(store_sync(store));
    if (strcmp(command, "stamp") == 0)
        return answer_stamp(store);
    if (strcmp(command, "notes") == 0)
        return answer_notes(store, a);
    if (strcmp(command, "engine") == 0)
        return printf("ok %s\n", store_engine(store)) < 0 ? -EIO : 0;
    if (strcmp(command, "bench") == 0)
        return bench(store, atol(words[1]), atol(words[2]), *words[3] == '1', a);
    return -EINVAL;
}

static void print_error(const struct store *store, int status)
{
    struct buffer why = BUFFER_INIT;

    store_explain(store, status, &why);
    printf("error %d %.*s\n", -status, (int)why.size, (const char *)why.data);
    buffer_release(&why);
}

static void serve(struct store *store)
{
    struct buffer a = BUFFER_INIT, b = BUFFER_INIT;
    char *line = NULL, *rest;
    size_t room = 0;

    while (getline(&line, &room, stdin) > 0) {
        char *words[MOST_WORDS];
        int status;

        rest = line;
        for (size_t i = 0; i < MOST_WORDS; i++) {
            words[i] = strtok_r(i ? NULL : rest, " \n", &rest);
            if (!words[i])
                words[i] = "";
        }
        status = answer(store, words, &a, &b);
        if (status)
            print_error(store, status);
        fflush(stdout);
    }
    free(line);
    buffer_release(&a);
    buffer_release(&b);
}

int main(int argc, char *argv[])
{
    struct store_options options = {.lock_timeout = 1};
    struct failure failure = {0};
    struct store *store;
    int at = 1;

    for (; at < argc && argv[at][0] == '-'; at++) {
        if (argv[at][1] == 'w')
            options.lock_timeout = 0;
        else
            options.flags |= argv[at][1] == 'c'   ? STORE_CREATE
                             : argv[at][1] == 'r' ? STORE_READ_ONLY
                                                  : STORE_NO_LOCK;
    }
    if (argc - at != 2)
        return 2;
    options.engine = argv[at];
    if (store_open(argv[at + 1], &options, &store, &failure)) {
        printf("error %d %s\n", -failure.code, failure.message);
        return 1;
    }
    serve(store);
    return store_close(store) ? 1 : 0;
}
