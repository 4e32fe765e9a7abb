/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/info.h"

#include "fs/progress.h"
#include "fs/sample.h"
#include "fs/startup.h"
#include "src/locks.h"
#include "src/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool count_key(void *context, struct bytes key)
{
    ++*(size_t *)context;
    return true;
}

static int add_content(const struct options *options, struct store *store, struct buffer *text,
                       struct failure *failure)
{
    struct dialect dialect;
    size_t keys = 0;
    unsigned sampled;
    int status = sample_dialect(store, options->rules.max_value, &dialect, &sampled, failure);

    if (status == 0)
        status = store_visit(store, count_key, &keys);
    if (status)
        return failure_set(failure, status, 0, "cannot read its keys: %s", strerror(-status));
    buffer_printf(text, "keys: %zu\nvalues: ", keys);
    dialect_describe(dialect, text);
    buffer_add_byte(text, '\n');
    return 0;
}

/* --- locks --- */

struct holders {
    struct buffer *text;
    const char *file;
    long last; /* the process told of last: it may hold many locks */
    bool last_writes;
};

static void add_holder(void *context, const struct lock_holder *holder)
{
    struct holders *holders = context;

    if (holder->process == holders->last && holder->writes == holders->last_writes)
        return;
    holders->last = holder->process;
    holders->last_writes = holder->writes;
    buffer_add_string(holders->text, "lock: ");
    locks_add_process(holder->process, holders->text);
    buffer_printf(holders->text, " %s to %s ", holder->waits ? "waits" : "holds one",
                  holder->writes ? "write" : "read");
    log_escape(bytes_of_string(holders->file), holders->text);
    buffer_add_byte(holders->text, '\n');
}

static void add_files(const struct buffer *files, struct buffer *text)
{
    struct stat file;

    for (size_t at = 0; at < files->size; at += strlen((const char *)files->data + at) + 1) {
        const char *path = (const char *)files->data + at;

        if (stat(path, &file))
            continue;
        buffer_add_string(text, "file: ");
        log_escape(bytes_of_string(path), text);
        buffer_printf(text, ", %lld bytes\n", (long long)file.st_size);
    }
}

/* Before the store is opened here, which takes locks, too. */
static void add_locks(const struct buffer *files, struct buffer *text)
{
    struct stat file;

    for (size_t at = 0; at < files->size; at += strlen((const char *)files->data + at) + 1) {
        struct holders holders = {.text = text, .file = (const char *)files->data + at, .last = -1};

        if (stat(holders.file, &file) == 0 && locks_visit(&file, add_holder, &holders)) {
            buffer_add_string(text, "lock: /proc/locks does not tell\n");
            return;
        }
    }
}

int info_database(const struct options *options, struct buffer *text, struct failure *failure)
{
    struct store_options how = options->store;
    struct progress progress;
    struct store_place place;
    struct store *store;
    int status = store_locate(options->database, &how, &place, failure);

    if (status)
        return EXIT_DATABASE;
    buffer_printf(text, "engine: %s, %s\n", place.engine, place.what);
    add_files(&place.files, text);
    add_locks(&place.files, text);
    buffer_release(&place.files);
    progress_init(&progress, STDERR_FILENO);
    how.flags |= STORE_READ_ONLY;
    how.progress = &progress.sink;
    status = store_open(options->database, &how, &store, failure);
    if (status == 0) {
        status = add_content(options, store, text, failure);
        store_report_notes(store, text);
        store_close(store);
    }
    progress_end(&progress);
    if (status)
        return status == -EBUSY ? EXIT_LOCKED : EXIT_DATABASE;
    return EXIT_SUCCESS;
}
