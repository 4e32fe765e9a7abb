/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dbm.dumb, the database that every Python opens: values in NAME.dat, a text index in NAME.dir, the
 * index before that in NAME.bak. CPython: Lib/dbm/dumb.py.
 *
 * - A value is written once, at the end of NAME.dat (at a multiple of 512, as CPython does), and
 *   never changed in place: a process that read the index earlier still reads whole values. The
 *   room of old values is not used again.
 * - A save appends one line to NAME.dir, for a key that exists too: for every Python the last line
 *   of a key counts. So its cost doesn't grow with the database. When superseded lines outnumber
 *   the others, the index is rewritten.
 * - Removing a key changes one byte: the end of the line before its own becomes a '#', and the rest is a comment for
 *   every Python. Where that can't be done, and for renaming, the index is rewritten: temporary file, fsync, rename, and
 *   the old index becomes NAME.bak. That takes time in proportion to the number of keys.
 * - The value is written before the line that names it. dumb_sync() waits for the disk in that
 *   order too. If a power cut comes first and the line survived without its value, the key's
 *   previous line counts when the index is read again, and the index is repaired, so that Python
 *   sees the same.
 * - Before every operation two stat() calls tell whether another process changed the files; then
 *   the index is read again.
 * - An index that Python can't open because of a torn last line or blank lines is repaired when it
 *   is opened for writing (the damaged one is NAME.bak then). Other lines that make no sense are
 *   kept as they are, in their place, and noted. A missing index is recovered from NAME.bak, which
 *   is what a crash in CPython's own rewrite calls for.
 * - Another NAME.dat under the name is noticed at the next operation, which waits a moment for its NAME.dir; a change looks
 *   afterwards, too, and is made again in the other files if need be. (Whoever puts a copy in place should begin with
 *   NAME.dat: another NAME.dir alone is what each Python leaves that closes the database.)
 * - A lock (flock) on NAME.dat keeps a second shelvefs from writing. Python looks at no lock at
 *   all.
 *
 * What can't be helped: a Python process that changes the database while it has it open writes its
 * own idea of the index when it closes it, and our changes since it opened it are lost; and it
 * overwrites values in place, so that between that and its close a value can be read half old, half
 * new. A kill in the very middle of a write() of a line that crosses a page can tear the line; it
 * is repaired at the next opening. Two records that overlap are not told apart from two that don't:
 * nothing is ever written there.
 */
#include "src/io.h"
#include "src/io_draft.h"
#include "src/store/dumb_index.h"
#include "src/store/dumb_values.h"
#include "src/store/holders.h"
#include "src/store/presence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIES = 5 }; /* of a change that somebody else's change comes in between */

struct dumb {
    struct store store; /* its path is that of NAME.dat */
    struct dumb_index index;
    struct dumb_values values;
    bool burst; /* it was looked at a moment ago */
    unsigned lock_timeout;
};

static struct dumb *dumb_of(struct store *store)
{
    return (struct dumb *)store;
}

/* NAME.dat is another file than what is open. */
static int follow(struct dumb *dumb)
{
    int status = dumb_index_follow(&dumb->index);

    if (!status)
        status = dumb_values_open(&dumb->values, dumb->store.path, dumb->store.read_only,
                                  dumb->lock_timeout);
    if (!status) {
        dumb->index.known = false;
        presence_found(&dumb->store, true);
    }
    return status;
}

/* Brings `index` and `values` up to date. The database that is gone is no missing key: -EIO. */
static int refresh(struct dumb *dumb, enum dumb_purpose purpose)
{
    struct stat now;
    int status = stat(dumb->store.path, &now) ? -errno : 0;

    if (!status && !io_is_same_file(&now, &dumb->values.file))
        status = follow(dumb);
    else if (!status && dumb_values_were_cut(&dumb->values, &now))
        dumb->index.known = false;
    if (!status)
        status = dumb_index_refresh(&dumb->index, dumb->values.fd, purpose);
    if (!status) {
        buffer_clear(&dumb->store.notes);
        buffer_add(&dumb->store.notes, buffer_bytes(&dumb->index.notes));
        if (dumb->store.lost)
            presence_found(&dumb->store, false);
    }
    presence_lost(&dumb->store, status);
    return status == -ENOENT || status == -EISDIR || status == -ENOTSUP ? -EIO : status;
}

static bool has_moved(const struct dumb *dumb)
{
    return presence_has_moved(dumb->store.path, &dumb->values.file);
}

/* The table is complete and may be changed; dumb_index_rewrite() has to follow. */
static int prepare_rewrite(struct dumb *dumb)
{
    int status = refresh(dumb, DUMB_REWRITE);

    return status ? status : dumb_values_sync(&dumb->values);
}

static int repair(struct dumb *dumb)
{
    int status = prepare_rewrite(dumb);

    if (!status && dumb->index.needs_rewrite)
        status = dumb_index_rewrite(&dumb->index);
    return status;
}

static int refresh_to_append(struct dumb *dumb)
{
    int status = refresh(dumb, DUMB_LOOK);

    return !status && dumb->index.needs_rewrite ? repair(dumb) : status;
}

/* --- operations --- */

static int dumb_fetch(struct store *store, struct bytes key, struct buffer *value)
{
    struct dumb *dumb = dumb_of(store);
    struct table_entry *entry;
    int status = dumb->burst ? 0 : refresh(dumb, DUMB_LOOK);

    if (status)
        return status;
    entry = table_find(&dumb->index.table, key);
    return entry ? dumb_values_read(&dumb->values, entry->offset, entry->size, value) : -ENOENT;
}

static int dumb_burst(struct store *store, bool begins)
{
    struct dumb *dumb = dumb_of(store);
    int status = begins ? refresh(dumb, DUMB_LOOK) : 0;

    dumb->burst = begins && !status;
    return status;
}

static int dumb_exists(struct store *store, struct bytes key)
{
    struct dumb *dumb = dumb_of(store);
    int status = refresh(dumb, DUMB_LOOK);

    return status ? status : table_find(&dumb->index.table, key) != NULL;
}

static bool names_record(struct dumb *dumb, struct bytes key, int64_t offset, int64_t size)
{
    struct table_entry *entry = table_find(&dumb->index.table, key);

    return entry && entry->offset == offset && entry->size == size;
}

/* Until the file that has the line is the one that everybody reads. */
static int append_record(struct dumb *dumb, struct bytes key, int64_t offset, int64_t size)
{
    int status = -ESTALE;

    for (int i = 0; status == -ESTALE && i < TRIES; i++) {
        status = dumb_index_append(&dumb->index, key, offset, size);
        if (status != -ESTALE)
            break;
        if (has_moved(dumb)) /* the value is not where the others look for it */
            break;
        status = refresh_to_append(dumb);
        if (status || names_record(dumb, key, offset, size))
            break;
        status = -ESTALE;
    }
    return !status && has_moved(dumb) ? -ESTALE : status;
}

/* The change is made: that the index could not be made smaller is no failure of it. */
static void compact(struct dumb *dumb)
{
    if (dumb_index_is_sparse(&dumb->index) && !prepare_rewrite(dumb))
        dumb_index_rewrite(&dumb->index);
}

/* Keys whose values were cut off have to be given up first: they would seem to have some again. */
static int append_value(struct dumb *dumb, struct bytes value, int64_t *offset)
{
    int64_t end = dumb_values_size(&dumb->values);
    int status = end < 0 ? (int)end : dumb_index_give_up_lost(&dumb->index, end);

    return status ? status : dumb_values_append(&dumb->values, value, offset);
}

static int store_once(struct dumb *dumb, struct bytes key, struct bytes value, enum store_mode mode)
{
    int64_t offset = 0;
    int status = refresh_to_append(dumb);

    if (status)
        return status;
    if (mode == STORE_INSERT && table_find(&dumb->index.table, key))
        return -EEXIST;
    status = append_value(dumb, value, &offset);
    return status ? status : append_record(dumb, key, offset, (int64_t)value.size);
}

static int dumb_store(struct store *store, struct bytes key, struct bytes value,
                      enum store_mode mode)
{
    struct dumb *dumb = dumb_of(store);
    int status = store_once(dumb, key, value, mode);

    for (int i = 1; status == -ESTALE && i < TRIES; i++)
        status = store_once(dumb, key, value, mode);
    if (!status)
        compact(dumb);
    return status == -ESTALE ? -EBUSY : status;
}

static int remove_by_rewriting(struct dumb *dumb, struct bytes key)
{
    struct table_entry *entry;
    int status = prepare_rewrite(dumb);

    if (status)
        return status;
    entry = table_find(&dumb->index.table, key);
    if (!entry)
        return -ENOENT;
    table_remove(&dumb->index.table, entry);
    return dumb_index_rewrite(&dumb->index);
}

static int remove_once(struct dumb *dumb, struct bytes key)
{
    struct table_entry *entry;
    int status = refresh_to_append(dumb);

    if (status)
        return status;
    entry = table_find(&dumb->index.table, key);
    if (!entry)
        return -ENOENT;
    status = dumb_index_comment_out(&dumb->index, entry);
    return status == -ENOTSUP ? remove_by_rewriting(dumb, key) : status;
}

static int dumb_remove(struct store *store, struct bytes key)
{
    struct dumb *dumb = dumb_of(store);
    int status = -ESTALE;

    for (int i = 0; status == -ESTALE && i < TRIES; i++) {
        status = remove_once(dumb, key);
        /* It went in another try, which could not tell, or somebody else has just removed it, too. */
        if (i && status == -ENOENT)
            status = 0;
    }
    if (!status)
        compact(dumb);
    return status == -ESTALE ? -EBUSY : status;
}

/* Their records swap; `other` may be missing. */
static int exchange(struct dumb *dumb, struct table_entry *one, struct table_entry *other)
{
    int64_t offset = one->offset, size = one->size;

    if (!other)
        return -ENOENT;
    one->offset = other->offset;
    one->size = other->size;
    other->offset = offset;
    other->size = size;
    return dumb_index_rewrite(&dumb->index);
}

static int rename_once(struct dumb *dumb, struct bytes from, struct bytes to, enum store_mode mode)
{
    struct table *table = &dumb->index.table;
    struct table_entry *target, *source;
    int status = prepare_rewrite(dumb);

    if (status)
        return status;
    if (!table_find(table, from))
        return -ENOENT;
    target = table_find(table, to);
    if (mode == STORE_EXCHANGE)
        return exchange(dumb, table_find(table, from), target);
    if (target && mode == STORE_INSERT)
        return -EEXIST;
    if (!target)
        target = table_add(table, to);
    if (!target)
        return -ENOMEM;
    source = table_find(table, from);
    target->offset = source->offset;
    target->size = source->size;
    table_remove(table, source);
    return dumb_index_rewrite(&dumb->index);
}

static int dumb_rename(struct store *store, struct bytes from, struct bytes to,
                       enum store_mode mode)
{
    struct dumb *dumb = dumb_of(store);
    int status = -ESTALE;

    for (int i = 0; status == -ESTALE && i < TRIES; i++)
        status = rename_once(dumb, from, to, mode);
    return status == -ESTALE ? -EBUSY : status;
}

static int dumb_visit(struct store *store, store_visitor *visitor, void *context)
{
    struct dumb *dumb = dumb_of(store);
    struct table_entry *entry;
    uint32_t position = 0;
    int status = refresh(dumb, DUMB_LOOK);

    if (status)
        return status;
    while ((entry = table_next(&dumb->index.table, &position))) {
        if (!entry->is_line && !visitor(context, table_key(entry)))
            break;
    }
    return 0;
}

static int dumb_sync(struct store *store)
{
    struct dumb *dumb = dumb_of(store);
    int status = dumb_values_sync(&dumb->values);

    return status ? status : dumb_index_sync(&dumb->index);
}

static int dumb_stamp(struct store *store, struct store_stamp *out)
{
    struct dumb *dumb = dumb_of(store);
    struct file_mark values;
    const struct file_mark *index = &dumb->index.mark;
    struct stat now;
    int status = refresh(dumb, DUMB_LOOK);

    if (!status && fstat(dumb->values.fd, &now))
        status = -errno;
    if (status)
        return status;
    file_mark_set(&values, &now);
    *out = (struct store_stamp){.words = {values.inode, (uint64_t)values.mtime_ns,
                                          (uint64_t)values.size, index->inode,
                                          (uint64_t)index->mtime_ns, (uint64_t)index->size}};
    return 0;
}

static void release(struct dumb *dumb)
{
    dumb_index_release(&dumb->index);
    dumb_values_release(&dumb->values);
}

static int dumb_close(struct store *store)
{
    int status = store->read_only ? 0 : dumb_sync(store);

    release(dumb_of(store));
    return status;
}

static const struct store_ops dumb_ops = {
    .close = dumb_close,
    .fetch = dumb_fetch,
    .exists = dumb_exists,
    .burst = dumb_burst,
    .store = dumb_store,
    .remove = dumb_remove,
    .rename = dumb_rename,
    .visit = dumb_visit,
    .sync = dumb_sync,
    .stamp = dumb_stamp,
};

/* --- opening and creating --- */

static int start(struct dumb *dumb, const char *base, const struct store_progress *progress,
                 struct failure *failure)
{
    const char *path = dumb->store.path;
    int status = dumb_index_init(&dumb->index, base);

    dumb->index.progress = progress;
    if (!status)
        status = dumb_values_open(&dumb->values, dumb->store.path, dumb->store.read_only,
                                  dumb->lock_timeout);
    if (status == -ENOENT)
        return failure_set(failure, -EUCLEAN, 0,
                           "%s.dir is there but its values are not: %s is missing", base, path);
    if (status == -EBUSY)
        return holders_refuse(&engine_dumb, path, "unmount that one, or mount this read-only",
                              failure);
    if (status == -EACCES && !dumb->store.read_only)
        return failure_set(failure, status, 0, "%s may not be written to: mount it read-only",
                           path);
    if (!status)
        status = refresh(dumb, DUMB_LOOK);
    if (!status && dumb->index.needs_rewrite && !dumb->store.read_only)
        status = repair(dumb);
    /* Somebody else was faster: what they wrote is read at the first operation. */
    return status == -ESTALE ? 0 : status;
}

static int dumb_open(const char *base, const struct store_options *options, struct store **out,
                     struct failure *failure)
{
    struct dumb *dumb = NULL;
    char *path;
    int status;

    if (asprintf(&path, "%s.dat", base) < 0)
        return -ENOMEM;
    dumb = engine_new(sizeof *dumb, engine_dumb.name, &dumb_ops, path,
                      options->flags & STORE_READ_ONLY);
    free(path);
    if (!dumb)
        return -ENOMEM;
    dumb->values = (struct dumb_values){.fd = -1};
    dumb->lock_timeout = options->lock_timeout;
    status = start(dumb, base, options->progress, failure);
    dumb->index.progress = NULL;
    if (status) {
        release(dumb);
        engine_free(&dumb->store);
        return status;
    }
    *out = &dumb->store;
    return 0;
}

static int dumb_create(const char *base, struct failure *failure)
{
    char *values = NULL, *index = NULL;
    int status = -ENOMEM;

    if (asprintf(&values, "%s.dat", base) < 0)
        values = NULL;
    if (asprintf(&index, "%s.dir", base) < 0)
        index = NULL;
    if (values && index)
        status = dumb_values_create(values, failure);
    if (!status)
        status = io_write_file(index, (struct bytes){NULL, 0}, IO_CREATE);
    free(values);
    free(index);
    return status;
}

/* What the reading of the index found, as an owner should know it anyway. */
static int dumb_check(struct store *store, const struct store_progress *progress,
                      struct buffer *findings)
{
    struct dumb *dumb = dumb_of(store);
    int status = refresh(dumb, DUMB_LOOK);

    buffer_add(findings, buffer_bytes(&dumb->index.notes));
    return status;
}

static const char *const dumb_suffixes[] = {".dat", ".dir", ".bak", NULL};

const struct engine engine_dumb = {
    .name = "dumb",
    .suffixes = dumb_suffixes,
    .index_suffix = ".dir",
    .check = dumb_check,
    .open = dumb_open,
    .create = dumb_create,
};
