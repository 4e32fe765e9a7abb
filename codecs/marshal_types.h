/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The type bytes of marshal (CPython, Python/marshal.c). */
#ifndef SHELVEFS_MARSHAL_TYPES_H
#define SHELVEFS_MARSHAL_TYPES_H

#include <stddef.h>
#include <stdint.h>

enum marshal_type {
    MARSHAL_NULL = '0', /* ends a dict */
    MARSHAL_NONE = 'N',
    MARSHAL_FALSE = 'F',
    MARSHAL_TRUE = 'T',
    MARSHAL_STOP_ITERATION = 'S',
    MARSHAL_ELLIPSIS = '.',
    MARSHAL_INT = 'i',
    MARSHAL_INT64 = 'I', /* written by Python 2 only */
    MARSHAL_LONG = 'l',
    MARSHAL_FLOAT = 'f',
    MARSHAL_BINARY_FLOAT = 'g',
    MARSHAL_COMPLEX = 'x',
    MARSHAL_BINARY_COMPLEX = 'y',
    MARSHAL_STRING = 's',       /* Python 2: str, 3: bytes */
    MARSHAL_INTERNED = 't',     /* Python 2: str, 3: str, which is another type */
    MARSHAL_STRING_REF = 'R',   /* Python 2 only */
    MARSHAL_UNICODE = 'u',
    MARSHAL_ASCII = 'a',
    MARSHAL_ASCII_INTERNED = 'A',
    MARSHAL_SHORT_ASCII = 'z',
    MARSHAL_SHORT_ASCII_INTERNED = 'Z',
    MARSHAL_TUPLE = '(',
    MARSHAL_SMALL_TUPLE = ')',
    MARSHAL_LIST = '[',
    MARSHAL_DICT = '{',
    MARSHAL_SET = '<',
    MARSHAL_FROZENSET = '>',
    MARSHAL_SLICE = ':',
    MARSHAL_CODE = 'c',
    MARSHAL_REF = 'r',
    MARSHAL_FLAG_REF = 0x80,
};

enum {
    MARSHAL_DEPTH = 2000, /* MAX_MARSHAL_STACK_DEPTH: objects in one another, a dict's end included */
    MARSHAL_DIGIT_BITS = 15,
    MARSHAL_FLOAT_MAX = 40,
};

/* The text of a float in versions 0 and 1, as '%.17g' in the C locale: its length, or 0 for a nan that it can't tell. */
size_t marshal_print_float(uint64_t bits, char text[MARSHAL_FLOAT_MAX]);

#endif
