/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - Printing lays out the digits of src/shortest.h. Reading leaves all but short literals to strtod(), which is exact in
 *   the C library.
 * - The locale only changes the decimal point: numbers go to strtod() as digits and an exponent, without a point, so no locale
 *   has to be switched.
 */
#include "src/floattext.h"

#include "src/digits.h"
#include "src/shortest.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SURE_DIGITS = 15, /* two decimals of at most so many digits never read as one normal double */
    TEXT_DIGITS = 96, /* longer literals are copied to the heap */
    FAR_EXPONENT = 100000000,
};

static const uint64_t SIGN = UINT64_C(1) << 63;
static const uint64_t INFINITE = UINT64_C(0x7FF) << 52;
static const uint64_t QUIET_NAN = UINT64_C(0xFFF) << 51;

/* Exact in binary64. */
static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static uint64_t bits_of(double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* 0.d1d2d3... * 10^point */
struct decimal {
    char room[DIGITS_MAX];
    const char *digits;
    int count;
    int point;
};

/* Of a finite number that is not 0; the digits are in `decimal`. */
static void decimal_of(struct decimal *decimal, uint64_t bits)
{
    const uint64_t eight = 100000000;
    struct shortest shortest = shortest_decimal(bits);
    char *end = decimal->room + sizeof decimal->room;

    /* What a person writes has half of its digits zero: they need not be written and dropped. */
    if (shortest.digits % eight == 0) {
        shortest.digits /= eight;
        shortest.exponent += 8;
    }
    decimal->digits = digits_before(end, shortest.digits);
    decimal->count = (int)(end - decimal->digits);
    decimal->point = decimal->count + shortest.exponent;
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
        decimal->count--;
}

static char *put_zeros(char *out, int count)
{
    memset(out, '0', (size_t)count);
    return out + count;
}

static char *put_digits(char *out, const struct decimal *decimal, int from, int to)
{
    memcpy(out, decimal->digits + from, (size_t)(to - from));
    return out + (to - from);
}

static char *put_fixed(char *out, const struct decimal *decimal)
{
    int point = decimal->point, count = decimal->count;

    if (point <= 0) {
        *out++ = '0';
        *out++ = '.';
        out = put_zeros(out, -point);
        return put_digits(out, decimal, 0, count);
    }
    if (point >= count) {
        out = put_zeros(put_digits(out, decimal, 0, count), point - count);
        *out++ = '.';
        *out++ = '0';
        return out;
    }
    out = put_digits(out, decimal, 0, point);
    *out++ = '.';
    return put_digits(out, decimal, point, count);
}

static char *put_exponent(char *out, const struct decimal *decimal)
{
    out = put_digits(out, decimal, 0, 1);
    if (decimal->count > 1) {
        *out++ = '.';
        out = put_digits(out, decimal, 1, decimal->count);
    }
    return out + sprintf(out, "e%+03d", decimal->point - 1);
}

/* Python's layout: repr() is float_repr_style 'short', format code 'r' (Python/pystrtod.c). */
static char *put_decimal(char *out, const struct decimal *decimal)
{
    return decimal->point > -4 && decimal->point <= 16 ? put_fixed(out, decimal)
                                                       : put_exponent(out, decimal);
}

size_t floattext_print(uint64_t bits, char out[FLOATTEXT_MAX])
{
    uint64_t magnitude = bits & ~SIGN;
    char *end = out;
    struct decimal decimal;

    if (magnitude > INFINITE) {
        memcpy(out, "nan", sizeof "nan");
        return strlen("nan");
    }
    if (bits & SIGN)
        *end++ = '-';
    if (magnitude == INFINITE) {
        end = stpcpy(end, "inf");
    } else if (magnitude == 0) {
        end = stpcpy(end, "0.0");
    } else {
        decimal_of(&decimal, magnitude);
        end = put_decimal(end, &decimal);
    }
    *end = '\0';
    return (size_t)(end - out);
}

/*
 * What a literal says: the digits from the first that is not 0, without the point, and the power
 * of ten.
 */
struct literal {
    struct bytes digits; /* may hold one point */
    int64_t exponent;
};

static size_t count_digits(struct bytes text, size_t from)
{
    size_t end = from;

    while (end < text.size && text.data[end] >= '0' && text.data[end] <= '9')
        end++;
    return end - from;
}

static bool parse_exponent(struct bytes text, size_t offset, int64_t *exponent)
{
    bool negative = offset < text.size && text.data[offset] == '-';
    int64_t value = 0;

    if (offset < text.size && (negative || text.data[offset] == '+'))
        offset++;
    if (offset == text.size || count_digits(text, offset) != text.size - offset)
        return false;
    for (; offset < text.size; offset++)
        if (value < INT64_MAX / 100)
            value = value * 10 + (text.data[offset] - '0');
    *exponent = negative ? -value : value;
    return true;
}

static bool parse_literal(struct bytes text, struct literal *literal)
{
    size_t whole = count_digits(text, 0), fraction = 0, offset = whole;

    if (offset < text.size && text.data[offset] == '.') {
        fraction = count_digits(text, offset + 1);
        offset += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    literal->digits = bytes_part(text, 0, offset);
    literal->exponent = 0;
    if (offset < text.size) {
        if ((text.data[offset] | 0x20) != 'e' ||
            !parse_exponent(text, offset + 1, &literal->exponent))
            return false;
    }
    literal->exponent -= (int64_t)fraction;
    return true;
}

/* At most 15 digits and a small power of ten: one correctly rounded operation on exact numbers. */
static bool literal_short(const struct literal *literal, double *number)
{
    int64_t integer = 0;

    if (FLT_EVAL_METHOD != 0 || literal->digits.size > SURE_DIGITS || literal->exponent < -22 ||
        literal->exponent > 22)
        return false;
    for (size_t i = 0; i < literal->digits.size; i++)
        if (literal->digits.data[i] != '.')
            integer = integer * 10 + (literal->digits.data[i] - '0');
    *number = literal->exponent < 0 ? (double)integer / TENS[-literal->exponent]
                                    : (double)integer * TENS[literal->exponent];
    return true;
}

/* False when there is no memory for a very long literal. */
static bool literal_long(const struct literal *literal, double *number)
{
    char small[TEXT_DIGITS + FLOATTEXT_MAX];
    size_t room = literal->digits.size + FLOATTEXT_MAX;
    char *text = room <= sizeof small ? small : malloc(room), *end = text;
    int64_t exponent = literal->exponent;

    if (!text)
        return false;
    for (size_t i = 0; i < literal->digits.size; i++)
        if (literal->digits.data[i] != '.')
            *end++ = (char)literal->digits.data[i];
    /*
     * Far beyond what any number of digits could bring back; some C libraries mind larger
     * exponents.
     */
    if (exponent > FAR_EXPONENT + (int64_t)literal->digits.size)
        exponent = FAR_EXPONENT + (int64_t)literal->digits.size;
    if (exponent < -FAR_EXPONENT - (int64_t)literal->digits.size)
        exponent = -FAR_EXPONENT - (int64_t)literal->digits.size;
    sprintf(end, "e%lld", (long long)exponent);
    *number = strtod(text, NULL);
    if (text != small)
        free(text);
    return true;
}

static bool is_word(struct bytes text, const char *word)
{
    if (text.size != strlen(word))
        return false;
    for (size_t i = 0; i < text.size; i++)
        if ((text.data[i] | 0x20) != (uint8_t)word[i])
            return false;
    return true;
}

bool floattext_parse(struct bytes text, uint64_t *bits)
{
    bool negative = text.size && text.data[0] == '-';
    struct literal literal;
    double number;
    uint64_t result;

    if (negative || (text.size && text.data[0] == '+'))
        text = bytes_part(text, 1, SIZE_MAX);
    if (is_word(text, "inf") || is_word(text, "infinity")) {
        result = INFINITE;
    } else if (is_word(text, "nan")) {
        result = QUIET_NAN;
    } else {
        if (!parse_literal(text, &literal))
            return false;
        if (!literal_short(&literal, &number) && !literal_long(&literal, &number))
            return false;
        result = bits_of(number);
    }
    *bits = negative ? result | SIGN : result;
    return true;
}
