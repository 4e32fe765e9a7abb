/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stored bytes <-> the text of a file.
 *
 * codec_render() makes the text of a value, codec_accept() turns a saved text into the bytes to store. The rules
 * (which of the five forms a value takes, headers, what a save may not do) live in codec.c and
 * reading.c alone:
 *
 * 1. a str that could not be mistaken for anything else is shown as itself plus a newline (empty: an empty file);
 * 2. any other decoded value is a pickle expression plus a newline;
 * 3. bytes that are not valid UTF-8 and do not start like a header are shown verbatim;
 * 4. a pickle whose order of effects no such expression has is the expression asm(...), its instructions;
 * 5. what is no pickle at all is shown verbatim under the header "# raw".
 *
 * What is written is read the same way: not valid UTF-8 is bytes; what parses is that value; anything else is a
 * str, less one final newline. A header line stands where a value differs from the mount's dialect.
 *
 * Neither sees a key or a store. Both are pure functions of their arguments and may run in any thread.
 */
#ifndef SHELVEFS_CODEC_H
#define SHELVEFS_CODEC_H

#include "codecs/dialect.h"
#include "src/failure.h"

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

/*
 * The text of `stored`, appended to `text` (whose limit bounds it). `note` may be NULL. Never fails because of what `stored`
 * holds: what can't be shown as a value, or only in a text beyond the buffer's limit, is shown as raw bytes.
 * -ENOMEM, or -EFBIG when even the raw form exceeds the limit.
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

/*
 * The same for a view of stored bytes (.shelvefs/raw): takes `bytes` as they are, but a pickle among them may
 * name no more than a save as text may. Code objects in a
 * marshal are checked alike. Where the mount's codec is raw or text, anything goes.
 */
int codec_accept_stored(const struct dialect *dialect, const struct codec_rules *rules,
                        struct bytes bytes, const struct bytes *old, struct failure *failure);

#endif
