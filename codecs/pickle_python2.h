/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which objects CPython 2.7's cPickle stores in its memo (Modules/cPickle.c, put(), put2(), save()).
 *
 * It leaves out strings of less than two characters, and what has no second reference in the running program: no GET can
 * ask for that. The pickler's own references count: it holds what an iterator gave it, a tuple that holds a key and its
 * value, the object's __dict__. They are known here, since they follow from where an object stands. What the program
 * holds besides is not in a pickle, and is taken to be what it is where the value is written as a literal:
 *
 * - A string has another reference: the constant of the code. So have a computed one in a variable, and interned names.
 * - So has a tuple that the compiler makes (Python/peephole.c): its items are numbers, strings and None, the first one
 *   perhaps such a tuple.
 * - Other tuples, an empty list or dict and an old-style instance are made where they stand and have none.
 * - What __reduce__() returns was made for the pickler, but for the arguments of exceptions, which they keep.
 *
 * Where a program did otherwise the bytes differ by a PUT and the numbers behind it. That can't happen to the root or to
 * what is in a list or, in protocol 0, in a dict. Characters are counted as builds with 32-bit characters do, which
 * Linux distributions have.
 */
#ifndef SHELVEFS_PICKLE_PYTHON2_H
#define SHELVEFS_PICKLE_PYTHON2_H

#include "src/value.h"

/* Who refers to an object, besides the graph, while it is saved. */
enum holder {
    HOLDER_NONE,      /* but the code, of constants */
    HOLDER_PICKLER,   /* of the root, too */
    HOLDER_MADE,      /* nobody, nor the code; that goes not for its items */
    HOLDER_ARGUMENTS, /* nobody: a tuple made by __reduce__(), of items that are HOLDER_REMADE */
    HOLDER_REMADE, /* nobody, not even to a string: __reduce__() makes it. It copies, so its items are HOLDER_PICKLER. */
    HOLDER_COPY,   /* nobody, but its items are HOLDER_PICKLER */
    HOLDER_STATE,  /* nobody: a tuple that was made of a __dict__ and of a dict of the slots */
    HOLDER_STATE_ITEMS,
};

/* Of the items of `owner`, which is itself held by `holder`; then of each. */
enum holder python2_holder_of_items(const struct value *owner, enum holder holder);
enum holder python2_holder_of_item(enum holder items, uint32_t index);
enum holder python2_holder_of_state(const struct value *state);
/* Of what a container that is held by `holder` is filled with. */
enum holder python2_holder_of_contents(bool plain_dict, enum holder holder, unsigned protocol);

/* Whether it is stored. `shared`: it has several references in the graph. */
bool python2_memoises(const struct value *value, enum holder holder, bool shared);
/* Whether it is another object each time, though text and graph show one. */
bool python2_is_remade(const struct value *value, enum holder holder);

#endif
