/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Line breaking: a stream of words, groups and breaks becomes lines of at most `width` columns.
 *
 * A group stays on its line if all of it, and what follows up to the next place where a line may
 * end, fits; else each of its own breaks starts a line, four columns further in. Groups inside
 * decide for themselves. A group that would be indented by more than LAYOUT_LEVELS levels stays on
 * its line whatever its length, so that text is linear in its content however deep it nests.
 *
 * Memory beside the output is bounded by the width: only what follows an undecided group, one line of it, is laid
 * twice. Time is linear. Columns are code points.
 */
#ifndef SHELVEFS_LAYOUT_H
#define SHELVEFS_LAYOUT_H

#include "src/utf8.h"

enum { LAYOUT_INDENT = 4, LAYOUT_LEVELS = 16 };

enum layout_break {
    BREAK_FIRST,      /* behind an opening bracket */
    BREAK_NEXT,       /* between items: ", " or ",\n" */
    BREAK_LAST,       /* before a closing bracket: "" or ",\n" */
    BREAK_LAST_COMMA, /* the same where one item needs its comma: "," or ",\n" */
    BREAK_LAST_BARE,  /* the same without a comma: "" or "\n" */
    BREAK_OPEN,       /* a parenthesis that is only there if the group breaks: "" or "(\n" */
    BREAK_CLOSE,      /* "" or "\n)" */
};

enum layout_mark_kind { LAYOUT_MARK_OPEN, LAYOUT_MARK_CLOSE, LAYOUT_MARK_BREAK, LAYOUT_MARK_BYTES };

/* Something in the pending part of the output, where it stands when it stays on its line. */
struct layout_mark {
    size_t at;          /* its offset in the output */
    size_t column;      /* before it */
    uint32_t size;      /* of its text in the output, bytes */
    uint32_t columns;   /* of its text */
    uint8_t kind;       /* enum layout_mark_kind */
    uint8_t break_kind; /* enum layout_break, of a LAYOUT_MARK_BREAK */
    struct bytes bytes; /* of a LAYOUT_MARK_BYTES, else unset: its literal may need several lines */
};

struct layout {
    struct buffer *out;
    size_t width;
    size_t column;
    unsigned levels; /* how many groups in one another may be broken: LAYOUT_LEVELS, or fewer */
    unsigned level; /* open groups that were broken */
    unsigned flat;  /* open groups inside of them that stay on the line */
    /* Places since the opening of a group that is not decided yet: what is behind it is written as if it stayed on its line. */
    struct layout_mark *marks;
    size_t count, capacity;
    size_t depth;        /* open groups from the undecided one on; 0: it is closed */
    size_t most;         /* the column beyond which it is too wide; SIZE_MAX: there is none */
    struct buffer again; /* scratch of one line */
    size_t word;         /* where the word that is being written starts */
    struct layout_mark first_marks[16]; /* so it must stay where it is */
};

void layout_init(struct layout *layout, struct buffer *out, size_t width);
void layout_release(struct layout *layout);

/* The line got longer than layout->most. */
void layout_overflow(struct layout *layout);

/* A word, which is never broken, is appended to the returned buffer between these two. */
static inline struct buffer *layout_word(struct layout *layout)
{
    layout->word = layout->out->size;
    return layout->out;
}
static inline void layout_word_end(struct layout *layout, size_t columns)
{
    layout->column += columns;
    if (layout->column > layout->most)
        layout_overflow(layout);
}
/* The same for a word of ASCII: its columns are its bytes. */
static inline void layout_ascii_end(struct layout *layout)
{
    layout_word_end(layout, layout->out->size - layout->word);
}
static inline void layout_add_bytes(struct layout *layout, struct bytes ascii)
{
    buffer_add(layout->out, ascii);
    layout_word_end(layout, ascii.size);
}
static inline void layout_add(struct layout *layout, const char *ascii)
{
    layout_add_bytes(layout, bytes_of_string(ascii));
}

void layout_open(struct layout *layout);
void layout_close(struct layout *layout);
/* layout_break() inside of, or behind, a group that is not decided. */
void layout_break_pending(struct layout *layout, enum layout_break kind);
/* ... where the line may really end, or may not. */
void layout_break_decided(struct layout *layout, enum layout_break kind);
static inline void layout_break(struct layout *layout, enum layout_break kind)
{
    if (layout->count)
        layout_break_pending(layout, kind);
    else
        layout_break_decided(layout, kind);
}
/* A bytes literal, on several lines if the group is broken. Borrowed until the layout is finished. */
void layout_bytes(struct layout *layout, struct bytes content);

/* Decides what is open. 0, -ENOMEM or -EFBIG (the buffer's limit). */
int layout_finish(struct layout *layout);

#endif
