/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - Two states, a value is expected or was just read, and a stack of what is open: brackets, and operators and names
 *   that wait for the value at their right. Precedence is Python's: | below << below + below signs below calls.
 * - A name may be used before its definition, inside of itself or in an earlier part of let(). It is then an empty
 *   node, and the definition is copied into that node when it is complete.
 * - Steps extend what is a plain list, dict or set without steps, as a loader would, and else are kept as steps.
 * - Line and column are only counted when there is an error.
 */
#include "codecs/expression.h"

#include "codecs/expression_call.h"
#include "codecs/literal.h"
#include "src/bigint.h"
#include "src/floattext.h"
#include "src/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum frame_kind {
    FRAME_SIGN,   /* - or + before a number */
    FRAME_BINARY, /* `operator_` behind `value` */
    FRAME_NAME,   /* _number := */
    /* Brackets from here on. */
    FRAME_ROUND,
    FRAME_LIST,
    FRAME_CURLY, /* a dict or, once an item without ':' came, a set */
    FRAME_CALL,
};

enum frame_flags {
    FRAME_COMMA = 1 << 0,       /* the last thing was a comma */
    FRAME_STAR = 1 << 1,        /* the value to come is *value */
    FRAME_DOUBLE_STAR = 1 << 2, /* or **value */
    FRAME_DIRECT = 1 << 3,      /* struct call's flags */
    FRAME_BARE = 1 << 4,
    FRAME_DISPLAY = 1 << 5,
    FRAME_DEFINED = 1 << 6, /* let(): the last item defines a name */
};

struct frame {
    uint8_t kind;  /* enum frame_kind */
    uint8_t flags;
    uint8_t word;       /* FRAME_CALL: enum expression_word */
    uint32_t operator_; /* FRAME_SIGN, FRAME_BINARY; the number of a FRAME_NAME */
    size_t start;
    struct value *value; /* what it makes; the left operand; a call's arguments */
    struct value *other; /* a dict's key without a value; the callee; the tuple of (...) */
    struct value *keywords;
    struct value *star, *double_star;
};

/* How the last value was written. */
enum value_flags {
    VALUE_ALIAS = 1 << 0,   /* by its name: it was made elsewhere */
    VALUE_DIRECT = 1 << 1,  /* a global as a plain name */
    VALUE_BARE = 1 << 2,    /* ... without module */
    VALUE_DISPLAY = 1 << 3, /* in brackets: nothing else refers to it */
    VALUE_DEFINED = 1 << 4, /* behind _1 := */
};

struct parser {
    struct document *document;
    struct scanner scanner;
    struct known known;
    struct token token;
    struct frame *frames;
    size_t count, capacity;
    struct value *value; /* the last one that was read */
    unsigned flags;
    size_t start; /* where it starts */
    bool complete;
};

#define FAIL(parser, offset, ...) scanner_fail(&(parser)->scanner, offset, __VA_ARGS__)

static struct frame *top(struct parser *p)
{
    return p->count ? &p->frames[p->count - 1] : NULL;
}

static int push(struct parser *p, struct frame frame)
{
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? p->capacity * 2 : 32;
        struct frame *frames = realloc(p->frames, capacity * sizeof *frames);

        if (!frames)
            return -ENOMEM;
        p->frames = frames;
        p->capacity = capacity;
    }
    if (frame.kind >= FRAME_ROUND)
        p->scanner.brackets++;
    p->frames[p->count++] = frame;
    return 0;
}

static int set_value(struct parser *p, struct value *value, size_t start, unsigned flags)
{
    p->value = value;
    p->start = start;
    p->flags = flags;
    return arena_status(&p->document->arena);
}

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
        return -ENOMEM;
    if (!name->value)
        name->value = value_new(p->document, VALUE_NONE);
    return set_value(p, name->value, start, VALUE_ALIAS);
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
        return status ? status : set_value(p, value, start, 0);
    }
    return set_value(p, known_global(&p->known, module, name), start,
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

    if ((word == WORD_DO || word == WORD_LET || word == WORD_STREAM) && !is_outermost(p, word))
        return FAIL(p, start, "%.*s(...) can only stand around the whole value",
                    (int)p->token.content.size, (const char *)p->token.content.data);
    if (scanner_peek(&p->scanner) != '(')
        return FAIL(p, p->scanner.offset, "expected '(' behind %.*s", (int)p->token.content.size,
                    (const char *)p->token.content.data);
    p->scanner.offset++;
    return push(p, (struct frame){.kind = FRAME_CALL,
                                  .word = (uint8_t)word,
                                  .start = start,
                                  .value = value_new(p->document, VALUE_TUPLE)});
}

static int open_name(struct parser *p, uint32_t number, size_t start)
{
    struct known_name *name = known_name(&p->known, number, start);

    if (!name)
        return -ENOMEM;
    if (name->defined)
        return FAIL(p, start, "_%" PRIu32 " has been defined already", number);
    if (!p->count)
        return FAIL(p, start, "a named value needs parentheses: (_%" PRIu32 " := ...)", number);
    name->defined = true;
    return push(p, (struct frame){.kind = FRAME_NAME, .operator_ = number, .start = start});
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

static int read_word(struct parser *p)
{
    struct bytes word = p->token.content;
    size_t start = p->token.start;
    struct document *document = p->document;
    enum expression_word form = expression_word(word);

    if (bytes_equal(word, BYTES("None")))
        return set_value(p, constant(document, &document->none, VALUE_NONE), start, 0);
    if (bytes_equal(word, BYTES("True")))
        return set_value(p, constant(document, &document->true_, VALUE_TRUE), start, 0);
    if (bytes_equal(word, BYTES("False")))
        return set_value(p, constant(document, &document->false_, VALUE_FALSE), start, 0);
    if (!literal_is_identifier(word))
        return FAIL(p, start, "'%.*s' is no value", (int)word.size, (const char *)word.data);
    if (expression_is_name(word))
        return read_name(p);
    if (form == WORD_NONE || scanner_peek(&p->scanner) == '.')
        return read_global(p);
    if (form == WORD_NAN && scanner_peek(&p->scanner) != '(')
        return set_value(p, value_new_float(document, UINT64_C(0xFFF) << 51), start, 0);
    return open_form(p, form);
}

/* Literals */

/* A new number from its bytes. */
static struct value *integer_of(struct document *document, struct bytes bytes)
{
    int64_t integer;

    if (bigint_to_int64(bytes, &integer))
        return value_new_int(document, integer);
    return value_new_bytes(document, VALUE_BIG_INT, arena_copy(&document->arena, bytes));
}

static int read_integer(struct parser *p)
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
        return set_value(p, value_new_int(p->document, integer), token->start, 0);
    }
    status = bigint_parse(token->content, token->base, false, &bytes);
    if (!status)
        value = integer_of(p->document, buffer_bytes(&bytes));
    buffer_release(&bytes);
    if (status == -EINVAL)
        return FAIL(p, token->start, "more than %d digits must be written in hexadecimal",
                    BIGINT_DECIMAL_DIGITS);
    return status ? status : set_value(p, value, token->start, 0);
}

static int read_float(struct parser *p)
{
    uint64_t bits;

    if (!floattext_parse(p->token.content, &bits))
        return -ENOMEM; /* the scanner let only numbers through */
    return set_value(p, value_new_float(p->document, bits), p->token.start, 0);
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

static int read_string(struct parser *p)
{
    const struct frame *frame = top(p);
    struct bytes content = p->token.content;
    enum value_kind kind = p->token.kind == TOKEN_BYTES ? VALUE_BYTES : VALUE_STR;
    bool class_name = frame && frame->kind == FRAME_CALL && frame->word == WORD_FIND_CLASS;
    int status = 0;

    if (p->document->python2 && kind == VALUE_STR && !p->token.unicode && !class_name) {
        kind = VALUE_STR8;
        status = narrow(p, content, &content);
    }
    return status ? status
                  : set_value(p, known_string(&p->known, kind, content), p->token.start, 0);
}

/* Messages */

static const struct {
    const char *closing, *place;
} bracket_names[] = {
    [FRAME_ROUND] = {"')'", "parentheses that start"},
    [FRAME_LIST] = {"']'", "list that starts"},
    [FRAME_CURLY] = {"'}'", "braces that start"},
    [FRAME_CALL] = {"')'", "call that starts"},
};

/* The innermost open bracket, or NULL. */
static const struct frame *open_frame(const struct parser *p)
{
    for (size_t i = p->count; i-- > 0;)
        if (p->frames[i].kind >= FRAME_ROUND)
            return &p->frames[i];
    return NULL;
}

static int expected(struct parser *p, const char *wanted)
{
    const struct frame *frame = open_frame(p);

    if (!frame)
        return FAIL(p, p->token.start, "expected %s", wanted);
    return FAIL(p, p->token.start, "expected %s%s in the %s at line %zu", wanted,
                bracket_names[frame->kind].closing, bracket_names[frame->kind].place,
                scanner_line(&p->scanner, frame->start));
}

static int expected_value(struct parser *p)
{
    bool directly = p->count && top(p)->kind >= FRAME_ROUND;

    if (!directly || (top(p)->kind == FRAME_CURLY && top(p)->other))
        return FAIL(p, p->token.start, "expected a value");
    return expected(p, "a value or ");
}

static int expected_more(struct parser *p)
{
    const struct frame *frame = open_frame(p);

    if (!frame)
        return expected(p, "nothing more behind the value");
    if (frame->kind != FRAME_CURLY || frame->other || frame->value->kind == VALUE_SET)
        return expected(p, "',' or ");
    if (!frame->value->items.count)
        return expected(p, "':', ',' or ");
    return FAIL(p, p->token.start, "expected ':' in the %s at line %zu",
                bracket_names[frame->kind].place, scanner_line(&p->scanner, frame->start));
}

/* What waits for a value at its right */

static int negate_integer(struct parser *p)
{
    struct buffer bytes = BUFFER_INIT, negative = BUFFER_INIT;
    int status;

    if (p->value->kind == VALUE_INT)
        bigint_from_int64(p->value->integer, &bytes);
    else
        buffer_add(&bytes, p->value->bytes);
    bigint_negate(buffer_bytes(&bytes), &negative);
    p->value = integer_of(p->document, buffer_bytes(&negative));
    status = buffer_status(&bytes) ? buffer_status(&bytes) : buffer_status(&negative);
    buffer_release(&bytes);
    buffer_release(&negative);
    return status ? status : arena_status(&p->document->arena);
}

static int apply_sign(struct parser *p, const struct frame *frame)
{
    struct value *value = p->value;

    p->start = frame->start;
    if (value->kind < VALUE_INT || value->kind > VALUE_FLOAT || value->last_step ||
        (p->flags & VALUE_ALIAS))
        return FAIL(p, frame->start, "a sign can only stand before a number");
    if (frame->operator_ == '+')
        return 0;
    if (value->kind == VALUE_INT && value->integer != INT64_MIN)
        value->integer = -value->integer;
    else if (value->kind == VALUE_FLOAT)
        value->bits ^= UINT64_C(1) << 63;
    else
        return negate_integer(p);
    return 0;
}

/* A step happens to this mention: other places with the same string or global keep a node without it. */
static struct value *step_target(struct parser *p, struct value *value)
{
    struct value *copy;

    if (value->kind >= VALUE_BYTEARRAY && value->kind != VALUE_GLOBAL)
        return value;
    copy = value_new(p->document, (enum value_kind)value->kind);
    if (copy) {
        *copy = *value;
        copy->flags = 0;
    }
    return copy;
}

static bool extends_itself(const struct value *value, enum value_step_kind step)
{
    if (value->last_step)
        return false;
    return (step == STEP_APPEND && value->kind == VALUE_LIST) ||
           (step == STEP_SET_ITEM && value->kind == VALUE_DICT) ||
           (step == STEP_ADD && value->kind == VALUE_SET);
}

static void add_items(struct parser *p, struct value *value, enum value_step_kind step,
                      const struct value_list *items)
{
    if (!extends_itself(value, step)) {
        if (items->count)
            value_add_step(p->document, value, step, items->at, items->count);
        return;
    }
    for (uint32_t i = 0; i < items->count; i++)
        value_list_add(p->document, &value->items, items->at[i]);
}

static int apply_binary(struct parser *p, const struct frame *frame)
{
    struct value *right = p->value, *value = frame->value;
    bool display = (p->flags & VALUE_DISPLAY) && !right->last_step;

    if (frame->operator_ == '+' && !(display && right->kind == VALUE_LIST))
        return FAIL(p, p->start, "expected a list [...] behind +");
    if (frame->operator_ == '|' &&
        !(display && (right->kind == VALUE_DICT || right->kind == VALUE_SET)))
        return FAIL(p, p->start, "expected {...} behind |");
    value = step_target(p, value);
    if (!value)
        return arena_status(&p->document->arena);
    if (frame->operator_ == OPERATOR_SHIFT)
        value_add_step(p->document, value, STEP_BUILD, &right, 1);
    else
        add_items(p, value,
                  frame->operator_ == '+'            ? STEP_APPEND
                  : right->kind == VALUE_DICT ? STEP_SET_ITEM
                                              : STEP_ADD,
                  &right->items);
    return set_value(p, value, frame->start, 0);
}

static int apply_name(struct parser *p, const struct frame *frame)
{
    struct known_name *name = known_name(&p->known, frame->operator_, frame->start);
    struct value *value = p->value;

    if (!name)
        return -ENOMEM;
    if (!name->value) {
        name->value = value;
    } else {
        /* It was mentioned before: the mentions are of this node. */
        if (p->flags & VALUE_ALIAS)
            return FAIL(p, frame->start, "_%" PRIu32 " can't be used before it is defined here",
                        frame->operator_);
        *name->value = *value;
    }
    return set_value(p, name->value, frame->start, VALUE_DEFINED);
}

/* | 1, << 2, + 3, a sign 4; a name takes everything. */
static int precedence(unsigned operator_)
{
    return operator_ == '|' ? 1 : operator_ == OPERATOR_SHIFT ? 2 : operator_ == '+' ? 3 : 0;
}

/* Applies what waits for the value and binds at least as strongly as `lowest`. */
static int reduce(struct parser *p, int lowest)
{
    int status = 0;

    while (!status && p->count) {
        struct frame frame = *top(p);

        if (frame.kind >= FRAME_ROUND || (frame.kind == FRAME_NAME && lowest > 0) ||
            (frame.kind == FRAME_BINARY && precedence(frame.operator_) < lowest))
            break;
        p->count--;
        if (frame.kind == FRAME_SIGN)
            status = apply_sign(p, &frame);
        else if (frame.kind == FRAME_BINARY)
            status = apply_binary(p, &frame);
        else
            status = apply_name(p, &frame);
    }
    return status;
}

/* Brackets */

static int take_argument(struct parser *p, struct frame *frame)
{
    struct value_list *items = &frame->value->items;

    if (frame->keywords && frame->keywords->items.count % 2) {
        value_list_add(p->document, &frame->keywords->items, p->value);
        return 0;
    }
    if (frame->flags & (FRAME_STAR | FRAME_DOUBLE_STAR)) {
        bool star = frame->flags & FRAME_STAR;
        uint32_t before = frame->word == WORD_NEW ? 1 : 0;

        if (star ? items->count != before || frame->star || frame->keywords || frame->double_star
                 : frame->double_star || frame->keywords)
            return FAIL(p, p->start, "expected %s alone", star ? "*arguments" : "**keywords");
        if (star)
            frame->star = p->value;
        else
            frame->double_star = p->value;
        frame->flags &= (uint8_t)~(FRAME_STAR | FRAME_DOUBLE_STAR);
        return 0;
    }
    if (frame->star || frame->keywords || frame->double_star)
        return FAIL(p, p->start, "expected no argument behind keywords or *arguments");
    if (frame->word == WORD_LET && items->count && !(frame->flags & FRAME_DEFINED))
        return FAIL(p, p->start, "all parts of let(...) but the last must define a name");
    frame->flags &= (uint8_t)~(FRAME_DEFINED | FRAME_DISPLAY);
    if (p->flags & VALUE_DEFINED)
        frame->flags |= FRAME_DEFINED;
    if (p->flags & VALUE_DISPLAY)
        frame->flags |= FRAME_DISPLAY;
    value_list_add(p->document, items, p->value);
    return 0;
}

/* `colon`: the value is a key. */
static int take_member(struct parser *p, struct frame *frame, bool colon)
{
    struct value *braces = frame->value;

    if (colon) {
        frame->other = p->value;
        return 0;
    }
    if (frame->other) {
        value_list_add(p->document, &braces->items, frame->other);
        frame->other = NULL;
    } else {
        if (braces->kind == VALUE_DICT && braces->items.count)
            return expected_more(p);
        braces->kind = VALUE_SET;
    }
    value_list_add(p->document, &braces->items, p->value);
    return 0;
}

/* Gives the complete value to the bracket around it, on ',' or ':' or before the closing bracket. */
static int take(struct parser *p, bool colon)
{
    struct frame *frame = top(p);
    int status = 0;

    frame->flags &= (uint8_t)~FRAME_COMMA;
    if (frame->kind == FRAME_CALL)
        status = take_argument(p, frame);
    else if (frame->kind == FRAME_CURLY)
        status = take_member(p, frame, colon);
    else
        value_list_add(p->document, &frame->value->items, p->value);
    return status ? status : arena_status(&p->document->arena);
}

static int close_call(struct parser *p, const struct frame *frame)
{
    struct call call = {
        .word = (enum expression_word)frame->word,
        .direct = frame->flags & FRAME_DIRECT,
        .bare = frame->flags & FRAME_BARE,
        .display = frame->flags & FRAME_DISPLAY,
        .start = frame->start,
        .callee = frame->other,
        .arguments = frame->value,
        .star = frame->star,
        .keywords = frame->keywords,
        .double_star = frame->double_star,
    };
    struct value *value = NULL;
    int status = call_build(&call, &p->scanner, &p->known, &value);

    return status ? status : set_value(p, value, frame->start, 0);
}

/* The value of parentheses around one value is that value. */
static int close_round(struct parser *p, const struct frame *frame)
{
    if (frame->value->items.count != 1 || (frame->flags & FRAME_COMMA))
        return set_value(p, frame->value, frame->start, 0);
    return set_value(p, frame->value->items.at[0], frame->start,
                     p->flags & (VALUE_ALIAS | VALUE_DISPLAY | VALUE_DEFINED));
}

static int close_bracket(struct parser *p)
{
    struct frame frame = *top(p);

    p->count--;
    p->scanner.brackets--;
    switch ((enum frame_kind)frame.kind) {
    case FRAME_CALL:
        return close_call(p, &frame);
    case FRAME_ROUND:
        return close_round(p, &frame);
    default:
        return set_value(p, frame.value, frame.start, VALUE_DISPLAY);
    }
}

static bool closes(const struct frame *frame, unsigned operator_)
{
    static const unsigned closing[] = {
        [FRAME_ROUND] = ')', [FRAME_LIST] = ']', [FRAME_CURLY] = '}', [FRAME_CALL] = ')'};

    return frame && frame->kind >= FRAME_ROUND && operator_ == closing[frame->kind];
}

static int open_bracket(struct parser *p, enum frame_kind kind, enum value_kind makes)
{
    struct value *value = value_new(p->document, makes);

    if (!value)
        return arena_status(&p->document->arena);
    return push(p, (struct frame){.kind = (uint8_t)kind, .start = p->token.start, .value = value});
}

static int open_call(struct parser *p)
{
    struct frame frame = {
        .kind = FRAME_CALL,
        .start = p->start,
        .value = value_new(p->document, VALUE_TUPLE),
        .other = p->value,
        .flags = (uint8_t)((p->flags & VALUE_DIRECT ? FRAME_DIRECT : 0) |
                           (p->flags & VALUE_BARE ? FRAME_BARE : 0)),
    };

    return frame.value ? push(p, frame) : arena_status(&p->document->arena);
}

/* Tokens */

static int open_keyword(struct parser *p, struct frame *frame)
{
    enum value_kind kind = p->document->python2 && frame->word == WORD_NONE ? VALUE_STR8 : VALUE_STR;
    struct bytes word = p->token.content;

    if (frame->star && frame->word == WORD_NONE)
        return FAIL(p, p->token.start, "a call has either *arguments or keywords");
    if (!literal_is_identifier(word))
        return FAIL(p, p->token.start, "'%.*s' can't be a keyword", (int)word.size,
                    (const char *)word.data);
    if (!frame->keywords)
        frame->keywords = value_new(p->document, VALUE_DICT);
    if (!frame->keywords || frame->double_star)
        return frame->keywords ? FAIL(p, p->token.start, "expected nothing behind **keywords")
                               : arena_status(&p->document->arena);
    for (uint32_t i = 0; i < frame->keywords->items.count && i < 64; i += 2)
        if (bytes_equal(frame->keywords->items.at[i]->bytes, word))
            return FAIL(p, p->token.start, "the keyword %.*s is given twice", (int)word.size,
                        (const char *)word.data);
    value_list_add(p->document, &frame->keywords->items, known_string(&p->known, kind, word));
    frame->flags &= (uint8_t)~FRAME_COMMA;
    return arena_status(&p->document->arena);
}

/* At the start of an argument: name= or a star. True if that was it. */
static bool is_keyword(struct parser *p)
{
    return p->token.kind == TOKEN_NAME && scanner_peek(&p->scanner) == '=';
}

/* Reads what a value may start with. `*have`: one is complete. */
static int read_value(struct parser *p, bool *have)
{
    struct frame *frame = top(p);
    bool argument = frame && frame->kind == FRAME_CALL &&
                    !(frame->flags & (FRAME_STAR | FRAME_DOUBLE_STAR)) &&
                    !(frame->keywords && frame->keywords->items.count % 2);
    unsigned operator_ = p->token.operator_;
    int status;

    *have = false;
    if (argument && is_keyword(p)) {
        status = open_keyword(p, frame);
        if (!status)
            p->scanner.offset++;
        return status;
    }
    if (argument && (operator_ == '*' || operator_ == OPERATOR_POWER)) {
        frame->flags |= operator_ == '*' ? FRAME_STAR : FRAME_DOUBLE_STAR;
        return 0;
    }
    *have = true;
    switch (p->token.kind) {
    case TOKEN_NAME: {
        size_t before = p->count;

        status = read_word(p);
        *have = p->count == before;
        return status;
    }
    case TOKEN_INTEGER:
        return read_integer(p);
    case TOKEN_FLOAT:
        return read_float(p);
    case TOKEN_TEXT:
    case TOKEN_BYTES:
        return read_string(p);
    case TOKEN_OPERATOR:
        break;
    default:
        return expected_value(p);
    }
    *have = false;
    switch (operator_) {
    case '(':
        return open_bracket(p, FRAME_ROUND, VALUE_TUPLE);
    case '[':
        return open_bracket(p, FRAME_LIST, VALUE_LIST);
    case '{':
        return open_bracket(p, FRAME_CURLY, VALUE_DICT);
    case '-':
    case '+':
        return push(p, (struct frame){
                           .kind = FRAME_SIGN, .operator_ = operator_, .start = p->token.start});
    default:
        break;
    }
    /* An empty bracket, or one that ends with a comma. */
    if (closes(frame, operator_) && !(frame->kind == FRAME_CURLY && frame->other) &&
        !(frame->kind == FRAME_CALL && !argument)) {
        bool empty = frame->kind == FRAME_CALL ? !frame->value->items.count && !frame->star &&
                                                     !frame->keywords && !frame->double_star
                                               : !frame->value->items.count;

        if (empty || (frame->flags & FRAME_COMMA)) {
            *have = true;
            return close_bracket(p);
        }
    }
    return expected_value(p);
}

/* Reads what may stand behind a value. `*have`: still the same or another value, not an operator or comma. */
static int read_behind(struct parser *p, bool *have)
{
    unsigned operator_ = p->token.operator_;
    int rank = precedence(operator_), status;
    struct frame *frame;

    *have = true;
    if (operator_ == '(')
        return *have = false, open_call(p);
    if (rank) {
        status = reduce(p, rank);
        *have = false;
        return status ? status
                      : push(p, (struct frame){.kind = FRAME_BINARY,
                                               .operator_ = operator_,
                                               .start = p->start,
                                               .value = p->value});
    }
    status = reduce(p, 0);
    if (status)
        return status;
    frame = top(p);
    if (!frame) {
        p->complete = p->token.kind == TOKEN_END || p->token.kind == TOKEN_NEWLINE;
        return p->complete ? 0 : expected_more(p);
    }
    if (operator_ == ':' && frame->kind == FRAME_CURLY && !frame->other &&
        (frame->value->kind == VALUE_DICT)) {
        *have = false;
        return take(p, true);
    }
    if (operator_ != ',' && !closes(frame, operator_))
        return expected_more(p);
    status = take(p, false);
    if (status)
        return status;
    if (operator_ == ',') {
        frame->flags |= FRAME_COMMA;
        *have = false;
        return 0;
    }
    return close_bracket(p);
}

static int skip_newlines(struct parser *p)
{
    int status;

    do
        status = scanner_next(&p->scanner, &p->token);
    while (!status && p->token.kind == TOKEN_NEWLINE);
    return status;
}

static int parse_value(struct parser *p)
{
    bool have = false;
    int status = skip_newlines(p);

    while (!status) {
        status = have ? read_behind(p, &have) : read_value(p, &have);
        if (status || p->complete)
            break;
        status = scanner_next(&p->scanner, &p->token);
    }
    return status;
}

static int finish(struct parser *p)
{
    const struct known_name *undefined = known_undefined(&p->known);
    int status = p->token.kind == TOKEN_NEWLINE ? skip_newlines(p) : 0;

    if (status)
        return status;
    if (p->token.kind != TOKEN_END)
        return expected_more(p);
    if (undefined)
        return FAIL(p, undefined->offset, "_%" PRIu32 " is not defined", undefined->number);
    if (p->flags & VALUE_DIRECT)
        return FAIL(p, p->start, "a lone name is text; a class or function needs parentheses");
    p->document->root = p->value;
    return 0;
}

int expression_parse(struct bytes text, struct document *document, struct failure *failure)
{
    struct parser p = {.document = document};
    size_t invalid = utf8_find_invalid(text, UTF8_STRICT);
    int status = known_init(&p.known, document);

    scanner_init(&p.scanner, text, &document->arena, failure);
    if (!status && invalid < text.size)
        status = FAIL(&p, invalid, "this is not valid UTF-8");
    if (!status)
        status = parse_value(&p);
    if (!status)
        status = finish(&p);
    if (status != -EINVAL)
        status = status ? failure_set(failure, status, p.token.start,
                                      status == -EFBIG ? "too large" : "out of memory")
                        : 0;
    scanner_release(&p.scanner);
    known_release(&p.known);
    free(p.frames);
    return status;
}
