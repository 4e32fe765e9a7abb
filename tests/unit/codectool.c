/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules of codec.h for tests/interop/. Each request on standard input is a line "KIND CODEC PROTOCOL PYTHON2 SIZE"
 * (the mount's dialect) and SIZE bytes; each answer is a line "STATUS SIZE" and SIZE bytes: the result, or the message
 * if STATUS is not 0.
 *   show  the text of the stored bytes
 *   save  what is stored for the text where nothing is stored
 *   over  a text, saved over the stored bytes of the last "show"
 */
#include "codecs/codec.h"
#include "tests/unit/exchange.h"

#include <errno.h>
#include <stdio.h>

static const struct codec_rules RULES = {.any_globals = true, .max_value = SIZE_MAX / 2};

static bool read_request(char kind[16], struct dialect *dialect, struct buffer *input)
{
    unsigned protocol, python2;
    char codec[16];
    size_t size;

    if (scanf("%15s %15s %u %u %zu", kind, codec, &protocol, &python2, &size) != 5 || getchar() != '\n')
        return false;
    *dialect = (struct dialect){(enum codec_kind)codec_from_name(codec), protocol, python2};
    buffer_clear(input);
    buffer_resize(input, size);
    return !buffer_status(input) && fread(input->data, 1, size, stdin) == size;
}

static int answer(const char *kind, const struct dialect *dialect, struct bytes input, struct buffer *shown,
                  struct buffer *out, struct failure *failure)
{
    struct bytes old = buffer_bytes(shown);

    if (strcmp(kind, "save") == 0)
        return codec_accept(dialect, &RULES, input, NULL, out, failure);
    if (strcmp(kind, "over") == 0)
        return codec_accept(dialect, &RULES, input, &old, out, failure);
    buffer_clear(shown);
    buffer_add(shown, input);
    return codec_render(dialect, input, out, NULL);
}

int main(void)
{
    struct buffer input = BUFFER_INIT, shown = BUFFER_INIT, out = BUFFER_INIT;
    struct dialect dialect;
    char kind[16];

    while (read_request(kind, &dialect, &input)) {
        struct failure failure = {0};
        int status;

        buffer_clear(&out);
        status = answer(kind, &dialect, buffer_bytes(&input), &shown, &out, &failure);
        exchange_tell(status, buffer_bytes(&out), &failure);
    }
    buffer_release(&input);
    buffer_release(&shown);
    buffer_release(&out);
    return 0;
}
