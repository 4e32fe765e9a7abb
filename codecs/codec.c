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
#include "codecs/pickle_print.h"
#include "codecs/reading.h"
#include "src/utf8.h"

#include <errno.h>

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

/* Appends `content` bare and says 1, or appends nothing and says 0, or -ENOMEM. */
static int print_plain(const struct document *document, struct dialect dialect, struct buffer *text)
{
    size_t start = text->size;
    struct bytes content;
    int is;

    if (!plain_content(document, &content))
        return 0;
    if (!utf8_valid(content, UTF8_STRICT)) {
        if (document->root->kind == VALUE_STR)
            return 0;
        buffer_add(text, content);
        return 1;
    }
    if (document->root->kind == VALUE_BYTES || has_controls(content))
        return 0;
    if (!content.size)
        return 1;
    buffer_add(text, content);
    buffer_add_byte(text, '\n');
    if (text->status)
        return 1;
    is = reading_is_expression(bytes_part(buffer_bytes(text), start, SIZE_MAX), dialect);
    if (is == 0)
        return 1;
    buffer_resize(text, start);
    return is < 0 ? is : 0;
}

/* Forms 1 to 4, with a header if the mount's dialect is another. */
static int print_reading(struct reading *reading, const struct dialect *mount, struct buffer *text)
{
    int status;

    if (!dialect_equal(reading->dialect, *mount))
        header_print(reading->dialect, text);
    status = print_plain(&reading->document, reading->dialect, text);
    if (status == 0) {
        status = expression_print(&reading->document, text);
        buffer_add_byte(text, '\n');
    }
    return status < 0 ? status : buffer_status(text);
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
    if (codec_has_values(dialect->codec))
        return render_value(dialect, stored, text, note);
    if (note)
        *note = (struct codec_note){*dialect, dialect->codec == CODEC_TEXT ? "str" : "bytes"};
    buffer_add(text, stored);
    if (dialect->codec == CODEC_TEXT && stored.size && utf8_valid(stored, UTF8_STRICT))
        buffer_add_byte(text, '\n');
    return buffer_status(text);
}

static int out_of_memory(struct failure *failure)
{
    return failure_set(failure, -ENOMEM, 0, "out of memory");
}

int codec_accept_stored(const struct dialect *dialect, const struct codec_rules *rules,
                        struct bytes bytes, const struct bytes *old, struct failure *failure)
{
    struct reading reading, before = {.decoded = false};
    int status;

    if (bytes.size > rules->max_value)
        return failure_set(failure, -EFBIG, 0, "larger than max_value (%zu bytes)",
                           rules->max_value);
    if (!codec_has_values(dialect->codec) || rules->any_globals || (old && bytes_equal(*old, bytes)))
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
        status = reading_write(reading, stored, failure);
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
    else if (codec_has_values(dialect.codec)) {
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
    if (!codec_has_values(dialect->codec)) {
        bool newline = dialect->codec == CODEC_TEXT && utf8_valid(text, UTF8_STRICT);

        buffer_add(stored, newline ? text_less_newline(text) : text);
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
