/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The marshal codec for tests/interop/test_marshal.py: reads requests on stdin, each a version (one byte, + 16 for
 * Python 2), a length (4 bytes, little-endian) and a marshal, and answers each with a byte, a length and bytes:
 *   '='  decoding and encoding it as read gives the same bytes; the marshal that its text, read again, gives
 *   '~'  the same, but the bytes differ
 *   '!'  why it could not be decoded, or its text not be read back
 */
#include "codecs/expression.h"
#include "codecs/marshal.h"
#include "tests/unit/exchange.h"

#include <errno.h>
#include <stdio.h>

static bool read_request(struct dialect *prefer, struct buffer *marshal)
{
    int version = getchar();

    if (version == EOF)
        return false;
    *prefer = (struct dialect){CODEC_MARSHAL, version & 15u, version >> 4};
    return exchange_read(marshal);
}

/* Reads the text, prints it again, and encodes what was read. */
static int encode_text(struct bytes text, const struct document *dialect, struct buffer *out,
                       struct failure *failure)
{
    struct buffer again = BUFFER_INIT;
    struct document document;
    int status;

    document_init(&document, SIZE_MAX);
    document.protocol = dialect->protocol;
    document.python2 = dialect->python2;
    document.marshal = true;
    status = expression_parse(text, &document, failure);
    if (!status)
        status = expression_print(&document, &again);
    if (!status && !bytes_equal(text, buffer_bytes(&again)))
        status = failure_set(failure, -EILSEQ, 0, "the text prints differently: %.*s",
                             (int)(again.size < 200 ? again.size : 200), (const char *)again.data);
    if (!status)
        status = marshal_encode(&document, out, failure);
    document_release(&document);
    buffer_release(&again);
    return status;
}

static void serve(const struct dialect *prefer, struct bytes marshal)
{
    struct buffer same = BUFFER_INIT, text = BUFFER_INIT, out = BUFFER_INIT;
    struct failure failure = {0};
    struct document document;
    int status;

    document_init(&document, SIZE_MAX);
    status = marshal_decode(marshal, prefer, &document, NULL, &failure);
    if (!status)
        status = marshal_encode_as_read(&document, &same, &failure);
    if (!status)
        status = expression_print(&document, &text);
    if (!status)
        status = encode_text(buffer_bytes(&text), &document, &out, &failure);
    if (status)
        exchange_answer('!', bytes_of_string(failure.message));
    else
        exchange_answer(bytes_equal(buffer_bytes(&same), marshal) ? '=' : '~', buffer_bytes(&out));
    document_release(&document);
    buffer_release(&same);
    buffer_release(&text);
    buffer_release(&out);
}

int main(void)
{
    struct buffer marshal = BUFFER_INIT;
    struct dialect prefer;

    while (read_request(&prefer, &marshal))
        serve(&prefer, buffer_bytes(&marshal));
    buffer_release(&marshal);
    return 0;
}
