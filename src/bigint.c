/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The magnitude is an array of 32-bit words, least significant first. Decimal is schoolbook in
 * base 10^9: at 4300 digits that is 100,000 divisions, well under a millisecond, and CPython
 * refuses longer ones. Everything in a power of two is linear.
 */
#include "src/bigint.h"

#include <errno.h>
#include <stdlib.h>

enum {
    BASE = 1000000000, /* the largest power of ten in 32 bits */
    BASE_DIGITS = 9,
    /* 2^14284 < 10^4300 < 2^14285: from 14286 bits on the number surely has more digits. */
    DECIMAL_BITS = 14285,
};

struct magnitude {
    uint32_t *words; /* least significant first */
    size_t count;    /* the highest word is not 0 */
};

struct bytes bigint_minimal(struct bytes bytes)
{
    while (bytes.size >= 2 &&
           ((bytes.data[bytes.size - 1] == 0 && bytes.data[bytes.size - 2] < 0x80) ||
            (bytes.data[bytes.size - 1] == 0xFF && bytes.data[bytes.size - 2] >= 0x80)))
        bytes.size--;
    if (bytes.size == 1 && bytes.data[0] == 0)
        bytes.size = 0;
    return bytes;
}

static bool is_negative(struct bytes bytes)
{
    return bytes.size && bytes.data[bytes.size - 1] >= 0x80;
}

bool bigint_to_int64(struct bytes bytes, int64_t *integer)
{
    uint64_t bits;

    bytes = bigint_minimal(bytes);
    if (bytes.size > sizeof bits)
        return false;
    bits = is_negative(bytes) ? UINT64_MAX : 0;
    for (size_t i = bytes.size; i-- > 0;)
        bits = bits << 8 | bytes.data[i];
    *integer = (int64_t)bits;
    return true;
}

void bigint_from_int64(int64_t integer, struct buffer *out)
{
    uint8_t bytes[sizeof integer];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)((uint64_t)integer >> (8 * i));
    buffer_add(out, bigint_minimal(bytes_of(bytes, sizeof bytes)));
}

void bigint_negate(struct bytes bytes, struct buffer *out)
{
    size_t start = out->size;
    unsigned carry = 1;

    /* One byte more, since -(-128) needs it. */
    for (size_t i = 0; i <= bytes.size; i++) {
        unsigned byte = i < bytes.size ? bytes.data[i] : is_negative(bytes) ? 0xFF : 0;

        byte = (byte ^ 0xFF) + carry;
        carry = byte >> 8;
        buffer_add_byte(out, (uint8_t)byte);
    }
    if (!buffer_status(out))
        out->size = start + bigint_minimal(bytes_part(buffer_bytes(out), start, SIZE_MAX)).size;
}

static void magnitude_trim(struct magnitude *magnitude)
{
    while (magnitude->count && magnitude->words[magnitude->count - 1] == 0)
        magnitude->count--;
}

/* |bytes|; the caller frees the words. */
static int magnitude_init(struct magnitude *magnitude, struct bytes bytes)
{
    bool negative = is_negative(bytes);
    unsigned carry = negative;

    *magnitude = (struct magnitude){.count = bytes.size / 4 + 1};
    magnitude->words = calloc(magnitude->count, sizeof *magnitude->words);
    if (!magnitude->words)
        return -ENOMEM;
    for (size_t i = 0; i < bytes.size; i++) {
        unsigned byte = (negative ? bytes.data[i] ^ 0xFFu : bytes.data[i]) + carry;

        carry = byte >> 8;
        magnitude->words[i / 4] |= (uint32_t)(byte & 0xFF) << (8 * (i % 4));
    }
    /*
     * Of two's complement numbers only the lowest one, 80 00 .. 00, negates to itself; no carry
     * leaves it.
     */
    magnitude_trim(magnitude);
    return 0;
}

static size_t magnitude_bits(const struct magnitude *magnitude)
{
    if (!magnitude->count)
        return 0;
    return magnitude->count * 32 - (size_t)__builtin_clz(magnitude->words[magnitude->count - 1]);
}

static uint32_t magnitude_divide(struct magnitude *magnitude, uint32_t divisor)
{
    uint64_t remainder = 0;

    for (size_t i = magnitude->count; i-- > 0;) {
        uint64_t part = remainder << 32 | magnitude->words[i];

        magnitude->words[i] = (uint32_t)(part / divisor);
        remainder = part % divisor;
    }
    magnitude_trim(magnitude);
    return (uint32_t)remainder;
}

/* Adds the decimal digits, most significant first, and uses the magnitude up. */
static void add_decimal(struct magnitude *magnitude, struct buffer *text)
{
    size_t start = text->size;

    while (magnitude->count) {
        uint32_t group = magnitude_divide(magnitude, BASE);

        for (int i = 0; i < BASE_DIGITS && (group || magnitude->count); i++, group /= 10)
            buffer_add_byte(text, (uint8_t)('0' + group % 10));
    }
    if (buffer_status(text))
        return;
    if (text->size == start)
        buffer_add_byte(text, '0');
    for (size_t low = start, high = text->size; low + 1 < high; low++) {
        uint8_t digit = text->data[--high];

        text->data[high] = text->data[low];
        text->data[low] = digit;
    }
}

static void add_hexadecimal(const struct magnitude *magnitude, struct buffer *text)
{
    buffer_printf(text, "0x%x", (unsigned)magnitude->words[magnitude->count - 1]);
    for (size_t i = magnitude->count - 1; i-- > 0;)
        for (int shift = 28; shift >= 0; shift -= 4)
            buffer_add_byte(text, (uint8_t) "0123456789abcdef"[magnitude->words[i] >> shift & 0xF]);
}

void bigint_print_decimal(struct bytes bytes, struct buffer *text)
{
    struct magnitude magnitude;

    if (is_negative(bytes))
        buffer_add_byte(text, '-');
    if (magnitude_init(&magnitude, bytes))
        text->status = -ENOMEM;
    else
        add_decimal(&magnitude, text);
    free(magnitude.words);
}

void bigint_print(struct bytes bytes, struct buffer *text)
{
    struct magnitude magnitude;
    size_t start = text->size;
    bool negative = is_negative(bytes);

    if (magnitude_init(&magnitude, bytes)) {
        text->status = -ENOMEM;
        return;
    }
    if (magnitude_bits(&magnitude) <= DECIMAL_BITS) {
        bigint_print_decimal(bytes, text);
        if (buffer_status(text) || text->size - start - negative <= BIGINT_DECIMAL_DIGITS)
            goto done;
        buffer_resize(text, start);
    }
    if (negative)
        buffer_add_byte(text, '-');
    add_hexadecimal(&magnitude, text);
done:
    free(magnitude.words);
}

static unsigned digit_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10u : 16;
}

static bool are_digits(struct bytes digits, unsigned base)
{
    for (size_t i = 0; i < digits.size; i++)
        if (digit_value(digits.data[i]) >= base)
            return false;
    return digits.size > 0;
}

/* `words` has room for them: 30 bits a group of 9 digits. */
static void parse_decimal(struct magnitude *magnitude, struct bytes digits)
{
    for (size_t i = 0; i < digits.size;) {
        uint64_t factor = 1, carry = 0;

        for (; i < digits.size && factor < BASE; i++, factor *= 10)
            carry = carry * 10 + digit_value(digits.data[i]);
        for (size_t k = 0; k < magnitude->count; k++) {
            carry += magnitude->words[k] * factor;
            magnitude->words[k] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry)
            magnitude->words[magnitude->count++] = (uint32_t)carry;
    }
}

static void parse_power(struct magnitude *magnitude, struct bytes digits, unsigned width)
{
    uint64_t part = 0;
    unsigned bits = 0;

    for (size_t i = digits.size; i-- > 0;) {
        part |= (uint64_t)digit_value(digits.data[i]) << bits;
        bits += width;
        if (bits >= 32) {
            magnitude->words[magnitude->count++] = (uint32_t)part;
            part >>= 32;
            bits -= 32;
        }
    }
    magnitude->words[magnitude->count++] = (uint32_t)part;
    magnitude_trim(magnitude);
}

static void add_bytes(const struct magnitude *magnitude, bool negative, struct buffer *out)
{
    size_t start = out->size;
    unsigned carry = negative;

    /* One word more than the magnitude, so that there is a sign. */
    for (size_t i = 0; i <= magnitude->count; i++) {
        uint32_t word = i < magnitude->count ? magnitude->words[i] : 0;

        for (unsigned shift = 0; shift < 32; shift += 8) {
            unsigned byte = ((word >> shift & 0xFF) ^ (negative ? 0xFFu : 0)) + carry;

            carry = byte >> 8;
            buffer_add_byte(out, (uint8_t)byte);
        }
    }
    if (!buffer_status(out))
        out->size = start + bigint_minimal(bytes_part(buffer_bytes(out), start, SIZE_MAX)).size;
}

int bigint_parse(struct bytes digits, unsigned base, bool negative, struct buffer *out)
{
    struct magnitude magnitude = {0};
    unsigned width = base == 2 ? 1 : base == 8 ? 3 : 4;

    if (!are_digits(digits, base) || (base == 10 && digits.size > BIGINT_DECIMAL_DIGITS))
        return -EINVAL;
    magnitude.words = calloc(digits.size / 8 + 2, sizeof *magnitude.words);
    if (!magnitude.words)
        return -ENOMEM;
    if (base == 10)
        parse_decimal(&magnitude, digits);
    else
        parse_power(&magnitude, digits, width);
    add_bytes(&magnitude, negative, out);
    free(magnitude.words);
    return buffer_status(out);
}
