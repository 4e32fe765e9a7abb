/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs a fuzz target over a corpus, one input a line in hexadecimal, where libFuzzer isn't there. */
#include "src/bytes.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool add_line(const char *line, struct buffer *input)
{
    for (; *line && *line != '\n'; line += 2) {
        int high = digit(line[0]), low = high < 0 ? -1 : digit(line[1]);

        if (low < 0)
            return false;
        buffer_add_byte(input, (uint8_t)(high << 4 | low));
    }
    return buffer_status(input) == 0;
}

int main(int argc, char **argv)
{
    FILE *corpus = argc == 2 ? fopen(argv[1], "r") : NULL;
    struct buffer input = BUFFER_INIT;
    char *line = NULL;
    size_t room = 0, count = 0;

    if (!corpus) {
        fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
        return 2;
    }
    while (getline(&line, &room, corpus) > 0) {
        buffer_clear(&input);
        if (!add_line(line, &input)) {
            fprintf(stderr, "line %zu is not hexadecimal\n", count + 1);
            return 1;
        }
        LLVMFuzzerTestOneInput(input.data, input.size);
        count++;
    }
    printf("%zu inputs\n", count);
    free(line);
    buffer_release(&input);
    fclose(corpus);
    return count ? 0 : 1;
}
