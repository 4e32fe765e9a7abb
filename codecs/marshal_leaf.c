/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Marshalled objects that hold no others: constants, numbers and strings. */
#include "codecs/marshal_decoder.h"

#include "src/bigint.h"
#include "src/floattext.h"
#include "src/utf8.h"

#include <errno.h>

/* Objects without content: one node each, which nothing can refer to. */
void decoder_read_constant(struct decoder *d, struct value **known, enum value_kind kind)
{
    if (!*known)
        *known = decoder_make(d, kind, 0);
    decoder_push(d, *known);
}

/* Numbers */

void decoder_read_int(struct decoder *d, uint8_t code, unsigned size)
{
    struct value *value = decoder_make(d, VALUE_INT, code);
    uint64_t bits = cursor_little(&d->cursor, size);

    if (!value)
        return;
    value->integer = size == 4 ? (int32_t)(uint32_t)bits : (int64_t)bits;
    decoder_push(d, value);
}

/* Digits of 15 bits, the lowest first, as two's complement. */
static bool add_digits(struct decoder *d, struct bytes digits, struct buffer *out)
{
    uint32_t bits = 0, have = 0;

    for (size_t i = 0; i < digits.size; i += 2) {
        uint32_t digit = (uint32_t)digits.data[i] | (uint32_t)digits.data[i + 1] << 8;

        if (digit >> MARSHAL_DIGIT_BITS || (!digit && i + 2 == digits.size)) {
            decoder_fail(d, d->cursor.position, "a long number is not normalised");
            return false;
        }
        bits |= digit << have;
        for (have += MARSHAL_DIGIT_BITS; have >= 8; have -= 8, bits >>= 8)
            buffer_add_byte(out, (uint8_t)bits);
    }
    buffer_add_byte(out, (uint8_t)bits);
    buffer_add_byte(out, 0);
    return true;
}

static void push_integer(struct decoder *d, uint8_t code, struct bytes bytes)
{
    int64_t integer = 0;
    bool fits = bigint_to_int64(bytes, &integer);
    struct value *value = decoder_make(d, fits ? VALUE_INT : VALUE_BIG_INT, code);

    if (!value)
        return;
    value->role = INTEGER_LONG;
    if (fits)
        value->integer = integer;
    else
        value->bytes = arena_copy(&d->document->arena, bigint_minimal(bytes));
    decoder_push(d, value);
}

void decoder_read_long(struct decoder *d, uint8_t code)
{
    int64_t count = (int32_t)cursor_little(&d->cursor, 4);
    struct bytes digits = cursor_take(&d->cursor, (uint64_t)(count < 0 ? -count : count) * 2);
    struct buffer positive = BUFFER_INIT, negative = BUFFER_INIT;

    if (!d->cursor.failed && add_digits(d, digits, &positive)) {
        if (count < 0)
            bigint_negate(buffer_bytes(&positive), &negative);
        if (buffer_status(&positive) || buffer_status(&negative))
            decoder_fail_memory(d, -ENOMEM);
        else
            push_integer(d, code, buffer_bytes(count < 0 ? &negative : &positive));
    }
    buffer_release(&positive);
    buffer_release(&negative);
}

static uint64_t read_double(struct decoder *d, bool binary)
{
    char canonical[MARSHAL_FLOAT_MAX];
    uint64_t bits = 0;
    size_t offset = d->cursor.position;
    struct bytes text;

    if (binary)
        return cursor_little(&d->cursor, 8);
    text = cursor_take(&d->cursor, cursor_byte(&d->cursor));
    if (!floattext_parse(text, &bits) && !d->cursor.failed)
        decoder_fail(d, offset, "this is no number");
    else if (!bytes_equal(text, bytes_of(canonical, marshal_print_float(bits, canonical))))
        d->possible = 0;
    return bits;
}

void decoder_read_float(struct decoder *d, uint8_t code, bool binary)
{
    struct value *value = decoder_make(d, VALUE_FLOAT, code);
    uint64_t bits = read_double(d, binary);

    if (!value)
        return;
    value->bits = bits;
    decoder_push(d, value);
}

void decoder_read_complex(struct decoder *d, uint8_t code, bool binary)
{
    struct value *value = decoder_make(d, VALUE_COMPLEX, code);
    uint64_t real = read_double(d, binary), imaginary = read_double(d, binary);

    if (!value)
        return;
    value->complex_.real = real;
    value->complex_.imaginary = imaginary;
    decoder_push(d, value);
}

/* Strings */

static struct bytes take_sized(struct decoder *d)
{
    uint32_t size = (uint32_t)cursor_little(&d->cursor, 4);

    return cursor_take(&d->cursor, size > INT32_MAX ? UINT64_MAX : size);
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

/* What says ASCII is read as Latin-1. */
static struct bytes widen(struct decoder *d, struct bytes latin1)
{
    uint8_t *wide = arena_alloc(&d->document->arena, latin1.size * 2);
    size_t size = 0;

    for (size_t i = 0; wide && i < latin1.size; i++)
        size += utf8_encode(latin1.data[i], wide + size);
    return bytes_of(wide, size);
}

static void push_string(struct decoder *d, enum value_kind kind, uint8_t code, struct bytes content)
{
    struct value *value = d->cursor.failed ? NULL : decoder_make(d, kind, code);

    if (!value)
        return;
    value->bytes = content;
    decoder_push(d, value);
    if (kind == VALUE_STR8 && code == MARSHAL_INTERNED)
        decoder_remember(d, &d->strings, value);
}

void decoder_read_bytes(struct decoder *d, uint8_t code)
{
    push_string(d, d->python2 ? VALUE_STR8 : VALUE_BYTES, code, take_sized(d));
}

void decoder_read_unicode(struct decoder *d, uint8_t code)
{
    size_t offset = d->cursor.position;
    struct bytes content = take_sized(d);

    if (!utf8_valid(content, UTF8_SURROGATES))
        decoder_fail(d, offset, "a string is not UTF-8");
    else if (is_ascii(content))
        d->possible &= BEFORE_4;
    push_string(d, VALUE_STR, code, content);
}

void decoder_read_ascii(struct decoder *d, uint8_t code, bool is_short)
{
    struct bytes content = is_short ? cursor_take(&d->cursor, cursor_byte(&d->cursor)) : take_sized(d);

    if (!is_ascii(content)) {
        content = widen(d, content);
        d->possible = 0;
    }
    push_string(d, VALUE_STR, code, content);
}

void decoder_read_interned(struct decoder *d, uint8_t code)
{
    if (d->python2) {
        push_string(d, VALUE_STR8, code, take_sized(d));
        return;
    }
    d->interned |= !(code & MARSHAL_FLAG_REF);
    decoder_read_unicode(d, code);
}
