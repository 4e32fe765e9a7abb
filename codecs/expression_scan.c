/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_scan.h"

#include "src/utf8.h"

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

/* 0 behind the end: no token starts with it. */
static uint8_t at(const struct scanner *scanner, size_t offset)
{
    return offset < scanner->text.size ? scanner->text.data[offset] : 0;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_name_start(uint8_t byte)
{
    return byte == '_' || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

static bool is_name_part(uint8_t byte)
{
    return is_name_start(byte) || is_digit(byte);
}

/* The size of a line's end, or 0. */
static size_t line_end(const struct scanner *scanner, size_t offset)
{
    if (at(scanner, offset) == '\r')
        return at(scanner, offset + 1) == '\n' ? 2 : 1;
    return at(scanner, offset) == '\n';
}

static void skip_blanks(struct scanner *scanner)
{
    for (;;) {
        uint8_t byte = at(scanner, scanner->offset);
        size_t end = line_end(scanner, scanner->offset);

        if (byte == '#') {
            while (scanner->offset < scanner->text.size && !line_end(scanner, scanner->offset))
                scanner->offset++;
        } else if (byte == ' ' || byte == '\t' || byte == '\f') {
            scanner->offset++;
        } else if (end && scanner->brackets) {
            scanner->offset += end;
        } else if (byte == '\\' && line_end(scanner, scanner->offset + 1)) {
            scanner->offset += 1 + line_end(scanner, scanner->offset + 1);
        } else {
            return;
        }
    }
}

uint8_t scanner_peek(struct scanner *scanner)
{
    skip_blanks(scanner);
    return at(scanner, scanner->offset);
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
        uint8_t byte = at(scanner, offset), lower = byte | 0x20;
        bool digit =
            is_digit(byte) ? byte - '0' < (int)base : base == 16 && lower >= 'a' && lower <= 'f';

        if (!digit && !(byte == '_' && offset > start && at(scanner, offset - 1) != '_'))
            break;
        offset++;
    }
    return offset - start - (offset > start && at(scanner, offset - 1) == '_');
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
    uint8_t next = at(scanner, scanner->offset);
    int status;

    if ((next | 0x20) == 'j' && token->base == 10) {
        status = copy_number(scanner, start, &token->content);
        token->kind = TOKEN_IMAGINARY;
        scanner->offset++;
        if (status || !(is_name_part(at(scanner, scanner->offset)) || at(scanner, scanner->offset) >= 0x80))
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
    token->base = base_of(at(scanner, token->start + 1));
    start += at(scanner, start) == '_';
    scanner->offset = start + digits_size(scanner, start, token->base);
    if (scanner->offset == start)
        return scanner_fail(scanner, start, "expected a digit of base %u", token->base);
    return end_number(scanner, start, token);
}

static bool skip_fraction(struct scanner *scanner)
{
    if (at(scanner, scanner->offset) != '.')
        return false;
    scanner->offset++;
    scanner->offset += digits_size(scanner, scanner->offset, 10);
    return true;
}

static bool skip_exponent(struct scanner *scanner)
{
    size_t digits = scanner->offset + 1;

    if ((at(scanner, scanner->offset) | 0x20) != 'e')
        return false;
    digits += at(scanner, digits) == '+' || at(scanner, digits) == '-';
    if (!is_digit(at(scanner, digits)))
        return false;
    scanner->offset = digits + digits_size(scanner, digits, 10);
    return true;
}

static int scan_number(struct scanner *scanner, struct token *token)
{
    bool fraction, exponent;
    size_t whole;

    if (at(scanner, token->start) == '0' && base_of(at(scanner, token->start + 1)) != 10)
        return scan_prefixed(scanner, token);
    whole = digits_size(scanner, token->start, 10);
    scanner->offset += whole;
    fraction = skip_fraction(scanner);
    exponent = skip_exponent(scanner);
    token->kind = fraction || exponent ? TOKEN_FLOAT : TOKEN_INTEGER;
    token->base = 10;
    if (token->kind == TOKEN_INTEGER && at(scanner, token->start) == '0') {
        for (size_t i = token->start; i < token->start + whole; i++)
            if (at(scanner, i) != '0' && at(scanner, i) != '_')
                return scanner_fail(scanner, token->start,
                                    "leading zeros are not allowed; octal numbers start with 0o");
    }
    return end_number(scanner, token->start, token);
}

/* Strings */

struct prefix {
    size_t size;
    bool raw, bytes, unicode, formatted;
};

/* Whether a string literal starts here. */
static bool scan_prefix(const struct scanner *scanner, struct prefix *prefix)
{
    *prefix = (struct prefix){0};
    for (;; prefix->size++) {
        uint8_t byte = at(scanner, scanner->offset + prefix->size);

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

static unsigned hexadecimal(const struct scanner *scanner, size_t offset, unsigned count,
                            uint32_t *point)
{
    unsigned digits = 0;

    for (*point = 0; digits < count; digits++) {
        uint8_t byte = at(scanner, offset + digits), lower = byte | 0x20;

        if (is_digit(byte))
            *point = *point << 4 | (uint32_t)(byte - '0');
        else if (lower >= 'a' && lower <= 'f')
            *point = *point << 4 | (uint32_t)(lower - 'a' + 10);
        else
            break;
    }
    return digits;
}

static void add_point(struct scanner *scanner, uint32_t point, bool bytes)
{
    if (bytes)
        buffer_add_byte(&scanner->joined, (uint8_t)point);
    else
        utf8_add(&scanner->joined, point);
}

static int unescape_hexadecimal(struct scanner *scanner, bool bytes, uint8_t letter)
{
    unsigned count = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
    uint32_t point;

    if (hexadecimal(scanner, scanner->offset + 2, count, &point) < count)
        return scanner_fail(scanner, scanner->offset, "expected %u hexadecimal digits after \\%c",
                            count, letter);
    if (point > 0x10FFFF)
        return scanner_fail(scanner, scanner->offset, "no character has a number above 10ffff");
    add_point(scanner, point, bytes);
    scanner->offset += 2 + count;
    return 0;
}

static int unescape_octal(struct scanner *scanner, bool bytes)
{
    uint32_t point = 0;
    unsigned digits = 0;

    for (; digits < 3; digits++) {
        uint8_t byte = at(scanner, scanner->offset + 1 + digits);

        if (byte < '0' || byte > '7')
            break;
        point = point * 8 + (uint32_t)(byte - '0');
    }
    if (bytes && point > 0xFF)
        return scanner_fail(scanner, scanner->offset, "a byte is at most \\377");
    add_point(scanner, point, bytes);
    scanner->offset += 1 + digits;
    return 0;
}

/* The escape at the backslash that is next. */
static int unescape(struct scanner *scanner, bool bytes)
{
    static const char letters[] = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    uint8_t letter = at(scanner, scanner->offset + 1);
    size_t end = line_end(scanner, scanner->offset + 1);

    if (end) {
        scanner->offset += 1 + end;
        return 0;
    }
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (letter == (uint8_t)letters[i]) {
            buffer_add_byte(&scanner->joined, (uint8_t)letters[i + 1]);
            scanner->offset += 2;
            return 0;
        }
    if (letter >= '0' && letter <= '7')
        return unescape_octal(scanner, bytes);
    if (letter == 'x' || (!bytes && (letter == 'u' || letter == 'U')))
        return unescape_hexadecimal(scanner, bytes, letter);
    if (letter == 'N' && !bytes)
        return scanner_fail(scanner, scanner->offset, "write \\u or \\U instead of \\N{...}");
    /* What is no escape stands for itself, as in Python. */
    buffer_add_byte(&scanner->joined, '\\');
    scanner->offset++;
    return 0;
}

struct literal {
    struct prefix prefix;
    size_t start;
    uint8_t quote;
    bool triple;
};

static bool is_closing(const struct scanner *scanner, const struct literal *literal)
{
    size_t offset = scanner->offset;

    return at(scanner, offset) == literal->quote &&
           (!literal->triple || (at(scanner, offset + 1) == literal->quote &&
                                 at(scanner, offset + 2) == literal->quote));
}

static int unclosed(struct scanner *scanner, const struct literal *literal)
{
    return scanner_fail(scanner, literal->start, "the string that starts here has no closing %s%c",
                        literal->triple ? "triple " : "", literal->quote);
}

/* The longest run that stands for itself. */
static size_t plain_run(const struct scanner *scanner, const struct literal *literal)
{
    size_t offset = scanner->offset;

    while (offset < scanner->text.size) {
        uint8_t byte = scanner->text.data[offset];

        if (byte == '\\' || byte == literal->quote || byte == '\n' || byte == '\r' || byte == 0 ||
            (byte >= 0x80 && literal->prefix.bytes))
            break;
        offset++;
    }
    return offset - scanner->offset;
}

/* What ends a plain run, unless it is the closing quote. */
static int scan_special(struct scanner *scanner, const struct literal *literal)
{
    uint8_t byte = at(scanner, scanner->offset);
    size_t end = line_end(scanner, scanner->offset);

    if (byte == 0 && scanner->offset < scanner->text.size)
        return scanner_fail(scanner, scanner->offset, "a NUL must be written as \\x00");
    if (byte >= 0x80)
        return scanner_fail(scanner, scanner->offset,
                            "bytes beyond ASCII must be written as \\x..");
    if (!byte || (end && !literal->triple))
        return unclosed(scanner, literal);
    if (byte == '\\' && !literal->prefix.raw)
        return unescape(scanner, literal->prefix.bytes);
    if (byte == '\\') {
        /* Raw: a quote behind it doesn't close, and both stay. */
        buffer_add_byte(&scanner->joined, byte);
        scanner->offset++;
        byte = at(scanner, scanner->offset);
        end = line_end(scanner, scanner->offset);
        if (!byte || (byte != literal->quote && byte != '\\' && !end))
            return 0;
    }
    buffer_add_byte(&scanner->joined, end ? '\n' : byte);
    scanner->offset += end ? end : 1;
    return 0;
}

/* Behind the opening quote; the content is a part of the text if nothing needs to be changed. */
static int scan_content(struct scanner *scanner, const struct literal *literal, bool only,
                        struct bytes *borrowed)
{
    *borrowed = bytes_part(scanner->text, scanner->offset, plain_run(scanner, literal));
    scanner->offset += borrowed->size;
    if (only && is_closing(scanner, literal))
        return 0;
    buffer_add(&scanner->joined, *borrowed);
    *borrowed = (struct bytes){NULL, 0};
    while (!is_closing(scanner, literal)) {
        struct bytes run = bytes_part(scanner->text, scanner->offset, plain_run(scanner, literal));
        int status = 0;

        buffer_add(&scanner->joined, run);
        scanner->offset += run.size;
        if (!is_closing(scanner, literal))
            status = scan_special(scanner, literal);
        if (status)
            return status;
    }
    return buffer_status(&scanner->joined);
}

static int scan_literal(struct scanner *scanner, const struct prefix *prefix, bool only,
                        struct bytes *borrowed)
{
    struct literal literal = {.prefix = *prefix, .start = scanner->offset};
    int status;

    if (prefix->formatted)
        return scanner_fail(scanner, scanner->offset, "f-strings would have to be evaluated");
    scanner->offset += prefix->size;
    literal.quote = at(scanner, scanner->offset);
    literal.triple = at(scanner, scanner->offset + 1) == literal.quote &&
                     at(scanner, scanner->offset + 2) == literal.quote;
    scanner->offset += literal.triple ? 3 : 1;
    status = scan_content(scanner, &literal, only, borrowed);
    scanner->offset += literal.triple ? 3 : 1;
    return status;
}

static int scan_string(struct scanner *scanner, struct prefix prefix, struct token *token)
{
    bool more = false;
    int status = 0;

    token->kind = prefix.bytes ? TOKEN_BYTES : TOKEN_TEXT;
    buffer_clear(&scanner->joined);
    do {
        struct bytes borrowed;

        status = scan_literal(scanner, &prefix, !more, &borrowed);
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
    uint8_t first = at(scanner, scanner->offset);
    unsigned both = (unsigned)first << 8 | at(scanner, scanner->offset + 1);

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
    byte = at(scanner, scanner->offset);
    end = line_end(scanner, scanner->offset);
    if (end) {
        token->kind = TOKEN_NEWLINE;
        scanner->offset += end;
        return 0;
    }
    if (is_digit(byte) || (byte == '.' && is_digit(at(scanner, scanner->offset + 1))))
        return scan_number(scanner, token);
    if (scan_prefix(scanner, &prefix))
        return scan_string(scanner, prefix, token);
    if (!is_name_start(byte))
        return scan_operator(scanner, token);
    token->kind = TOKEN_NAME;
    while (is_name_part(at(scanner, scanner->offset)))
        scanner->offset++;
    token->content = bytes_part(scanner->text, token->start, scanner->offset - token->start);
    return 0;
}
