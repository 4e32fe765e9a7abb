/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/mount.h"

#include "fs/progress.h"
#include "fs/sample.h"
#include "fs/tell.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* Longer than any tool leaves its temporary file alone between two steps. */
enum { TRANSIENT_SECONDS = 5 };

/* The daemon's directory is "/". The last part stays as it is: the store looks for NAME, NAME.db, NAME.dir, ... */
static int absolute_name(const char *name, struct buffer *out, struct failure *failure)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    char directory[PATH_MAX];
    char *given = slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");
    int status = 0;

    if (!given)
        return -ENOMEM;
    if (!realpath(given, directory))
        status = failure_set(failure, -errno, 0, "cannot reach %s: %s", given, strerror(errno));
    free(given);
    if (status)
        return status;
    buffer_printf(out, "%s%s%s", directory, directory[1] ? "/" : "", base);
    buffer_add_byte(out, '\0');
    return buffer_status(out);
}

/* --- the dialect --- */

static void apply_options(struct dialect *dialect, const struct options *options)
{
    if (options->codec != OPTIONS_AS_FOUND && options->codec != (int)dialect->codec)
        *dialect = dialect_default((enum codec_kind)options->codec);
    if (options->protocol != OPTIONS_AS_FOUND)
        *dialect = (struct dialect){
            .codec = dialect->codec == CODEC_MARSHAL ? CODEC_MARSHAL : CODEC_PICKLE,
            .protocol = (unsigned)options->protocol,
            .python2 = options->python2 ||
                       (dialect->python2 && options->protocol <= PYTHON2_NEWEST),
        };
}

static void summarise(struct mount *mount, const char *name, unsigned keys,
                      const struct dialect *dialect)
{
    struct buffer *out = &mount->summary;

    buffer_printf(out, "%s: %s, ", name, store_engine(mount->store));
    if (keys > DIALECT_SAMPLE_VALUES)
        buffer_printf(out, "over %d keys, ", DIALECT_SAMPLE_VALUES);
    else
        buffer_printf(out, "%u %s, ", keys, keys == 1 ? "key" : "keys");
    dialect_describe(*dialect, out);
    if (store_read_only(mount->store))
        buffer_add_string(out, ", read-only");
}

/* What was found at the first mount holds, whatever is written since; an empty database has yet to show its own. */
static void settle_dialect(struct mount *mount, unsigned keys, struct dialect *dialect)
{
    if (mount->keeper && keys && !keeper_dialect(mount->keeper, dialect))
        keeper_set_dialect(mount->keeper, *dialect);
}

static int find_dialect(struct mount *mount, const struct options *options, struct dialect *dialect,
                        struct failure *failure)
{
    unsigned keys;
    int status = sample_dialect(mount->store, options->rules.max_value, dialect, &keys, failure);

    if (status)
        return status;
    settle_dialect(mount, keys, dialect);
    apply_options(dialect, options);
    summarise(mount, options->database, keys, dialect);
    return buffer_status(&mount->summary);
}

/* --- the tree --- */

static void queue_invalidation(void *context, uint64_t node, uint64_t parent, const char *name)
{
    struct mount *mount = context;

    notifier_add(mount->notifier, node, parent, name);
}

static int open_tree(struct mount *mount, const struct options *options,
                     const struct dialect *dialect)
{
    const struct tree_options tree = {
        .dialect = *dialect,
        .rules = options->rules,
        .read_only = store_read_only(mount->store),
        .scratch = options->scratch,
        .names = options->names,
        .shown = options->shown,
        .transient_seconds = TRANSIENT_SECONDS,
        .invalidate = queue_invalidation,
        .context = mount,
        .log = mount->log,
        .keeper = mount->keeper,
    };

    return tree_new(mount->store, &tree, &mount->tree);
}

/* --- the sidecar --- */

/* A path that was given is as seen from where we were started. */
static int open_keeper(struct mount *mount, const struct options *options, struct failure *failure)
{
    struct buffer path = BUFFER_INIT;
    int status = 0;

    if (options->no_sidecar)
        return 0;
    if (options->sidecar.size)
        status = absolute_name((const char *)options->sidecar.data, &path, failure);
    if (status == 0)
        status = keeper_new(mount->store, (const char *)path.data,
                            store_read_only(mount->store), mount->log, &mount->keeper);
    buffer_release(&path);
    return status;
}

/* --- the notifier's duties --- */

static void deliver(void *context, uint64_t node, uint64_t parent, const char *name)
{
    tell_outdated(context, node, parent, name);
}

/* Takes the first line off. */
static struct bytes take_line(struct bytes *report)
{
    size_t size = bytes_find_byte(*report, '\n');
    struct bytes line = bytes_part(*report, 0, size);

    *report = bytes_part(*report, size + 1, SIZE_MAX);
    return line;
}

/* One line in the log for each line of a report. */
static void log_report(struct log *log, struct bytes report)
{
    while (report.size) {
        struct bytes line = take_line(&report);

        if (line.size)
            log_error(log, "%.*s", (int)line.size, (const char *)line.data);
    }
}

static bool has_line(struct bytes report, struct bytes line)
{
    while (report.size) {
        if (bytes_equal(take_line(&report), line))
            return true;
    }
    return false;
}

/* What the engine had to put right when it opened the database, or found out since. */
static void log_notes(struct mount *mount)
{
    struct buffer notes = BUFFER_INIT;
    struct bytes left;

    store_notes(mount->store, &notes);
    left = buffer_bytes(&notes);
    while (left.size && !buffer_status(&notes)) {
        struct bytes line = take_line(&left);

        if (!has_line(buffer_bytes(&mount->notes), line))
            log_report(mount->log, line);
    }
    if (!buffer_status(&notes))
        buffer_take(&mount->notes, &notes);
    buffer_release(&notes);
}

static unsigned tick(void *context)
{
    struct mount *mount = context;
    unsigned seconds = tree_tick(mount->tree);

    ahead_tick(mount->ahead);
    log_notes(mount);
    log_tick(mount->log);
    if (seconds > LOG_REFUSAL_SECONDS)
        return LOG_REFUSAL_SECONDS;
    return seconds ? seconds : 1;
}

static unsigned work(void *context)
{
    struct mount *mount = context;
    unsigned wait_ms;

    if (vigil_look(&mount->vigil, &wait_ms))
        tell_all_outdated(mount);
    return ahead_step(mount->ahead) ? 0 : wait_ms;
}

static const struct notifier_ops notifier_ops = {.deliver = deliver, .tick = tick, .work = work};

static size_t push(void *context, uint64_t node)
{
    return tell_text(context, node);
}

static void wake(void *context)
{
    struct mount *mount = context;

    notifier_wake(mount->notifier);
}

static const struct ahead_ops ahead_ops = {.push = push, .wake = wake};

/* --- all of it --- */

static int open_store(struct mount *mount, const struct options *options, struct failure *failure)
{
    struct store_options how = options->store;
    struct progress progress;
    int status;

    progress_init(&progress, STDERR_FILENO);
    how.progress = &progress.sink;
    status = store_open((const char *)mount->source.data, &how, &mount->store, failure);
    progress_end(&progress);
    if (status == 0)
        log_notes(mount);
    return status;
}

static int open_parts(struct mount *mount, const struct options *options, struct failure *failure)
{
    struct dialect dialect;
    int status = absolute_name(options->database, &mount->source, failure);

    if (status == 0)
        status = open_store(mount, options, failure);
    if (status == 0)
        status = open_keeper(mount, options, failure);
    if (status == 0)
        status = find_dialect(mount, options, &dialect, failure);
    if (status == 0)
        status = notifier_new(&notifier_ops, mount, &mount->notifier);
    if (status == 0)
        status = ahead_new(&ahead_ops, mount, mount->unasked ? AHEAD_OF_READS : AHEAD_OF_OPENS,
                           &mount->ahead);
    if (status == 0)
        status = open_tree(mount, options, &dialect);
    if (status == 0)
        vigil_init(&mount->vigil, mount->store);
    return status;
}

int mount_open(struct mount *mount, const struct options *options, struct log *log,
               struct startup *startup, struct failure *failure)
{
    int status;

    *mount = (struct mount){.log = log,
                            .startup = startup,
                            .max_read = options->max_read,
                            .unasked = options->store.flags & STORE_READ_ONLY,
                            .source = BUFFER_INIT,
                            .summary = BUFFER_INIT,
                            .notes = BUFFER_INIT};
    guard_start(&mount->guard);
    status = open_parts(mount, options, failure);
    if (status == 0)
        return 0;
    failure_set(failure, status, 0, "%s", strerror(-status));
    mount_close(mount);
    return status;
}

static int finish_tree(struct mount *mount)
{
    struct buffer report = BUFFER_INIT;
    int status = tree_finish(mount->tree, &report);

    log_report(mount->log, buffer_bytes(&report));
    if (status)
        log_error(mount->log, "not everything could be saved: %s", strerror(-status));
    buffer_release(&report);
    return status;
}

int mount_close(struct mount *mount)
{
    int status = mount->tree ? finish_tree(mount) : 0;
    int close_status;

    tree_free(mount->tree);
    keeper_free(mount->keeper);
    notifier_free(mount->notifier);
    ahead_free(mount->ahead);
    if (mount->store)
        log_notes(mount);
    guard_end(&mount->guard);
    close_status = store_close(mount->store);
    if (close_status)
        log_error(mount->log, "the database could not be closed: %s", strerror(-close_status));
    buffer_release(&mount->source);
    buffer_release(&mount->summary);
    buffer_release(&mount->notes);
    return status ? status : close_status;
}
