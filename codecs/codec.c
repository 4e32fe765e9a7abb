/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of a value and the value of a text: the rules of codec.h.
 *
 * - "Text that means what is stored" is decided on text: both the stored value and the saved text are printed
 *   canonically and the two prints are compared. No comparison of graphs is needed, and what text can't
 *   tell apart (whether two equal strings are one object) can't make a difference.
 * - A plain str is shown bare only if reading the very text that would be shown gives that str again.
 */
#include "codecs/codec.h"

#include "codecs/expression.h"
#include "codecs/globals.h"
#include "codecs/marshal.h"
#include "codecs/pickle.h"
#include "codecs/pickle_asm.h"
#include "codecs/pickle_print.h"
#include "src/utf8.h"

#include <errno.h>

enum { READING_ROOM = 4096 }; /* bytes that the graph of a small value takes at most */

/* A value as it was found or is about to be stored. */
struct reading {
    struct document document;
    struct dialect dialect;
    bool decoded; /* else only document.globals means anything */
    uint64_t room[READING_ROOM / sizeof(uint64_t)];
};

/* An empty document of a value or a text of `size` bytes. The reading must then stay where it is. */
static void reading_start(struct reading *reading, size_t size)
{
    document_init(&reading->document, document_limit(size));
    arena_start_in(&reading->document.arena, reading->room, sizeof reading->room);
}

static void reading_release(struct reading *reading)
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

/*
 * -ENOMEM or 0; whether it could be decoded is in `reading`. Among marshals a pickle is known by its look, but not
 * the other way round: marshal has none.
 */
static int reading_of_stored(struct bytes stored, const struct dialect *mount,
                             struct reading *reading)
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

/* Whether a save may store `document` where `old` (NULL: nothing) is stored. */
static int check_names(struct document *document, struct document *old, struct failure *failure)
{
    int status = globals_check(document, old, failure);

    return status ? status : marshal_check_code(document, old, failure);
}

static bool is_str(const struct value *value)
{
    return value->kind == VALUE_STR || value->kind == VALUE_STR8;
}

/* The content that may be shown without quotes or escapes, if there is any. */
static bool plain_content(const struct document *document, struct bytes *content)
{
    const struct value *root = document->root;
    bool native = document->python2 ? root->kind == VALUE_STR8
                                    : root->kind == VALUE_STR || root->kind == VALUE_BYTES;

    if (!native || root->last_step || document->effects.count || document->rest.size)
        return false;
    *content = root->bytes;
    return !header_resembles(*content);
}

static bool has_controls(struct bytes text)
{
    for (size_t offset = 0; offset < text.size;) {
        struct utf8_point point = utf8_decode(text, offset, UTF8_STRICT);

        bool layout = point.point == '\t' || point.point == '\r' || point.point == '\n';

        if (utf8_is_control(point.point) && !layout)
            return true;
        offset += point.length;
    }
    return false;
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

static bool is_expression(struct bytes text, struct dialect dialect)
{
    struct reading reading;
    int status;

    reading_start(&reading, text.size);
    status = parse(text, dialect, &reading.document, NULL);
    reading_release(&reading);
    return status != -EINVAL;
}

/* Appends `content` bare and says true, or appends nothing. */
static bool print_plain(const struct document *document, struct dialect dialect, struct buffer *text)
{
    size_t start = text->size;
    struct bytes content;

    if (!plain_content(document, &content))
        return false;
    if (!utf8_valid(content, UTF8_STRICT)) {
        if (document->root->kind == VALUE_STR)
            return false;
        buffer_add(text, content);
        return true;
    }
    if (document->root->kind == VALUE_BYTES || has_controls(content))
        return false;
    if (!content.size)
        return true;
    buffer_add(text, content);
    buffer_add_byte(text, '\n');
    if (text->status || !is_expression(bytes_part(buffer_bytes(text), start, SIZE_MAX), dialect))
        return true;
    buffer_resize(text, start);
    return false;
}

/* Forms 1 to 4, with a header if the mount's dialect is another. */
static int print_reading(struct reading *reading, const struct dialect *mount, struct buffer *text)
{
    int status;

    if (!dialect_equal(reading->dialect, *mount))
        header_print(reading->dialect, text);
    if (!print_plain(&reading->document, reading->dialect, text)) {
        status = expression_print(&reading->document, text);
        if (status)
            return status;
        buffer_add_byte(text, '\n');
    }
    return buffer_status(text);
}

static int print_raw(struct bytes stored, struct buffer *text)
{
    header_print((struct dialect){.codec = CODEC_RAW}, text);
    buffer_add(text, stored);
    return buffer_status(text);
}

/*
 * print_reading() in what the graph leaves of the value's memory (document_limit()): a third for the text, another one for its copy while
 * the buffer grows, and the last for the printer's stacks. -EFBIG leaves `text` as it was.
 */
static int print_within_limit(struct reading *reading, const struct dialect *mount, struct buffer *text)
{
    struct arena *arena = &reading->document.arena;
    size_t start = text->size, limit = text->limit, third = arena_left(arena) / 3;
    int status;

    if (third < limit - start)
        text->limit = start + third;
    arena_charge(arena, 2 * third);
    status = print_reading(reading, mount, text);
    arena_discharge(arena, 2 * third);
    text->limit = limit;
    if (status == -EFBIG) {
        text->size = start;
        text->status = 0;
    }
    return status;
}

/*
 * The canonical text: of a decoded value, or the raw form. Indentation, which can be most of a text, is given up
 * first.
 */
static int print_canonical(struct bytes stored, struct reading *reading,
                           const struct dialect *mount, struct buffer *text)
{
    int status;

    if (!reading->decoded)
        return print_raw(stored, text);
    status = print_within_limit(reading, mount, text);
    if (status == -EFBIG) {
        reading->document.flat = true;
        status = print_within_limit(reading, mount, text);
    }
    if (status != -EFBIG)
        return status;
    reading->decoded = false;
    return print_raw(stored, text);
}

static const char *kind_name(enum value_kind kind)
{
    static const char *const NAMES[] = {
        [VALUE_NONE] = "NoneType",   [VALUE_FALSE] = "bool",         [VALUE_TRUE] = "bool",
        [VALUE_INT] = "int",         [VALUE_BIG_INT] = "int",        [VALUE_FLOAT] = "float",
        [VALUE_COMPLEX] = "complex", [VALUE_ELLIPSIS] = "ellipsis",  [VALUE_STOP_ITERATION] = "type",
        [VALUE_STR] = "str",         [VALUE_STR8] = "str",           [VALUE_BYTES] = "bytes",
        [VALUE_LIST] = "list",       [VALUE_BYTEARRAY] = "bytearray", [VALUE_TUPLE] = "tuple",
        [VALUE_SET] = "set",         [VALUE_FROZENSET] = "frozenset", [VALUE_DICT] = "dict",
        [VALUE_GLOBAL] = "global",   [VALUE_SLICE] = "slice",        [VALUE_CODE] = "code",
    };

    return NAMES[kind] ? NAMES[kind] : "object";
}

static const char *type_name(const struct reading *reading)
{
    const struct value *root = reading->document.root;

    if (!reading->decoded)
        return "raw";
    return root->kind == VALUE_STR && reading->dialect.python2 ? "unicode" : kind_name(root->kind);
}

/* Texts are mostly longer than what is stored. The growth of large ones costs little. */
static void expect_text(struct bytes stored, struct buffer *text)
{
    enum { MOST = 1 << 14 };

    buffer_expect(text, stored.size < MOST ? stored.size * 2 : MOST);
}

/* The shortcut for most pickles, which gives the same text: without a graph. False: this is none of them. */
static bool render_literals(const struct dialect *mount, struct bytes stored, struct buffer *text,
                            struct codec_note *note)
{
    struct codec_note printed;
    enum value_kind kind;

    if (mount->codec != CODEC_PICKLE || !pickle_print(stored, mount, text, &printed.dialect, &kind))
        return false;
    printed.type = kind_name(kind);
    if (note)
        *note = printed;
    return true;
}

static int render_value(const struct dialect *mount, struct bytes stored, struct buffer *text,
                         struct codec_note *note)
{
    struct reading reading;
    int status;

    expect_text(stored, text);
    if (render_literals(mount, stored, text, note))
        return 0;
    status = reading_of_stored(stored, mount, &reading);
    if (!status)
        status = print_canonical(stored, &reading, mount, text);
    if (!status && note) {
        note->dialect = reading.decoded ? reading.dialect : (struct dialect){.codec = CODEC_RAW};
        note->type = type_name(&reading);
    }
    reading_release(&reading);
    return status;
}

int codec_render(const struct dialect *dialect, struct bytes stored, struct buffer *text,
                 struct codec_note *note)
{
    if (format_of(dialect->codec))
        return render_value(dialect, stored, text, note);
    if (note)
        *note = (struct codec_note){*dialect, dialect->codec == CODEC_TEXT ? "str" : "bytes"};
    buffer_add(text, stored);
    if (dialect->codec == CODEC_TEXT && stored.size && utf8_valid(stored, UTF8_STRICT))
        buffer_add_byte(text, '\n');
    return buffer_status(text);
}

static struct bytes less_final_newline(struct bytes text)
{
    if (bytes_end_with(text, BYTES("\n")))
        text.size--;
    return text;
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

static int out_of_memory(struct failure *failure)
{
    return failure_set(failure, -ENOMEM, 0, "out of memory");
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

/* `body` is `text` without its header line; `strict`: what looks like an expression must be one. */
static int reading_of_text(struct bytes text, struct bytes body, struct dialect dialect, bool strict,
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
        body = less_final_newline(body);
    }
    document_release(document);
    set_dialect(document, dialect);
    document->root = value_new_bytes(document, kind, body);
    return document->root ? 0 : out_of_memory(failure);
}

int codec_accept_stored(const struct dialect *dialect, const struct codec_rules *rules,
                        struct bytes bytes, const struct bytes *old, struct failure *failure)
{
    struct reading reading, before = {.decoded = false};
    int status;

    if (bytes.size > rules->max_value)
        return failure_set(failure, -EFBIG, 0, "larger than max_value (%zu bytes)",
                           rules->max_value);
    if (!format_of(dialect->codec) || rules->any_globals || (old && bytes_equal(*old, bytes)))
        return 0;
    status = reading_of_stored(bytes, dialect, &reading);
    if (!status && old)
        status = reading_of_stored(*old, dialect, &before);
    if (status)
        status = out_of_memory(failure);
    else
        status = check_names(&reading.document, old ? &before.document : NULL, failure);
    reading_release(&reading);
    if (old)
        reading_release(&before);
    return status;
}

/* What is stored now, as far as it matters to a save. */
struct current {
    const struct bytes *stored; /* NULL: nothing */
    struct reading reading;
    struct buffer text; /* canonical */
};

static int current_init(struct current *current, const struct bytes *old,
                        const struct dialect *mount)
{
    int status;

    *current = (struct current){.stored = old, .text = BUFFER_INIT};
    if (!old)
        return 0;
    status = reading_of_stored(*old, mount, &current->reading);
    return status ? status : print_canonical(*old, &current->reading, mount, &current->text);
}

static void current_release(struct current *current)
{
    reading_release(&current->reading);
    buffer_release(&current->text);
}

static bool current_is(const struct current *current, struct bytes text)
{
    return current->stored && bytes_equal(buffer_bytes(&current->text), text);
}

/* Whether replacing it by a text that looks like a broken expression would lose a structure. */
static bool current_is_structure(const struct current *current)
{
    return current->stored &&
           !(current->reading.decoded && is_str(current->reading.document.root));
}

/* Whether `reading` prints as what is stored does: 1, 0 or negative errno. */
static int means_current(struct reading *reading, struct current *current,
                         const struct dialect *mount)
{
    /* A longer text is another one, and a short value may have a very long one. */
    struct buffer text = {.limit = current->text.size};
    int status;

    if (!current->stored)
        return 0;
    reading->document.flat = current->reading.document.flat;
    status = print_reading(reading, mount, &text);
    if (buffer_status(&text) == -EFBIG)
        status = 0;
    else if (!status)
        status = current_is(current, buffer_bytes(&text));
    buffer_release(&text);
    return status;
}

static int store_reading(struct reading *reading, struct current *current,
                         const struct dialect *mount, const struct codec_rules *rules,
                         struct buffer *stored, struct failure *failure)
{
    int status = means_current(reading, current, mount);

    if (status == 1)
        buffer_add(stored, *current->stored);
    else if (!status && !rules->any_globals)
        status = check_names(&reading->document, current->stored ? &current->reading.document : NULL,
                             failure);
    if (!status)
        status = format_of(reading->dialect.codec)->write(&reading->document, stored, failure);
    return status < 0 ? status : buffer_status(stored);
}

static int accept_value(const struct dialect *mount, const struct codec_rules *rules,
                         struct bytes text, struct current *current, struct buffer *stored,
                        struct failure *failure)
{
    struct dialect dialect = *mount;
    size_t header = header_parse(text, &dialect);
    struct bytes body = bytes_part(text, header, SIZE_MAX);
    struct reading reading;
    int status;

    if (current_is(current, text))
        body = *current->stored;
    else if (format_of(dialect.codec)) {
        status = reading_of_text(text, body, dialect, current_is_structure(current), &reading, failure);
        if (!status)
            status = store_reading(&reading, current, mount, rules, stored, failure);
        reading_release(&reading);
        return status;
    }
    status = codec_accept_stored(mount, rules, body, current->stored, failure);
    if (status)
        return status;
    buffer_add(stored, body);
    return buffer_status(stored);
}

int codec_accept(const struct dialect *dialect, const struct codec_rules *rules, struct bytes text,
                 const struct bytes *old, struct buffer *stored, struct failure *failure)
{
    struct buffer made = {.limit = rules->max_value};
    struct current current;
    int status;

    if (text.size > rules->max_value)
        return failure_set(failure, -EFBIG, 0, "larger than max_value (%zu bytes)",
                           rules->max_value);
    if (!format_of(dialect->codec)) {
        bool newline = dialect->codec == CODEC_TEXT && utf8_valid(text, UTF8_STRICT);

        buffer_add(stored, newline ? less_final_newline(text) : text);
        return buffer_status(stored);
    }
    status = current_init(&current, old, dialect);
    if (!status)
        status = accept_value(dialect, rules, text, &current, &made, failure);
    if (buffer_status(&made) == -EFBIG && failure)
        failure->code = 0; /* which says less */
    if (buffer_status(&made) == -EFBIG)
        status = failure_set(failure, -EFBIG, 0, "its stored form is larger than max_value (%zu bytes)",
                             rules->max_value);
    if (!status) {
        buffer_add(stored, buffer_bytes(&made));
        status = buffer_status(stored);
    }
    if (status == -ENOMEM)
        out_of_memory(failure);
    current_release(&current);
    buffer_release(&made);
    return status;
}
