/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key <-> path of a file, a bijection: one key, one path, both ways.
 *
 * A key's *flat name* is its bytes, except: '/', NUL, control bytes (01-1F, 7F) and bytes that are not valid
 * UTF-8 are %XX with two upper-case hexadecimal digits; '%' is %25 where two hexadecimal digits (of either case)
 * follow it in the key, or "+" and the end, else itself; the key "." is %2E, ".." is "%2E.", the empty key is "%",
 * the key "%" is %25; ".shelvefs" is %2Eshelvefs.
 *
 * A flat name of at most KEYNAME_MAX bytes is the path. A longer one is *folded*: cut into pieces of as many bytes
 * as fit into KEYNAME_PIECE_MAX, never inside an escape or a character. Every piece but the last one gets the suffix
 * "%+" and is a directory. A last piece "." or ".." is written as the key of these bytes would be.
 *
 * No path of a whole key ends in "%+", so a name tells whether it is a directory's.
 *
 * With KEYNAME_NUL_HIDDEN, for databases of C programs that count the NUL of a string as part of the key: a key
 * that ends in NUL has the path of the key without that NUL. Any other key has a flat name that ends in "%-", which
 * belongs to the name and is not cut. The '%' of a key that ends in "%-" before that is %25.
 *
 * A path that no key encodes to is not canonical and names nothing.
 */
#ifndef SHELVEFS_KEYNAME_H
#define SHELVEFS_KEYNAME_H

#include "src/bytes.h"

enum {
    KEYNAME_MAX = 240,       /* bytes of a component, suffix included */
    KEYNAME_PIECE_MAX = 238, /* bytes of a piece, without its suffix */
};

enum keyname_style {
    KEYNAME_EXACT,
    KEYNAME_NUL_HIDDEN,
};

/* Appends the path, components separated by '/'. -ENOMEM, or -EFBIG (the buffer's limit). */
int keyname_encode(enum keyname_style style, struct bytes key, struct buffer *path);
/* Appends the key; -ENOENT if the path is not canonical (nothing appended), -ENOMEM, -EFBIG. */
int keyname_decode(enum keyname_style style, struct bytes path, struct buffer *key);

/* Whether the path of a key of this size may have more than one component. */
bool keyname_may_fold(size_t key_size);
/* Whether the name is a directory's by its suffix. */
bool keyname_is_fold(struct bytes name);
/*
 * Whether `name` can follow `parent` as a directory in the path of some key. `parent` is the directory before it, which
 * can be one itself; empty: none. 1, 0 or negative errno.
 */
int keyname_can_fold(enum keyname_style style, struct bytes parent, struct bytes name);

#endif
