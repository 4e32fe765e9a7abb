/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes as a marshal: check_stored(); and where some Python may have written them, spelling the value as it was read gives them. What is
 * written for its graph and for its text is a marshal of the same text.
 */
#include "codecs/expression.h"
#include "codecs/marshal.h"
#include "tests/fuzz/stored.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The text of a marshal, or false: none, or too large. The dialect that was found is RAW's where no Python wrote it: what is
 * written anew may then be another one's.
 */
static bool print_marshal(struct bytes stored, const struct dialect *prefer, struct dialect *found, struct buffer *text,
                          struct buffer *anew)
{
    struct buffer as_read = BUFFER_INIT;
    struct document document;
    uint32_t possible;
    int status;

    document_init(&document, (size_t)LARGEST_TEXT * 16);
    status = marshal_decode(stored, prefer, &document, &possible, NULL);
    demand(status == 0 || status == -EINVAL || status == -EFBIG);
    if (!status) {
        *found = (struct dialect){possible ? CODEC_MARSHAL : CODEC_RAW, document.protocol, document.python2};
        if (possible) {
            demand(marshal_encode_as_read(&document, &as_read, NULL) == 0);
            demand(bytes_equal(buffer_bytes(&as_read), stored));
        }
        status = marshal_encode(&document, anew, NULL);
        /* Old versions have no text for some nan. */
        demand(status == 0 || (status == -EINVAL && !possible));
        if (!status)
            status = expression_print(&document, text);
        demand(status == 0 || status == -EFBIG || status == -EINVAL);
    }
    document_release(&document);
    buffer_release(&as_read);
    return status == 0;
}

static void read_text(struct bytes text, const struct dialect *dialect, struct buffer *anew)
{
    struct document document;

    document_init(&document, (size_t)LARGEST_TEXT * 16);
    document.protocol = (uint8_t)dialect->protocol;
    document.python2 = dialect->python2;
    document.marshal = true;
    demand(expression_parse(text, &document, NULL) == 0);
    demand(marshal_encode(&document, anew, NULL) == 0);
    document_release(&document);
}

static void check_same_text(struct bytes stored, const struct dialect *dialect, struct bytes text)
{
    struct dialect found, prefer = {CODEC_MARSHAL, dialect->protocol, dialect->python2};
    struct buffer again = BUFFER_INIT, anew = BUFFER_INIT;

    demand(print_marshal(stored, &prefer, &found, &again, &anew));
    demand(dialect->codec == CODEC_RAW || dialect_equal(found, *dialect));
    demand(bytes_equal(buffer_bytes(&again), text));
    buffer_release(&again);
    buffer_release(&anew);
}

static void check_marshal(struct bytes stored, const struct dialect *prefer)
{
    struct buffer text = {.limit = LARGEST_TEXT}, anew = BUFFER_INIT, read = BUFFER_INIT;
    struct dialect found;

    if (print_marshal(stored, prefer, &found, &text, &anew)) {
        check_same_text(buffer_bytes(&anew), &found, buffer_bytes(&text));
        read_text(buffer_bytes(&text), &found, &read);
        check_same_text(buffer_bytes(&read), &found, buffer_bytes(&text));
    }
    buffer_release(&text);
    buffer_release(&anew);
    buffer_release(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dialect DIALECTS[] = {
        {CODEC_MARSHAL, 4, false},
        {CODEC_MARSHAL, 2, true},
        {CODEC_MARSHAL, 5, false},
        {CODEC_MARSHAL, 0, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(DIALECTS); i++) {
        check_stored(&DIALECTS[i], bytes_of(data, size));
        check_marshal(bytes_of(data, size), &DIALECTS[i]);
    }
    return 0;
}
