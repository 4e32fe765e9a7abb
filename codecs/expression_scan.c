/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_scanner.h"

#include <errno.h>
#include <stdio.h>

void scanner_init(struct scanner *scanner, struct bytes text, struct arena *arena,
                  struct failure *failure)
{
    *scanner =
        (struct scanner){.text = text, .arena = arena, .failure = failure, .joined = BUFFER_INIT};
}

void scanner_release(struct scanner *scanner)
{
    buffer_release(&scanner->joined);
}

size_t scanner_line(const struct scanner *scanner, size_t offset)
{
    size_t line = 1;

    for (size_t i = 0; i < offset && i < scanner->text.size; i++)
        line += scanner->text.data[i] == '\n';
    return line;
}

static size_t column_of(const struct scanner *scanner, size_t offset)
{
    size_t start = offset, column = 1;

    while (start && scanner->text.data[start - 1] != '\n')
        start--;
    for (; start < offset; start++)
        column += (scanner->text.data[start] & 0xC0) != 0x80;
    return column;
}

int scanner_fail(struct scanner *scanner, size_t offset, const char *format, ...)
{
    char message[sizeof scanner->failure->message];
    va_list arguments;

    if (!scanner->failure)
        return -EINVAL;
    if (offset > scanner->text.size)
        offset = scanner->text.size;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return failure_set(scanner->failure, -EINVAL, offset, "line %zu, column %zu: %s",
                       scanner_line(scanner, offset), column_of(scanner, offset), message);
}

static bool is_name_start(uint8_t byte)
{
    return byte == '_' || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

static bool is_name_part(uint8_t byte)
{
    return is_name_start(byte) || is_digit(byte);
}

static void skip_blanks(struct scanner *scanner)
{
    for (;;) {
        uint8_t byte = scanner_at(scanner, scanner->offset);
        size_t end = scanner_line_end(scanner, scanner->offset);

        if (byte == '#') {
            while (scanner->offset < scanner->text.size && !scanner_line_end(scanner, scanner->offset))
                scanner->offset++;
        } else if (byte == ' ' || byte == '\t' || byte == '\f') {
            scanner->offset++;
        } else if (end && scanner->brackets) {
            scanner->offset += end;
        } else if (byte == '\\' && scanner_line_end(scanner, scanner->offset + 1)) {
            scanner->offset += 1 + scanner_line_end(scanner, scanner->offset + 1);
        } else {
            return;
        }
    }
}

uint8_t scanner_peek(struct scanner *scanner)
{
    skip_blanks(scanner);
    return scanner_at(scanner, scanner->offset);
}

/* Numbers */

static unsigned base_of(uint8_t letter)
{
    switch (letter | 0x20) {
    case 'x':
        return 16;
    case 'o':
        return 8;
    case 'b':
        return 2;
    default:
        return 10;
    }
}

/* Digits of `base` with single underscores between them; how many bytes. */
static size_t digits_size(const struct scanner *scanner, size_t offset, unsigned base)
{
    size_t start = offset;

    for (;;) {
        uint8_t byte = scanner_at(scanner, offset), lower = byte | 0x20;
        bool digit =
            is_digit(byte) ? byte - '0' < (int)base : base == 16 && lower >= 'a' && lower <= 'f';

        if (!digit && !(byte == '_' && offset > start && scanner_at(scanner, offset - 1) != '_'))
            break;
        offset++;
    }
    return offset - start - (offset > start && scanner_at(scanner, offset - 1) == '_');
}

static int copy_number(struct scanner *scanner, size_t start, struct bytes *content)
{
    struct bytes number = bytes_part(scanner->text, start, scanner->offset - start);
    uint8_t *copy;
    size_t size = 0;

    if (bytes_find_byte(number, '_') == number.size) {
        *content = number;
        return 0;
    }
    copy = arena_alloc(scanner->arena, number.size);
    if (!copy)
        return arena_status(scanner->arena);
    for (size_t i = 0; i < number.size; i++)
        if (number.data[i] != '_')
            copy[size++] = number.data[i];
    *content = bytes_of(copy, size);
    return 0;
}

static int end_number(struct scanner *scanner, size_t start, struct token *token)
{
    uint8_t next = scanner_at(scanner, scanner->offset);
    int status;

    if ((next | 0x20) == 'j' && token->base == 10) {
        status = copy_number(scanner, start, &token->content);
        token->kind = TOKEN_IMAGINARY;
        scanner->offset++;
        if (status || !(is_name_part(scanner_at(scanner, scanner->offset)) || scanner_at(scanner, scanner->offset) >= 0x80))
            return status;
        return scanner_fail(scanner, scanner->offset, "expected the number to end here");
    }
    if ((next | 0x20) == 'l' && token->kind == TOKEN_INTEGER)
        return scanner_fail(scanner, scanner->offset,
                            "Python 2's long integers are written without L");
    if (is_name_part(next) || next >= 0x80)
        return scanner_fail(scanner, scanner->offset, "expected the number to end here");
    return copy_number(scanner, start, &token->content);
}

static int scan_prefixed(struct scanner *scanner, struct token *token)
{
    size_t start = token->start + 2;

    token->kind = TOKEN_INTEGER;
    token->base = base_of(scanner_at(scanner, token->start + 1));
    start += scanner_at(scanner, start) == '_';
    scanner->offset = start + digits_size(scanner, start, token->base);
    if (scanner->offset == start)
        return scanner_fail(scanner, start, "expected a digit of base %u", token->base);
    return end_number(scanner, start, token);
}

static bool skip_fraction(struct scanner *scanner)
{
    if (scanner_at(scanner, scanner->offset) != '.')
        return false;
    scanner->offset++;
    scanner->offset += digits_size(scanner, scanner->offset, 10);
    return true;
}

static bool skip_exponent(struct scanner *scanner)
{
    size_t digits = scanner->offset + 1;

    if ((scanner_at(scanner, scanner->offset) | 0x20) != 'e')
        return false;
    digits += scanner_at(scanner, digits) == '+' || scanner_at(scanner, digits) == '-';
    if (!is_digit(scanner_at(scanner, digits)))
        return false;
    scanner->offset = digits + digits_size(scanner, digits, 10);
    return true;
}

static int scan_number(struct scanner *scanner, struct token *token)
{
    bool fraction, exponent;
    size_t whole;

    if (scanner_at(scanner, token->start) == '0' && base_of(scanner_at(scanner, token->start + 1)) != 10)
        return scan_prefixed(scanner, token);
    whole = digits_size(scanner, token->start, 10);
    scanner->offset += whole;
    fraction = skip_fraction(scanner);
    exponent = skip_exponent(scanner);
    token->kind = fraction || exponent ? TOKEN_FLOAT : TOKEN_INTEGER;
    token->base = 10;
    if (token->kind == TOKEN_INTEGER && scanner_at(scanner, token->start) == '0') {
        for (size_t i = token->start; i < token->start + whole; i++)
            if (scanner_at(scanner, i) != '0' && scanner_at(scanner, i) != '_')
                return scanner_fail(scanner, token->start,
                                    "leading zeros are not allowed; octal numbers start with 0o");
    }
    return end_number(scanner, token->start, token);
}

/* Strings */

/* Whether a string literal starts here. */
static bool scan_prefix(const struct scanner *scanner, struct prefix *prefix)
{
    *prefix = (struct prefix){0};
    for (;; prefix->size++) {
        uint8_t byte = scanner_at(scanner, scanner->offset + prefix->size);

        if (byte == '\'' || byte == '"')
            return true;
        switch (byte | 0x20) {
        case 'r':
            if (prefix->raw || prefix->unicode)
                return false;
            prefix->raw = true;
            break;
        case 'b':
            if (prefix->bytes || prefix->unicode || prefix->formatted)
                return false;
            prefix->bytes = true;
            break;
        case 'f':
            if (prefix->bytes || prefix->unicode || prefix->formatted)
                return false;
            prefix->formatted = true;
            break;
        case 'u':
            if (prefix->size)
                return false;
            prefix->unicode = true;
            break;
        default:
            return false;
        }
    }
}

static int scan_string(struct scanner *scanner, struct prefix prefix, struct token *token)
{
    bool more = false;
    int status = 0;

    token->kind = prefix.bytes ? TOKEN_BYTES : TOKEN_TEXT;
    buffer_clear(&scanner->joined);
    do {
        struct bytes borrowed;

        status = scanner_literal(scanner, &prefix, !more, &borrowed);
        token->unicode |= prefix.unicode;
        if (status)
            return status;
        skip_blanks(scanner);
        if (!more)
            token->content = borrowed;
        more = scan_prefix(scanner, &prefix);
        if (more && prefix.bytes != (token->kind == TOKEN_BYTES))
            return scanner_fail(scanner, scanner->offset, "bytes and text can't be joined");
        if (more || borrowed.data == NULL) {
            buffer_add(&scanner->joined, token->content);
            token->content = (struct bytes){NULL, 0};
        }
    } while (more);
    if (!token->content.data) {
        if (buffer_status(&scanner->joined))
            return buffer_status(&scanner->joined);
        token->content = arena_copy(scanner->arena, buffer_bytes(&scanner->joined));
    }
    return arena_status(scanner->arena);
}

/* The rest */

static int scan_operator(struct scanner *scanner, struct token *token)
{
    static const unsigned pairs[] = {OPERATOR_SHIFT, OPERATOR_DEFINE, OPERATOR_POWER};
    uint8_t first = scanner_at(scanner, scanner->offset);
    unsigned both = (unsigned)first << 8 | scanner_at(scanner, scanner->offset + 1);

    if (bytes_start_with(bytes_part(scanner->text, token->start, 3), BYTES("..."))) {
        token->kind = TOKEN_ELLIPSIS;
        scanner->offset += 3;
        return 0;
    }
    token->kind = TOKEN_OPERATOR;
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
        if (both == pairs[i]) {
            token->operator_ = both;
            scanner->offset += 2;
            return 0;
        }
    if (!first || !strchr("()[]{},:.=+-|*", first)) {
        if (first > 0x20 && first < 0x7F)
            return scanner_fail(scanner, token->start, "'%c' means nothing here", first);
        return scanner_fail(scanner, token->start,
                            "this character means nothing outside of a string");
    }
    token->operator_ = first;
    scanner->offset++;
    return 0;
}

int scanner_next(struct scanner *scanner, struct token *token)
{
    struct prefix prefix;
    size_t end;
    uint8_t byte;

    skip_blanks(scanner);
    *token = (struct token){.start = scanner->offset};
    if (scanner->offset == scanner->text.size)
        return 0;
    byte = scanner_at(scanner, scanner->offset);
    end = scanner_line_end(scanner, scanner->offset);
    if (end) {
        token->kind = TOKEN_NEWLINE;
        scanner->offset += end;
        return 0;
    }
    if (is_digit(byte) || (byte == '.' && is_digit(scanner_at(scanner, scanner->offset + 1))))
        return scan_number(scanner, token);
    if (scan_prefix(scanner, &prefix))
        return scan_string(scanner, prefix, token);
    if (!is_name_start(byte))
        return scan_operator(scanner, token);
    token->kind = TOKEN_NAME;
    while (is_name_part(scanner_at(scanner, scanner->offset)))
        scanner->offset++;
    token->content = bytes_part(scanner->text, token->start, scanner->offset - token->start);
    return 0;
}
