/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/keeper.h"

#include "codecs/cursor.h"
#include "fs/tree_state.h"
#include "src/log.h"
#include "src/sidecar.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WRITE_SECONDS = 3, /* between two writes */
    PROOF_KEYS = 256,       /* that are looked at before a sidecar is taken for another database's */
    /* Entries may belong to keys that are no more: so many, and as many as were known to exist. */
    STALE_ENTRIES = 1024,
    NAME_SIZE = 16,
};

#define TIMES "times/"

/* A database, and its file as last seen. */
struct identity {
    char engine[16];
    uint64_t device, inode;
    struct timespec changed;         /* its mtime */
    struct timespec foreign, names;  /* tree->foreign_change and names_change */
    uint64_t known; /* entries when all of them belonged to keys that exist */
};

struct keeper {
    pthread_mutex_t lock;
    struct store *store;     /* borrowed */
    struct log *log;         /* borrowed */
    struct sidecar *sidecar; /* NULL: none */
    bool told;               /* the present failure was logged */
    bool all;                /* the file is a new one: everything is to be put */

    struct digest_key secret;
    struct identity identity;        /* as read or written last; no engine: none */
    struct dialect dialect;
    bool has_dialect;
    struct attributes directory;     /* of the root, as read or written last */
    struct attribute_table attributes; /* as read; the tree's after keeper_give() */
};

/* --- records --- */

static void pack_word(struct buffer *out, uint64_t word)
{
    for (unsigned i = 0; i < sizeof word; i++)
        buffer_add_byte(out, (uint8_t)(word >> 8 * i));
}

static void pack_time(struct buffer *out, struct timespec time)
{
    pack_word(out, (uint64_t)time.tv_sec);
    pack_word(out, (uint64_t)time.tv_nsec);
}

static struct timespec take_time(struct cursor *cursor)
{
    struct timespec time = {.tv_sec = (time_t)cursor_little(cursor, 8)};
    uint64_t nanoseconds = cursor_little(cursor, 8);

    if (nanoseconds >= 1000000000)
        cursor->failed = true;
    time.tv_nsec = (long)nanoseconds;
    return time;
}

static void pack_secret(const struct keeper *keeper, struct buffer *out)
{
    pack_word(out, keeper->secret.words[0]);
    pack_word(out, keeper->secret.words[1]);
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

static void pack_identity(const struct identity *identity, struct buffer *out)
{
    buffer_add(out, bytes_of(identity->engine, sizeof identity->engine));
    pack_word(out, identity->device);
    pack_word(out, identity->inode);
    pack_time(out, identity->changed);
    pack_time(out, identity->foreign);
    pack_time(out, identity->names);
    pack_word(out, identity->known);
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

static bool read_page(struct keeper *keeper, struct bytes number, struct bytes content)
{
    unsigned page = 0;

    for (size_t i = 0; i < number.size && page < ATTRIBUTE_PAGES; i++) {
        uint8_t digit = number.data[i];

        if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f')))
            return false;
        page = page * 16 + (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    if (number.size != 3 || page >= ATTRIBUTE_PAGES)
        return false;
    return attribute_page_unpack(&keeper->attributes, page, content) == 0;
}

static struct bytes page_name(char *room, unsigned page)
{
    snprintf(room, NAME_SIZE, TIMES "%03x", page);
    return bytes_of_string(room);
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
};

/* A record of a name that this version doesn't know is left alone. */
static void read_record(void *context, struct bytes name, struct bytes content)
{
    struct reading *reading = context;

    if (bytes_start_with(name, BYTES(TIMES)) &&
        !read_page(reading->keeper, bytes_part(name, strlen(TIMES), SIZE_MAX), content))
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

/* Whether the sidecar knows the value that this key has. */
static bool knows_value(struct keeper *keeper, struct bytes key)
{
    const struct attributes *known = attributes_find(&keeper->attributes, key);
    struct buffer value = BUFFER_INIT;
    bool knows = known && known->set & ATTRIBUTE_VALUE &&
                 store_fetch(keeper->store, key, &value) == 0 &&
                 digest_equal(known->value, digest_bytes(&keeper->secret, buffer_bytes(&value)));

    buffer_release(&value);
    return knows;
}

static bool knows_some_value(struct keeper *keeper)
{
    struct sample sample = {.keys = BUFFER_INIT};
    bool knows = false;

    if (store_visit(keeper->store, sample_key, &sample) == 0 && !buffer_status(&sample.keys)) {
        struct cursor cursor = cursor_at(buffer_bytes(&sample.keys), 0);

        while (!knows && cursor_left(&cursor)) {
            size_t size;

            memcpy(&size, cursor_take(&cursor, sizeof size).data, sizeof size);
            knows = knows_value(keeper, cursor_take(&cursor, size));
        }
    }
    buffer_release(&sample.keys);
    return knows;
}

static bool belongs(struct keeper *keeper)
{
    const struct identity *identity = &keeper->identity;
    struct stat file;

    if (strcmp(identity->engine, store_engine(keeper->store)) != 0)
        return false;
    if (stat(store_path(keeper->store), &file) == 0 && file.st_dev == identity->device &&
        file.st_ino == identity->inode)
        return true;
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

    if (code == -ENOMEM)
        return code;
    /* Pages may have come before the secret. */
    keeper->attributes.hash_key = keeper->secret;
    if (!useless && !belongs(keeper)) {
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

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

void keeper_give(struct keeper *keeper, struct tree *tree)
{
    struct identity *identity;

    if (!keeper)
        return;
    identity = &keeper->identity;
    tree->digest_key = keeper->secret;
    attribute_table_release(&tree->attributes);
    tree->attributes = keeper->attributes;
    keeper->attributes = (struct attribute_table){.pages = NULL};
    if (keeper->all)
        attribute_table_taint(&tree->attributes);
    tree->nodes.directories[DIRECTORY_ROOT].own = keeper->directory;
    if (!identity->engine[0] || !same_time(identity->changed, tree->foreign_change))
        return;
    /* Nobody changed the database since. */
    tree->own_change = identity->changed;
    tree->foreign_change = identity->foreign;
    tree->names_change = identity->names;
}

/* --- writing --- */

static bool keeps(const struct keeper *keeper)
{
    return keeper && keeper->sidecar && sidecar_writable(keeper->sidecar);
}

/* What is written in one transaction. */
struct writing {
    struct keeper *keeper;
    struct tree *tree;
    struct identity identity;
    struct attributes directory;
    bool pages[ATTRIBUTE_PAGES]; /* that were taken */
};

/* Fills in what is to be written beside the pages; whether there is anything. Takes the tree lock. */
static bool is_changed(struct writing *writing)
{
    struct keeper *keeper = writing->keeper;
    struct tree *tree = writing->tree;
    struct identity *identity = &writing->identity;
    struct stat file;
    bool changed;

    tree_database(tree, &file);
    snprintf(identity->engine, sizeof identity->engine, "%s", store_engine(keeper->store));
    identity->device = file.st_dev;
    identity->inode = file.st_ino;
    identity->changed = file.st_mtim;
    identity->known = keeper->identity.known;
    pthread_mutex_lock(&tree->lock);
    identity->foreign = tree->foreign_change;
    identity->names = tree->names_change;
    writing->directory = tree->nodes.directories[DIRECTORY_ROOT].own;
    changed = attribute_page_changed(&tree->attributes, 0) < ATTRIBUTE_PAGES ||
              memcmp(&writing->directory, &keeper->directory, sizeof writing->directory) != 0;
    pthread_mutex_unlock(&tree->lock);
    /* Times of the file alone are no reason to make a sidecar. */
    return changed || (keeper->identity.engine[0] &&
                       !same_time(identity->changed, keeper->identity.changed));
}

static int put(struct keeper *keeper, const char *name, struct buffer *content)
{
    int code = buffer_status(content);

    if (code == 0)
        code = sidecar_put(keeper->sidecar, bytes_of_string(name), buffer_bytes(content));
    buffer_clear(content);
    return code;
}

static int put_head(struct writing *writing, struct buffer *content)
{
    struct keeper *keeper = writing->keeper;
    int code;

    pack_secret(keeper, content);
    code = put(keeper, "secret", content);
    pack_identity(&writing->identity, content);
    if (code == 0)
        code = put(keeper, "database", content);
    attributes_pack(&writing->directory, content);
    if (code == 0)
        code = put(keeper, "directory", content);
    if (code == 0 && keeper->has_dialect) {
        header_print(keeper->dialect, content);
        code = put(keeper, "dialect", content);
    }
    return code;
}

static int put_page(struct writing *writing, unsigned page, struct buffer *content)
{
    struct tree *tree = writing->tree;
    struct sidecar *sidecar = writing->keeper->sidecar;
    char room[NAME_SIZE];
    struct bytes name = page_name(room, page);

    buffer_clear(content);
    pthread_mutex_lock(&tree->lock);
    attribute_page_pack(&tree->attributes, page, content);
    pthread_mutex_unlock(&tree->lock);
    writing->pages[page] = true;
    if (buffer_status(content))
        return buffer_status(content);
    return content->size ? sidecar_put(sidecar, name, buffer_bytes(content))
                         : sidecar_remove(sidecar, name);
}

static unsigned next_page(struct tree *tree, unsigned from)
{
    unsigned page;

    pthread_mutex_lock(&tree->lock);
    page = attribute_page_changed(&tree->attributes, from);
    pthread_mutex_unlock(&tree->lock);
    return page;
}

static int put_all(struct writing *writing)
{
    struct buffer content = BUFFER_INIT;
    int code = put_head(writing, &content);

    for (unsigned page = 0;
         code == 0 && (page = next_page(writing->tree, page)) < ATTRIBUTE_PAGES; page++)
        code = put_page(writing, page, &content);
    buffer_release(&content);
    return code;
}

/* The next attempt puts it again. */
static void failed(struct writing *writing)
{
    pthread_mutex_lock(&writing->tree->lock);
    for (unsigned page = 0; page < ATTRIBUTE_PAGES; page++) {
        if (writing->pages[page])
            attribute_page_taint(&writing->tree->attributes, page);
    }
    pthread_mutex_unlock(&writing->tree->lock);
}

static int begin(struct writing *writing, struct failure *failure)
{
    struct tree *tree = writing->tree;
    int code = sidecar_begin(writing->keeper->sidecar, failure);

    if (code <= 0)
        return code;
    pthread_mutex_lock(&tree->lock);
    attribute_table_taint(&tree->attributes);
    pthread_mutex_unlock(&tree->lock);
    return 0;
}

/* Keeper lock held. */
static int write_changed(struct writing *writing, bool durable)
{
    struct keeper *keeper = writing->keeper;
    struct failure failure = {0};
    int code = begin(writing, &failure);

    if (code == 0)
        code = sidecar_end(keeper->sidecar, put_all(writing), durable);
    failure_set(&failure, code, 0, "%s: %s", sidecar_name(keeper->sidecar), strerror(-code));
    if (code == 0) {
        keeper->identity = writing->identity;
        keeper->directory = writing->directory;
        keeper->told = false;
        return 0;
    }
    failed(writing);
    if (!keeper->told)
        log_error(keeper->log, "times and modes can't be kept at present: %s", failure.message);
    keeper->told = true;
    return code;
}

int keeper_write(struct keeper *keeper, struct tree *tree, bool durable)
{
    struct writing writing = {.keeper = keeper, .tree = tree};
    int code = 0;

    if (!keeps(keeper))
        return 0;
    pthread_mutex_lock(&keeper->lock);
    if (is_changed(&writing))
        code = write_changed(&writing, durable);
    pthread_mutex_unlock(&keeper->lock);
    return code;
}

unsigned keeper_wait(const struct keeper *keeper)
{
    return keeps(keeper) ? WRITE_SECONDS : UINT_MAX;
}

static bool mark_key(void *context, struct bytes key)
{
    attributes_mark(context, key);
    return true;
}

/* Nobody else uses the tree any more. */
static void forget_stale(struct keeper *keeper, struct tree *tree)
{
    struct attribute_table *table = &tree->attributes;

    if (table->count / 2 <= keeper->identity.known + STALE_ENTRIES ||
        store_visit(keeper->store, mark_key, table))
        return;
    attributes_drop_unmarked(table);
    keeper->identity.known = table->count;
}

int keeper_finish(struct keeper *keeper, struct tree *tree)
{
    if (keeps(keeper))
        forget_stale(keeper, tree);
    return keeper_write(keeper, tree, true);
}

void keeper_describe(const struct keeper *keeper, struct buffer *out)
{
    buffer_add_string(out, "sidecar: ");
    if (!keeper || !keeper->sidecar) {
        buffer_add_string(out, "none\n");
        return;
    }
    log_escape(bytes_of_string(sidecar_name(keeper->sidecar)), out);
    buffer_add_string(out, sidecar_writable(keeper->sidecar) ? "\n" : " (not written)\n");
}
