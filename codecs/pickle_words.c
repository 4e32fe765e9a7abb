/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_words.h"

#include "codecs/globals.h"
#include "codecs/literal.h"
#include "src/bigint.h"
#include "src/floattext.h"
#include "src/utf8.h"

#include <inttypes.h>

enum { SHOWN = 48 }; /* bytes of a long argument */

static bool is_graphic(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7F)
            return false;
    return text.size > 0;
}

/* The first bytes, not ending inside of a character. */
static struct bytes first_part(struct bytes content, bool text)
{
    size_t size = SHOWN;

    if (content.size <= SHOWN)
        return content;
    while (text && size > SHOWN - 4 && (content.data[size] & 0xC0) == 0x80)
        size--;
    return bytes_part(content, 0, size);
}

static void add_size(struct bytes whole, struct bytes shown, struct buffer *out)
{
    if (shown.size < whole.size)
        buffer_printf(out, "... (%zu bytes)", whole.size);
}

/* What is known to be text: an argument may be long, and be on the stack again and again. */
static void add_valid_text(struct bytes content, struct buffer *out)
{
    struct bytes shown = first_part(content, true);

    literal_print_text(shown, out);
    add_size(content, shown, out);
}

static void add_bytes(struct bytes content, struct buffer *out)
{
    struct bytes shown = first_part(content, false);

    buffer_add_byte(out, 'b');
    literal_print_bytes(shown, out);
    add_size(content, shown, out);
}

static void add_text(struct bytes content, struct buffer *out)
{
    if (utf8_valid(content, UTF8_SURROGATES))
        add_valid_text(content, out);
    else
        add_bytes(content, out);
}

/* A line of a text instruction as it is, if that is harmless to look at. */
static void add_line(struct bytes line, struct buffer *out)
{
    if (line.size <= SHOWN && is_graphic(line))
        buffer_add(out, line);
    else
        add_bytes(line, out);
}

static void add_float(uint64_t bits, struct buffer *out)
{
    char text[FLOATTEXT_MAX];

    buffer_add(out, bytes_of(text, floattext_print(bits, text)));
}

static void add_long(struct bytes bytes, struct buffer *out)
{
    if (bytes.size > SHOWN)
        add_bytes(bytes, out);
    else
        bigint_print(bigint_minimal(bytes), out);
}

void words_add_global(const struct value *global, struct buffer *out)
{
    struct bytes module, name;

    if (global->kind == VALUE_EXTENSION) {
        buffer_printf(out, "extension code %" PRId64, global->integer);
    } else if (!global_parts(global, &module, &name)) {
        buffer_add_string(out, "a computed name");
    } else if (module.size <= SHOWN && name.size <= SHOWN && is_graphic(module) && is_graphic(name) &&
               bytes_find_byte(name, '.') == name.size) {
        buffer_add(out, module);
        buffer_add_byte(out, '.');
        buffer_add(out, name);
    } else {
        add_valid_text(module, out);
        buffer_add_byte(out, ' ');
        add_valid_text(name, out);
    }
}

static const char *kind_name(const struct value *value)
{
    static const char *const names[] = {
        [VALUE_NONE] = "None",      [VALUE_FALSE] = "False",   [VALUE_TRUE] = "True",
        [VALUE_FLOAT] = "a float",  [VALUE_BIG_INT] = "an int", [VALUE_BYTEARRAY] = "a bytearray",
        [VALUE_LIST] = "a list",    [VALUE_TUPLE] = "a tuple", [VALUE_SET] = "a set",
        [VALUE_DICT] = "a dict",    [VALUE_FROZENSET] = "a frozenset",
        [VALUE_PERSISTENT] = "a persistent object",
        [VALUE_NEXT_BUFFER] = "a buffer", [VALUE_READONLY] = "a buffer",
    };

    return value->kind < ARRAY_SIZE(names) && names[value->kind] ? names[value->kind] : "an object";
}

void words_add_value(const struct value *value, struct buffer *out)
{
    switch (value->kind) {
    case VALUE_INT:
        buffer_printf(out, "%" PRId64, value->integer);
        break;
    case VALUE_STR:
        add_valid_text(value->bytes, out);
        break;
    case VALUE_STR8:
    case VALUE_BYTES:
        add_bytes(value->bytes, out);
        break;
    case VALUE_GLOBAL:
    case VALUE_EXTENSION:
        words_add_global(value, out);
        break;
    default:
        buffer_add_string(out, kind_name(value));
        break;
    }
}

void words_add_argument(const struct pickle_op *op, struct buffer *out)
{
    switch ((enum pickle_argument)op->info->argument) {
    case ARGUMENT_NONE:
        break;
    case ARGUMENT_U8:
    case ARGUMENT_U16:
    case ARGUMENT_U32:
    case ARGUMENT_U64:
        buffer_printf(out, "%" PRIu64, op->number);
        break;
    case ARGUMENT_I32:
        buffer_printf(out, "%" PRId64, (int64_t)op->number);
        break;
    case ARGUMENT_FLOAT:
        add_float(op->number, out);
        break;
    case ARGUMENT_LINE:
        add_line(op->bytes, out);
        break;
    case ARGUMENT_LINES:
        add_line(op->bytes, out);
        buffer_add_byte(out, ' ');
        add_line(op->second, out);
        break;
    case ARGUMENT_LONG4:
        add_long(op->bytes, out);
        break;
    default: /* strings after their length */
        if (op->info->family == FAMILY_NUMBER)
            add_long(op->bytes, out);
        else if (op->code == PICKLE_BINUNICODE || op->code == PICKLE_SHORT_BINUNICODE ||
                 op->code == PICKLE_BINUNICODE8)
            add_text(op->bytes, out);
        else
            add_bytes(op->bytes, out);
        break;
    }
}
