/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the parts of the pickle codec share with one another, and with nobody else. */
#ifndef SHELVEFS_PICKLE_INTERNAL_H
#define SHELVEFS_PICKLE_INTERNAL_H

#include "codecs/pickle.h"

/* struct value's flags, set while decoding. */
enum pickle_flag {
    PICKLE_CAPTURED = 1 << 0,  /* an item of something, so changing it later is visible there */
    PICKLE_SHARED = 1 << 1,    /* pushed again by GET or DUP: may have several references */
    PICKLE_MEMOISED = 1 << 2,  /* stored in the memo */
    PICKLE_ANONYMOUS = 1 << 3, /* the encoder must not store it in the memo (pickle_lower.c) */
    PICKLE_TOLD_APART = 1 << 4, /* it was changed, and a trace knows it by a number since */
    PICKLE_SCRATCH = 1 << 5,   /* made by the encoder, which makes another one next time */
    PICKLE_ASCII = 1 << 6,     /* an 8-bit string that was found to be ASCII: it may be asked often */
};

struct pickle_trace;

/* pickle_decode(), which also tells `trace` (unless NULL) what a loader would do, step by step. */
int pickle_run(struct bytes stored, struct document *document, struct pickle_trace *trace,
               struct failure *failure);

/* Called by the decoder, in the order in which a loader would create and change objects. */
void pickle_trace_protocol(struct pickle_trace *trace, uint8_t protocol);
void pickle_trace_created(struct pickle_trace *trace, struct value *value);
void pickle_trace_changed(struct pickle_trace *trace, struct value *value,
                          enum value_step_kind kind, struct value *const *items, size_t count);
void pickle_trace_finished(struct pickle_trace *trace, struct value *root);

/*
 * Why no loader makes an object of this kind (CALL, NEW, NEW_EX, INSTANCE) from these items, or NULL. What names and calls
 * stand for isn't known: only literals in the wrong place are found.
 */
const char *pickle_making_fault(enum value_kind kind, struct value *const *items);

/*
 * Turns the calls by which a low protocol writes bytes, bytearray, set and frozenset back into those. `calls` are all
 * calls of the document, in the order of their creation. Returns 0 or -ENOMEM, -EFBIG.
 */
int pickle_lower(struct document *document, const struct value_list *calls);

#endif
