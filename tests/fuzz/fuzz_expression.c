/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any text as a save into an empty database: it is refused, or what is stored is shown as a text that stores the very
 * same bytes (unless a header or asm(...) is involved: then another pickler's style may be meant).
 */
#include "codecs/codec.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct codec_rules RULES = {.any_globals = true, .max_value = 1 << 22};

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static bool is_program(struct bytes text)
{
    return text.size && memmem(text.data, text.size, "asm", 3);
}

/*
 * A class that is changed where it is called with itself is one object in what is stored: shown, the change stands where it is named
 * first, and is stored there the next time.
 */
static bool is_shown_as(const struct dialect *dialect, struct bytes stored, struct bytes text)
{
    struct buffer shown = BUFFER_INIT;
    bool same = codec_render(dialect, stored, &shown, NULL) == 0 && bytes_equal(buffer_bytes(&shown), text);

    buffer_release(&shown);
    return same;
}

static void check_dialect(const struct dialect *dialect, struct bytes text)
{
    struct buffer stored = BUFFER_INIT, shown = BUFFER_INIT, again = BUFFER_INIT;
    int status = codec_accept(dialect, &RULES, text, NULL, &stored, NULL);
    struct dialect found;

    demand(status == 0 || status == -EINVAL || status == -EFBIG);
    if (status == 0) {
        struct bytes old = buffer_bytes(&stored);

        demand(codec_render(dialect, old, &shown, NULL) == 0);
        demand(codec_accept(dialect, &RULES, text, &old, &again, NULL) == 0);
        demand(bytes_equal(buffer_bytes(&again), old));
        buffer_clear(&again);
        status = codec_accept(dialect, &RULES, buffer_bytes(&shown), NULL, &again, NULL);
        demand(status == 0);
        demand(header_parse(text, &found) || header_parse(buffer_bytes(&shown), &found) || is_program(text) ||
               bytes_equal(buffer_bytes(&again), old) ||
               is_shown_as(dialect, buffer_bytes(&again), buffer_bytes(&shown)));
    }
    buffer_release(&stored);
    buffer_release(&shown);
    buffer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dialect DIALECTS[] = {{CODEC_PICKLE, 4, false}, {CODEC_PICKLE, 0, true}};

    for (size_t i = 0; i < ARRAY_SIZE(DIALECTS); i++)
        check_dialect(&DIALECTS[i], bytes_of(data, size));
    return 0;
}
