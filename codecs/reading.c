/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/reading.h"

#include "codecs/expression.h"
#include "codecs/marshal.h"
#include "codecs/pickle.h"
#include "codecs/pickle_asm.h"
#include "src/utf8.h"

#include <errno.h>

/* An empty document of a value or a text of `size` bytes. The reading must then stay where it is. */
static void reading_start(struct reading *reading, size_t size)
{
    document_init(&reading->document, document_limit(size));
    arena_start_in(&reading->document.arena, reading->room, sizeof reading->room);
}

void reading_release(struct reading *reading)
{
    document_release(&reading->document);
}

/* A value without 8-bit strings reads the same in Python 2's notation: on such a mount it needs no header. */
static bool reads_as_python2(const struct document *document, const struct dialect *mount)
{
    return document->protocol <= 2 &&
           (document->python2 || (mount->codec == CODEC_PICKLE && mount->python2));
}

/*
 * Protocols 0 and 1 don't say what they are, and write some values alike (None, bools, long numbers): such a one is of the
 * mount's protocol 1. -ENOMEM, or 0.
 */
static int settle_protocol(struct document *document, struct bytes stored, const struct dialect *mount)
{
    struct buffer again = {.limit = stored.size};
    int status;

    if (mount->codec != CODEC_PICKLE || mount->protocol != 1 || document->protocol != 0)
        return 0;
    status = pickle_encode(document, 1, &again, NULL);
    if (!status && bytes_equal(buffer_bytes(&again), stored))
        document->protocol = 1;
    buffer_release(&again);
    return status == -ENOMEM ? status : 0;
}

/* How a codec whose values have a text reads and writes them. */
struct format {
    /* 0, or what the decoder says. Sets the dialect and `decoded` of a reading with an empty document. */
    int (*read)(struct bytes stored, const struct dialect *mount, struct reading *reading);
    int (*write)(struct document *document, struct buffer *stored, struct failure *failure);
};

static int read_pickle(struct bytes stored, const struct dialect *mount, struct reading *reading)
{
    struct document *document = &reading->document;
    int status = pickle_decode(stored, document, NULL);

    if (status)
        return status;
    status = pickle_faithful(stored, document);
    /* The encoder may be unable to write the graph at all. */
    if (status == 0 || status == -EINVAL || status == -EFBIG)
        status = pickle_program_of(stored, document);
    reading->decoded = status >= 0;
    document->python2 = reads_as_python2(document, mount);
    if (status >= 0)
        status = settle_protocol(document, stored, mount);
    reading->dialect = (struct dialect){CODEC_PICKLE, document->protocol, document->python2};
    return status < 0 ? status : 0;
}

static int write_pickle(struct document *document, struct buffer *stored, struct failure *failure)
{
    return pickle_encode(document, document->protocol, stored, failure);
}

static int read_marshal(struct bytes stored, const struct dialect *mount, struct reading *reading)
{
    struct document *document = &reading->document;
    int status = marshal_decode(stored, mount, document, NULL, NULL);

    if (status)
        return status;
    reading->decoded = true;
    reading->dialect = (struct dialect){CODEC_MARSHAL, document->protocol, document->python2};
    return 0;
}

/* NULL for codecs that show bytes as they are. */
static const struct format *format_of(enum codec_kind kind)
{
    static const struct format formats[] = {
        [CODEC_PICKLE] = {read_pickle, write_pickle},
        [CODEC_MARSHAL] = {read_marshal, marshal_encode},
    };

    return formats[kind].read ? &formats[kind] : NULL;
}

bool codec_has_values(enum codec_kind kind)
{
    return format_of(kind) != NULL;
}

/* Among marshals a pickle is known by its look, but not the other way round: marshal has none. */
int reading_of_stored(struct bytes stored, const struct dialect *mount, struct reading *reading)
{
    int status;

    reading->decoded = false;
    reading_start(reading, stored.size);
    status = format_of(mount->codec)->read(stored, mount, reading);
    if (status && mount->codec != CODEC_PICKLE && !reading->document.globals.count &&
        pickle_sniff(stored)) {
        document_release(&reading->document);
        status = read_pickle(stored, mount, reading);
    }
    return status == -ENOMEM ? status : 0;
}

/* An empty document is one in which a text of the dialect is read. */
static void set_dialect(struct document *document, struct dialect dialect)
{
    document->protocol = (uint8_t)dialect.protocol;
    document->python2 = dialect.python2;
    document->marshal = dialect.codec == CODEC_MARSHAL;
}

static int parse(struct bytes text, struct dialect dialect, struct document *document,
                 struct failure *failure)
{
    int status;

    set_dialect(document, dialect);
    status = expression_parse(text, document, failure);
    return !status && document->root->kind == VALUE_PROGRAM ? pickle_program_check(document, failure) : status;
}

int reading_is_expression(struct bytes text, struct dialect dialect)
{
    struct reading reading;
    int status;

    reading_start(&reading, text.size);
    status = parse(text, dialect, &reading.document, NULL);
    reading_release(&reading);
    return status == -ENOMEM ? status : status != -EINVAL;
}

static size_t name_length(struct bytes text)
{
    size_t length = 0;

    while (length < text.size) {
        uint8_t byte = text.data[length];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
                      byte >= 0x80;

        if (!letter && !(length && (byte == '.' || (byte >= '0' && byte <= '9'))))
            break;
        length++;
    }
    return length;
}

static bool byte_is_one_of(struct bytes text, size_t at, struct bytes set)
{
    return at < text.size && bytes_find_byte(set, text.data[at]) < set.size;
}

/* A bracket, a quote (perhaps with a prefix), `name(`: what nobody types who means plain text. */
static bool starts_like_expression(struct bytes text)
{
    size_t name;

    while (byte_is_one_of(text, 0, BYTES(" \t\r\n")))
        text = bytes_part(text, 1, SIZE_MAX);
    if (byte_is_one_of(text, 0, BYTES("[({'\"")))
        return true;
    name = name_length(text);
    return name && (byte_is_one_of(text, name, BYTES("(")) ||
                    (name <= 2 && byte_is_one_of(text, name, BYTES("'\""))));
}

/* A program says itself which protocol it is of, whatever the header says. */
static void follow_program(struct reading *reading)
{
    struct document *document = &reading->document;

    if (document->root->kind != VALUE_PROGRAM)
        return;
    document->python2 = reads_as_python2(document, &reading->dialect);
    reading->dialect = (struct dialect){CODEC_PICKLE, document->protocol, document->python2};
}

int reading_of_text(struct bytes text, struct bytes body, struct dialect dialect, bool strict,
                    struct reading *reading, struct failure *failure)
{
    struct document *document = &reading->document;
    enum value_kind kind = dialect.python2 ? VALUE_STR8 : VALUE_STR;
    struct failure why = {0};
    int status;

    reading_start(reading, text.size);
    reading->dialect = dialect;
    reading->decoded = true;
    if (!utf8_valid(body, UTF8_STRICT)) {
        if (!dialect.python2)
            kind = VALUE_BYTES;
    } else {
        /* With the header, which is a comment to the parser: so that line numbers are the file's. */
        status = parse(text, dialect, document, &why);
        if (!status)
            follow_program(reading);
        if (status == -EBADMSG)
            return failure_set(failure, -EINVAL, why.offset, "%s", why.message);
        if (status != -EINVAL)
            return status ? failure_set(failure, status, why.offset, "%s", why.message) : 0;
        if (strict && starts_like_expression(body))
            return failure_set(failure, status, why.offset, "%s", why.message);
        body = text_less_newline(body);
    }
    document_release(document);
    set_dialect(document, dialect);
    document->root = value_new_bytes(document, kind, body);
    return document->root ? 0 : failure_set(failure, -ENOMEM, 0, "out of memory");
}

int reading_write(struct reading *reading, struct buffer *stored, struct failure *failure)
{
    return format_of(reading->dialect.codec)->write(&reading->document, stored, failure);
}
