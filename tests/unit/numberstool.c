/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One number a line for tests/interop/test_numbers.py, which compares with CPython:
 *   f BITS       floattext_print(), and what floattext_parse() makes of it
 *   p TEXT       floattext_parse(): bits, or "none"
 *   i BASE TEXT  bigint_parse(), and bigint_print() of it
 */
#include "src/bigint.h"
#include "src/floattext.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void answer_float(const char *argument)
{
    char text[FLOATTEXT_MAX];
    uint64_t bits = strtoull(argument, NULL, 16);
    size_t length = floattext_print(bits, text);

    if (!floattext_parse(bytes_of(text, length), &bits))
        bits = 1;
    printf("%s %016" PRIx64 "\n", text, bits);
}

static void answer_parse(const char *argument)
{
    uint64_t bits;

    if (floattext_parse(bytes_of_string(argument), &bits))
        printf("%016" PRIx64 "\n", bits);
    else
        puts("none");
}

static void answer_integer(const char *argument)
{
    struct buffer bytes = BUFFER_INIT, text = BUFFER_INIT;
    char *digits;
    unsigned base = (unsigned)strtoul(argument, &digits, 10);
    bool negative = *++digits == '-';

    if (bigint_parse(bytes_of_string(digits + negative), base, negative, &bytes) == 0)
        bigint_print(buffer_bytes(&bytes), &text);
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
    printf(" %.*s\n", (int)text.size, (const char *)text.data);
    buffer_release(&bytes);
    buffer_release(&text);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    while ((length = getline(&line, &room, stdin)) > 2) {
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        if (line[0] == 'f')
            answer_float(line + 2);
        else if (line[0] == 'p')
            answer_parse(line + 2);
        else
            answer_integer(line + 2);
    }
    free(line);
    return 0;
}
