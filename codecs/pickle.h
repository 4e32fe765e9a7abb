/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pickle bytes <-> a document. Nothing is executed, imported or looked up.
 *
 * Semantics are those of CPython's Modules/_pickle.c, not of pickle.py.
 */
#ifndef SHELVEFS_PICKLE_H
#define SHELVEFS_PICKLE_H

#include "src/failure.h"
#include "src/value.h"

/*
 * Decodes the first pickle of `stored` into an initialised, empty document, which may borrow from `stored`.
 * Bytes after STOP become document->rest. -EINVAL: not a pickle that CPython would accept (failure: offset);
 * -ENOTSUP: a pickle that this version cannot show faithfully; -ENOMEM, -EFBIG: the document's limit.
 */
int pickle_decode(struct bytes stored, struct document *document, struct failure *failure);

/* Whether `stored` is plausibly a pickle, and its protocol, without decoding it: cheap, no allocation. */
bool pickle_sniff(struct bytes stored);

/*
 * Appends what CPython's C pickler (3.8 to 3.14) writes for the document's graph in `protocol`, with
 * document->effects before the root and document->rest after STOP. With document->python2, what
 * CPython 2.7's cPickle writes in protocols up to 2 (pickle_python2.h has what it can't know). A program as it is.
 * -EINVAL: the protocol can't carry a node (failure says which); -ENOMEM, -EFBIG: the buffer.
 */
int pickle_encode(struct document *document, unsigned protocol, struct buffer *out,
                  struct failure *failure);

/*
 * Whether re-encoding the document makes the effects that `stored` makes, in the same order: only then may
 * the value be shown as an expression. Cheap for what picklers write: programs without
 * late mutation are faithful by construction. 1, 0, or negative errno.
 */
int pickle_faithful(struct bytes stored, struct document *document);

#endif
