/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stored bytes <-> the text of a file.
 *
 * codec_render() makes the text of a value, codec_accept() turns a saved text into the bytes to store. The rules
 * (which of the four forms a value takes, headers, what a save may not do) are those of "Values and text" in the
 * design and live in codec.c alone; what a pickle or an expression is lives behind struct codec_format.
 *
 * Neither sees a key or a store. Both are pure functions of their arguments and may run in any thread.
 */
#ifndef SHELVEFS_CODEC_H
#define SHELVEFS_CODEC_H

#include "src/bytes.h"
#include "src/failure.h"
#include "src/value.h"

enum codec_kind { CODEC_RAW, CODEC_TEXT, CODEC_PICKLE };

/* How values without a header are read and what new ones are: one per mount. */
struct dialect {
    enum codec_kind codec;
    unsigned protocol; /* pickle protocol 0-5 */
    bool python2;      /* str literals are 8-bit strings */
};

/* What a save may do. */
struct codec_rules {
    bool any_globals;  /* globals=any: name classes and functions that the old value did not */
    size_t max_value;  /* largest text and largest stored value, bytes; over it -EFBIG */
};

/* What a rendering is, for the user.shelvefs.* attributes. */
struct codec_note {
    struct dialect dialect; /* the value's own */
    const char *type;       /* "str", "dict", "collections.OrderedDict"-like kinds: a constant: "object" */
};

/* "raw", "text", "pickle"; and back, or -1. */
const char *codec_name(enum codec_kind kind);
int codec_from_name(const char *name);

/* "pickle protocol 4", "pickle protocol 0 (Python 2 str)", "raw": as a header and the status say it. */
void dialect_describe(const struct dialect *dialect, struct buffer *out);

/*
 * The text of `stored`, appended to `text` (whose limit bounds it). Never fails because of what `stored`
 * holds: what can't be shown as a value is shown as raw bytes. -ENOMEM, or -EFBIG when even the raw form
 * exceeds the buffer's limit.
 */
int codec_render(const struct dialect *dialect, struct bytes stored, struct buffer *text,
                 struct codec_note *note);

/*
 * The bytes to store for `text`, appended to `stored`. `old` is the value stored now (NULL: none):
 * a text that means what it means leaves its bytes as they are.
 *
 * -EINVAL  looks like an expression but is none (failure: line and column)
 * -EPERM   names a global that neither the old value names nor the harmless set holds
 * -EFBIG   larger than rules->max_value; -ENOMEM
 * Nothing is appended to `stored` on failure.
 */
int codec_accept(const struct dialect *dialect, const struct codec_rules *rules, struct bytes text,
                 const struct bytes *old, struct buffer *stored, struct failure *failure);

/* Finds a database's dialect from some of its values: start, add up to 64, end. */
struct dialect_sample {
    unsigned values;
    unsigned pickles[6]; /* by protocol */
    unsigned python2;
};
void dialect_sample_add(struct dialect_sample *sample, struct bytes stored);
struct dialect dialect_sample_result(const struct dialect_sample *sample);

#endif
