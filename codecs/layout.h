/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Line breaking: a stream of words, groups and breaks becomes lines of at most `width` columns.
 *
 * A group stays on its line if all of it, and what follows up to the next place where a line may
 * end, fits; else each of its own breaks starts a line, four columns further in. Groups inside
 * decide for themselves. A group that would be indented by more than LAYOUT_LEVELS levels stays on
 * its line whatever its length, so that text is linear in its content however deep it nests.
 *
 * Memory is bounded by the width: only what follows an undecided group, one line of it, is held
 * back. Time is linear. Columns are code points.
 */
#ifndef SHELVEFS_LAYOUT_H
#define SHELVEFS_LAYOUT_H

#include "src/bytes.h"

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

struct layout_token;

struct layout {
    struct buffer *out;
    size_t width;
    size_t column;
    unsigned level; /* open groups that were broken */
    unsigned flat;  /* open groups inside of them that stay on the line */
    /* What follows a group that is not decided yet. */
    struct layout_token *tokens;
    size_t first, count, capacity;
    struct buffer held; /* the tokens' words */
    size_t held_first;
    /* How far the search for the end of the undecided group got. */
    size_t seen, seen_width;
    size_t seen_depth;
    size_t word; /* where the word that is being written starts */
};

void layout_init(struct layout *layout, struct buffer *out, size_t width);
void layout_release(struct layout *layout);

/* A word, which is never broken, is appended to the returned buffer between these two. */
struct buffer *layout_word(struct layout *layout);
void layout_word_end(struct layout *layout);
void layout_add(struct layout *layout, const char *word);

void layout_open(struct layout *layout);
void layout_close(struct layout *layout);
void layout_break(struct layout *layout, enum layout_break kind);
/*
 * A bytes literal, on several lines if the group is broken. Borrowed until the layout is finished.
 */
void layout_bytes(struct layout *layout, struct bytes content);

/* Writes what is held back. 0, -ENOMEM or -EFBIG (the buffer's limit). */
int layout_finish(struct layout *layout);

#endif
