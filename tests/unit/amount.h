/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much a test does, which the environment may change: more in a long run, less under valgrind. */
#ifndef SHELVEFS_TESTS_AMOUNT_H
#define SHELVEFS_TESTS_AMOUNT_H

#include <stddef.h>
#include <stdlib.h>

/* At least 1. */
static inline size_t amount(const char *variable, size_t usual)
{
    const char *text = getenv(variable);
    size_t number = text ? strtoul(text, NULL, 10) : 0;

    return number ? number : usual;
}

/* The size of what is large: SHELVEFS_SMALLER is how many times smaller it may be. */
static inline size_t reduced(size_t usual)
{
    return usual / amount("SHELVEFS_SMALLER", 1);
}

#endif
