/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/views.h"

#include "codecs/pickle_dis.h"

#include <errno.h>

static int raw_render(const struct dialect *dialect, struct bytes stored, struct buffer *text,
                      struct codec_note *note)
{
    buffer_add(text, stored);
    *note = (struct codec_note){.dialect = {.codec = CODEC_RAW}, .type = "bytes"};
    return buffer_status(text);
}

static int raw_accept(const struct dialect *dialect, const struct codec_rules *rules,
                      struct bytes text, const struct bytes *old, struct buffer *stored,
                      struct failure *failure)
{
    int code = codec_accept_stored(dialect, rules, text, old, failure);

    if (code)
        return code;
    buffer_add(stored, text);
    if (buffer_status(stored))
        return failure_set(failure, buffer_status(stored), 0, "out of memory");
    return 0;
}

static int dis_render(const struct dialect *dialect, struct bytes stored, struct buffer *text,
                      struct codec_note *note)
{
    *note = (struct codec_note){.dialect = {.codec = CODEC_TEXT}, .type = "listing"};
    return pickle_dis(stored, text);
}

static const struct view text_view = {codec_render, codec_accept};
static const struct view raw_view = {raw_render, raw_accept};
static const struct view dis_view = {dis_render, NULL};

const struct directory directories[DIRECTORY_COUNT] = {
    [DIRECTORY_ROOT] = {"", "", DIRECTORY_ROOT, &text_view},
    [DIRECTORY_CONTROL] = {".shelvefs", ".shelvefs", DIRECTORY_ROOT, NULL},
    [DIRECTORY_REJECTED] = {"rejected", ".shelvefs/rejected", DIRECTORY_CONTROL, NULL},
    [DIRECTORY_RAW] = {"raw", ".shelvefs/raw", DIRECTORY_CONTROL, &raw_view},
    [DIRECTORY_DIS] = {"dis", ".shelvefs/dis", DIRECTORY_CONTROL, &dis_view},
};
