/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - One walk in pre-order, which is the order of references, with a stack of open containers. A node's
 *   mark is its reference's number plus one.
 * - What CPython's reader refuses is not written: more than 2000 levels, a frozenset, slice or code object in itself, and
 *   what a version can't carry. Versions before 3 can't say that two places hold one object: a value that needs it is
 *   refused rather than written as two objects, which would also let a short text become a huge value.
 * - An integer is what Python would make of it. Python 2's int and long of the same value are one in the text, so an
 *   edited value may have the other.
 */
#include "codecs/marshal.h"

#include "codecs/code_layout.h"
#include "codecs/expression_words.h"
#include "codecs/marshal_types.h"
#include "src/array.h"
#include "src/bigint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* In a mark: the node's children are being written, and may not refer to it. */
#define MARK_OPEN (UINT32_C(1) << 31)

struct frame {
    struct value *value;
    uint32_t next; /* item */
};

struct encoder {
    struct document *document;
    struct buffer *out;
    struct failure *failure;
    unsigned version;
    bool python2;
    bool as_read;
    uint32_t refs, strings; /* numbers given */
    int layout;             /* of the code objects so far, or -1 */
    struct frame *frames;
    size_t count, capacity;
    int status;
};

static void refuse(struct encoder *e, const char *why)
{
    if (!e->status)
        e->status = failure_set(e->failure, -EINVAL, 0, "%s", why);
}

static void fail_memory(struct encoder *e, int status)
{
    if (!e->status)
        e->status = failure_set(e->failure, status, 0,
                                status == -EFBIG ? "the value needs too much memory" : "out of memory");
}

static void add_little(struct encoder *e, uint64_t number, unsigned size)
{
    for (unsigned i = 0; i < size; i++, number >>= 8)
        buffer_add_byte(e->out, (uint8_t)number);
}

static void add_size(struct encoder *e, size_t size)
{
    if (size > INT32_MAX)
        refuse(e, "marshal can't hold more than 2147483647 bytes or items in one object");
    add_little(e, size, 4);
}

/* Type bytes */

static enum marshal_type type_of_integer(const struct encoder *e, const struct value *value)
{
    if (value->kind == VALUE_BIG_INT || (e->python2 && value->role == INTEGER_LONG))
        return MARSHAL_LONG;
    if (value->integer >= INT32_MIN && value->integer <= INT32_MAX)
        return MARSHAL_INT;
    return e->python2 ? MARSHAL_INT64 : MARSHAL_LONG;
}

static enum marshal_type type_of_text(const struct encoder *e, const struct value *value)
{
    if (e->python2 || e->version < 4 || !bytes_are_ascii(value->bytes))
        return MARSHAL_UNICODE;
    return value->bytes.size <= UINT8_MAX ? MARSHAL_SHORT_ASCII : MARSHAL_ASCII;
}

static enum marshal_type type_of_bytes(struct encoder *e, const struct value *value)
{
    if (e->python2 != (value->kind == VALUE_STR8))
        refuse(e, e->python2 ? "Python 2 has no bytes; write '...' without b"
                             : "Python 3's marshal has no 8-bit str; write '...' or b'...'");
    return value->kind == VALUE_STR8 && e->version > 0 && value->references > 1 ? MARSHAL_INTERNED
                                                                               : MARSHAL_STRING;
}

static enum marshal_type type_of_slice(struct encoder *e)
{
    if (e->version < 5)
        refuse(e, "a slice needs marshal version 5");
    return MARSHAL_SLICE;
}

static enum marshal_type type_of(struct encoder *e, const struct value *value)
{
    if (e->as_read && value->flags)
        return (enum marshal_type)(value->flags & ~MARSHAL_FLAG_REF);
    switch ((enum value_kind)value->kind) {
    case VALUE_NONE:
        return MARSHAL_NONE;
    case VALUE_FALSE:
        return MARSHAL_FALSE;
    case VALUE_TRUE:
        return MARSHAL_TRUE;
    case VALUE_ELLIPSIS:
        return MARSHAL_ELLIPSIS;
    case VALUE_STOP_ITERATION:
        return MARSHAL_STOP_ITERATION;
    case VALUE_INT:
    case VALUE_BIG_INT:
        return type_of_integer(e, value);
    case VALUE_FLOAT:
        return e->version < 2 ? MARSHAL_FLOAT : MARSHAL_BINARY_FLOAT;
    case VALUE_COMPLEX:
        return e->version < 2 ? MARSHAL_COMPLEX : MARSHAL_BINARY_COMPLEX;
    case VALUE_STR:
        return type_of_text(e, value);
    case VALUE_STR8:
    case VALUE_BYTES:
        return type_of_bytes(e, value);
    case VALUE_TUPLE:
        return e->version >= 4 && value->items.count <= UINT8_MAX ? MARSHAL_SMALL_TUPLE : MARSHAL_TUPLE;
    case VALUE_LIST:
        return MARSHAL_LIST;
    case VALUE_DICT:
        return MARSHAL_DICT;
    case VALUE_SET:
        return MARSHAL_SET;
    case VALUE_FROZENSET:
        return MARSHAL_FROZENSET;
    case VALUE_SLICE:
        return type_of_slice(e);
    case VALUE_CODE:
        return MARSHAL_CODE;
    default:
        refuse(e, "marshal holds only None, numbers, strings, bytes, tuples, lists, dicts, sets and slices");
        return MARSHAL_NULL;
    }
}

/* Content */

/* How many digits the highest bit that is set needs. */
static size_t count_digits(struct bytes magnitude)
{
    size_t bits = magnitude.size * 8;

    for (; bits && !(magnitude.data[(bits - 1) / 8] >> (bits - 1) % 8 & 1); bits--)
        ;
    return (bits + MARSHAL_DIGIT_BITS - 1) / MARSHAL_DIGIT_BITS;
}

static void add_digits(struct encoder *e, struct bytes magnitude, bool negative)
{
    size_t count = count_digits(magnitude), next = 0;
    uint32_t bits = 0, have = 0;

    if (count > INT32_MAX) {
        refuse(e, "this number is too large for marshal");
        return;
    }
    add_little(e, negative ? -(uint64_t)count : count, 4);
    for (; count && !buffer_status(e->out); count--) {
        for (; have < MARSHAL_DIGIT_BITS; have += 8)
            bits |= (uint32_t)(next < magnitude.size ? magnitude.data[next++] : 0) << have;
        add_little(e, bits & ((1 << MARSHAL_DIGIT_BITS) - 1), 2);
        bits >>= MARSHAL_DIGIT_BITS;
        have -= MARSHAL_DIGIT_BITS;
    }
}

static void add_long(struct encoder *e, const struct value *value)
{
    struct buffer bytes = BUFFER_INIT, positive = BUFFER_INIT;
    bool negative;

    if (value->kind == VALUE_INT)
        bigint_from_int64(value->integer, &bytes);
    else
        buffer_add(&bytes, value->bytes);
    negative = bytes.size && bytes.data[bytes.size - 1] >> 7;
    if (negative)
        bigint_negate(buffer_bytes(&bytes), &positive);
    if (buffer_status(&bytes) || buffer_status(&positive))
        fail_memory(e, -ENOMEM);
    else
        add_digits(e, buffer_bytes(negative ? &positive : &bytes), negative);
    buffer_release(&bytes);
    buffer_release(&positive);
}

size_t marshal_print_float(uint64_t bits, char text[MARSHAL_FLOAT_MAX])
{
    static const uint64_t infinity = UINT64_C(0x7FF) << 52, sign = UINT64_C(1) << 63;
    bool is_nan = (bits & ~sign) > infinity;
    double number;
    int size;

    if (is_nan && bits != UINT64_C(0xFFF) << 51)
        return 0;
    memcpy(&number, &bits, sizeof number);
    size = is_nan ? snprintf(text, MARSHAL_FLOAT_MAX, "nan") : snprintf(text, MARSHAL_FLOAT_MAX, "%.17g", number);
    for (int i = 0; i < size; i++)
        if (text[i] == ',')
            text[i] = '.';
    return (size_t)size;
}

static void add_decimal(struct encoder *e, uint64_t bits)
{
    char text[MARSHAL_FLOAT_MAX];
    size_t size = marshal_print_float(bits, text);

    if (!size)
        refuse(e, "this nan needs marshal version 2");
    buffer_add_byte(e->out, (uint8_t)size);
    buffer_add(e->out, bytes_of(text, size));
}

static void add_double(struct encoder *e, uint64_t bits, bool binary)
{
    if (binary)
        add_little(e, bits, 8);
    else
        add_decimal(e, bits);
}

/* What was read from Latin-1 is written as such. */
static void add_ascii(struct encoder *e, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        bool wide = text.data[i] >= 0x80 && i + 1 < text.size;

        buffer_add_byte(e->out, wide ? (uint8_t)(text.data[i] << 6 | (text.data[i + 1] & 0x3F)) : text.data[i]);
        i += wide;
    }
}

static size_t latin1_size(struct bytes text)
{
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++)
        size += (text.data[i] & 0xC0) != 0x80;
    return size;
}

static void open_container(struct encoder *e, struct value *value)
{
    if (e->count == e->capacity) {
        struct arena *arena = &e->document->arena;
        struct frame *frames = array_double_in(arena, e->frames, NULL, &e->capacity, sizeof *frames);

        if (!frames) {
            fail_memory(e, arena_status(arena));
            return;
        }
        e->frames = frames;
    }
    e->frames[e->count++] = (struct frame){.value = value};
}

static bool is_late(const struct value *value)
{
    return (value->kind == VALUE_FROZENSET && value->items.count) || value->kind == VALUE_SLICE ||
           value->kind == VALUE_CODE;
}

static void check_code(struct encoder *e, const struct value *value)
{
    if (e->layout >= 0 && e->layout != value->role)
        refuse(e, "one value can't hold code objects of different versions of Python");
    if (e->python2 != (value->role == CODE_2))
        refuse(e, "a code object of another version of Python");
    e->layout = value->role;
}

static void add_content(struct encoder *e, struct value *value, enum marshal_type type)
{
    switch (type) {
    case MARSHAL_INT:
        add_little(e, (uint64_t)value->integer, 4);
        return;
    case MARSHAL_INT64:
        add_little(e, (uint64_t)value->integer, 8);
        return;
    case MARSHAL_LONG:
        add_long(e, value);
        return;
    case MARSHAL_FLOAT:
    case MARSHAL_BINARY_FLOAT:
        add_double(e, value->bits, type == MARSHAL_BINARY_FLOAT);
        return;
    case MARSHAL_COMPLEX:
    case MARSHAL_BINARY_COMPLEX:
        add_double(e, value->complex_.real, type == MARSHAL_BINARY_COMPLEX);
        add_double(e, value->complex_.imaginary, type == MARSHAL_BINARY_COMPLEX);
        return;
    case MARSHAL_STRING:
    case MARSHAL_INTERNED:
    case MARSHAL_UNICODE:
        add_size(e, value->bytes.size);
        buffer_add(e->out, value->bytes);
        return;
    case MARSHAL_ASCII:
    case MARSHAL_ASCII_INTERNED:
        add_size(e, latin1_size(value->bytes));
        add_ascii(e, value->bytes);
        return;
    case MARSHAL_SHORT_ASCII:
    case MARSHAL_SHORT_ASCII_INTERNED:
        buffer_add_byte(e->out, (uint8_t)latin1_size(value->bytes));
        add_ascii(e, value->bytes);
        return;
    case MARSHAL_SMALL_TUPLE:
        buffer_add_byte(e->out, (uint8_t)value->items.count);
        break;
    case MARSHAL_TUPLE:
    case MARSHAL_LIST:
    case MARSHAL_SET:
    case MARSHAL_FROZENSET:
        add_size(e, value->items.count);
        break;
    case MARSHAL_CODE:
        check_code(e, value);
        break;
    case MARSHAL_DICT:
    case MARSHAL_SLICE:
        break;
    default: /* without content */
        return;
    }
    open_container(e, value);
}

/* References */

/* Whether a copy instead of a reference would be another value, or a much larger one. */
static bool needs_identity(const struct value *value)
{
    if (value_has_bytes(value))
        return value->bytes.size > EXPRESSION_LONG;
    return value_has_items(value) && !(value->kind == VALUE_TUPLE && !value->items.count);
}

static bool is_constant(const struct value *value)
{
    return value->kind <= VALUE_TRUE || value->kind == VALUE_ELLIPSIS ||
           value->kind == VALUE_STOP_ITERATION;
}

static bool is_flagged(struct encoder *e, const struct value *value)
{
    if (e->as_read)
        return value->flags & MARSHAL_FLAG_REF;
    if (value->references <= 1 || is_constant(value))
        return false;
    if (e->version < 3 && needs_identity(value))
        refuse(e, "marshal before version 3 can't say that two places hold the same object; write it twice");
    return e->version >= 3;
}

static void add_reference(struct encoder *e, const struct value *value, uint32_t mark)
{
    if (mark & MARK_OPEN)
        refuse(e, "marshal can't hold a frozenset, slice or code object that contains itself");
    buffer_add_byte(e->out, e->python2 ? MARSHAL_STRING_REF : MARSHAL_REF);
    add_little(e, mark - 1, 4);
}

static void add_value(struct encoder *e, struct value *value)
{
    uint32_t mark = value_mark(e->document, value);
    enum marshal_type type;
    bool flagged;

    if (e->count >= MARSHAL_DEPTH) {
        refuse(e, "nested more than 2000 levels deep, which Python's marshal can't read");
        return;
    }
    if (mark) {
        add_reference(e, value, mark);
        return;
    }
    if (value->last_step)
        refuse(e, "marshal can't hold objects with +, | or <<");
    type = type_of(e, value);
    if (type == MARSHAL_INTERNED && e->python2) {
        value_set_mark(e->document, value, ++e->strings);
        flagged = false;
    } else {
        flagged = is_flagged(e, value);
        if (flagged)
            value_set_mark(e->document, value, ++e->refs | (is_late(value) ? MARK_OPEN : 0));
    }
    buffer_add_byte(e->out, (uint8_t)(type | (flagged ? MARSHAL_FLAG_REF : 0)));
    add_content(e, value, type);
}

/* What stands behind the last child, or before the next one: a number of a code object stands as it is. */
static void step(struct encoder *e)
{
    struct frame *frame = &e->frames[e->count - 1];
    struct value *value = frame->value, *item;
    uint32_t mark, fields;

    if (frame->next == value->items.count) {
        if (value->kind == VALUE_DICT && e->count >= MARSHAL_DEPTH)
            refuse(e, "nested more than 2000 levels deep, which Python's marshal can't read");
        if (value->kind == VALUE_DICT)
            buffer_add_byte(e->out, MARSHAL_NULL);
        mark = value_mark(e->document, value);
        if (mark & MARK_OPEN)
            value_set_mark(e->document, value, mark & ~MARK_OPEN);
        e->count--;
        return;
    }
    item = value->items.at[frame->next++];
    if (value->kind == VALUE_CODE &&
        code_fields((enum code_layout)value->role, &fields)[frame->next - 1].kind == CODE_NUMBER)
        add_little(e, (uint64_t)item->integer, 4);
    else
        add_value(e, item);
}

static int encode(struct document *document, bool as_read, struct buffer *out, struct failure *failure)
{
    struct encoder e = {.document = document,
                        .out = out,
                        .failure = failure,
                        .version = document->protocol,
                        .python2 = document->python2,
                        .as_read = as_read,
                        .layout = -1};
    size_t start = out->size;
    int status = value_count_references(document);

    if (status) {
        fail_memory(&e, status);
        return e.status;
    }
    if (document->effects.count || document->rest.size)
        refuse(&e, "marshal has no do(...) and no stream(...)");
    value_start_walk(document);
    if (!e.status)
        add_value(&e, document->root);
    while (e.count && !e.status && !buffer_status(out))
        step(&e);
    array_free_in(&document->arena, e.frames, NULL, e.capacity, sizeof *e.frames);
    if (!e.status && buffer_status(out))
        e.status = failure_set(failure, buffer_status(out), 0, "too large");
    if (e.status && !buffer_status(out))
        buffer_resize(out, start);
    return e.status;
}

int marshal_encode(struct document *document, struct buffer *out, struct failure *failure)
{
    return encode(document, false, out, failure);
}

int marshal_encode_as_read(struct document *document, struct buffer *out, struct failure *failure)
{
    return encode(document, true, out, failure);
}
