/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/dialect.h"

#include "codecs/pickle.h"

static const char *const NAMES[] = {
    [CODEC_RAW] = "raw",
    [CODEC_TEXT] = "text",
    [CODEC_PICKLE] = "pickle",
};

bool dialect_equal(struct dialect a, struct dialect b)
{
    return a.codec == b.codec && a.protocol == b.protocol && a.python2 == b.python2;
}

const char *codec_name(enum codec_kind kind)
{
    return NAMES[kind];
}

int codec_from_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
        if (strcmp(name, NAMES[i]) == 0)
            return (int)i;
    return -1;
}

void dialect_describe(struct dialect dialect, struct buffer *out)
{
    buffer_add_string(out, codec_name(dialect.codec));
    if (dialect.codec != CODEC_PICKLE)
        return;
    buffer_printf(out, " protocol %u", dialect.protocol);
    if (dialect.python2)
        buffer_add_string(out, " (Python 2 str)");
}

void header_print(struct dialect dialect, struct buffer *text)
{
    buffer_add_string(text, "# ");
    dialect_describe(dialect, text);
    buffer_add_byte(text, '\n');
}

/* Takes `word` off the front of `line` if it is there. */
static bool take(struct bytes *line, struct bytes word)
{
    if (!bytes_start_with(*line, word))
        return false;
    *line = bytes_part(*line, word.size, SIZE_MAX);
    return true;
}

/* A header may end as editors on other systems end lines, and may be the whole file. */
size_t header_parse(struct bytes text, struct dialect *out)
{
    size_t end = bytes_find_byte(text, '\n');
    struct bytes line = bytes_part(text, 0, end);
    struct dialect dialect = {.codec = CODEC_RAW};

    if (bytes_end_with(line, BYTES("\r")))
        line.size--;
    if (!take(&line, BYTES("# raw"))) {
        if (!take(&line, BYTES("# pickle protocol ")) || !line.size || line.data[0] < '0' ||
            line.data[0] > '0' + PICKLE_NEWEST)
            return 0;
        dialect = (struct dialect){.codec = CODEC_PICKLE, .protocol = line.data[0] - '0'};
        line = bytes_part(line, 1, SIZE_MAX);
        dialect.python2 = dialect.protocol <= 2 && take(&line, BYTES(" (Python 2 str)"));
    }
    if (line.size)
        return 0;
    *out = dialect;
    return end < text.size ? end + 1 : end;
}

bool header_resembles(struct bytes text)
{
    return bytes_start_with(text, BYTES("# raw")) || bytes_start_with(text, BYTES("# pickle")) ||
           bytes_start_with(text, BYTES("# marshal"));
}

/* A few large values must not make mounting slow: they are judged by their look. */
enum { DECODE_AT_MOST = 1 << 20 };

void dialect_sample_add(struct dialect_sample *sample, struct bytes stored)
{
    struct document document;

    sample->values++;
    if (!pickle_sniff(stored))
        return;
    document_init(&document, SIZE_MAX);
    if (stored.size > DECODE_AT_MOST)
        document.protocol = stored.data[0] == 0x80 ? stored.data[1] : 0;
    else if (pickle_decode(stored, &document, NULL))
        document.protocol = UINT8_MAX;
    if (document.protocol <= PICKLE_NEWEST) {
        sample->pickles[document.protocol]++;
        sample->python2[document.protocol] += document.python2;
    }
    document_release(&document);
}

struct dialect dialect_sample_result(const struct dialect_sample *sample)
{
    struct dialect dialect = {.codec = sample->values ? CODEC_RAW : CODEC_PICKLE};
    unsigned most = 0;

    if (!sample->values)
        dialect.protocol = PICKLE_DEFAULT;
    for (unsigned protocol = 0; protocol <= PICKLE_NEWEST; protocol++) {
        if (sample->pickles[protocol] <= most)
            continue;
        most = sample->pickles[protocol];
        dialect = (struct dialect){.codec = CODEC_PICKLE,
                                   .protocol = protocol,
                                   .python2 = protocol <= 2 && sample->python2[protocol] > 0};
    }
    return dialect;
}
