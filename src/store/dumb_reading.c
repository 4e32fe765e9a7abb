/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/dumb_reading.h"

#include "src/io.h"
#include "src/store/dumb_line.h"
#include "src/store/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum {
    /* NAME.dir is missing for a moment when CPython rewrites it. */
    PAUSE_NS = 5 * 1000 * 1000,
    PAUSES = 10,
    NOTED_LINES = 3,
    PROGRESS_LINES = 4096,
    PLAIN_LINES = 16,      /* taken together */
    LARGEST_GAP = 1 << 30, /* that NAME.dat may have lost; a record farther behind is nonsense */
};

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

bool dumb_is_cut_off(const struct table_entry *entry, int64_t values_size)
{
    return !is_inside(entry->offset, entry->size, values_size) &&
           is_inside(entry->offset, entry->size, values_size + LARGEST_GAP);
}

int64_t dumb_comment_place(struct bytes text, size_t start)
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

/* Of the line at `start`. */
static int read_record(struct reading *reading, const struct dumb_plain *record, uint32_t hash,
                       struct bytes text, size_t start)
{
    bool added;
    struct table_entry *entry = table_find_or_add(&reading->fresh.table, record->key, hash, &added);

    if (!entry)
        return -ENOMEM;
    if (!added && !is_inside(record->offset, record->size, reading->values_size) &&
        is_inside(entry->offset, entry->size, reading->values_size)) {
        reading->lost++;
        return 0;
    }
    entry->offset = record->offset;
    entry->size = record->size;
    entry->line = added ? dumb_comment_place(text, start) : 0;
    reading->fresh.cut_off += dumb_is_cut_off(entry, reading->values_size);
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
    struct dumb_plain record;
    int status = 0;

    fresh->lines++;
    buffer_clear(&reading->key);
    switch (dumb_line_parse(line, &reading->key, &record.offset, &record.size)) {
    case DUMB_RECORD:
        status = buffer_status(&reading->key);
        record.key = buffer_bytes(&reading->key);
        if (!status)
            status = read_record(reading, &record, table_hash(&fresh->table, record.key), text,
                                 (size_t)(line.data - text.data));
        fresh->lines += comment_lines(line, record.key);
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

/*
 * The lines at `*position` that are as Python writes them: none, or some. Several together, because a large table is in no cache,
 * and its places are fetched while the next lines are read.
 */
static int read_plain_lines(struct reading *reading, struct bytes text, size_t *position)
{
    struct dumb_index *fresh = &reading->fresh;
    struct dumb_plain lines[PLAIN_LINES];
    size_t starts[PLAIN_LINES];
    uint32_t hashes[PLAIN_LINES];
    unsigned count = 0;
    int status = 0;

    for (; count < PLAIN_LINES; count++) {
        starts[count] = *position;
        if (!dumb_line_plain(text, position, &lines[count]))
            break;
        hashes[count] = table_hash(&fresh->table, lines[count].key);
    }
    for (unsigned i = 0; i < count && !status; i++)
        status = read_record(reading, &lines[i], hashes[i], text, starts[i]);
    fresh->lines += count;
    if (count)
        fresh->ends_open = false;
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
    uint32_t reported = 0;
    int status = 0;

    while (!status && position < text.size) {
        size_t before = position;

        status = read_plain_lines(reading, text, &position);
        if (position == before && dumb_line_next(text, &position, &line, &end))
            status = read_line(reading, text, line, end);
        if (fresh->lines - reported < PROGRESS_LINES)
            continue;
        reported = fresh->lines;
        engine_progress(fresh->progress, "reading the index", position, text.size);
    }
    fresh->ends_clean = dumb_comment_place(text, text.size);
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
    int fd, status = io_open_companion(index->path, O_RDONLY, &stat, &fd);

    for (int i = 0; status == -ENOENT && i < PAUSES && index->known; i++) {
        nanosleep(&pause, NULL);
        status = io_open_companion(index->path, O_RDONLY, &stat, &fd);
    }
    if (status == -ENOENT) {
        status = io_open_companion(index->backup, O_RDONLY, &stat, &fd);
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

int dumb_reading_load(struct dumb_index *index, int values)
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
