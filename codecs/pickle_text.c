/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_text.h"

#include <errno.h>
#include <stdlib.h>

#include "src/bigint.h"
#include "src/floattext.h"
#include "src/utf8.h"

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int digit_value(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : 16;
}

/* C strings end at a NUL, and so do the numbers that CPython parses as such. */
static struct bytes until_nul(struct bytes line)
{
    return bytes_of(line.data, bytes_find_byte(line, 0));
}

static struct bytes stripped(struct bytes text)
{
    while (text.size && is_blank(text.data[0]))
        text = bytes_of(text.data + 1, text.size - 1);
    while (text.size && is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* The sign, and the number without it. */
static bool take_sign(struct bytes *text)
{
    bool negative = text->size && text->data[0] == '-';

    if (negative || (text->size && text->data[0] == '+'))
        *text = bytes_of(text->data + 1, text->size - 1);
    return negative;
}

/* "0x", "0o" or "0b", and an underscore after it; without one 10, or 0 where a zero leads other digits. */
static unsigned take_base(struct bytes *text)
{
    unsigned base = 0;
    size_t size = 2;

    if (text->size < 2 || text->data[0] != '0')
        return 10;
    switch (text->data[1] | 0x20) {
    case 'x':
        base = 16;
        break;
    case 'o':
        base = 8;
        break;
    case 'b':
        base = 2;
        break;
    default:
        return 0;
    }
    if (text->size > 2 && text->data[2] == '_')
        size = 3;
    *text = bytes_of(text->data + size, text->size - size);
    return base;
}

/* Adds the digits without their underscores, each of which must stand between two digits. */
static bool add_digits(struct bytes text, struct buffer *digits)
{
    bool wants_digit = true;

    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '_' && !wants_digit) {
            wants_digit = true;
            continue;
        }
        if (digit_value(text.data[i]) == 16)
            return false;
        buffer_add_byte(digits, text.data[i]);
        wants_digit = false;
    }
    return !wants_digit;
}

static bool all_zeros(struct bytes digits)
{
    for (size_t i = 0; i < digits.size; i++)
        if (digits.data[i] != '0')
            return false;
    return true;
}

/* int(text, 0). `scratch` gets the digits, then the number. */
static const char *parse_integer(struct bytes text, struct buffer *scratch,
                                 struct pickle_integer *out)
{
    bool negative;
    unsigned base;
    size_t size;
    int status;

    text = stripped(until_nul(text));
    negative = take_sign(&text);
    base = take_base(&text);
    buffer_clear(scratch);
    if (!add_digits(text, scratch))
        return "not an integer";
    if (base == 0 && !all_zeros(buffer_bytes(scratch)))
        return "a decimal integer with leading zeros";
    size = scratch->size;
    /* Room first: the digits lie in the buffer that the number is appended to. */
    if (!buffer_extend(scratch, size + 8))
        return "out of memory";
    scratch->size = size;
    status = bigint_parse(bytes_of(scratch->data, size), base ? base : 10, negative, scratch);
    if (status == -ENOMEM)
        scratch->status = status;
    if (status)
        return "not an integer of at most 4300 digits";
    out->boolean = false;
    out->bytes = bytes_part(buffer_bytes(scratch), size, SIZE_MAX);
    out->big = !bigint_to_int64(out->bytes, &out->integer);
    return NULL;
}

const char *pickle_text_int(struct bytes line, struct buffer *scratch, struct pickle_integer *out)
{
    const char *start;
    char *end;
    long number;

    if (line.size == 0)
        return "INT without a number";
    buffer_clear(scratch);
    buffer_add(scratch, line);
    buffer_add_byte(scratch, 0);
    if (buffer_status(scratch))
        return "out of memory";
    start = (const char *)scratch->data;
    errno = 0;
    number = strtol(start, &end, 0);
    if (errno || *end)
        return parse_integer(line, scratch, out);
    *out = (struct pickle_integer){.integer = number};
    out->boolean = line.size == 2 && (number == 0 || number == 1);
    return NULL;
}

const char *pickle_text_long(struct bytes line, struct buffer *scratch, struct pickle_integer *out)
{
    if (line.size == 0)
        return "LONG without a number";
    if (line.data[line.size - 1] == 'L')
        line.size--;
    return parse_integer(line, scratch, out);
}

const char *pickle_text_float(struct bytes line, uint64_t *bits)
{
    const uint64_t exponent = 0x7FF0000000000000u;
    uint64_t parsed;

    line = until_nul(line);
    if (!floattext_parse(line, &parsed))
        return "not a floating-point number";
    /* Overflow is an error in C; only a word makes an infinity. */
    if ((parsed & ~(UINT64_C(1) << 63)) == exponent && (line.data[line.size - 1] | 0x20) < 'a')
        return "a floating-point number that is too large";
    *bits = parsed;
    return NULL;
}

const char *pickle_text_index(struct bytes line, uint64_t *index)
{
    bool negative, wants_digit = true;
    uint64_t number = 0;
    struct bytes text = stripped(until_nul(line));

    negative = take_sign(&text);
    for (size_t i = 0; i < text.size; i++) {
        int digit = digit_value(text.data[i]);

        if (text.data[i] == '_' && !wants_digit) {
            wants_digit = true;
            continue;
        }
        if (digit > 9 || number > (INT64_MAX - 9) / 10)
            return "not a memo index";
        number = number * 10 + (unsigned)digit;
        wants_digit = false;
    }
    if (wants_digit || (negative && number))
        return "not a memo index";
    *index = number;
    return NULL;
}

/* The byte that a one-letter escape stands for, or -1. */
static int letter_escape(uint8_t letter)
{
    static const char letters[] = "\\'\"bftnrva";
    static const char meanings[] = "\\'\"\b\f\t\n\r\v\a";
    const char *found = letter ? strchr(letters, letter) : NULL;

    return found ? meanings[found - letters] : -1;
}

/* Adds what the escape after a backslash at `at` means and returns where it ends; 0: a broken one. */
static size_t add_string_escape(struct bytes text, size_t at, struct buffer *out)
{
    uint8_t letter = text.data[at];
    int meaning = letter_escape(letter);
    unsigned number = 0;

    if (meaning >= 0) {
        buffer_add_byte(out, (uint8_t)meaning);
        return at + 1;
    }
    if (letter >= '0' && letter <= '7') {
        size_t end = at + 3;

        while (at < end && at < text.size && text.data[at] >= '0' && text.data[at] <= '7')
            number = number * 8 + text.data[at++] - '0';
        buffer_add_byte(out, (uint8_t)number);
        return at;
    }
    if (letter == 'x') {
        if (text.size - at < 3 || digit_value(text.data[at + 1]) > 15 ||
            digit_value(text.data[at + 2]) > 15)
            return 0;
        buffer_add_byte(
            out, (uint8_t)(digit_value(text.data[at + 1]) << 4 | digit_value(text.data[at + 2])));
        return at + 3;
    }
    buffer_add_byte(out, '\\');
    return at;
}

const char *pickle_text_string(struct bytes line, struct buffer *scratch)
{
    struct bytes text;
    size_t at = 0;

    if (line.size < 2 || line.data[0] != line.data[line.size - 1] ||
        (line.data[0] != '\'' && line.data[0] != '"'))
        return "STRING's argument must be quoted";
    text = bytes_of(line.data + 1, line.size - 2);
    buffer_clear(scratch);
    while (at < text.size) {
        size_t plain = bytes_find_byte(bytes_part(text, at, SIZE_MAX), '\\');

        buffer_add(scratch, bytes_part(text, at, plain));
        at += plain;
        if (at == text.size)
            break;
        if (at + 1 == text.size)
            return "STRING's argument ends in a backslash";
        at = add_string_escape(text, at + 1, scratch);
        if (!at)
            return "STRING's argument has a \\x without two hexadecimal digits";
    }
    return NULL;
}

/* Adds \uXXXX or \UXXXXXXXX whose letter is at `at` and returns where it ends; 0: a broken one. */
static size_t add_unicode_escape(struct bytes text, size_t at, struct buffer *out)
{
    size_t digits = text.data[at] == 'u' ? 4 : 8;
    uint32_t point = 0;

    if (text.size - at <= digits)
        return 0;
    for (size_t i = 1; i <= digits; i++) {
        int digit = digit_value(text.data[at + i]);

        if (digit > 15)
            return 0;
        point = point << 4 | (uint32_t)digit;
    }
    if (point > 0x10FFFF)
        return 0;
    utf8_add(out, point);
    return at + 1 + digits;
}

const char *pickle_text_unicode(struct bytes line, struct buffer *scratch)
{
    size_t at = 0;

    buffer_clear(scratch);
    while (at < line.size) {
        uint8_t byte = line.data[at++];

        utf8_add(scratch, byte);
        if (byte != '\\' || at == line.size)
            continue;
        /* A backslash escapes the next byte also where that is a backslash: both stay. */
        if (line.data[at] != 'u' && line.data[at] != 'U') {
            utf8_add(scratch, line.data[at++]);
            continue;
        }
        if (!buffer_status(scratch))
            scratch->size--;
        at = add_unicode_escape(line, at, scratch);
        if (!at)
            return "UNICODE's argument has a broken \\u escape";
    }
    return NULL;
}
