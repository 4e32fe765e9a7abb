/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/fuzz/stored.h"

#include "codecs/codec.h"

#include <errno.h>

static const struct codec_rules RULES = {.any_globals = true, .max_value = LARGEST_TEXT};

/*
 * The protocol of a program that has none of its own instructions is a guess, and a string that was dropped makes a value
 * one of Python 2: both may show in the header, and be gone once the value is saved anew.
 */
static bool same_text(struct bytes a, struct bytes b)
{
    struct dialect left = {.protocol = 9}, right = {.protocol = 9};

    header_parse(a, &left);
    header_parse(b, &right);
    return !dialect_equal(left, right) || bytes_equal(a, b);
}

void check_stored(const struct dialect *dialect, struct bytes stored)
{
    struct buffer text = {.limit = LARGEST_TEXT}, saved = BUFFER_INIT, again = {.limit = 2 * LARGEST_TEXT};
    int status = codec_render(dialect, stored, &text, NULL);

    demand(status == 0 || status == -EFBIG);
    if (status == 0) {
        /* Unchanged over the old value: its bytes. */
        status = codec_accept(dialect, &RULES, buffer_bytes(&text), &stored, &saved, NULL);
        demand(status == 0);
        demand(bytes_equal(buffer_bytes(&saved), stored));
        /* Into an empty database: a value that looks the same. */
        buffer_clear(&saved);
        status = codec_accept(dialect, &RULES, buffer_bytes(&text), NULL, &saved, NULL);
        demand(status == 0 || status == -EINVAL || status == -EFBIG);
        if (status == 0) {
            demand(codec_render(dialect, buffer_bytes(&saved), &again, NULL) == 0);
            demand(same_text(buffer_bytes(&again), buffer_bytes(&text)));
        }
    }
    buffer_release(&text);
    buffer_release(&saved);
    buffer_release(&again);
}
