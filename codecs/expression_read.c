/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_parser.h"

#include "codecs/expression_call.h"
#include "codecs/expression_words.h"
#include "codecs/literal.h"
#include "src/bigint.h"
#include "src/floattext.h"
#include "src/utf8.h"

#include <errno.h>
#include <inttypes.h>

/* Words */

static struct value *constant(struct document *document, struct value **known, enum value_kind kind)
{
    if (!*known)
        *known = value_new(document, kind);
    return *known;
}

static int read_name_use(struct parser *p, uint32_t number, size_t start)
{
    struct known_name *name = known_name(&p->known, number, start);

    if (!name)
        return arena_status(&p->document->arena);
    p->document->unshared = false;
    if (!name->value)
        name->value = value_new(p->document, VALUE_NONE);
    return parser_set(p, name->value, start, VALUE_ALIAS);
}

/* Joins `.name` parts into p->token.content. */
static int read_dotted(struct parser *p)
{
    size_t start = p->token.start;

    while (scanner_peek(&p->scanner) == '.') {
        size_t end = p->token.start + p->token.content.size;
        int status = scanner_next(&p->scanner, &p->token);

        if (!status && p->token.start == end)
            status = scanner_next(&p->scanner, &p->token);
        else if (!status)
            status = FAIL(p, p->token.start, "a dotted name has no blanks");
        if (status)
            return status;
        if (p->token.kind != TOKEN_NAME || p->token.start != end + 1 ||
            !literal_is_identifier(p->token.content))
            return FAIL(p, end + 1, "expected a name after the dot");
        end = p->token.start + p->token.content.size;
        p->token.start = start;
        p->token.content = bytes_part(p->scanner.text, start, end - start);
    }
    return 0;
}

static int read_global(struct parser *p)
{
    struct bytes dotted, module = expression_builtins(p->document), name;
    size_t dot, start = p->token.start;
    struct value *value;
    int status = read_dotted(p);

    if (status)
        return status;
    dotted = name = p->token.content;
    for (dot = dotted.size; dot > 0 && dotted.data[dot - 1] != '.';)
        dot--;
    if (dot) {
        module = bytes_part(dotted, 0, dot - 1);
        name = bytes_part(dotted, dot, SIZE_MAX);
    }
    if (bytes_equal(dotted, BYTES("datetime.timezone.utc"))) {
        status = call_build_utc(&p->known, &value);
        return status ? status : parser_set(p, value, start, 0);
    }
    return parser_set(p, known_global(&p->known, module, name), start,
                      VALUE_DIRECT | (dot ? 0 : VALUE_BARE));
}

/* stream(let(do(...))), each of which may be missing, stand around the whole value. */
static bool is_outermost(const struct parser *p, enum expression_word word)
{
    static const enum expression_word order[] = {WORD_STREAM, WORD_LET, WORD_DO};
    size_t next = 0;

    if (p->count >= ARRAY_SIZE(order))
        return false;
    for (size_t i = 0; i < p->count; i++, next++) {
        while (next < ARRAY_SIZE(order) && p->frames[i].word != order[next])
            next++;
        if (p->frames[i].kind != FRAME_CALL)
            return false;
    }
    while (next < ARRAY_SIZE(order) && word != order[next])
        next++;
    return next < ARRAY_SIZE(order);
}

static int open_form(struct parser *p, enum expression_word word)
{
    size_t start = p->token.start;
    bool inner = (word == WORD_DO || word == WORD_LET || word == WORD_STREAM) && !is_outermost(p, word);

    if (inner && word != WORD_DO)
        return FAIL(p, start, "%.*s(...) can only stand around the whole value",
                    (int)p->token.content.size, (const char *)p->token.content.data);
    if (scanner_peek(&p->scanner) != '(')
        return FAIL(p, p->scanner.offset, "expected '(' behind %.*s", (int)p->token.content.size,
                    (const char *)p->token.content.data);
    p->scanner.offset++;
    return parser_push(p, (struct frame){.kind = FRAME_CALL,
                                         .word = (uint8_t)word,
                                         .flags = inner ? FRAME_INNER : 0,
                                         .start = start,
                                         .value = value_new(p->document, VALUE_TUPLE)});
}

static int open_name(struct parser *p, uint32_t number, size_t start)
{
    struct known_name *name = known_name(&p->known, number, start);

    if (!name)
        return arena_status(&p->document->arena);
    if (name->defined)
        return FAIL(p, start, "_%" PRIu32 " has been defined already", number);
    if (!p->count)
        return FAIL(p, start, "a named value needs parentheses: (_%" PRIu32 " := ...)", number);
    name->defined = true;
    return parser_push(p, (struct frame){.kind = FRAME_NAME, .operator_ = number, .start = start});
}

/* `_1` or `_1 :=`. */
static int read_name(struct parser *p)
{
    uint32_t number = expression_name(p->token.content);
    size_t start = p->token.start, behind;
    struct token next;
    int status;

    if (!number)
        return FAIL(p, start, "names are _1, _2 and so on");
    if (scanner_peek(&p->scanner) != ':')
        return read_name_use(p, number, start);
    behind = p->scanner.offset;
    status = scanner_next(&p->scanner, &next);
    if (!status && next.operator_ == OPERATOR_DEFINE)
        return open_name(p, number, start);
    p->scanner.offset = behind;
    return status ? status : read_name_use(p, number, start);
}

int parser_read_word(struct parser *p)
{
    struct bytes word = p->token.content;
    size_t start = p->token.start;
    struct document *document = p->document;
    enum expression_word form = expression_word(word);

    if (bytes_equal(word, BYTES("None")))
        return parser_set(p, constant(document, &document->none, VALUE_NONE), start, 0);
    if (bytes_equal(word, BYTES("True")))
        return parser_set(p, constant(document, &document->true_, VALUE_TRUE), start, 0);
    if (bytes_equal(word, BYTES("False")))
        return parser_set(p, constant(document, &document->false_, VALUE_FALSE), start, 0);
    if (document->marshal && bytes_equal(word, BYTES("StopIteration")))
        return parser_set(
            p, constant(document, &document->stop_iteration, VALUE_STOP_ITERATION), start, 0);
    if (!literal_is_identifier(word))
        return FAIL(p, start, "'%.*s' is no value", (int)word.size, (const char *)word.data);
    if (expression_is_name(word))
        return read_name(p);
    if (form == WORD_NONE || scanner_peek(&p->scanner) == '.')
        return read_global(p);
    if (form == WORD_NAN && scanner_peek(&p->scanner) != '(')
        return parser_set(p, value_new_float(document, UINT64_C(0xFFF) << 51), start, 0);
    return open_form(p, form);
}

/* Literals */

/* A new number from its bytes. */
struct value *parser_integer(struct document *document, struct bytes bytes)
{
    int64_t integer;

    if (bigint_to_int64(bytes, &integer))
        return value_new_int(document, integer);
    return value_new_bytes(document, VALUE_BIG_INT, arena_copy(&document->arena, bytes));
}

int parser_read_integer(struct parser *p)
{
    enum { SURELY_INT64 = 18 };
    const struct token *token = &p->token;
    struct buffer bytes = BUFFER_INIT;
    struct value *value = NULL;
    int64_t integer = 0;
    int status;

    if (token->base == 10 && token->content.size <= SURELY_INT64) {
        for (size_t i = 0; i < token->content.size; i++)
            integer = integer * 10 + (token->content.data[i] - '0');
        return parser_set(p, value_new_int(p->document, integer), token->start, 0);
    }
    status = bigint_parse(token->content, token->base, false, &bytes);
    if (!status)
        value = parser_integer(p->document, buffer_bytes(&bytes));
    buffer_release(&bytes);
    if (status == -EINVAL)
        return FAIL(p, token->start, "more than %d digits must be written in hexadecimal",
                    BIGINT_DECIMAL_DIGITS);
    return status ? status : parser_set(p, value, token->start, 0);
}

int parser_read_float(struct parser *p)
{
    uint64_t bits;

    if (!floattext_parse(p->token.content, &bits))
        return -ENOMEM; /* the scanner let only numbers through */
    return parser_set(p, value_new_float(p->document, bits), p->token.start, 0);
}

int parser_read_imaginary(struct parser *p)
{
    struct value *value = value_new(p->document, VALUE_COMPLEX);

    if (!value)
        return arena_status(&p->document->arena);
    if (!value_list_add(p->document, &p->complex_numbers, value))
        return arena_status(&p->document->arena);
    value->complex_.real = 0;
    if (!floattext_parse(p->token.content, &value->complex_.imaginary))
        return -ENOMEM; /* the scanner let only numbers through */
    return parser_set(p, value, p->token.start, 0);
}

int parser_read_ellipsis(struct parser *p)
{
    struct document *document = p->document;

    if (!document->marshal)
        return parser_set(p, known_global(&p->known, expression_builtins(document), BYTES("Ellipsis")),
                          p->token.start, VALUE_DIRECT);
    return parser_set(p, constant(document, &document->ellipsis, VALUE_ELLIPSIS), p->token.start, 0);
}

/* The 8-bit string that shows as this text: one byte a character. */
static int narrow(struct parser *p, struct bytes text, struct bytes *content)
{
    uint8_t *copy = arena_alloc(&p->document->arena, text.size);
    size_t size = 0;

    for (size_t offset = 0; copy && offset < text.size;) {
        struct utf8_point point = utf8_decode(text, offset, UTF8_SURROGATES);

        if (!point.length || point.point > 0xFF)
            return FAIL(p, p->token.start,
                        "this 8-bit string has a character beyond \\xff; write u'...' for text");
        copy[size++] = (uint8_t)point.point;
        offset += point.length;
    }
    *content = bytes_of(copy, size);
    return arena_status(&p->document->arena);
}

int parser_read_string(struct parser *p)
{
    const struct frame *frame = parser_top(p);
    struct bytes content = p->token.content;
    enum value_kind kind = p->token.kind == TOKEN_BYTES ? VALUE_BYTES : VALUE_STR;
    bool class_name = frame && frame->kind == FRAME_CALL && frame->word == WORD_FIND_CLASS;
    int status = 0;

    if (p->document->python2 && kind == VALUE_STR && !p->token.unicode && !class_name) {
        kind = VALUE_STR8;
        status = narrow(p, content, &content);
    }
    return status ? status
                  : parser_set(p, known_string(&p->known, kind, content), p->token.start, 0);
}
