/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a stored value: rendering never fails but for want of memory, the text reads back to the value, and
 * what is saved unchanged is the very bytes. Its listing is printable text.
 */
#include "codecs/codec.h"
#include "codecs/expression.h"
#include "codecs/pickle.h"
#include "codecs/pickle_dis.h"
#include "src/utf8.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST_TEXT = 1 << 22 };

static const struct codec_rules RULES = {.any_globals = true, .max_value = LARGEST_TEXT};

static void demand(bool truth)
{
    if (!truth)
        abort();
}

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

static void check_dialect(const struct dialect *dialect, struct bytes stored)
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

static void check_listing(struct bytes stored)
{
    struct buffer text = {.limit = LARGEST_TEXT};

    demand(pickle_dis(stored, &text) == 0);
    for (size_t at = 0; at < text.size;) {
        struct utf8_point point = utf8_decode(buffer_bytes(&text), at, UTF8_STRICT);

        demand(point.length && (point.point == '\n' || !utf8_is_control(point.point)));
        at += point.length;
    }
    buffer_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dialect DIALECTS[] = {
        {CODEC_PICKLE, 0, true},
        {CODEC_PICKLE, 4, false},
        {CODEC_PICKLE, 2, false},
        {CODEC_MARSHAL, 4, false},
        {CODEC_MARSHAL, 2, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(DIALECTS); i++)
        check_dialect(&DIALECTS[i], bytes_of(data, size));
    check_listing(bytes_of(data, size));
    return 0;
}
