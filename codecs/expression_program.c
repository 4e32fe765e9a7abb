/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_printer.h"

#include "codecs/cursor.h"
#include "codecs/pickle_asm.h"

static void print_instruction(struct printer *p, const struct pickle_op *op,
                              struct pickle_operands *operands)
{
    printer_open_group(p, "(");
    printer_literal(p, BYTES(""), bytes_of_string(op->info->name), true);
    for (unsigned i = 0; i < operands->count; i++) {
        printer_break(p, BREAK_NEXT);
        printer_body(p, &operands->at[i]);
    }
    printer_close(p, operands->count ? CLOSE_ROUND : CLOSE_SINGLE);
}

/*
 * A program that does not fit into a line has one instruction a line, as a listing: short ones would share lines in a shorter text,
 * but then a change would move all that follow, in the diffs of backups, too.
 *
 * One that holds bytes longer than a line is held back by the layout only as long as the program lives; numbers and texts
 * are copied at once.
 */
void printer_program(struct printer *p, const struct value *program)
{
    struct cursor cursor = cursor_at(program->bytes, 0);
    struct pickle_operands operands;

    pickle_operands_init(&operands);
    printer_open_group(p, "asm(");
    while (cursor_left(&cursor) && !p->status && !buffer_status(p->layout.out)) {
        struct pickle_op op;

        if (cursor.position)
            printer_break(p, BREAK_NEXT);
        if (pickle_read_op(&cursor, &op))
            break; /* not a program, which was decoded */
        p->status = pickle_operands_read(&operands, &op, p->document->python2);
        if (!p->status)
            print_instruction(p, &op, &operands);
    }
    printer_close(p, CLOSE_ROUND);
    pickle_operands_release(&operands);
}
