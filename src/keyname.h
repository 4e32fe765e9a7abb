/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Key <-> file name, a bijection: one key, one name, both ways.
 *
 * A name is the key's bytes, except: '/', NUL, control bytes (01-1F, 7F) and bytes that are not valid UTF-8 are
 * %XX with two upper-case hexadecimal digits; '%' is %25 where two hexadecimal digits (of either case) follow it
 * in the key, or "+" and the end, else itself; the key "." is %2E, ".." is "%2E.", the empty key is "%", the key
 * "%" is %25; ".shelvefs" is %2Eshelvefs. A name that no key encodes to is not canonical and names nothing.
 *
 * So no name of a whole key ends in "%+": that suffix marks the directories into which long names are folded.
 */
#ifndef SHELVEFS_KEYNAME_H
#define SHELVEFS_KEYNAME_H

#include "src/bytes.h"

enum {
    KEYNAME_MAX = 240, /* bytes; a longer name is not representable as one component */
};

/* Appends the name; -ENAMETOOLONG if it exceeds KEYNAME_MAX (nothing appended), -ENOMEM. */
int keyname_encode(struct bytes key, struct buffer *name);
/* Appends the key; -ENOENT if the name is not canonical (nothing appended), -ENOMEM. */
int keyname_decode(struct bytes name, struct buffer *key);

#endif
