/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/dialect.h"

#include "codecs/marshal.h"
#include "codecs/pickle.h"
#include "src/utf8.h"

#include <errno.h>

static const char *const NAMES[] = {
    [CODEC_RAW] = "raw",
    [CODEC_TEXT] = "text",
    [CODEC_PICKLE] = "pickle",
    [CODEC_MARSHAL] = "marshal",
};

bool dialect_equal(struct dialect a, struct dialect b)
{
    return a.codec == b.codec && a.protocol == b.protocol && a.python2 == b.python2;
}

static const char *codec_name(enum codec_kind kind)
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

struct dialect dialect_default(enum codec_kind kind)
{
    static const unsigned protocols[] = {
        [CODEC_RAW] = 0,
        [CODEC_TEXT] = 0,
        [CODEC_PICKLE] = PICKLE_DEFAULT,
        [CODEC_MARSHAL] = MARSHAL_DEFAULT,
    };

    return (struct dialect){.codec = kind, .protocol = protocols[kind]};
}

/* What stands before the number in a header, where there is one. */
static const char *number_prefix(enum codec_kind kind)
{
    static const char *const prefixes[] = {
        [CODEC_RAW] = NULL,
        [CODEC_TEXT] = NULL,
        [CODEC_PICKLE] = " protocol ",
        [CODEC_MARSHAL] = " ",
    };

    return prefixes[kind];
}

void dialect_describe(struct dialect dialect, struct buffer *out)
{
    const char *prefix = number_prefix(dialect.codec);

    buffer_add_string(out, codec_name(dialect.codec));
    if (prefix)
        buffer_printf(out, "%s%u", prefix, dialect.protocol);
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

/* "pickle protocol 2 (Python 2 str)" and the like. */
static bool parse_name(struct bytes *line, struct dialect *out)
{
    static const enum codec_kind kinds[] = {CODEC_RAW, CODEC_PICKLE, CODEC_MARSHAL};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const char *prefix = number_prefix(kinds[i]);

        if (!take(line, bytes_of_string(codec_name(kinds[i]))))
            continue;
        *out = (struct dialect){.codec = kinds[i]};
        if (!prefix)
            return true;
        if (!take(line, bytes_of_string(prefix)) || !line->size || line->data[0] < '0' ||
            line->data[0] > '0' + PROTOCOL_NEWEST)
            return false;
        out->protocol = line->data[0] - '0';
        *line = bytes_part(*line, 1, SIZE_MAX);
        out->python2 = out->protocol <= PYTHON2_NEWEST && take(line, BYTES(" (Python 2 str)"));
        return true;
    }
    return false;
}

/* A header may end as editors on other systems end lines, and may be the whole file. */
size_t header_parse(struct bytes text, struct dialect *out)
{
    size_t end = bytes_find_byte(text, '\n');
    struct bytes line = bytes_part(text, 0, end);
    struct dialect dialect;

    if (bytes_end_with(line, BYTES("\r")))
        line.size--;
    if (!take(&line, BYTES("# ")) || !parse_name(&line, &dialect) || line.size)
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

static bool is_container(const struct value *value)
{
    return value->kind >= VALUE_LIST && value->kind <= VALUE_DICT;
}

static int add_marshal(struct dialect_sample *sample, struct bytes stored)
{
    static const struct dialect none = {.codec = CODEC_RAW};
    struct document document;
    uint32_t possible = 0;
    int status;

    if (stored.size > DECODE_AT_MOST) {
        sample->marshals += bytes_find_byte(BYTES("{[(<\xfb\xdb\xa8\xbc"), stored.data[0]) < 8;
        return 0;
    }
    document_init(&document, SIZE_MAX);
    status = marshal_decode(stored, &none, &document, &possible, NULL);
    if (!status) {
        struct dialect likeliest = {CODEC_MARSHAL, document.protocol, document.python2};

        sample->marshals++;
        sample->containers += is_container(document.root);
        for (unsigned i = 0; i < MARSHAL_DIALECTS; i++)
            sample->possible[i] += possible >> i & 1;
        sample->likeliest |= marshal_dialect_bit(likeliest.protocol, likeliest.python2);
    }
    document_release(&document);
    return status == -ENOMEM ? status : 0;
}

static int add_pickle(struct dialect_sample *sample, struct bytes stored)
{
    struct document document;
    int status = 0;

    if (!pickle_sniff(stored))
        return 0;
    document_init(&document, SIZE_MAX);
    if (stored.size > DECODE_AT_MOST)
        document.protocol = stored.data[0] == 0x80 ? stored.data[1] : 0;
    else if ((status = pickle_decode(stored, &document, NULL)))
        document.protocol = UINT8_MAX;
    if (document.protocol <= PICKLE_NEWEST) {
        sample->pickles[document.protocol]++;
        sample->python2[document.protocol] += document.python2;
    }
    document_release(&document);
    return status == -ENOMEM ? status : 0;
}

/* Printable, perhaps with the NUL that C programs store behind it. */
static bool is_plain_text(struct bytes stored)
{
    if (bytes_end_with(stored, BYTES("\0")))
        stored.size--;
    for (size_t offset = 0; offset < stored.size;) {
        struct utf8_point point = utf8_decode(stored, offset, UTF8_STRICT);
        bool layout = point.point == '\t' || point.point == '\r' || point.point == '\n';

        if (!point.length || (utf8_is_control(point.point) && !layout))
            return false;
        offset += point.length;
    }
    return true;
}

static unsigned count_pickles(const struct dialect_sample *sample)
{
    unsigned count = 0;

    for (unsigned protocol = 0; protocol <= PICKLE_NEWEST; protocol++)
        count += sample->pickles[protocol];
    return count;
}

/* All are marshals; or containers beside fewer plain texts, such as Roundup's counters, and not one pickle. */
static bool is_marshal(const struct dialect_sample *sample)
{
    if (sample->marshals == sample->values)
        return sample->containers > 0;
    return sample->marshals + sample->plain == sample->values && sample->containers > sample->plain &&
           !count_pickles(sample);
}

int dialect_sample_add(struct dialect_sample *sample, struct bytes stored)
{
    int status = 0;

    /* As soon as one value is neither, the database is none of marshals. */
    if (sample->marshals + sample->plain == sample->values) {
        unsigned marshals = sample->marshals;

        if (stored.size)
            status = add_marshal(sample, stored);
        sample->plain += sample->marshals == marshals && is_plain_text(stored);
    }
    sample->values++;
    return status ? status : add_pickle(sample, stored);
}

/* What most values may be; of equals those that some value looks most like, the likeliest first. */
static struct dialect marshal_result(const struct dialect_sample *sample)
{
    uint32_t most = 0, set = 0;

    for (unsigned i = 0; i < MARSHAL_DIALECTS; i++)
        if (sample->possible[i] > most)
            most = sample->possible[i];
    for (unsigned i = 0; i < MARSHAL_DIALECTS; i++)
        set |= (uint32_t)(sample->possible[i] == most) << i;
    return marshal_likeliest(set & sample->likeliest ? set & sample->likeliest : set);
}

struct dialect dialect_sample_result(const struct dialect_sample *sample)
{
    struct dialect dialect = dialect_default(sample->values ? CODEC_RAW : CODEC_PICKLE);
    unsigned most = 0;

    if (is_marshal(sample))
        return marshal_result(sample);
    for (unsigned protocol = 0; protocol <= PICKLE_NEWEST; protocol++) {
        if (sample->pickles[protocol] <= most)
            continue;
        most = sample->pickles[protocol];
        dialect = (struct dialect){.codec = CODEC_PICKLE,
                                   .protocol = protocol,
                                   .python2 = protocol <= PYTHON2_NEWEST && sample->python2[protocol] > 0};
    }
    return dialect;
}
