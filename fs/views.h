/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directories of a mount and, for those that show keys, how stored bytes become file bytes and back.
 *
 * A view is one entry of the table in views.c: its directory below .shelvefs/ and its two functions. All
 * views show the same keys under the same names.
 */
#ifndef SHELVEFS_VIEWS_H
#define SHELVEFS_VIEWS_H

#include "codecs/codec.h"

struct view {
    /* The contracts of codec_render() and codec_accept(). */
    int (*render)(const struct dialect *dialect, struct bytes stored, struct buffer *text,
                  struct codec_note *note);
    /* NULL: nothing in this directory can be changed, made or removed. */
    int (*accept)(const struct dialect *dialect, const struct codec_rules *rules, struct bytes text,
                  const struct bytes *old, struct buffer *stored, struct failure *failure);
};

enum directory_number {
    DIRECTORY_ROOT,
    DIRECTORY_CONTROL,
    DIRECTORY_REJECTED,
    DIRECTORY_RAW,
    DIRECTORY_DIS,
    DIRECTORY_COUNT
};

struct directory {
    const char *name; /* in its parent */
    const char
        *path; /* from the root, "" for the root itself: goes into node ids, never change it */
    enum directory_number parent;
    const struct view *view; /* NULL: no keys in here */
};

extern const struct directory directories[DIRECTORY_COUNT];

static inline bool directory_accepts(enum directory_number home)
{
    return directories[home].view && directories[home].view->accept;
}

#endif
