/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A call from its bracket on: its arguments, *arguments and keywords, until call_build() makes something of them. */
#include "codecs/expression_call.h"
#include "codecs/expression_parser.h"
#include "codecs/literal.h"

int parser_open_call(struct parser *p)
{
    struct frame frame = {
        .kind = FRAME_CALL,
        .start = p->start,
        .value = value_new(p->document, VALUE_TUPLE),
        .other = p->value,
        .flags = (uint8_t)((p->flags & VALUE_DIRECT ? FRAME_DIRECT : 0) |
                           (p->flags & VALUE_BARE ? FRAME_BARE : 0)),
    };

    return frame.value ? parser_push(p, frame) : arena_status(&p->document->arena);
}

static int open_keyword(struct parser *p, struct frame *frame)
{
    enum value_kind kind =
        p->document->python2 && frame->word == WORD_NONE ? VALUE_STR8 : VALUE_STR;
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
    for (uint32_t i = 0; i < frame->keywords->items.count && i < 2 * EXPRESSION_KEYWORDS; i += 2)
        if (bytes_equal(frame->keywords->items.at[i]->bytes, word))
            return FAIL(p, p->token.start, "the keyword %.*s is given twice", (int)word.size,
                        (const char *)word.data);
    value_list_add(p->document, &frame->keywords->items, known_string(&p->known, kind, word));
    frame->flags &= (uint8_t)~FRAME_COMMA;
    return arena_status(&p->document->arena);
}

int parser_read_argument_start(struct parser *p, struct frame *frame)
{
    int status;

    if (p->token.kind == TOKEN_NAME && scanner_peek(&p->scanner) == '=') {
        status = open_keyword(p, frame);
        p->scanner.offset++;
        return status ? status : 1;
    }
    if (p->token.operator_ != '*' && p->token.operator_ != OPERATOR_POWER)
        return 0;
    frame->flags |= p->token.operator_ == '*' ? FRAME_STAR : FRAME_DOUBLE_STAR;
    return 1;
}

int parser_take_argument(struct parser *p, struct frame *frame)
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
        frame->flags &= (uint8_t) ~(FRAME_STAR | FRAME_DOUBLE_STAR);
        return 0;
    }
    if (frame->star || frame->keywords || frame->double_star)
        return FAIL(p, p->start, "expected no argument behind keywords or *arguments");
    if (frame->word == WORD_LET && items->count && !(frame->flags & FRAME_DEFINED))
        return FAIL(p, p->start, "all parts of let(...) but the last must define a name");
    frame->flags &= (uint8_t) ~(FRAME_DEFINED | FRAME_DISPLAY);
    if (p->flags & VALUE_DEFINED)
        frame->flags |= FRAME_DEFINED;
    if (p->flags & VALUE_DISPLAY)
        frame->flags |= FRAME_DISPLAY;
    value_list_add(p->document, items, p->value);
    return 0;
}

int parser_close_call(struct parser *p, const struct frame *frame)
{
    struct call call = {
        .word = (enum expression_word)frame->word,
        .direct = frame->flags & FRAME_DIRECT,
        .bare = frame->flags & FRAME_BARE,
        .display = frame->flags & FRAME_DISPLAY,
        .inner = frame->flags & FRAME_INNER,
        .start = frame->start,
        .callee = frame->other,
        .arguments = frame->value,
        .star = frame->star,
        .keywords = frame->keywords,
        .double_star = frame->double_star,
    };
    struct value *value = NULL;
    int status = call_build(&call, &p->scanner, &p->known, &value);
    /* do(setter((_1 := object), state), _1) */
    bool defined = !status && call.word == WORD_DO && value->last_step && value->last_step->kind == STEP_CALL;

    return status ? status : parser_set(p, value, frame->start, defined ? VALUE_DEFINED : 0);
}
