/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The names that mean something in an expression and are therefore never a global of builtins.
 */
#ifndef SHELVEFS_EXPRESSION_WORDS_H
#define SHELVEFS_EXPRESSION_WORDS_H

#include "src/value.h"

enum expression_word {
    WORD_NONE,
    WORD_ASM,
    WORD_CODE,
    WORD_DO,
    WORD_EXT,
    WORD_FIND_CLASS,
    WORD_INST,
    WORD_LET,
    WORD_NAN,
    WORD_NEW,
    WORD_NEXT_BUFFER,
    WORD_PERSISTENT,
    WORD_READONLY,
    WORD_STR8,
    WORD_STREAM,
    WORD_RESERVED, /* for notations that this version doesn't read: raw, inf */
};

enum expression_word expression_word(struct bytes word);
/* `_` and digits. */
bool expression_is_name(struct bytes word);
/* `_1`: the number, 0 if it is no such name or too long. */
uint32_t expression_name(struct bytes word);

/*
 * Longer strings are told apart by their identity: shared ones are named, others are one node
 * each.
 */
enum { EXPRESSION_LONG = 40 };
/* More attributes than that are not written C(a=1): telling them apart is quadratic. */
enum { EXPRESSION_KEYWORDS = 64 };

/* The module of the built-in names: a bare `len` means len of this one. */
static inline struct bytes expression_builtins(const struct document *document)
{
    return document->protocol >= 3 ? BYTES("builtins") : BYTES("__builtin__");
}

#endif
