/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Instructions of a pickle <-> the literals in asm(('PROTO', 4), ('BININT1', 5), ...).
 *
 * An operand is a number or a str where that literal gives the very bytes of the argument, else b'...' with the argument's
 * bytes: a line without its end, what stands behind a length, or the eight bytes of a float.
 */
#ifndef SHELVEFS_PICKLE_ASM_H
#define SHELVEFS_PICKLE_ASM_H

#include "codecs/pickle_ops.h"
#include "src/failure.h"
#include "src/value.h"

enum { PICKLE_OPERANDS = 2 };

/* The operands of one instruction; what they borrow lives in the input and in the scratch buffers. */
struct pickle_operands {
    struct value at[PICKLE_OPERANDS];
    unsigned count;
    struct buffer content; /* what a text meant */
    struct buffer written; /* an instruction made of the operands, to be compared */
};

void pickle_operands_init(struct pickle_operands *operands);
void pickle_operands_release(struct pickle_operands *operands);
/* 0 or -ENOMEM. `python2`: a plain str literal is an 8-bit string, so that a text beyond ASCII is written u'...'. */
int pickle_operands_read(struct pickle_operands *operands, const struct pickle_op *op, bool python2);

/*
 * Appends the instruction of this name with these operands. Returns NULL, or the constant sentence that says what it
 * expects. The buffer's status is the caller's to check.
 */
const char *pickle_assemble(struct bytes name, struct value *const *operands, size_t count,
                            struct buffer *out);

/*
 * Checks document->root, a VALUE_PROGRAM that was assembled, by decoding it: the document's protocol, python2 and globals become
 * those of the program. -EBADMSG: it is no pickle; -ENOMEM, -EFBIG.
 */
int pickle_program_check(struct document *document, struct failure *failure);
/* Makes a decoded document the program that it was decoded from; keeps its globals. 0 or a negative errno. */
int pickle_program_of(struct bytes stored, struct document *document);

#endif
