/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Marshalled bytes <-> a document (CPython's Python/marshal.c).
 *
 * A dump says neither its version nor whether Python 2 wrote it, and 's' means another type there. The decoder
 * therefore finds all dialects in which some Python may have written exactly these bytes, and takes the database's own
 * if it is one of them.
 */
#ifndef SHELVEFS_MARSHAL_H
#define SHELVEFS_MARSHAL_H

#include "codecs/dialect.h"
#include "src/failure.h"
#include "src/value.h"

/*
 * struct value's flags: the type byte that was read, with FLAG_REF, or 0. The encoder can repeat it: which spelling
 * CPython chose depends on reference counts and interning, which are nobody's intention.
 */

/* A set of dialects: a bit for each. */
uint32_t marshal_dialect_bit(unsigned version, bool python2); /* of MARSHAL_DIALECTS */
/* The likeliest of a set; the newest for an empty one. */
struct dialect marshal_likeliest(uint32_t set);

/*
 * Decodes `stored`, all of it, into an initialised, empty document, which may borrow from `stored`. `prefer` is the
 * database's dialect. Sets protocol, python2 and marshal. `possible` (unless NULL) is the set of dialects that fit.
 * -EINVAL: not what marshal.loads() would read, or bytes are left behind it (failure: offset); -ENOMEM, -EFBIG: the
 * document's limit. After -EINVAL document->globals still has each complete code object of the best try.
 */
int marshal_decode(struct bytes stored, const struct dialect *prefer, struct document *document,
                   uint32_t *possible, struct failure *failure);

/*
 * Appends what marshal.loads() reads as the document's graph, in marshal version document->protocol and for Python 2
 * if document->python2. Exactly the objects that occur again are flagged as such.
 * -EINVAL: marshal can't carry a node (failure says which); -ENOMEM, -EFBIG: the buffer.
 */
int marshal_encode(struct document *document, struct buffer *out, struct failure *failure);
/* The same for a decoded document, each object spelled as it was read: the bytes it was read from. */
int marshal_encode_as_read(struct document *document, struct buffer *out, struct failure *failure);

/*
 * A text file must not become code in somebody's Python. 0, or -EPERM with a sentence if `document` has a code object
 * that `old` (NULL: nothing is stored) does not have with the same content. Both may be what a failed decoding left.
 */
int marshal_check_code(struct document *document, struct document *old, struct failure *failure);

#endif
