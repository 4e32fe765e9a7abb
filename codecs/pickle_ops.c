/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_ops.h"

const struct pickle_opcode_info pickle_opcodes[256] = {
#define X(name, byte, argument, protocol, family)                                                  \
    [byte] = {#name, ARGUMENT_##argument, protocol, FAMILY_##family},
    PICKLE_OPCODES(X)
#undef X
};

#define X(name, byte, argument, protocol, family) +1
_Static_assert(PICKLE_OPCODES(X) == 68, "protocols 0 to 5 have 68 opcodes");
#undef X

const char *pickle_read_op(struct cursor *cursor, struct pickle_op *op)
{
    const char *problem = pickle_read_opcode(cursor, op);

    return problem ? problem : pickle_read_argument(cursor, op, (enum pickle_argument)op->info->argument);
}
