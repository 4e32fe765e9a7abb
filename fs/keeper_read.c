/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/keeper_state.h"

#include "codecs/cursor.h"
#include "fs/tree_state.h"
#include "src/log.h"
#include "src/sidecar.h"

#include <errno.h>
#include <stdlib.h>

enum { PROOF_KEYS = 256 }; /* that are looked at before a sidecar is taken for another database's */

/* --- records --- */

static struct timespec take_time(struct cursor *cursor)
{
    struct timespec time = {.tv_sec = (time_t)cursor_little(cursor, 8)};
    uint64_t nanoseconds = cursor_little(cursor, 8);

    if (nanoseconds >= 1000000000)
        cursor->failed = true;
    time.tv_nsec = (long)nanoseconds;
    return time;
}

static bool read_secret(struct keeper *keeper, struct bytes content)
{
    struct cursor cursor = cursor_at(content, 0);
    struct digest_key secret = {{cursor_little(&cursor, 8)}};

    secret.words[1] = cursor_little(&cursor, 8);
    if (cursor.failed)
        return false;
    keeper->secret = secret;
    return true;
}

static bool read_identity(struct keeper *keeper, struct bytes content)
{
    struct cursor cursor = cursor_at(content, 0);
    struct identity identity = {.device = 0};
    struct bytes engine = cursor_take(&cursor, sizeof identity.engine);

    identity.device = cursor_little(&cursor, 8);
    identity.inode = cursor_little(&cursor, 8);
    identity.changed = take_time(&cursor);
    identity.foreign = take_time(&cursor);
    identity.names = take_time(&cursor);
    identity.known = cursor_little(&cursor, 8);
    if (cursor.failed || engine.data[engine.size - 1])
        return false;
    memcpy(identity.engine, engine.data, engine.size);
    keeper->identity = identity;
    return true;
}

static bool read_dialect(struct keeper *keeper, struct bytes content)
{
    keeper->has_dialect = content.size && header_parse(content, &keeper->dialect) == content.size;
    return keeper->has_dialect;
}

static bool read_directory(struct keeper *keeper, struct bytes content)
{
    return attributes_unpack(&content, &keeper->directory) && content.size == 0;
}

static int read_page(struct keeper *keeper, struct bytes number, struct bytes content)
{
    unsigned page = 0;

    for (size_t i = 0; i < number.size && page < ATTRIBUTE_PAGES; i++) {
        uint8_t digit = number.data[i];

        if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f')))
            return -EUCLEAN;
        page = page * 16 + (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    if (number.size != 3 || page >= ATTRIBUTE_PAGES)
        return -EUCLEAN;
    return attribute_page_unpack(&keeper->attributes, page, content);
}

static const struct {
    const char *name;
    bool (*read)(struct keeper *keeper, struct bytes content);
} records[] = {
    {"secret", read_secret},
    {"database", read_identity},
    {"dialect", read_dialect},
    {"directory", read_directory},
};

/* --- reading --- */

struct reading {
    struct keeper *keeper;
    bool wrong; /* a record made no sense */
    bool secret;
    int code; /* -ENOMEM, or 0 */
};

/* A record of a name that this version doesn't know is left alone. */
static void read_record(void *context, struct bytes name, struct bytes content)
{
    struct reading *reading = context;
    int code = 0;

    if (bytes_start_with(name, BYTES(KEEPER_PAGES)))
        code = read_page(reading->keeper, bytes_part(name, strlen(KEEPER_PAGES), SIZE_MAX), content);
    else if (kept_number(name))
        code = kept_records_add(&reading->keeper->files, kept_number(name), content);
    if (code == -ENOMEM)
        reading->code = code;
    else if (code)
        reading->wrong = true;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        if (!bytes_equal(name, bytes_of_string(records[i].name)))
            continue;
        if (!records[i].read(reading->keeper, content))
            reading->wrong = true;
        else if (records[i].read == read_secret)
            reading->secret = true;
    }
}

/* As if nothing had been read. */
static int forget(struct keeper *keeper)
{
    int code = digest_key_random(&keeper->secret);

    attribute_table_release(&keeper->attributes);
    kept_records_release(&keeper->files);
    keeper->identity = (struct identity){.device = 0};
    keeper->directory = (struct attributes){0};
    keeper->has_dialect = false;
    if (code == 0)
        code = attribute_table_init(&keeper->attributes, &keeper->secret);
    return code;
}

/* What was read stays in memory, and goes into a new file. */
static void set_aside(struct keeper *keeper, const char *why)
{
    const char *name = sidecar_name(keeper->sidecar);
    int code = sidecar_set_aside(keeper->sidecar);

    if (!sidecar_writable(keeper->sidecar))
        log_error(keeper->log, "%s is not used: %s", name, why);
    else if (code)
        log_error(keeper->log, "%s can't be renamed: %s", name, strerror(-code));
    else
        log_error(keeper->log, "%s is %s.old now: %s", name, name, why);
}

/* --- whose it is --- */

struct sample {
    struct buffer keys; /* each with its size before it */
    unsigned count;
};

static bool sample_key(void *context, struct bytes key)
{
    struct sample *sample = context;

    buffer_add(&sample->keys, bytes_of(&key.size, sizeof key.size));
    buffer_add(&sample->keys, key);
    return ++sample->count < PROOF_KEYS && buffer_status(&sample->keys) == 0;
}

/* Whether the sidecar knows the value that this key has: 1, 0 or -ENOMEM. */
static int knows_value(struct keeper *keeper, struct bytes key)
{
    struct attributes known;
    struct buffer value = BUFFER_INIT;
    int code;

    if (!attributes_find(&keeper->attributes, key, &known))
        return 0;
    code = store_fetch(keeper->store, key, &value);
    if (code == 0)
        code = attributes_are_of(&known, digest_bytes(&keeper->secret, buffer_bytes(&value)));
    else if (code != -ENOMEM)
        code = 0;
    buffer_release(&value);
    return code;
}

static int knows_some_value(struct keeper *keeper)
{
    struct sample sample = {.keys = BUFFER_INIT};
    int knows = store_visit(keeper->store, sample_key, &sample);

    if (knows == 0)
        knows = buffer_status(&sample.keys);
    if (knows == 0) {
        struct cursor cursor = cursor_at(buffer_bytes(&sample.keys), 0);

        while (!knows && cursor_left(&cursor)) {
            size_t size;

            memcpy(&size, cursor_take(&cursor, sizeof size).data, sizeof size);
            knows = knows_value(keeper, cursor_take(&cursor, size));
        }
    }
    buffer_release(&sample.keys);
    return knows < 0 && knows != -ENOMEM ? 0 : knows;
}

/* 1, 0 or -ENOMEM. */
static int belongs(struct keeper *keeper)
{
    const struct identity *identity = &keeper->identity;
    struct stat file;

    if (strcmp(identity->engine, store_engine(keeper->store)) != 0)
        return 0;
    if (stat(store_path(keeper->store), &file) == 0 && file.st_dev == identity->device &&
        file.st_ino == identity->inode)
        return 1;
    return knows_some_value(keeper);
}

/* --- opening --- */

static int read_all(struct keeper *keeper)
{
    struct reading reading = {.keeper = keeper};
    size_t damaged = 0;
    int code = sidecar_visit(keeper->sidecar, read_record, &reading, &damaged);
    /* Without the secret no digest means anything, and without its database it is nobody's. */
    bool useless = code || !reading.secret || !keeper->identity.engine[0];
    int ours = 1;

    if (code == -ENOMEM || reading.code)
        return -ENOMEM;
    /* Pages may have come before the secret. */
    keeper->attributes.hash_key = keeper->secret;
    if (!useless)
        ours = belongs(keeper);
    if (ours < 0)
        return ours;
    if (!ours) {
        set_aside(keeper, "it belongs to another database");
        return forget(keeper);
    }
    if (useless || damaged || reading.wrong) {
        set_aside(keeper, useless ? "it is damaged" : "a part of it is damaged");
        keeper->all = true;
    }
    return useless ? forget(keeper) : 0;
}

static int open_sidecar(struct keeper *keeper, const char *path, bool read_only)
{
    struct failure failure = {0};
    struct buffer usual = BUFFER_INIT;
    int code = 0;

    if (!path) {
        code = sidecar_path(store_path(keeper->store), &usual);
        path = (const char *)usual.data;
    }
    if (code == 0)
        code = sidecar_new(path, store_path(keeper->store), read_only, &keeper->sidecar);
    buffer_release(&usual);
    if (code == -ENOENT) /* a store without a file */
        return 0;
    if (code)
        return code;
    code = sidecar_open(keeper->sidecar, &failure);
    if (failure.code)
        log_error(keeper->log, "%s", failure.message);
    if (code == -ENOMEM)
        return code;
    return code == 0 || code == -EBUSY ? read_all(keeper) : 0;
}

int keeper_new(struct store *store, const char *path, bool read_only, struct log *log,
               struct keeper **out)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    int code;

    if (!keeper)
        return -ENOMEM;
    keeper->store = store;
    keeper->log = log;
    pthread_mutex_init(&keeper->lock, NULL);
    code = forget(keeper);
    if (code == 0)
        code = open_sidecar(keeper, path, read_only);
    if (code)
        keeper_free(keeper);
    else
        *out = keeper;
    return code;
}

void keeper_free(struct keeper *keeper)
{
    if (!keeper)
        return;
    attribute_table_release(&keeper->attributes);
    kept_records_release(&keeper->files);
    sidecar_free(keeper->sidecar);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}

bool keeper_dialect(const struct keeper *keeper, struct dialect *out)
{
    if (keeper->has_dialect)
        *out = keeper->dialect;
    return keeper->has_dialect;
}

void keeper_set_dialect(struct keeper *keeper, struct dialect dialect)
{
    keeper->dialect = dialect;
    keeper->has_dialect = true;
}

/* What another mount has in use is that one's alone. */
static int give_files(struct keeper *keeper, struct tree *tree)
{
    size_t wrong;
    int code;

    if (!keeper->sidecar || (!sidecar_writable(keeper->sidecar) && !tree->options.read_only)) {
        kept_records_release(&keeper->files);
        return 0;
    }
    code = kept_records_restore(&keeper->files, tree, &wrong);
    if (code)
        return code;
    /* A file that made room for a later one was taken off before any was counted. */
    keeper->kept = 0;
    keeper->kept_bytes = 0;
    for (struct list *at = tree->nodes.held.next; at != &tree->nodes.held; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, held);

        if (node->kind == NODE_REJECTED)
            continue;
        keeper->kept++;
        keeper->kept_bytes += node->recorded;
    }
    if (wrong)
        log_error(keeper->log, "%s: %zu files in it make no sense", sidecar_name(keeper->sidecar),
                  wrong);
    return 0;
}

int keeper_give(struct keeper *keeper, struct tree *tree)
{
    struct identity *identity;
    int code;

    if (!keeper)
        return 0;
    identity = &keeper->identity;
    tree->digest_key = keeper->secret;
    attribute_table_release(&tree->attributes);
    tree->attributes = keeper->attributes;
    keeper->attributes = (struct attribute_table){.pages = NULL};
    if (keeper->all)
        attribute_table_taint(&tree->attributes);
    tree->nodes.directories[DIRECTORY_ROOT].own = keeper->directory;
    code = give_files(keeper, tree);
    if (code || !identity->engine[0] ||
        !keeper_same_time(identity->changed, tree->foreign_change))
        return code;
    /* Nobody changed the database since. */
    tree->own_change = identity->changed;
    tree->foreign_change = identity->foreign;
    tree->names_change = identity->names;
    return 0;
}
