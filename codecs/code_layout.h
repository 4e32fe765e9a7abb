/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The fields of a code object, as Python's versions marshal them. A dump doesn't say which layout it
 * has. A code object's node has one item for each field, in this order; numbers are VALUE_INT.
 */
#ifndef SHELVEFS_CODE_LAYOUT_H
#define SHELVEFS_CODE_LAYOUT_H

#include "src/value.h"

enum code_layout {
    CODE_2,    /* 2.3 to 2.7 */
    CODE_3_0,  /* 3.0 to 3.7 */
    CODE_3_8,  /* 3.8 to 3.10; 3.10 calls lnotab linetable */
    CODE_3_11, /* from 3.11 on */
    CODE_LAYOUTS,
};

enum code_field_kind {
    CODE_NUMBER, /* 32 bits, signed */
    CODE_BYTES,  /* Python 2: its 8-bit string */
    CODE_TEXT,   /* the same in Python 2 */
    CODE_TUPLE,
};

struct code_field {
    const char *name; /* the attribute's, without co_ */
    enum code_field_kind kind;
};

enum { CODE_FIELDS_MOST = 16 };

const struct code_field *code_fields(enum code_layout layout, uint32_t *count);
/* Whether CPython takes `value` for the field. */
bool code_field_accepts(enum code_layout layout, const struct code_field *field,
                        const struct value *value);

#endif
