/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a stored value: check_stored(), what the decoder and the printer spare, the effects, and its listing is printable
 * text.
 */
#include "codecs/expression.h"
#include "codecs/pickle.h"
#include "codecs/pickle_dis.h"
#include "codecs/pickle_print.h"
#include "src/utf8.h"
#include "tests/fuzz/effects.h"
#include "tests/fuzz/stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes and prints; `thorough`: without trusting what the decoder says needs no counting. */
static int print_pickle(struct bytes stored, bool thorough, struct buffer *text)
{
    struct document document;
    int status;

    document_init(&document, document_limit(stored.size));
    status = pickle_decode(stored, &document, NULL);
    if (thorough)
        document.unshared = false;
    if (!status)
        status = expression_print(&document, text);
    document_release(&document);
    return status;
}

/* What the decoder knows to be unnecessary would change nothing: counting references. */
static void check_shortcuts(struct bytes stored)
{
    struct buffer text = {.limit = LARGEST_TEXT}, thorough = {.limit = LARGEST_TEXT};
    int status = print_pickle(stored, false, &text);

    demand(print_pickle(stored, true, &thorough) == status);
    demand(status || bytes_equal(buffer_bytes(&text), buffer_bytes(&thorough)));
    buffer_release(&text);
    buffer_release(&thorough);
}

/* What is printed without a graph is what the graph would give. */
static void check_print(const struct dialect *mount, struct bytes stored)
{
    struct buffer text = {.limit = LARGEST_TEXT}, graph = {.limit = LARGEST_TEXT};
    struct dialect dialect, found = *mount;
    enum value_kind kind;

    if (mount->codec == CODEC_PICKLE && pickle_print(stored, mount, &text, &dialect, &kind)) {
        demand(print_pickle(stored, true, &graph) == 0);
        buffer_add_byte(&graph, '\n');
        demand(bytes_equal(
            bytes_part(buffer_bytes(&text), header_parse(buffer_bytes(&text), &found), SIZE_MAX),
            buffer_bytes(&graph)));
        demand(dialect_equal(found, dialect));
    }
    buffer_release(&text);
    buffer_release(&graph);
}

/*
 * An expression has the effects of what it is shown for, whether or not traces were compared. As a pickle of the newest protocol, where nothing
 * plain is written as a call.
 */
static void check_effects(struct bytes stored)
{
    struct buffer pickle = BUFFER_INIT, again = {.limit = LARGEST_TEXT}, log = BUFFER_INIT, log_again = BUFFER_INIT;
    struct document document;

    buffer_add(&pickle, BYTES("\x80\x05"));
    buffer_add(&pickle, stored.size && stored.data[0] == 0x80 ? bytes_part(stored, 2, SIZE_MAX) : stored);
    document_init(&document, document_limit(pickle.size));
    if (pickle_decode(buffer_bytes(&pickle), &document, NULL) == 0 && document.protocol == 5 &&
        pickle_faithful(buffer_bytes(&pickle), &document) == 1 && pickle_encode(&document, 5, &again, NULL) == 0 &&
        effects_of(buffer_bytes(&pickle), &log) && effects_of(buffer_bytes(&again), &log_again))
        demand(bytes_equal(buffer_bytes(&log), buffer_bytes(&log_again)));
    document_release(&document);
    buffer_release(&pickle);
    buffer_release(&again);
    buffer_release(&log);
    buffer_release(&log_again);
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
        {CODEC_PICKLE, 0, true},   {CODEC_PICKLE, 4, false}, {CODEC_PICKLE, 2, false},
        {CODEC_MARSHAL, 4, false}, {CODEC_MARSHAL, 2, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(DIALECTS); i++) {
        check_stored(&DIALECTS[i], bytes_of(data, size));
        check_print(&DIALECTS[i], bytes_of(data, size));
    }
    check_shortcuts(bytes_of(data, size));
    check_effects(bytes_of(data, size));
    check_listing(bytes_of(data, size));
    return 0;
}
