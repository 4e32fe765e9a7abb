/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/dumb_index.h"

#include "src/io.h"
#include "src/io_draft.h"
#include "src/store/dumb_line.h"
#include "src/store/dumb_reading.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* CPython's index rewrite: NAME.dir is missing for a moment, then grows. */
enum { PAUSE_NS = 5 * 1000 * 1000, QUIET_NS = 30 * 1000 * 1000, PAUSES = 100, SLACK_LINES = 64 };

void file_mark_set(struct file_mark *mark, const struct stat *stat)
{
    *mark = (struct file_mark){
        .inode = stat->st_ino,
        .mtime_ns = stat->st_mtim.tv_sec * INT64_C(1000000000) + stat->st_mtim.tv_nsec,
        .size = stat->st_size,
    };
}

static bool file_mark_equal(const struct file_mark *mark, const struct stat *stat)
{
    struct file_mark other;

    file_mark_set(&other, stat);
    return mark->inode == other.inode && mark->mtime_ns == other.mtime_ns &&
           mark->size == other.size;
}

int dumb_index_init(struct dumb_index *index, const char *base)
{
    *index = (struct dumb_index){.notes = BUFFER_INIT};
    if (asprintf(&index->path, "%s.dir", base) < 0)
        index->path = NULL;
    if (asprintf(&index->backup, "%s.bak", base) < 0)
        index->backup = NULL;
    return index->path && index->backup ? table_init(&index->table) : -ENOMEM;
}

void dumb_index_release(struct dumb_index *index)
{
    table_release(&index->table);
    buffer_release(&index->notes);
    free(index->path);
    free(index->backup);
}

/* --- reading --- */

static bool is_quiet(const struct dumb_index *index)
{
    struct timespec now;
    int64_t age;

    clock_gettime(CLOCK_REALTIME, &now);
    age = now.tv_sec * INT64_C(1000000000) + now.tv_nsec - index->mark.mtime_ns;
    return index->ours || age < 0 || age >= QUIET_NS;
}

static int load_if_changed(struct dumb_index *index, int values)
{
    struct stat now;
    bool is_there = !stat(index->path, &now) || (errno == ENOENT && !stat(index->backup, &now));

    if (index->known && is_there && file_mark_equal(&index->mark, &now))
        return 0;
    return dumb_reading_load(index, values);
}

int dumb_index_follow(struct dumb_index *index)
{
    struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct stat now;
    int status = 0;

    if (!index->known)
        return 0;
    for (int i = 0; i < PAUSES; i++) {
        status = stat(index->path, &now) ? -errno : 0;
        if (!status && !file_mark_equal(&index->mark, &now))
            return 0;
        nanosleep(&pause, NULL);
    }
    /* It may fit both: then it was the same all the time. */
    index->known = false;
    return status;
}

int dumb_index_refresh(struct dumb_index *index, int values, enum dumb_purpose purpose)
{
    struct timespec pause = {.tv_nsec = PAUSE_NS};
    int status = load_if_changed(index, values);

    for (int i = 0; !status && purpose == DUMB_REWRITE && !is_quiet(index) && i < PAUSES; i++) {
        nanosleep(&pause, NULL);
        status = load_if_changed(index, values);
    }
    return status;
}

/* --- writing --- */

static int write_line(int fd, struct bytes line, int64_t size_before)
{
    size_t done = 0;
    int status = 0;

    while (!status && done < line.size) {
        ssize_t count = write(fd, line.data + done, line.size - done);

        if (count > 0)
            done += (size_t)count;
        else if (count == 0 || errno != EINTR)
            status = count ? -errno : -EIO;
    }
    /* Half a line would make the database unreadable for Python. */
    if (status && done && io_truncate(fd, size_before))
        return -EIO;
    return status;
}

static int append_text(struct dumb_index *index, struct bytes line)
{
    struct stat before, after;
    int fd, status = io_open_companion(index->path, O_WRONLY | O_APPEND, &before, &fd);

    if (status)
        return status == -ENOENT || status == -ENXIO ? -ESTALE : status;
    if (!file_mark_equal(&index->mark, &before))
        status = -ESTALE;
    if (!status)
        status = write_line(fd, line, before.st_size);
    /* Python may have moved the file aside, or written to it at its own position, meanwhile. */
    if (!status && (fstat(fd, &after) || after.st_size != before.st_size + (off_t)line.size ||
                    stat(index->path, &after) || after.st_ino != before.st_ino))
        status = -ESTALE;
    if (!status)
        file_mark_set(&index->mark, &after);
    close(fd);
    return status;
}

/* Between two looks at the file and its name: nobody else may have changed it. */
static int change_byte(struct dumb_index *index, uint8_t byte, int64_t at)
{
    struct stat before, after;
    int fd, status = io_open_companion(index->path, O_WRONLY, &before, &fd);

    if (status)
        return status == -ENOENT || status == -ENXIO ? -ESTALE : status;
    if (!file_mark_equal(&index->mark, &before))
        status = -ESTALE;
    if (!status)
        status = io_write(fd, bytes_of(&byte, 1), at);
    if (!status && (stat(index->path, &after) || after.st_ino != before.st_ino ||
                    after.st_size != before.st_size))
        status = -ESTALE;
    if (!status)
        file_mark_set(&index->mark, &after);
    close(fd);
    return status;
}

int dumb_index_comment_out(struct dumb_index *index, struct table_entry *entry)
{
    int status;

    if (!entry->line)
        return -ENOTSUP;
    index->known = false;
    status = change_byte(index, '#', entry->line - 1);
    if (status)
        return status;
    table_remove(&index->table, entry);
    index->known = index->ours = index->dirty = true;
    return 0;
}

int dumb_index_give_up_lost(struct dumb_index *index, int64_t values_size)
{
    struct table_entry *entry;
    uint32_t position = 0, count = 0;
    bool rewrite = false;
    int status = 0;

    while (!status && index->cut_off && (entry = table_next(&index->table, &position))) {
        if (entry->is_line || !dumb_is_cut_off(entry, values_size))
            continue;
        count++;
        status = dumb_index_comment_out(index, entry);
        if (status == -ENOTSUP) {
            table_remove(&index->table, entry);
            rewrite = true;
            status = 0;
        }
    }
    if (!status && rewrite)
        status = dumb_index_rewrite(index);
    if (!status)
        index->cut_off = 0;
    if (!status && count)
        buffer_printf(&index->notes, "keys whose values were cut off are gone: %u\n", count);
    return status;
}

int dumb_index_append(struct dumb_index *index, struct bytes key, int64_t offset, int64_t size)
{
    struct table_entry *entry = table_find(&index->table, key);
    struct buffer line = BUFFER_INIT;
    bool is_new = !entry, was_clean = index->ends_clean || (index->ends_open && index->mark.size);
    int64_t place = index->mark.size + index->ends_open;
    int status;

    if (index->ends_open)
        buffer_add_byte(&line, '\n');
    dumb_line_print(key, offset, size, &line);
    status = buffer_status(&line);
    index->known = false;
    if (!status && !entry && !(entry = table_add(&index->table, key)))
        status = -ENOMEM;
    if (!status)
        status = append_text(index, buffer_bytes(&line));
    buffer_release(&line);
    if (status)
        return status;
    entry->offset = offset;
    entry->size = size;
    entry->line = is_new && was_clean ? place : 0;
    index->known = index->ours = index->dirty = index->ends_clean = true;
    index->ends_open = false;
    index->lines++;
    return 0;
}

/* The old index becomes the backup, without a moment in which NAME.dir is missing. */
static void keep_backup(const struct dumb_index *index)
{
    char *name;

    if (asprintf(&name, "%s.new", index->backup) < 0)
        return;
    unlink(name);
    /*
     * Where there are no hard links the backup stays as it was: nobody needs it as long as NAME.dir
     * exists.
     */
    if (!linkat(AT_FDCWD, index->path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) &&
        rename(name, index->backup))
        unlink(name);
    free(name);
}

/* Each key has one line then, and knows where. */
static uint32_t print_all(struct dumb_index *index, struct buffer *text)
{
    struct table_entry *entry;
    uint32_t position = 0, lines = 0;

    for (; (entry = table_next(&index->table, &position)); lines++) {
        entry->line = entry->is_line ? 0 : dumb_comment_place(buffer_bytes(text), text->size);
        if (entry->is_line)
            buffer_add(text, table_key(entry));
        else
            dumb_line_print(table_key(entry), entry->offset, entry->size, text);
    }
    return lines;
}

static bool is_what_was_read(const void *context, const struct stat *file)
{
    const struct dumb_index *index = context;

    return file_mark_equal(&index->mark, file);
}

/* Instead of what was read, and of nothing else that somebody may have put there a moment ago. */
static int publish(struct dumb_index *index, struct io_draft *draft)
{
    struct stat now;
    int status;

    if (lstat(draft->path, &now)) {
        /* It was missing all the time. */
        status = index->needs_rewrite ? io_draft_publish(draft, IO_CREATE) : -ESTALE;
        return status == -EEXIST ? -ESTALE : status;
    }
    if (!is_what_was_read(index, &now))
        return -ESTALE;
    status = io_draft_exchange(draft, is_what_was_read, index, index->backup);
    if (status != -EOPNOTSUPP)
        return status;
    keep_backup(index);
    return io_draft_publish(draft, IO_REPLACE);
}

/* What takes long comes before the last look at the file. */
static int replace_file(struct dumb_index *index, struct bytes text)
{
    struct io_draft draft;
    int status = io_draft_open(index->path, &draft);

    if (status)
        return status;
    status = io_write(draft.fd, text, 0);
    if (!status && fsync(draft.fd))
        status = -errno;
    if (!status)
        status = publish(index, &draft);
    io_draft_discard(&draft);
    return status;
}

int dumb_index_rewrite(struct dumb_index *index)
{
    struct buffer text = BUFFER_INIT;
    struct stat now;
    uint32_t lines = print_all(index, &text);
    int status = buffer_status(&text);

    index->known = false;
    if (!status)
        status = replace_file(index, buffer_bytes(&text));
    if (!status && stat(index->path, &now))
        status = -errno;
    if (!status && now.st_size != (off_t)text.size)
        status = -ESTALE;
    index->ends_clean = dumb_comment_place(buffer_bytes(&text), text.size);
    buffer_release(&text);
    if (status)
        return status;
    file_mark_set(&index->mark, &now);
    index->known = index->ours = true;
    index->needs_rewrite = index->ends_open = index->dirty = false;
    index->lines = lines;
    return 0;
}

bool dumb_index_is_sparse(const struct dumb_index *index)
{
    return index->lines / 2 > index->table.keys + SLACK_LINES;
}

int dumb_index_sync(struct dumb_index *index)
{
    int fd, status = 0;

    if (!index->dirty)
        return 0;
    fd = io_open(index->path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    if (fdatasync(fd))
        status = -errno;
    else
        index->dirty = false;
    close(fd);
    return status;
}
