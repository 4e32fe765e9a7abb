/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A document <-> a pickle expression: one Python expression that names what a loader would call.
 * Always valid for ast.parse(text, mode='eval') on Python 3.8 and later, and for
 * ast.literal_eval when it is built of literals.
 */
#ifndef SHELVEFS_EXPRESSION_H
#define SHELVEFS_EXPRESSION_H

#include "src/failure.h"
#include "src/value.h"

enum { EXPRESSION_WIDTH = 79 };

/*
 * Appends the expression without a final newline. The text is canonical: equal graphs print
 * equally. Uses document->protocol, document->python2 and document->flat. -ENOMEM, -EFBIG (the buffer's limit).
 */
int expression_print(struct document *document, struct buffer *text);

/*
 * Parses `text` (UTF-8; comments and blank lines allowed) into an initialised, empty document
 * whose protocol and python2 the caller has set. Strings of at most EXPRESSION_LONG bytes
 * (expression_words.h) with equal content become one node, since text can't tell them apart; of
 * longer ones only those that are named, as they were printed. The document may borrow from
 * `text`. -EINVAL with "line 3, column 14: expected ...": failure->offset is where. Columns count
 * code points from 1. -EBADMSG: an asm(...) with an instruction that there isn't.
 */
int expression_parse(struct bytes text, struct document *document, struct failure *failure);

#endif
