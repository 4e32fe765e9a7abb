/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The words of an expression: Python's tokens, as far as the notation has them.
 *
 * A line that ends inside of brackets is blank; outside it is a token. Adjacent string literals
 * are one token. The scanner borrows the text; what it must unescape lives in the arena.
 */
#ifndef SHELVEFS_EXPRESSION_SCAN_H
#define SHELVEFS_EXPRESSION_SCAN_H

#include "src/arena.h"
#include "src/failure.h"

enum token_kind {
    TOKEN_END,
    TOKEN_NEWLINE,
    TOKEN_NAME,
    TOKEN_INTEGER,
    TOKEN_FLOAT,
    TOKEN_IMAGINARY, /* 1j */
    TOKEN_ELLIPSIS,
    TOKEN_TEXT,  /* '...', r'...', u'...' */
    TOKEN_BYTES, /* b'...' */
    TOKEN_OPERATOR,
};

/* Operators are told apart by their characters: '(' or '<' << 8 | '<'. */
enum {
    OPERATOR_SHIFT = '<' << 8 | '<',
    OPERATOR_DEFINE = ':' << 8 | '=',
    OPERATOR_POWER = '*' << 8 | '*',
};

struct token {
    enum token_kind kind;
    unsigned operator_; /* TOKEN_OPERATOR */
    unsigned base;      /* TOKEN_INTEGER: 2, 8, 10 or 16 */
    bool unicode;       /* TOKEN_TEXT: a u prefix */
    size_t start;       /* offset of its first byte */
    /*
     * A name; an integer's digits; a float's or imaginary number's text without underscores and j;
     * a string's content (UTF-8 with surrogates).
     */
    struct bytes content;
};

struct scanner {
    struct bytes text;
    size_t offset;   /* of what comes next */
    size_t brackets; /* open ones: the parser counts them */
    struct arena *arena;
    struct failure *failure;
    struct buffer joined; /* a string literal that is not a part of the text */
};

void scanner_init(struct scanner *scanner, struct bytes text, struct arena *arena,
                  struct failure *failure);
void scanner_release(struct scanner *scanner);
/* 0, -EINVAL (the failure is set), -ENOMEM or -EFBIG (the arena's limit). */
int scanner_next(struct scanner *scanner, struct token *token);
/* The first byte behind the blanks, which is what the next token starts with; 0 at the end. */
uint8_t scanner_peek(struct scanner *scanner);

/* Sets the failure to "line L, column C: ..." and returns -EINVAL. */
int scanner_fail(struct scanner *scanner, size_t offset, const char *format, ...) PRINTF_LIKE(3, 4);
size_t scanner_line(const struct scanner *scanner, size_t offset);

#endif
