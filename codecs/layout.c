/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - Optimism: what follows the opening of a group that may have to be broken is written as if it stayed on its line, which it mostly
 *   does, and only the places of groups and breaks are noted. When the line gets too long, what was written since the
 *   opening, one line at most, is written again with line breaks (layout_overflow()).
 * - Inside of a group that stays on its line nothing has to be decided, and nothing is noted.
 * - Since broken groups are never inside of unbroken ones, two counters say all about the open groups that are decided.
 */
#include "codecs/layout.h"

#include "codecs/literal.h"
#include "src/array.h"

#include <errno.h>

static const struct {
    char flat[3];   /* on the line, at most two bytes */
    uint8_t size;   /* of that */
    char before;    /* the newline, or 0 */
    char after;     /* the newline and its indentation, or 0 */
    uint8_t closes; /* 1: the next line is indented like the group's first */
} breaks[] = {
    [BREAK_FIRST] = {"", 0, 0, 0, 0},     [BREAK_NEXT] = {", ", 2, ',', 0, 0},
    [BREAK_LAST] = {"", 0, ',', 0, 1},    [BREAK_LAST_COMMA] = {",", 1, ',', 0, 1},
    [BREAK_LAST_BARE] = {"", 0, 0, 0, 1}, [BREAK_OPEN] = {"", 0, '(', 0, 0},
    [BREAK_CLOSE] = {"", 0, 0, ')', 1},
};

void layout_init(struct layout *layout, struct buffer *out, size_t width)
{
    /* The room for marks is large and used as far as there are some. */
    memset(layout, 0, offsetof(struct layout, first_marks));
    layout->out = out;
    layout->width = width;
    layout->most = SIZE_MAX;
    layout->levels = LAYOUT_LEVELS;
    layout->again = (struct buffer)BUFFER_INIT;
    layout->marks = layout->first_marks;
    layout->capacity = ARRAY_SIZE(layout->first_marks);
}

void layout_release(struct layout *layout)
{
    array_free(layout->marks, layout->first_marks);
    buffer_release(&layout->again);
    layout_init(layout, layout->out, layout->width);
}

/* A newline with its indentation, between two characters that may be 0: not there. */
static void write_newline(struct layout *layout, char before, unsigned level, char after)
{
    size_t indent = (size_t)level * LAYOUT_INDENT;
    uint8_t *room = buffer_extend(layout->out, (before != 0) + 1 + indent + (after != 0));

    if (room) {
        if (before)
            *room++ = (uint8_t)before;
        *room++ = '\n';
        memset(room, ' ', indent);
        if (after)
            room[indent] = (uint8_t)after;
    }
    layout->column = indent + (after != 0);
}

static void write_flat_break(struct layout *layout, enum layout_break kind)
{
    size_t size = breaks[kind].size;
    uint8_t *room = size ? buffer_extend(layout->out, size) : NULL;

    if (room) {
        room[0] = (uint8_t)breaks[kind].flat[0];
        room[size - 1] = (uint8_t)breaks[kind].flat[size - 1];
    }
    layout->column += size;
}

void layout_break_decided(struct layout *layout, enum layout_break kind)
{
    if (layout->flat)
        write_flat_break(layout, kind);
    else
        write_newline(layout, breaks[kind].before, layout->level - breaks[kind].closes,
                      breaks[kind].after);
}

static void write_bytes(struct layout *layout, struct bytes content)
{
    do {
        size_t size = content.size, used, start;

        if (!layout->flat)
            size = literal_bytes_fitting(content, layout->width - layout->column - 1, &used);
        start = layout->out->size;
        buffer_add_byte(layout->out, 'b');
        literal_print_bytes(bytes_part(content, 0, size), layout->out);
        layout->column += layout->out->size - start;
        content = bytes_part(content, size, SIZE_MAX);
        if (content.size)
            write_newline(layout, 0, layout->level, 0);
    } while (content.size);
}

static void write_open(struct layout *layout, bool flat)
{
    if (flat)
        layout->flat++;
    else
        layout->level++;
}

static void write_close(struct layout *layout)
{
    if (layout->flat)
        layout->flat--;
    else
        layout->level--;
}

static bool may_break(const struct layout *layout)
{
    return !layout->flat && layout->level < layout->levels;
}

static bool is_pending(const struct layout *layout)
{
    return layout->count > 0;
}

/* The last column of a line that starts a group at `column`: the width, unless it is exceeded already. */
static size_t last_column(const struct layout *layout, size_t column)
{
    return layout->width > column ? layout->width : column;
}

static NEVER_INLINE bool grow_marks(struct layout *layout)
{
    struct layout_mark *marks =
        array_double(layout->marks, layout->first_marks, &layout->capacity, sizeof *marks);

    if (marks)
        layout->marks = marks;
    else
        layout->out->status = -ENOMEM;
    return marks != NULL;
}

/* Marks what is written next. Once the output failed nothing is written any more, so that a lost mark does no harm. */
static ALWAYS_INLINE void note(struct layout *layout, enum layout_mark_kind kind, unsigned break_kind,
                               uint32_t size, uint32_t columns)
{
    struct layout_mark *mark;

    if (layout->count == layout->capacity && !grow_marks(layout))
        return;
    mark = &layout->marks[layout->count++];
    mark->at = layout->out->size;
    mark->column = layout->column;
    mark->size = size;
    mark->columns = columns;
    mark->kind = (uint8_t)kind;
    mark->break_kind = (uint8_t)break_kind;
}

static void note_group(struct layout *layout, enum layout_mark_kind kind)
{
    note(layout, kind, 0, 0, 0);
}

/* The marks from `first` on, the opening of a group, are pending; or none. */
static void keep_pending(struct layout *layout, size_t first)
{
    layout->count -= first;
    layout->depth = 0;
    layout->most = SIZE_MAX;
    if (!layout->count)
        return;
    memmove(layout->marks, layout->marks + first, layout->count * sizeof *layout->marks);
    layout->most = last_column(layout, layout->marks[0].column);
    for (size_t i = 0; i < layout->count; i++) {
        layout->depth += layout->marks[i].kind == LAYOUT_MARK_OPEN;
        layout->depth -= layout->marks[i].kind == LAYOUT_MARK_CLOSE;
        if (!layout->depth)
            break;
    }
}

/* The index behind the end of the group that the mark `first` opens. */
static size_t behind_group(const struct layout *layout, size_t first)
{
    size_t depth = 0, i = first;

    while (i < layout->count) {
        const struct layout_mark *mark = &layout->marks[i++];

        depth += mark->kind == LAYOUT_MARK_OPEN;
        depth -= mark->kind == LAYOUT_MARK_CLOSE;
        if (!depth)
            break;
    }
    return i;
}

/* The pending group stays on its line, as it was written. What follows may be a group to decide. */
static void stay(struct layout *layout)
{
    size_t i = behind_group(layout, 0);

    for (; i < layout->count; i++) {
        if (layout->marks[i].kind == LAYOUT_MARK_CLOSE)
            write_close(layout);
        else if (may_break(layout))
            break;
        else
            write_open(layout, true);
    }
    keep_pending(layout, i);
}

enum decision { FITS, TOO_WIDE, UNKNOWN };

/*
 * Whether the group that the mark `first` opens fits where the line now is: all of it, and what follows up to the next break,
 * which is one of a group around it or of the next group. `end`: the column behind all that is pending.
 */
static enum decision decide(const struct layout *layout, size_t first, size_t end)
{
    size_t start = layout->marks[first].column;
    size_t room = last_column(layout, layout->column) - layout->column;
    size_t behind = behind_group(layout, first), i = behind;

    while (i < layout->count && layout->marks[i].kind != LAYOUT_MARK_BREAK)
        i++;
    if (i < layout->count) {
        const struct layout_mark *mark = &layout->marks[i];
        size_t columns = mark->column - start + (breaks[mark->break_kind].before != 0);

        return columns > room ? TOO_WIDE : FITS;
    }
    return end - start > room ? TOO_WIDE : UNKNOWN;
}

static void write_mark(struct layout *layout, const struct layout_mark *mark)
{
    if (mark->kind == LAYOUT_MARK_CLOSE)
        write_close(layout);
    else if (mark->kind == LAYOUT_MARK_BREAK)
        layout_break_decided(layout, (enum layout_break)mark->break_kind);
    else if (mark->kind == LAYOUT_MARK_BYTES)
        write_bytes(layout, mark->bytes);
}

/* What stands between the mark and the next one. */
static void write_words_behind(struct layout *layout, struct bytes before, size_t start, size_t i)
{
    const struct layout_mark *mark = &layout->marks[i];
    size_t from = mark->at + mark->size;

    if (i + 1 == layout->count)
        return;
    buffer_add(layout->out, bytes_part(before, from - start, mark[1].at - from));
    layout->column += mark[1].column - mark->column - mark->columns;
}

/* Puts what was laid again in the place of the `size` bytes at `start`. */
static void replace(struct layout *layout, size_t start, size_t size)
{
    struct bytes again = buffer_bytes(&layout->again);
    struct buffer *out = layout->out;
    size_t behind = out->size - start - size;

    if (buffer_status(&layout->again))
        out->status = layout->again.status;
    if (again.size > size)
        buffer_extend(out, again.size - size);
    if (buffer_status(out))
        return;
    memmove(out->data + start + again.size, out->data + start + size, behind);
    if (again.size)
        memcpy(out->data + start, again.data, again.size);
    out->size = start + again.size + behind;
}

/* Writes marks and the words between them; the first group is too wide. Returns the mark of the first undecided group, or their count. */
static size_t lay_decided(struct layout *layout, struct bytes before, size_t end)
{
    size_t start = layout->marks[0].at, i = 0;

    for (; i < layout->count; i++) {
        const struct layout_mark *mark = &layout->marks[i];
        enum decision decision = i == 0 ? TOO_WIDE : FITS;

        if (mark->kind == LAYOUT_MARK_OPEN) {
            if (i && may_break(layout))
                decision = decide(layout, i, end);
            if (decision == UNKNOWN)
                break;
            write_open(layout, decision == FITS);
        }
        write_mark(layout, mark);
        write_words_behind(layout, before, start, i);
    }
    return i;
}

/*
 * The pending group is too wide: breaks it, decides the groups in it, and writes again what stands before the last words.
 * These, which may be long, are moved.
 */
void layout_overflow(struct layout *layout)
{
    const struct layout_mark *first = &layout->marks[0], *last = first + layout->count - 1;
    struct buffer *out = layout->out;
    size_t start = first->at, size = last->at + last->size - start, end = layout->column;
    size_t rest, column = last->column + last->columns, at = start + size;
    struct bytes before;

    if (buffer_status(out))
        return;
    before = bytes_part(buffer_bytes(out), start, size);
    buffer_clear(&layout->again);
    layout->out = &layout->again;
    layout->column = first->column;
    rest = lay_decided(layout, before, end);
    layout->out = out;
    if (rest < layout->count) {
        at = layout->marks[rest].at;
        column = layout->marks[rest].column;
    }
    for (size_t i = rest; i < layout->count; i++) {
        layout->marks[i].at += start + layout->again.size - at;
        layout->marks[i].column += layout->column - column;
    }
    layout->column += end - column;
    buffer_add(&layout->again, bytes_part(before, at - start, SIZE_MAX));
    keep_pending(layout, rest);
    replace(layout, start, size);
}

void layout_open(struct layout *layout)
{
    if (is_pending(layout)) {
        note_group(layout, LAYOUT_MARK_OPEN);
        layout->depth += layout->depth > 0;
    } else if (may_break(layout)) {
        note_group(layout, LAYOUT_MARK_OPEN);
        layout->depth = 1;
        layout->most = last_column(layout, layout->column);
    } else {
        write_open(layout, true);
    }
}

void layout_close(struct layout *layout)
{
    if (is_pending(layout)) {
        note_group(layout, LAYOUT_MARK_CLOSE);
        layout->depth -= layout->depth > 0;
    } else {
        write_close(layout);
    }
}

/* The line may end behind the pending group. */
static NEVER_INLINE void decide_pending(struct layout *layout, enum layout_break kind)
{
    while (is_pending(layout) && !layout->depth && !buffer_status(layout->out)) {
        if (layout->column + (breaks[kind].before != 0) > layout->most)
            layout_overflow(layout);
        else
            stay(layout);
    }
}

void layout_break_pending(struct layout *layout, enum layout_break kind)
{
    if (!layout->depth)
        decide_pending(layout, kind);
    if (!is_pending(layout)) {
        layout_break_decided(layout, kind);
        return;
    }
    note(layout, LAYOUT_MARK_BREAK, kind, breaks[kind].size, breaks[kind].size);
    write_flat_break(layout, kind);
    if (layout->column > layout->most)
        layout_overflow(layout);
}

void layout_bytes(struct layout *layout, struct bytes content)
{
    size_t at = layout->out->size, columns;
    struct layout_mark *mark;

    if (!is_pending(layout)) {
        write_bytes(layout, content);
        return;
    }
    note(layout, LAYOUT_MARK_BYTES, 0, 0, 0);
    if (buffer_status(layout->out))
        return;
    mark = &layout->marks[layout->count - 1];
    mark->bytes = content;
    /* More than a line is too wide, how much doesn't matter; such bytes are not written now. */
    if (literal_bytes_fitting(content, layout->width, &columns) < content.size) {
        columns = layout->width;
    } else {
        buffer_add_byte(layout->out, 'b');
        literal_print_bytes(content, layout->out);
        mark->size = (uint32_t)(layout->out->size - at);
    }
    mark->columns = (uint32_t)columns + 1;
    layout_word_end(layout, mark->columns);
}

int layout_finish(struct layout *layout)
{
    while (is_pending(layout) && !buffer_status(layout->out))
        stay(layout);
    return buffer_status(layout->out);
}
