/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The instructions that make a value of nothing but their argument, without anything that protocols 0 and 1 do in text. */
#ifndef SHELVEFS_PICKLE_LITERAL_H
#define SHELVEFS_PICKLE_LITERAL_H

#include "codecs/pickle_ops.h"
#include "src/bigint.h"
#include "src/value.h"

static inline void pickle_literal_long(struct bytes bytes, struct value *atom)
{
    *atom = (struct value){.kind = VALUE_INT, .role = INTEGER_LONG};
    if (!bigint_to_int64(bytes, &atom->integer))
        *atom = (struct value){.kind = VALUE_BIG_INT, .bytes = bigint_minimal(bytes)};
}

static ALWAYS_INLINE enum value_kind pickle_literal_string_kind(uint8_t code)
{
    switch (code) {
    case PICKLE_BINSTRING:
    case PICKLE_SHORT_BINSTRING:
        return VALUE_STR8;
    case PICKLE_BINBYTES:
    case PICKLE_SHORT_BINBYTES:
    case PICKLE_BINBYTES8:
        return VALUE_BYTES;
    case PICKLE_BYTEARRAY8:
        return VALUE_BYTEARRAY;
    default: /* BINUNICODE, SHORT_BINUNICODE, BINUNICODE8 */
        return VALUE_STR;
    }
}

/*
 * Whether this instruction is such a one, and what it makes: bytes borrow from the input. That text is valid UTF-8 is not
 * checked.
 */
static ALWAYS_INLINE bool pickle_literal(const struct pickle_op *op, enum pickle_family family,
                                         struct value *atom)
{
    switch (op->code) {
    case PICKLE_INT:
    case PICKLE_LONG:
    case PICKLE_FLOAT:
    case PICKLE_STRING:
    case PICKLE_UNICODE:
        return false;
    case PICKLE_NONE:
        *atom = (struct value){.kind = VALUE_NONE};
        return true;
    case PICKLE_NEWFALSE:
        *atom = (struct value){.kind = VALUE_FALSE};
        return true;
    case PICKLE_NEWTRUE:
        *atom = (struct value){.kind = VALUE_TRUE};
        return true;
    case PICKLE_BINFLOAT:
        *atom = (struct value){.kind = VALUE_FLOAT, .bits = op->number};
        return true;
    case PICKLE_LONG1:
    case PICKLE_LONG4:
        pickle_literal_long(op->bytes, atom);
        return true;
    }
    if (family == FAMILY_NUMBER)
        *atom = (struct value){.kind = VALUE_INT, .integer = (int64_t)op->number};
    else if (family == FAMILY_STRING)
        *atom = (struct value){.kind = (uint8_t)pickle_literal_string_kind(op->code),
                               .bytes = op->bytes};
    return family == FAMILY_NUMBER || family == FAMILY_STRING;
}

#endif
