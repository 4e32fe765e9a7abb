/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/dumb_index.h"

#include "src/io.h"
#include "src/store/dumb_line.h"
#include "src/store/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    /* CPython's index rewrite: NAME.dir is missing for a moment, then grows. */
    PAUSE_NS = 5 * 1000 * 1000,
    QUIET_NS = 30 * 1000 * 1000,
    PAUSES = 100,
    MISSING_PAUSES = 10,
    SLACK_LINES = 64,
    NOTED_LINES = 3,
    PROGRESS_LINES = 4096,
    LARGEST_GAP = 1 << 30, /* that NAME.dat may have lost; a record farther behind is nonsense */
};

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

struct reading {
    struct dumb_index fresh; /* what the file says; no paths */
    struct buffer key;
    int64_t values_size;
    uint32_t lost; /* records that never reached the disk */
    uint32_t blank;
};

static bool is_inside(int64_t offset, int64_t size, int64_t limit)
{
    return offset >= 0 && size >= 0 && (size == 0 || (size <= limit && offset <= limit - size));
}

/* Its value was cut off with the end of the values; farther behind it is nonsense. */
static bool is_cut_off(const struct table_entry *entry, int64_t values_size)
{
    return !is_inside(entry->offset, entry->size, values_size) &&
           is_inside(entry->offset, entry->size, values_size + LARGEST_GAP);
}

/*
 * Whether the line can be made a comment on the one before it: that must end with "\n" alone, for "\r" would end it
 * still.
 */
static int64_t comment_place(struct bytes text, size_t start)
{
    bool can = start > 1 && start <= text.size && text.data[start - 1] == '\n' &&
               text.data[start - 2] != '\r';

    return can ? (int64_t)start : 0;
}

/* A line far longer than its key may be has removed ones behind it. */
static uint32_t comment_lines(struct bytes line, struct bytes key)
{
    size_t usual = 4 * key.size + 64;

    return line.size > usual ? (uint32_t)(line.size / usual) : 0;
}

static int read_record(struct reading *reading, int64_t offset, int64_t size, int64_t place)
{
    struct table *table = &reading->fresh.table;
    struct bytes key = buffer_bytes(&reading->key);
    struct table_entry *entry = table_find(table, key);

    if (entry && !is_inside(offset, size, reading->values_size) &&
        is_inside(entry->offset, entry->size, reading->values_size)) {
        reading->lost++;
        return 0;
    }
    if (entry)
        place = 0;
    else
        entry = table_add(table, key);
    if (!entry)
        return -ENOMEM;
    entry->offset = offset;
    entry->size = size;
    entry->line = place;
    reading->fresh.cut_off += is_cut_off(entry, reading->values_size);
    return 0;
}

/* `line` with its end of `end` bytes. */
static int read_unknown(struct reading *reading, struct bytes line, size_t end)
{
    struct dumb_index *fresh = &reading->fresh;
    struct table_entry *entry;

    if (!end) {
        fresh->needs_rewrite = true;
        buffer_add_string(
            &fresh->notes,
            "the index ends in half a line, as a crash leaves it: that line is ignored\n");
        return 0;
    }
    entry = table_add_line(&fresh->table, bytes_of(line.data, line.size + end));
    if (!entry)
        return -ENOMEM;
    entry->offset = fresh->lines; /* for the note */
    return 0;
}

static int read_line(struct reading *reading, struct bytes text, struct bytes line, size_t end)
{
    struct dumb_index *fresh = &reading->fresh;
    int64_t offset, size;
    int status = 0;

    fresh->lines++;
    buffer_clear(&reading->key);
    switch (dumb_line_parse(line, &reading->key, &offset, &size)) {
    case DUMB_RECORD:
        status = buffer_status(&reading->key);
        if (!status)
            status = read_record(reading, offset, size,
                                 comment_place(text, (size_t)(line.data - text.data)));
        fresh->lines += comment_lines(line, buffer_bytes(&reading->key));
        fresh->ends_open = !end;
        break;
    case DUMB_BLANK:
        reading->blank++;
        break;
    case DUMB_UNKNOWN:
        status = buffer_status(&reading->key);
        if (!status)
            status = read_unknown(reading, line, end);
        break;
    }
    return status;
}

static void note_unknown_lines(struct dumb_index *fresh)
{
    struct table_entry *entry;
    uint32_t position = 0, count = 0;

    while ((entry = table_next(&fresh->table, &position))) {
        if (entry->is_line && ++count <= NOTED_LINES)
            buffer_printf(&fresh->notes, "line %lld of the index is not understood, and kept\n",
                          (long long)entry->offset);
    }
    if (count > NOTED_LINES)
        buffer_printf(&fresh->notes, "and so are %u other lines\n", count - NOTED_LINES);
}

static int read_text(struct reading *reading, struct bytes text)
{
    struct dumb_index *fresh = &reading->fresh;
    struct bytes line;
    size_t position = 0, end;
    int status = 0;

    while (!status && dumb_line_next(text, &position, &line, &end)) {
        status = read_line(reading, text, line, end);
        if (fresh->lines % PROGRESS_LINES == 0)
            engine_progress(fresh->progress, "reading the index", position, text.size);
    }
    fresh->ends_clean = comment_place(text, text.size);
    note_unknown_lines(fresh);
    if (reading->blank)
        buffer_printf(&fresh->notes, "the index has blank lines (%u), which Python refuses\n",
                      reading->blank);
    if (reading->lost)
        buffer_printf(&fresh->notes,
                      "values that never reached the disk: %u; those before them are shown\n",
                      reading->lost);
    if (reading->blank || reading->lost)
        fresh->needs_rewrite = true;
    return status;
}

/* The text and mark of NAME.dir, or if it stays away, of NAME.bak. */
static int read_file(struct dumb_index *index, struct buffer *text, struct dumb_index *fresh)
{
    struct timespec pause = {.tv_nsec = PAUSE_NS};
    struct stat stat;
    int fd, status = io_open_regular(index->path, O_RDONLY, &stat, &fd);

    for (int i = 0; status == -ENOENT && i < MISSING_PAUSES && index->known; i++) {
        nanosleep(&pause, NULL);
        status = io_open_regular(index->path, O_RDONLY, &stat, &fd);
    }
    if (status == -ENOENT) {
        status = io_open_regular(index->backup, O_RDONLY, &stat, &fd);
        fresh->needs_rewrite = true;
        buffer_add_string(&fresh->notes, "the index was missing: it is read from the .bak file\n");
    }
    if (status)
        return status;
    file_mark_set(&fresh->mark, &stat);
    status = io_read_all(fd, text);
    close(fd);
    return status;
}

static int load(struct dumb_index *index, int values)
{
    struct reading reading = {.fresh.notes = BUFFER_INIT, .key = BUFFER_INIT};
    struct buffer text = BUFFER_INIT;
    struct dumb_index *fresh = &reading.fresh;
    struct stat stat;
    int status = table_init(&fresh->table);

    fresh->progress = index->progress;
    if (!status)
        status = read_file(index, &text, fresh);
    /* After the index: what that names was written before it. */
    if (!status && fstat(values, &stat))
        status = -errno;
    if (!status) {
        reading.values_size = stat.st_size;
        status = read_text(&reading, buffer_bytes(&text));
    }
    if (!status) {
        fresh->path = index->path;
        fresh->backup = index->backup;
        fresh->dirty = index->dirty;
        fresh->known = true;
        index->path = index->backup = NULL;
        dumb_index_release(index);
        *index = *fresh;
    } else {
        dumb_index_release(fresh);
    }
    buffer_release(&reading.key);
    buffer_release(&text);
    return status;
}

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
    return load(index, values);
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
    ssize_t count;

    do
        count = write(fd, line.data, line.size);
    while (count < 0 && errno == EINTR);
    if (count == (ssize_t)line.size)
        return 0;
    /* Half a line would make the database unreadable for Python. */
    if (count > 0 && ftruncate(fd, size_before))
        return -EIO;
    return count < 0 ? -errno : -ENOSPC;
}

static int append_text(struct dumb_index *index, struct bytes line)
{
    struct stat before, after;
    int status = 0, fd = open(index->path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    if (fstat(fd, &before) || !file_mark_equal(&index->mark, &before))
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
    int status = 0, fd = open(index->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return errno == ENOENT ? -ESTALE : -errno;
    if (fstat(fd, &before) || !file_mark_equal(&index->mark, &before))
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
        if (entry->is_line || !is_cut_off(entry, values_size))
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
        entry->line = entry->is_line ? 0 : comment_place(buffer_bytes(text), text->size);
        if (entry->is_line)
            buffer_add(text, table_key(entry));
        else
            dumb_line_print(table_key(entry), entry->offset, entry->size, text);
    }
    return lines;
}

int dumb_index_rewrite(struct dumb_index *index)
{
    struct buffer text = BUFFER_INIT;
    struct stat now;
    uint32_t lines = print_all(index, &text);
    int status = buffer_status(&text);

    index->known = false;
    if (!status) {
        keep_backup(index);
        status = io_write_file(index->path, buffer_bytes(&text), IO_REPLACE);
    }
    if (!status && stat(index->path, &now))
        status = -errno;
    if (!status && now.st_size != (off_t)text.size)
        status = -ESTALE;
    index->ends_clean = comment_place(buffer_bytes(&text), text.size);
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
    fd = open(index->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fdatasync(fd))
        status = -errno;
    else
        index->dirty = false;
    close(fd);
    return status;
}
