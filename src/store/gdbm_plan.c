/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/gdbm_plan.h"

#include <gdbm.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PAGE = 4096, TRIES = 16 };

void gdbm_plan_release(struct gdbm_plan *plan)
{
    shadow_release(&plan->copy);
    buffer_release(&plan->extents);
}

/* That the system refused something says nothing of the file. */
static bool is_refusal(int failed)
{
    return failed == EIO || failed == ENOSPC || failed == EDQUOT || failed == EFBIG || failed == ENOMEM || failed == EMFILE ||
           failed == ENFILE;
}

/*
 * What the last failed call means. After a write or an allocation that fails, libgdbm may say only that the file needs recovery: errno,
 * 0 before, says why.
 */
static int last_error(GDBM_FILE database)
{
    int failed = errno;
    int error = database ? gdbm_last_errno(database) : gdbm_errno;
    int system = database ? gdbm_last_syserr(database) : failed;

    switch (error) {
    case GDBM_ITEM_NOT_FOUND:
        return -ENOENT;
    case GDBM_MALLOC_ERROR:
        return -ENOMEM;
    case GDBM_FILE_WRITE_ERROR:
    case GDBM_FILE_READ_ERROR:
    case GDBM_FILE_SYNC_ERROR:
    case GDBM_FILE_OPEN_ERROR:
        return system > 0 ? -system : -EIO;
    case GDBM_DIR_OVERFLOW:
        return -EFBIG;
    default:
        return is_refusal(failed) ? -failed : -EUCLEAN;
    }
}

/* --- the copy --- */

static int need_range(void *context, off_t offset, off_t size)
{
    struct gdbm_plan *plan = context;

    extents_add(&plan->extents, offset / PAGE * PAGE, (offset + size + PAGE - 1) / PAGE * PAGE);
    return buffer_status(&plan->extents);
}

static int fill_copy(struct gdbm_plan *plan, const struct gdbm_file *file)
{
    struct extent extent;
    int status = shadow_start(&plan->copy, file->size);

    for (size_t i = 0; !status && extents_get(&plan->extents, i, &extent); i++)
        status = shadow_copy(&plan->copy, file->fd, file->size, extent);
    return status;
}

/* Adds to plan->extents what of `after`, in the database, is not in `before`; both are sorted. Tells how many. */
static size_t need_missing(struct gdbm_plan *plan, off_t size, const struct buffer *before,
                           const struct buffer *after)
{
    struct extent had = {0}, has;
    size_t index = 0, missing = 0;

    for (size_t i = 0; extents_get(after, i, &has); i++) {
        has.to = has.to < size ? has.to : size;
        while (has.from < has.to) {
            while (had.to <= has.from && extents_get(before, index, &had))
                index++;
            if (had.from <= has.from && has.from < had.to) {
                has.from = had.to;
            } else {
                off_t to = had.from > has.from && had.from < has.to ? had.from : has.to;

                extents_add(&plan->extents, has.from, to);
                missing++;
                has.from = to;
            }
        }
    }
    return missing;
}

/* --- libgdbm --- */

/* It takes a NULL pointer for a mistake, also where the size is 0. */
static datum datum_of(struct bytes bytes)
{
    return (datum){.dptr = (char *)(bytes.size ? bytes.data : (const uint8_t *)""),
                   .dsize = (int)bytes.size};
}

/* The descriptor stays the caller's. */
static GDBM_FILE open_copy(int fd, const char *name, int flags)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0 || lseek(copy, 0, SEEK_SET) < 0) {
        if (copy >= 0)
            close(copy);
        return NULL;
    }
    return gdbm_fd_open(copy, name, 0, flags | GDBM_NOLOCK | GDBM_NOMMAP | GDBM_CLOERROR, NULL);
}

static int change_key(GDBM_FILE database, const struct step *step)
{
    if (!step->value)
        return gdbm_delete(database, datum_of(step->key));
    return gdbm_store(database, datum_of(step->key), datum_of(*step->value), GDBM_REPLACE);
}

static int change_copy(const struct gdbm_plan *plan, const struct update *update)
{
    GDBM_FILE database;
    int status = 0;

    errno = 0;
    database = open_copy(plan->copy.fd, "", GDBM_WRITER);
    if (!database)
        return last_error(NULL);
    errno = 0;
    for (size_t i = 0; i < update->count && !status; i++) {
        if (change_key(database, &update->steps[i]))
            status = last_error(database);
    }
    if (gdbm_close(database) && !status)
        status = -EIO;
    return status;
}

/* --- the result --- */

static int check_key(struct gdbm_file *file, const struct step *step)
{
    struct buffer value = BUFFER_INIT;
    struct gdbm_record record;
    int status = gdbm_file_find(file, step->key, &record);
    bool right;

    if (!status)
        status = gdbm_file_value(file, &record, &value);
    if (step->value)
        right = !status && bytes_equal(buffer_bytes(&value), *step->value);
    else
        right = status == -ENOENT;
    buffer_release(&value);
    if (status == -ENOMEM)
        return status;
    return right ? 0 : -EIO;
}

/* Whether libgdbm looked at none of the tables of free space that were not copied: it takes them from the front, one by one. */
static int check_tables(const struct gdbm_plan *plan, struct gdbm_file *copy)
{
    int found = plan->unread ? gdbm_file_has_free_table(copy, plan->unread) : 1;

    return found > 0 ? 0 : -EAGAIN;
}

/* What the copy says must be what was asked for, or the database is not touched. */
static int check_copy(const struct gdbm_plan *plan, const struct update *update)
{
    struct gdbm_file file = GDBM_FILE_INIT;
    int status = gdbm_file_read(&file, plan->copy.fd, "", NULL);

    if (!status)
        status = check_tables(plan, &file);
    for (size_t i = 0; i < update->count && !status; i++)
        status = check_key(&file, &update->steps[i]);
    gdbm_file_release(&file);
    return status && status != -ENOMEM && status != -EAGAIN ? -EIO : status;
}

/* One attempt. -EAGAIN: it was not enough; plan->extents has grown by what is known to be missing. */
static int try_update(struct gdbm_plan *plan, const struct gdbm_file *file,
                      const struct update *update, struct changes *out)
{
    struct buffer before = BUFFER_INIT, after = BUFFER_INIT;
    int status = fill_copy(plan, file);

    if (!status)
        status = shadow_extents(&plan->copy, &before);
    if (!status)
        status = change_copy(plan, update);
    if (!status)
        status = shadow_extents(&plan->copy, &after);
    if (!status && need_missing(plan, file->size, &before, &after))
        status = -EAGAIN;
    if (!status)
        status = shadow_compare(&plan->copy, file->fd, file->size, &after, out);
    if (!status)
        status = check_copy(plan, update);
    buffer_release(&before);
    buffer_release(&after);
    /* It may be a table that was not copied that makes no sense. */
    return plan->unread && (status == -EUCLEAN || status == -EIO) ? -EAGAIN : status;
}

/* Of the record that a step stores. */
static size_t room_of(const struct step *step)
{
    return step->value ? step->key.size + step->value->size : 0;
}

int gdbm_plan_update(struct gdbm_plan *plan, struct gdbm_file *file, const struct update *update,
                     struct changes *out)
{
    unsigned tables = 0; /* few changes need one */
    int status = 0;

    buffer_clear(&plan->extents);
    for (size_t i = 0; i < update->count && !status; i++)
        status = gdbm_file_ranges(file, update->steps[i].key, room_of(&update->steps[i]),
                                  need_range, plan);
    if (status)
        return status;
    status = -EAGAIN;
    for (int i = 0; status == -EAGAIN && i < TRIES; i++, tables = 4 * tables + 1) {
        status = gdbm_file_free_ranges(file, tables, need_range, plan, &plan->unread);
        if (!status)
            status = try_update(plan, file, update, out);
    }
    return status == -EAGAIN ? -EIO : status;
}

int gdbm_plan_create(int fd)
{
    GDBM_FILE database = open_copy(fd, "", GDBM_WRCREAT);

    if (!database)
        return last_error(NULL);
    return gdbm_close(database) ? -EIO : 0;
}

int gdbm_plan_recover(const char *name, int fd, size_t *keys)
{
    gdbm_recovery recovery = {.max_failures = 1};
    GDBM_FILE database;
    int status = 0;

    errno = 0;
    database = open_copy(fd, name, GDBM_WRITER | GDBM_CLOEXEC);
    if (!database)
        return last_error(NULL);
    errno = 0;
    if (gdbm_recover(database, &recovery, GDBM_RCVR_MAX_FAILURES | GDBM_RCVR_FORCE))
        status = last_error(database);
    gdbm_close(database);
    if (!status)
        *keys = recovery.recovered_keys;
    return status;
}
