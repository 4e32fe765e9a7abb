/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the sources of the parser share; nobody else includes this. expression_parse.c knows
 * brackets and the order of tokens, expression_argument.c what is in the brackets of a call,
 * expression_read.c reads words and literals, expression_apply.c does what operators and names ask for.
 */
#ifndef SHELVEFS_EXPRESSION_PARSER_H
#define SHELVEFS_EXPRESSION_PARSER_H

#include "codecs/expression_names.h"
#include "codecs/expression_scan.h"

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
    FRAME_INNER = 1 << 7,   /* do() that does not stand around the whole value */
};

struct frame {
    uint8_t kind; /* enum frame_kind */
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
    struct value_list complex_numbers; /* all that were written as such */
};

#define FAIL(parser, offset, ...) scanner_fail(&(parser)->scanner, offset, __VA_ARGS__)

/* What is innermost, or NULL. */
static inline struct frame *parser_top(struct parser *p)
{
    return p->count ? &p->frames[p->count - 1] : NULL;
}
int parser_push(struct parser *p, struct frame frame);
/* Makes `value` the last one that was read; the arena's status. */
int parser_set(struct parser *p, struct value *value, size_t start, unsigned flags);

/*
 * Each reads what p->token starts: a value, or for a word also the beginning of a call or of `_1
 * :=`.
 */
int parser_read_word(struct parser *p);
int parser_read_integer(struct parser *p);
int parser_read_float(struct parser *p);
int parser_read_imaginary(struct parser *p);
int parser_read_ellipsis(struct parser *p);
int parser_read_string(struct parser *p);
/* A new number from its bytes. */
struct value *parser_integer(struct document *document, struct bytes bytes);

/* Opens a call of the last value. */
int parser_open_call(struct parser *p);
/* Whether an argument of the call starts here, without anything before it. `frame` may be NULL or no call's. */
static inline bool frame_is_argument_start(const struct frame *frame)
{
    return frame && frame->kind == FRAME_CALL &&
           !(frame->flags & (FRAME_STAR | FRAME_DOUBLE_STAR)) &&
           !(frame->keywords && frame->keywords->items.count % 2);
}
/*
 * `name=`, `*` or `**` at the start of an argument: 1 if it was read, 0 if it is none of these, or
 * an error.
 */
int parser_read_argument_start(struct parser *p, struct frame *frame);
/* Gives the last value, which is complete, to the call `frame`. */
int parser_take_argument(struct parser *p, struct frame *frame);
/* What the call makes, as the last value; `frame` is open no more. */
int parser_close_call(struct parser *p, const struct frame *frame);

/* | 1, << 2, + and - 3, others 0. */
int parser_precedence(unsigned operator_);
/*
 * Applies what waits for the value and binds at least as strongly as `lowest`; 0: all up to the
 * bracket.
 */
int parser_reduce(struct parser *p, int lowest);

#endif
