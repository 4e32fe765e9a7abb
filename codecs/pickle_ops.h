/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The 68 opcodes of pickle protocols 0 to 5 and their arguments (CPython, Lib/pickletools.py).
 */
#ifndef SHELVEFS_PICKLE_OPS_H
#define SHELVEFS_PICKLE_OPS_H

#include "codecs/cursor.h"

/* What follows the opcode's byte; integers are little-endian unless said. */
enum pickle_argument {
    ARGUMENT_NONE,
    ARGUMENT_U8,     /* .number */
    ARGUMENT_U16,    /* .number */
    ARGUMENT_I32,    /* .number, sign-extended */
    ARGUMENT_U32,    /* .number */
    ARGUMENT_U64,    /* .number */
    ARGUMENT_FLOAT,  /* .number, .bytes: 8 bytes, big-endian */
    ARGUMENT_LINE,   /* .bytes, without '\n' */
    ARGUMENT_LINES,  /* .bytes and .second: two lines */
    ARGUMENT_BYTES1, /* .bytes after their count in one byte */
    ARGUMENT_BYTES4, /* ... in four, unsigned */
    ARGUMENT_BYTES8, /* ... in eight */
    ARGUMENT_LONG4,  /* ... in four, signed: negative is an error */
};

/* What an instruction is about. */
enum pickle_family {
    FAMILY_MACHINE, /* stack, marks, frames, PROTO, STOP */
    FAMILY_MEMO,
    FAMILY_CONSTANT,
    FAMILY_NUMBER,
    FAMILY_STRING,
    FAMILY_CONTAINER,
    FAMILY_CHANGE,   /* of what is on the stack */
    FAMILY_OBJECT,   /* what a loader looks up or calls */
    FAMILY_EXTERNAL, /* what comes from outside the pickle */
};

/* name, byte, argument, protocol that introduced it, family */
#define PICKLE_OPCODES(X)                                                                          \
    X(MARK, '(', NONE, 0, MACHINE)                                                                 \
    X(STOP, '.', NONE, 0, MACHINE)                                                                 \
    X(POP, '0', NONE, 0, MACHINE)                                                                  \
    X(DUP, '2', NONE, 0, MACHINE)                                                                  \
    X(FLOAT, 'F', LINE, 0, NUMBER)                                                                 \
    X(INT, 'I', LINE, 0, NUMBER)                                                                   \
    X(LONG, 'L', LINE, 0, NUMBER)                                                                  \
    X(NONE, 'N', NONE, 0, CONSTANT)                                                                \
    X(PERSID, 'P', LINE, 0, EXTERNAL)                                                              \
    X(REDUCE, 'R', NONE, 0, OBJECT)                                                                \
    X(STRING, 'S', LINE, 0, STRING)                                                                \
    X(UNICODE, 'V', LINE, 0, STRING)                                                               \
    X(APPEND, 'a', NONE, 0, CHANGE)                                                                \
    X(BUILD, 'b', NONE, 0, CHANGE)                                                                 \
    X(GLOBAL, 'c', LINES, 0, OBJECT)                                                               \
    X(DICT, 'd', NONE, 0, CONTAINER)                                                               \
    X(GET, 'g', LINE, 0, MEMO)                                                                     \
    X(INST, 'i', LINES, 0, OBJECT)                                                                 \
    X(LIST, 'l', NONE, 0, CONTAINER)                                                               \
    X(PUT, 'p', LINE, 0, MEMO)                                                                     \
    X(SETITEM, 's', NONE, 0, CHANGE)                                                               \
    X(TUPLE, 't', NONE, 0, CONTAINER)                                                              \
    X(POP_MARK, '1', NONE, 1, MACHINE)                                                             \
    X(BINFLOAT, 'G', FLOAT, 1, NUMBER)                                                             \
    X(BININT, 'J', I32, 1, NUMBER)                                                                 \
    X(BININT1, 'K', U8, 1, NUMBER)                                                                 \
    X(BININT2, 'M', U16, 1, NUMBER)                                                                \
    X(BINPERSID, 'Q', NONE, 1, EXTERNAL)                                                           \
    X(BINSTRING, 'T', BYTES4, 1, STRING)                                                           \
    X(SHORT_BINSTRING, 'U', BYTES1, 1, STRING)                                                     \
    X(BINUNICODE, 'X', BYTES4, 1, STRING)                                                          \
    X(EMPTY_LIST, ']', NONE, 1, CONTAINER)                                                         \
    X(APPENDS, 'e', NONE, 1, CHANGE)                                                               \
    X(BINGET, 'h', U8, 1, MEMO)                                                                    \
    X(LONG_BINGET, 'j', U32, 1, MEMO)                                                              \
    X(OBJ, 'o', NONE, 1, OBJECT)                                                                   \
    X(BINPUT, 'q', U8, 1, MEMO)                                                                    \
    X(LONG_BINPUT, 'r', U32, 1, MEMO)                                                              \
    X(SETITEMS, 'u', NONE, 1, CHANGE)                                                              \
    X(EMPTY_DICT, '}', NONE, 1, CONTAINER)                                                         \
    X(EMPTY_TUPLE, ')', NONE, 1, CONTAINER)                                                        \
    X(PROTO, 0x80, U8, 2, MACHINE)                                                                 \
    X(NEWOBJ, 0x81, NONE, 2, OBJECT)                                                               \
    X(EXT1, 0x82, U8, 2, OBJECT)                                                                   \
    X(EXT2, 0x83, U16, 2, OBJECT)                                                                  \
    X(EXT4, 0x84, I32, 2, OBJECT)                                                                  \
    X(TUPLE1, 0x85, NONE, 2, CONTAINER)                                                            \
    X(TUPLE2, 0x86, NONE, 2, CONTAINER)                                                            \
    X(TUPLE3, 0x87, NONE, 2, CONTAINER)                                                            \
    X(NEWTRUE, 0x88, NONE, 2, CONSTANT)                                                            \
    X(NEWFALSE, 0x89, NONE, 2, CONSTANT)                                                           \
    X(LONG1, 0x8A, BYTES1, 2, NUMBER)                                                              \
    X(LONG4, 0x8B, LONG4, 2, NUMBER)                                                               \
    X(BINBYTES, 'B', BYTES4, 3, STRING)                                                            \
    X(SHORT_BINBYTES, 'C', BYTES1, 3, STRING)                                                      \
    X(SHORT_BINUNICODE, 0x8C, BYTES1, 4, STRING)                                                   \
    X(BINUNICODE8, 0x8D, BYTES8, 4, STRING)                                                        \
    X(BINBYTES8, 0x8E, BYTES8, 4, STRING)                                                          \
    X(EMPTY_SET, 0x8F, NONE, 4, CONTAINER)                                                         \
    X(ADDITEMS, 0x90, NONE, 4, CHANGE)                                                             \
    X(FROZENSET, 0x91, NONE, 4, CONTAINER)                                                         \
    X(NEWOBJ_EX, 0x92, NONE, 4, OBJECT)                                                            \
    X(STACK_GLOBAL, 0x93, NONE, 4, OBJECT)                                                         \
    X(MEMOIZE, 0x94, NONE, 4, MEMO)                                                                \
    X(FRAME, 0x95, U64, 4, MACHINE)                                                                \
    X(BYTEARRAY8, 0x96, BYTES8, 5, STRING)                                                         \
    X(NEXT_BUFFER, 0x97, NONE, 5, EXTERNAL)                                                        \
    X(READONLY_BUFFER, 0x98, NONE, 5, EXTERNAL)

enum pickle_opcode {
#define X(name, byte, argument, protocol, family) PICKLE_##name = byte,
    PICKLE_OPCODES(X)
#undef X
};

enum { PICKLE_PROTOCOLS = 6 };

struct pickle_opcode_info {
    const char *name; /* "BININT1"; NULL: no opcode has this byte */
    uint8_t argument; /* enum pickle_argument */
    uint8_t protocol;
    uint8_t family; /* enum pickle_family */
};

/* One instruction; the slices borrow from the cursor's input. */
struct pickle_op {
    const struct pickle_opcode_info *info;
    size_t offset; /* of the opcode's byte */
    uint8_t code;  /* enum pickle_opcode */
    uint64_t number;
    struct bytes bytes, second;
};

extern const struct pickle_opcode_info pickle_opcodes[256];
static inline const struct pickle_opcode_info *pickle_opcode_info(uint8_t byte)
{
    return &pickle_opcodes[byte];
}
/*
 * Reads the next instruction. NULL, or the constant sentence that says what is wrong with it: the input ends
 * inside, no such opcode, a negative count. The cursor then stands anywhere.
 */
const char *pickle_read_op(struct cursor *cursor, struct pickle_op *op);

/* Its two halves, for the decoder's loop. The opcode alone: */
static inline const char *pickle_read_opcode(struct cursor *cursor, struct pickle_op *op)
{
    op->offset = cursor->position;
    op->code = cursor_byte(cursor);
    op->info = &pickle_opcodes[op->code];
    if (cursor->failed)
        return "the pickle ends without STOP";
    return op->info->name ? NULL : "no such opcode";
}
/* And its argument, of which the decoder knows the kind when it is compiled. */
static ALWAYS_INLINE const char *pickle_read_argument(struct cursor *cursor, struct pickle_op *op,
                                                      enum pickle_argument argument)
{
    switch (argument) {
    case ARGUMENT_NONE:
        return NULL;
    case ARGUMENT_U8:
        op->number = cursor_byte(cursor);
        break;
    case ARGUMENT_U16:
        op->number = cursor_little(cursor, 2);
        break;
    case ARGUMENT_I32:
        op->number = (uint64_t)(int64_t)(int32_t)(uint32_t)cursor_little(cursor, 4);
        break;
    case ARGUMENT_U32:
        op->number = cursor_little(cursor, 4);
        break;
    case ARGUMENT_U64:
        op->number = cursor_little(cursor, 8);
        break;
    case ARGUMENT_FLOAT:
        op->number = cursor_big(cursor, 8);
        op->bytes = bytes_part(cursor->input, op->offset + 1, 8);
        break;
    case ARGUMENT_LINE:
        op->bytes = cursor_line(cursor);
        break;
    case ARGUMENT_LINES:
        op->bytes = cursor_line(cursor);
        op->second = cursor_line(cursor);
        break;
    case ARGUMENT_BYTES1:
        op->bytes = cursor_take(cursor, cursor_byte(cursor));
        break;
    case ARGUMENT_BYTES4:
    case ARGUMENT_LONG4:
        op->number = cursor_little(cursor, 4);
        op->bytes = cursor_take(cursor, op->number);
        break;
    case ARGUMENT_BYTES8:
        op->bytes = cursor_take(cursor, cursor_little(cursor, 8));
        break;
    }    if (argument == ARGUMENT_LONG4 && op->number > INT32_MAX)
        return "LONG4 has a negative count";
    return cursor->failed ? "the pickle ends inside an argument" : NULL;
}

#endif
