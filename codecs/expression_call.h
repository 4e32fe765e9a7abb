/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a call in an expression means: new(...), ext(300), datetime.date(2026, 11, 21),
 * os.system('...').
 */
#ifndef SHELVEFS_EXPRESSION_CALL_H
#define SHELVEFS_EXPRESSION_CALL_H

#include "codecs/expression_names.h"
#include "codecs/expression_scan.h"
#include "codecs/expression_words.h"

struct call {
    enum expression_word word; /* WORD_NONE: a call of `callee` */
    bool direct;               /* the callee is a global written as a plain name ... */
    bool bare;                 /* ... without its module */
    bool display;              /* the last argument is written {...} */
    bool inner;                /* do(...) that does not stand around the whole value */
    size_t start;              /* where it starts in the text */
    struct value *callee;
    struct value *arguments;   /* a fresh tuple; in new(), inst() the class is its first item */
    struct value *star;        /* f(*star): in place of further arguments; or NULL */
    struct value *keywords;    /* a fresh dict, NULL if there are none */
    struct value *double_star; /* f(**double_star), or NULL */
};

/*
 * The node that the call makes. -EINVAL with a failure at the call's start, -ENOMEM, -EFBIG.
 * do() and stream() also set the document's effects and rest. -EBADMSG: an asm(...) that makes no instructions.
 */
int call_build(const struct call *call, struct scanner *scanner, struct known *known,
               struct value **out);

/*
 * What stands for datetime.timezone.utc: Python pickles datetime.timezone(datetime.timedelta(0, 0,
 * 0)).
 */
int call_build_utc(struct known *known, struct value **out);

#endif
