/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any bytes as a command line, its words ended by NUL: it is taken, or refused with a sentence. */
#include "fs/options.h"
#include "tests/fuzz/demand.h"

#include <errno.h>
#include <string.h>

enum { MOST_WORDS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char program[] = "shelvefs", *words[MOST_WORDS + 1] = {program};
    struct buffer line = BUFFER_INIT;
    struct options options;
    struct failure failure = {0};
    int count = 1, status;

    buffer_add(&line, bytes_of(data, size));
    buffer_add_byte(&line, '\0');
    for (size_t at = 0; at < line.size && count < MOST_WORDS; at += strlen(words[count - 1]) + 1)
        words[count++] = (char *)line.data + at;
    status = options_parse(&options, count, words, &failure);
    demand(status == 0 || (status == -EINVAL && failure.message[0]));
    options_release(&options);
    buffer_release(&line);
    return 0;
}
