/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The structure first, as far as the engine can look at it, then each record: whether it can be read, and its value
 * be shown as one. A database of raw bytes or plain text has no values that are wrong.
 */
#include "fs/check.h"

#include "codecs/codec.h"
#include "fs/progress.h"
#include "fs/sample.h"
#include "fs/startup.h"
#include "src/arena.h"
#include "src/keyname.h"
#include "src/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct check {
    struct store *store;
    const struct options *options;
    struct progress progress;
    struct dialect dialect;
    struct arena arena;
    struct buffer keys; /* array of struct bytes */
    struct buffer *text;
    size_t wrong;
};

static void add_key(struct bytes key, struct buffer *text)
{
    struct buffer name = BUFFER_INIT;

    if (keyname_encode(KEYNAME_EXACT, key, &name) == 0)
        log_escape(buffer_bytes(&name), text);
    else
        log_escape(key, text);
    buffer_release(&name);
}

static void blame(struct check *check, struct bytes key, const char *why)
{
    check->wrong++;
    add_key(key, check->text);
    buffer_printf(check->text, ": %s\n", why);
}

/* Why the value is none, or NULL. */
static const char *value_fault(const struct check *check, struct bytes stored)
{
    struct codec_note note = {.dialect = check->dialect};
    struct buffer text;
    const char *fault = NULL;
    int status;

    if (check->dialect.codec != CODEC_PICKLE && check->dialect.codec != CODEC_MARSHAL)
        return NULL;
    buffer_init(&text, check->options->rules.max_value);
    status = codec_render(&check->dialect, stored, &text, &note);
    if (status)
        fault = strerror(-status);
    else if (note.dialect.codec == CODEC_RAW)
        fault = check->dialect.codec == CODEC_PICKLE ? "its value is not a pickle"
                                                     : "its value is not a marshal";
    buffer_release(&text);
    return fault;
}

static int check_record(struct check *check, struct bytes key)
{
    struct buffer value;
    const char *fault = NULL;
    int status;

    buffer_init(&value, check->options->rules.max_value);
    status = store_fetch(check->store, key, &value);
    /* Another program may have removed it meanwhile. */
    if (status == 0)
        fault = value_fault(check, buffer_bytes(&value));
    else if (status != -ENOENT && status != -ENOMEM)
        fault = strerror(-status);
    if (fault)
        blame(check, key, fault);
    buffer_release(&value);
    return status == -ENOMEM ? status : 0;
}

static bool collect_key(void *context, struct bytes key)
{
    struct check *check = context;
    struct bytes copy = arena_copy(&check->arena, key);

    buffer_add(&check->keys, bytes_of(&copy, sizeof copy));
    return arena_status(&check->arena) == 0 && buffer_status(&check->keys) == 0;
}

static int check_records(struct check *check)
{
    size_t count;
    int status = store_visit(check->store, collect_key, check);

    if (status && status != -ENOMEM) {
        check->wrong++;
        buffer_printf(check->text, "not all keys can be listed: %s\n", strerror(-status));
        status = 0;
    }
    if (status == 0)
        status = arena_status(&check->arena);
    if (status == 0)
        status = buffer_status(&check->keys);
    count = check->keys.size / sizeof(struct bytes);
    for (size_t i = 0; i < count && status == 0; i++) {
        struct bytes key;

        memcpy(&key, check->keys.data + i * sizeof key, sizeof key);
        check->progress.sink.report(&check->progress, "checking", i, count);
        status = check_record(check, key);
    }
    return status;
}

/* The findings of the engine and the notes of the opening may be the same lines. */
static int check_structure(struct check *check)
{
    struct buffer findings = BUFFER_INIT;
    int status = store_check(check->store, &check->progress.sink, &findings);

    for (size_t i = 0; i < findings.size; i++)
        check->wrong += findings.data[i] == '\n';
    buffer_add(check->text, buffer_bytes(&findings));
    buffer_release(&findings);
    return status;
}

static void summarise(struct check *check)
{
    size_t keys = check->keys.size / sizeof(struct bytes);

    log_escape(bytes_of_string(check->options->database), check->text);
    buffer_printf(check->text, ": %s, %zu %s, ", store_engine(check->store), keys,
                  keys == 1 ? "key" : "keys");
    if (check->wrong)
        buffer_printf(check->text, "%zu %s\n", check->wrong,
                      check->wrong == 1 ? "fault" : "faults");
    else
        buffer_add_string(check->text, "all can be read\n");
}

static int check_all(struct check *check, struct failure *failure)
{
    unsigned sampled;
    int status = check_structure(check);

    if (status == 0)
        status = sample_dialect(check->store, check->options->rules.max_value, &check->dialect,
                                &sampled, failure);
    if (status == 0)
        status = check_records(check);
    if (status == 0 && store_damaged(check->store) && !check->wrong) {
        check->wrong++;
        store_notes(check->store, check->text);
    }
    progress_end(&check->progress);
    if (status)
        return failure_set(failure, status, 0, "cannot check %s: %s", check->options->database,
                           strerror(-status));
    summarise(check);
    return 0;
}

int check_database(const struct options *options, struct buffer *text, struct failure *failure)
{
    struct check check = {.options = options, .keys = BUFFER_INIT, .text = text};
    struct store_options how = options->store;
    int status;

    progress_init(&check.progress, STDERR_FILENO);
    how.flags |= STORE_READ_ONLY;
    how.progress = &check.progress.sink;
    status = store_open(options->database, &how, &check.store, failure);
    if (status) {
        progress_end(&check.progress);
        return status == -EBUSY ? EXIT_LOCKED : EXIT_DATABASE;
    }
    arena_init(&check.arena, SIZE_MAX);
    status = check_all(&check, failure);
    arena_release(&check.arena);
    buffer_release(&check.keys);
    store_close(check.store);
    if (status)
        return status == -EBUSY ? EXIT_LOCKED : EXIT_DATABASE;
    return check.wrong ? EXIT_FAILURE : EXIT_SUCCESS;
}
