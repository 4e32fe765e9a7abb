/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - Two states, a value is expected or was just read, and a stack of what is open: brackets, and
 *   operators and names that wait for the value at their right. Precedence is Python's: | below <<
 *   below + below signs below calls.
 * - A name may be used before its definition, inside of itself or in an earlier part of let(). It
 *   is then an empty node, and the definition is copied into that node when it is complete.
 * - Steps extend what is a plain list, dict or set without steps, as a loader would, and else are
 *   kept as steps.
 * - Line and column are only counted when there is an error.
 */
#include "codecs/expression.h"

#include "codecs/code_layout.h"
#include "codecs/expression_parser.h"
#include "codecs/expression_words.h"
#include "src/array.h"
#include "src/utf8.h"

#include <errno.h>
#include <inttypes.h>

int parser_push(struct parser *p, struct frame frame)
{
    if (p->count == p->capacity) {
        struct arena *arena = &p->document->arena;
        struct frame *frames = array_double_in(arena, p->frames, NULL, &p->capacity, sizeof *frames);

        if (!frames)
            return arena_status(arena);
        p->frames = frames;
    }
    if (frame.kind >= FRAME_ROUND)
        p->scanner.brackets++;
    p->frames[p->count++] = frame;
    return 0;
}

int parser_set(struct parser *p, struct value *value, size_t start, unsigned flags)
{
    p->value = value;
    p->start = start;
    p->flags = flags;
    return arena_status(&p->document->arena);
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
    bool directly = p->count && parser_top(p)->kind >= FRAME_ROUND;

    if (!directly || (parser_top(p)->kind == FRAME_CURLY && parser_top(p)->other))
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

/* Brackets */

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

/*
 * Gives the complete value to the bracket around it, on ',' or ':' or before the closing bracket.
 */
static int take(struct parser *p, bool colon)
{
    struct frame *frame = parser_top(p);
    int status = 0;

    frame->flags &= (uint8_t)~FRAME_COMMA;
    if (frame->kind == FRAME_CALL)
        status = parser_take_argument(p, frame);
    else if (frame->kind == FRAME_CURLY)
        status = take_member(p, frame, colon);
    else
        value_list_add(p->document, &frame->value->items, p->value);
    return status ? status : arena_status(&p->document->arena);
}

/* The value of parentheses around one value is that value. */
static int close_round(struct parser *p, const struct frame *frame)
{
    if (frame->value->items.count != 1 || (frame->flags & FRAME_COMMA))
        return parser_set(p, frame->value, frame->start, 0);
    return parser_set(p, frame->value->items.at[0], frame->start,
                      p->flags & (VALUE_ALIAS | VALUE_DISPLAY | VALUE_DEFINED));
}

static int close_bracket(struct parser *p)
{
    struct frame frame = *parser_top(p);

    p->count--;
    p->scanner.brackets--;
    switch ((enum frame_kind)frame.kind) {
    case FRAME_CALL:
        return parser_close_call(p, &frame);
    case FRAME_ROUND:
        return close_round(p, &frame);
    default:
        return parser_set(p, frame.value, frame.start, VALUE_DISPLAY);
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
    return parser_push(
        p, (struct frame){.kind = (uint8_t)kind, .start = p->token.start, .value = value});
}

/* Tokens */

/* Whether the bracket may close where a value could stand: it is empty or ends with a comma. */
static bool may_close(const struct frame *frame)
{
    if (frame->kind == FRAME_CURLY && frame->other)
        return false;
    if (frame->kind == FRAME_CALL && !frame_is_argument_start(frame))
        return false;
    if (frame->flags & FRAME_COMMA)
        return true;
    return !frame->value->items.count && !frame->star && !frame->keywords && !frame->double_star;
}

/* A bracket or a sign, or a bracket that closes: then `*have` is true. */
static int read_operator(struct parser *p, bool *have)
{
    const struct frame *frame = parser_top(p);
    unsigned operator_ = p->token.operator_;

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
        return parser_push(
            p, (struct frame){.kind = FRAME_SIGN, .operator_ = operator_, .start = p->token.start});
    default:
        if (!closes(frame, operator_) || !may_close(frame))
            return expected_value(p);
        *have = true;
        return close_bracket(p);
    }
}

/* Reads what a value may start with. `*have`: one is complete. */
static int read_value(struct parser *p, bool *have)
{
    struct frame *frame = parser_top(p);
    size_t open = p->count;
    int status = frame_is_argument_start(frame) ? parser_read_argument_start(p, frame) : 0;

    *have = false;
    if (status)
        return status < 0 ? status : 0;
    switch (p->token.kind) {
    case TOKEN_NAME:
        status = parser_read_word(p);
        break;
    case TOKEN_INTEGER:
        status = parser_read_integer(p);
        break;
    case TOKEN_FLOAT:
        status = parser_read_float(p);
        break;
    case TOKEN_IMAGINARY:
        status = parser_read_imaginary(p);
        break;
    case TOKEN_ELLIPSIS:
        status = parser_read_ellipsis(p);
        break;
    case TOKEN_TEXT:
    case TOKEN_BYTES:
        status = parser_read_string(p);
        break;
    case TOKEN_OPERATOR:
        return read_operator(p, have);
    default:
        return expected_value(p);
    }
    /* A word may have opened a call or a name. */
    *have = p->count == open;
    return status;
}

/*
 * Reads what may stand behind a value. `*have`: still the same or another value, not an operator
 * or comma.
 */
static int read_behind(struct parser *p, bool *have)
{
    unsigned operator_ = p->token.operator_;
    int rank = parser_precedence(operator_), status;
    struct frame *frame;

    *have = true;
    if (operator_ == '(') {
        *have = false;
        return parser_open_call(p);
    }
    if (rank) {
        status = parser_reduce(p, rank);
        *have = false;
        return status ? status
                      : parser_push(p, (struct frame){.kind = FRAME_BINARY,
                                                      .operator_ = operator_,
                                                      .start = p->start,
                                                      .value = p->value});
    }
    status = parser_reduce(p, 0);
    if (status)
        return status;
    frame = parser_top(p);
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

/* A pickle has complex numbers as calls. */
static int call_complex(struct parser *p, struct value *number)
{
    struct document *document = p->document;
    struct value *parts[] = {value_new_float(document, number->complex_.real),
                             value_new_float(document, number->complex_.imaginary)};
    struct value *call[] = {
        known_global(&p->known, expression_builtins(document), BYTES("complex")),
        value_new(document, VALUE_TUPLE),
    };

    if (!parts[0] || !parts[1] || !call[0] || !call[1] ||
        !value_list_add_all(document, &call[1]->items, parts, 2))
        return arena_status(&document->arena);
    number->kind = VALUE_CALL;
    number->items = (struct value_list){0};
    value_list_add_all(document, &number->items, call, 2);
    return arena_status(&document->arena);
}

static int call_numbers(struct parser *p)
{
    int status = 0;

    for (uint32_t i = 0; i < p->complex_numbers.count && !p->document->marshal && !status; i++)
        status = call_complex(p, p->complex_numbers.at[i]);
    return status;
}

/* A field may have been given by a name that was defined later. */
static int check_code(struct parser *p)
{
    const struct value_list *list = &p->document->globals;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct value *code = list->at[i];
        const struct code_field *fields;
        uint32_t count;

        if (code->kind != VALUE_CODE)
            continue;
        fields = code_fields((enum code_layout)code->role, &count);
        for (uint32_t j = 0; j < count; j++)
            if (!code_field_accepts((enum code_layout)code->role, &fields[j], code->items.at[j]))
                return FAIL(p, p->start, "the field %s of a code object can't hold what it is given by name",
                            fields[j].name);
    }
    return 0;
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
    if (p->known.program && (p->known.program != p->value || p->value->last_step || p->document->effects.count))
        return FAIL(p, p->start, "asm(...) is a whole value");
    p->document->root = p->value;
    status = check_code(p);
    return status ? status : call_numbers(p);
}

int expression_parse(struct bytes text, struct document *document, struct failure *failure)
{
    struct parser p = {.document = document};
    size_t invalid = utf8_find_invalid(text, UTF8_STRICT);
    int status = known_init(&p.known, document);

    /* Until a name is used, or a lookup or a step is made. */
    document->unshared = true;

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
    array_free_in(&document->arena, p.frames, NULL, p.capacity, sizeof *p.frames);
    return status;
}
