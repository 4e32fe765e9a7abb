/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How classes and functions are named (CPython, Modules/_pickle.c, save_global()). */
#include "codecs/pickle_encoder.h"

#include "src/utf8.h"

/* Whether GLOBAL's lines can hold it; loaders read them as ASCII before protocol 3. */
static bool fits_line(const struct encoder *encoder, struct bytes name)
{
    return name.size && bytes_find_byte(name, '\n') == name.size &&
           (encoder->writer.protocol == 3 ? utf8_valid(name, UTF8_STRICT) : bytes_are_ascii(name));
}

bool encoder_fits_lines(const struct encoder *encoder, const struct value *global)
{
    return encoder->writer.protocol < 4 && pickle_global_is_plain(global) &&
           fits_line(encoder, global->items.at[0]->bytes) &&
           fits_line(encoder, global->items.at[1]->bytes);
}

void encoder_write_lines(struct encoder *encoder, uint8_t opcode, const struct value *global)
{
    encoder_write_op(encoder, opcode);
    pickle_write_line(&encoder->writer, global->items.at[0]->bytes);
    pickle_write_line(&encoder->writer, global->items.at[1]->bytes);
}

/* The saved node that names the same global, which may be `global` itself from now on. */
static struct value *same_global(struct encoder *encoder, struct value *global)
{
    struct value *same = global;

    if (pickle_global_is_plain(global) && !(global->flags & PICKLE_ANONYMOUS))
        same = pickle_globals_add(&encoder->globals, global);
    if (same)
        return same;
    encoder_fail_memory(encoder);
    return global;
}

void encoder_save_global(struct encoder *encoder, struct value *global)
{
    struct value *same = same_global(encoder, global);

    if (encoder_is_memoised(encoder, same)) {
        value_set_mark(encoder->document, global, value_mark(encoder->document, same));
        encoder_get(encoder, global);
        encoder_then_steps(encoder, global);
    } else if (encoder_fits_lines(encoder, global)) {
        encoder_write_lines(encoder, PICKLE_GLOBAL, global);
        encoder_put(encoder, global);
        encoder_then_steps(encoder, global);
    } else {
        encoder_then_finish(encoder, global);
        encoder_then_save(encoder, global, 0);
    }
}
