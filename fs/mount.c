/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/mount.h"

#include "fs/operations.h"
#include "src/arena.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

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

/* The first keys, one more than are looked at. */
struct sample {
    struct arena arena;
    struct bytes keys[DIALECT_SAMPLE_VALUES + 1];
    unsigned count;
};

static bool sample_key(void *context, struct bytes key)
{
    struct sample *sample = context;

    sample->keys[sample->count] = arena_copy(&sample->arena, key);
    if (arena_status(&sample->arena))
        return false;
    return ++sample->count < ARRAY_SIZE(sample->keys);
}

/* A value that can't be read, or is larger than the mount shows, tells nothing; it will when it is opened. */
static int sample_values(struct mount *mount, const struct sample *sample, size_t max_value,
                         struct dialect *dialect)
{
    struct dialect_sample found = {0};
    struct buffer value;
    int status = 0;

    buffer_init(&value, max_value);
    for (unsigned i = 0; i < sample->count && i < DIALECT_SAMPLE_VALUES && status != -ENOMEM; i++) {
        buffer_clear(&value);
        status = store_fetch(mount->store, sample->keys[i], &value);
        if (status == 0)
            dialect_sample_add(&found, buffer_bytes(&value));
    }
    buffer_release(&value);
    if (status == -ENOMEM)
        return status;
    *dialect = dialect_sample_result(&found);
    return 0;
}

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

static int find_dialect(struct mount *mount, const struct options *options, struct dialect *dialect,
                        struct failure *failure)
{
    struct sample sample = {.count = 0};
    int status;

    arena_init(&sample.arena, SIZE_MAX);
    status = store_visit(mount->store, sample_key, &sample);
    if (status == 0)
        status = arena_status(&sample.arena);
    if (status == 0)
        status = sample_values(mount, &sample, options->rules.max_value, dialect);
    arena_release(&sample.arena);
    if (status)
        return failure_set(failure, status, 0, "cannot read its keys: %s", strerror(-status));
    apply_options(dialect, options);
    summarise(mount, options->database, sample.count, dialect);
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
        .transient_seconds = TRANSIENT_SECONDS,
        .invalidate = queue_invalidation,
        .context = mount,
        .log = mount->log,
    };

    return tree_new(mount->store, &tree, &mount->tree);
}

/* --- the notifier's two duties --- */

static void deliver(void *context, uint64_t node, uint64_t parent, const char *name)
{
    operations_invalidate(context, node, parent, name);
}

static unsigned tick(void *context)
{
    struct mount *mount = context;
    unsigned seconds = tree_tick(mount->tree);

    log_tick(mount->log);
    if (seconds > LOG_REFUSAL_SECONDS)
        return LOG_REFUSAL_SECONDS;
    return seconds ? seconds : 1;
}

static const struct notifier_ops notifier_ops = {.deliver = deliver, .tick = tick};

/* --- all of it --- */

static int open_parts(struct mount *mount, const struct options *options, struct failure *failure)
{
    struct dialect dialect;
    int status = absolute_name(options->database, &mount->source, failure);

    if (status == 0)
        status =
            store_open((const char *)mount->source.data, &options->store, &mount->store, failure);
    if (status == 0)
        status = find_dialect(mount, options, &dialect, failure);
    if (status == 0)
        status = notifier_new(&notifier_ops, mount, &mount->notifier);
    if (status == 0)
        status = open_tree(mount, options, &dialect);
    return status;
}

int mount_open(struct mount *mount, const struct options *options, struct log *log,
               struct startup *startup, struct failure *failure)
{
    int status;

    *mount = (struct mount){.log = log,
                            .startup = startup,
                            .max_read = options->max_read,
                            .source = BUFFER_INIT,
                            .summary = BUFFER_INIT};
    status = open_parts(mount, options, failure);
    if (status == 0)
        return 0;
    failure_set(failure, status, 0, "%s", strerror(-status));
    mount_close(mount);
    return status;
}

/* One line in the log for each line of the tree's report. */
static void log_report(struct log *log, struct bytes report)
{
    while (report.size) {
        size_t size = bytes_find_byte(report, '\n');

        if (size)
            log_error(log, "%.*s", (int)size, (const char *)report.data);
        report = bytes_part(report, size + 1, SIZE_MAX);
    }
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
    notifier_free(mount->notifier);
    close_status = store_close(mount->store);
    if (close_status)
        log_error(mount->log, "the database could not be closed: %s", strerror(-close_status));
    buffer_release(&mount->source);
    buffer_release(&mount->summary);
    return status ? status : close_status;
}
