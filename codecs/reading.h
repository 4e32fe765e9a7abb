/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A value as it was found or is about to be stored: what codec.c compares and prints, and nobody else includes. A reading is made of
 * stored bytes or of a saved text; it borrows from both and must stay where it is. It is to be released also after a failure.
 */
#ifndef SHELVEFS_READING_H
#define SHELVEFS_READING_H

#include "codecs/dialect.h"
#include "src/failure.h"
#include "src/value.h"

enum { READING_ROOM = 4096 }; /* bytes that the graph of a small value takes at most */

struct reading {
    struct document document;
    struct dialect dialect;
    bool decoded; /* else only document.globals means anything */
    uint64_t room[READING_ROOM / sizeof(uint64_t)];
};

/* Whether values of the codec have a text; else bytes are shown as they are. */
bool codec_has_values(enum codec_kind kind);

/* -ENOMEM or 0; whether it could be decoded is in `reading`. For a mount whose codec has values. */
int reading_of_stored(struct bytes stored, const struct dialect *mount, struct reading *reading);
/*
 * `body` is `text` without its header line; `strict`: what looks like an expression must be one. -EINVAL (the failure's line and column
 * are the text's), -EFBIG, -ENOMEM.
 */
int reading_of_text(struct bytes text, struct bytes body, struct dialect dialect, bool strict,
                    struct reading *reading, struct failure *failure);
void reading_release(struct reading *reading);

/* Whether a saved text would be taken for an expression, also where that takes more than it may: 1, 0 or -ENOMEM. */
int reading_is_expression(struct bytes text, struct dialect dialect);
/* Appends the bytes to store. 0, or what the encoder says. */
int reading_write(struct reading *reading, struct buffer *stored, struct failure *failure);

/* A text without the newline that a file ends with, if it does. */
static inline struct bytes text_less_newline(struct bytes text)
{
    if (bytes_end_with(text, BYTES("\n")))
        text.size--;
    return text;
}

#endif
