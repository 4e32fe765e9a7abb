/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pickle codec for tests/interop/test_pickle.py: reads pickles on stdin, each after its length in 4 bytes
 * (little-endian), and answers each with a status byte, a length and bytes:
 *   '='  the re-encoded pickle, which makes the same effects
 *   '~'  the re-encoded pickle, which does not: the value would be shown as asm(...)
 *   '!'  why it could not be decoded or encoded
 * With "--bench" it reads one batch, decodes it, encodes it, and prints the seconds of each instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codecs/pickle.h"
#include "tests/unit/exchange.h"

static void serve(struct bytes pickle)
{
    struct document document;
    struct failure failure = {0};
    struct buffer out = BUFFER_INIT;
    int status, faithful;

    document_init(&document, SIZE_MAX);
    status = pickle_decode(pickle, &document, &failure);
    faithful = status ? status : pickle_faithful(pickle, &document);
    status = faithful < 0 ? faithful : pickle_encode(&document, document.protocol, &out, &failure);
    if (status)
        exchange_answer('!', bytes_of_string(failure.message));
    else
        exchange_answer(faithful ? '=' : '~', buffer_bytes(&out));
    buffer_release(&out);
    document_release(&document);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int bench(void)
{
    struct buffer pickle = BUFFER_INIT, out = BUFFER_INIT;
    double decoding = 0, encoding = 0;

    while (exchange_read(&pickle)) {
        struct document document;
        double start = seconds(), middle;

        document_init(&document, SIZE_MAX);
        if (pickle_decode(buffer_bytes(&pickle), &document, NULL))
            return 1;
        middle = seconds();
        buffer_clear(&out);
        if (pickle_encode(&document, document.protocol, &out, NULL))
            return 1;
        encoding += seconds() - middle;
        document_release(&document);
        decoding += middle - start;
    }
    printf("%.6f %.6f\n", decoding, encoding);
    buffer_release(&pickle);
    buffer_release(&out);
    return 0;
}

int main(int count, char **arguments)
{
    struct buffer pickle = BUFFER_INIT;

    if (count == 2 && strcmp(arguments[1], "--bench") == 0)
        return bench();
    while (exchange_read(&pickle))
        serve(buffer_bytes(&pickle));
    buffer_release(&pickle);
    return 0;
}
