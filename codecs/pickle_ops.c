/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_ops.h"

static const struct pickle_opcode_info opcodes[256] = {
#define X(name, byte, argument, protocol, family)                                                  \
    [byte] = {#name, ARGUMENT_##argument, protocol, FAMILY_##family},
    PICKLE_OPCODES(X)
#undef X
};

#define X(name, byte, argument, protocol, family) +1
_Static_assert(PICKLE_OPCODES(X) == 68, "protocols 0 to 5 have 68 opcodes");
#undef X

const struct pickle_opcode_info *pickle_opcode_info(uint8_t byte)
{
    return &opcodes[byte];
}

static void read_argument(struct cursor *cursor, struct pickle_op *op)
{
    switch ((enum pickle_argument)op->info->argument) {
    case ARGUMENT_NONE:
        break;
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
    }
}

const char *pickle_read_op(struct cursor *cursor, struct pickle_op *op)
{
    op->offset = cursor->position;
    op->code = cursor_byte(cursor);
    op->info = &opcodes[op->code];
    if (cursor->failed)
        return "the pickle ends without STOP";
    if (!op->info->name)
        return "no such opcode";
    read_argument(cursor, op);
    if (op->info->argument == ARGUMENT_LONG4 && op->number > INT32_MAX)
        return "LONG4 has a negative count";
    return cursor->failed ? "the pickle ends inside an argument" : NULL;
}
