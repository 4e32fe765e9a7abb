/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One pass over marshalled bytes; shared by the marshal_*.c files only.
 *
 * The first failure sticks, in `status` or in the cursor, and everything after it is without effect.
 */
#ifndef SHELVEFS_MARSHAL_DECODER_H
#define SHELVEFS_MARSHAL_DECODER_H

#include "codecs/code_layout.h"
#include "codecs/cursor.h"
#include "codecs/marshal.h"
#include "codecs/marshal_types.h"

/* Dialects as bits: Python 3's versions 0 to 5, then Python 2's 0 to 2. */
enum {
    PYTHON2_SHIFT = MARSHAL_NEWEST + 1,
    ALL_3 = (1 << PYTHON2_SHIFT) - 1,
    ALL_2 = 7 << PYTHON2_SHIFT,
    ALL = ALL_3 | ALL_2,
    SINCE_2 = (ALL_3 & ~3) | 4 << PYTHON2_SHIFT,
    BEFORE_2 = 3 | 3 << PYTHON2_SHIFT,
    SINCE_3 = ALL_3 & ~7,
    SINCE_4 = ALL_3 & ~15,
    SINCE_5 = 1 << 5,
    BEFORE_4 = 15 | ALL_2, /* Python 2 has nothing newer */
    INTERNING_2 = 6 << PYTHON2_SHIFT,
};

struct frame;

/* A growing array outside of the arena, charged to its limit. */
struct stack {
    struct value **at;
    size_t count, capacity;
};

struct decoder {
    struct cursor cursor;
    struct document *document;
    struct failure *failure;
    bool python2;
    enum code_layout layout;
    struct frame *frames;
    size_t frame_count, frame_capacity;
    struct stack children, refs, strings; /* flagged objects; Python 2's interned strings */
    uint32_t possible;                    /* dialects in which this may have been written */
    unsigned least;                       /* the version that the type bytes need */
    bool flagged, interned, has_code;     /* which of these occurred; `interned`: 't' without flag */
    int status;
};

void decoder_fail(struct decoder *d, size_t offset, const char *why); /* -EINVAL */
void decoder_fail_memory(struct decoder *d, int status);              /* -ENOMEM or -EFBIG */

/* Pushes `value`; false when memory ends. */
bool decoder_remember(struct decoder *d, struct stack *stack, struct value *value);
/*
 * A new object, spelled with the type byte `code` (FLAG_REF: references may name it): complete, or one that its
 * children may already refer to. NULL: no memory.
 */
struct value *decoder_make(struct decoder *d, enum value_kind kind, uint8_t code);
/* A complete object becomes a child of the container that is being read. NULL: nothing. */
void decoder_push(struct decoder *d, struct value *value);

/* Narrows the dialects to those whose writers use the type byte; false: the decoder's own does not read it. */
bool decoder_note_type(struct decoder *d, enum marshal_type type);

/* marshal_leaf.c: each reads what follows the type byte `code` and pushes the object. */
void decoder_read_constant(struct decoder *d, struct value **known, enum value_kind kind);
void decoder_read_int(struct decoder *d, uint8_t code, unsigned size);
void decoder_read_long(struct decoder *d, uint8_t code);
void decoder_read_float(struct decoder *d, uint8_t code, bool binary);
void decoder_read_complex(struct decoder *d, uint8_t code, bool binary);
void decoder_read_bytes(struct decoder *d, uint8_t code);
void decoder_read_unicode(struct decoder *d, uint8_t code);
void decoder_read_ascii(struct decoder *d, uint8_t code, bool is_short);
void decoder_read_interned(struct decoder *d, uint8_t code);

#endif
