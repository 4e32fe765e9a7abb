/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tests/interop/test_text.py drives. Each request on standard input is a line "KIND PROTOCOL PYTHON2 SIZE" and
 * SIZE bytes; each answer is a line "STATUS SIZE" and SIZE bytes: the text, or the message if STATUS is not 0.
 *   text    parses the bytes and prints them
 *   pickle  decodes the bytes and prints them; parses and prints the text again, which must be the same, as must be what is
 *           printed without a graph, if anything is
 *   again   decodes the bytes, prints them as a value of Python 2 if PYTHON2 is 1, and answers what the parsed text is
 *           encoded to, as a restored backup is
 */
#include "codecs/expression.h"
#include "codecs/pickle.h"
#include "codecs/pickle_print.h"
#include "tests/unit/exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The document is to be released also after a failure. */
static int parse(struct bytes text, unsigned protocol, bool python2, struct document *document, struct failure *failure)
{
    document_init(document, SIZE_MAX);
    document->protocol = (uint8_t)protocol;
    document->python2 = python2;
    return expression_parse(text, document, failure);
}

static int print_text(struct bytes text, unsigned protocol, bool python2, struct buffer *out,
                      struct failure *failure)
{
    struct document document;
    int status = parse(text, protocol, python2, &document, failure);

    if (!status)
        status = expression_print(&document, out);
    document_release(&document);
    return status;
}

static bool printed_without_graph(struct bytes pickle, struct bytes by_graph)
{
    const struct dialect mount = {CODEC_PICKLE, pickle.size > 1 ? pickle.data[1] : 0, false};
    struct buffer text = BUFFER_INIT;
    struct dialect dialect;
    enum value_kind kind;
    bool same = !pickle_print(pickle, &mount, &text, &dialect, &kind) ||
                (text.size == by_graph.size + 1 && memcmp(text.data, by_graph.data, by_graph.size) == 0);

    buffer_release(&text);
    return same;
}

static int print_pickle(struct bytes pickle, struct buffer *out, struct failure *failure)
{
    struct buffer again = BUFFER_INIT;
    struct document document;
    int status;

    document_init(&document, SIZE_MAX);
    status = pickle_decode(pickle, &document, failure);
    if (!status)
        status = expression_print(&document, out);
    if (!status)
        status =
            print_text(buffer_bytes(out), document.protocol, document.python2, &again, failure);
    if (!status && !bytes_equal(buffer_bytes(out), buffer_bytes(&again)))
        status = failure_set(failure, -EILSEQ, 0,
                             "the text prints differently when it is read again: %.*s",
                             (int)(again.size < 200 ? again.size : 200), (const char *)again.data);
    if (!status && !printed_without_graph(pickle, buffer_bytes(out)))
        status = failure_set(failure, -EILSEQ, 0, "it is printed differently without a graph");
    document_release(&document);
    buffer_release(&again);
    return status;
}

static int encode_text(struct bytes text, unsigned protocol, bool python2, struct buffer *out,
                       struct failure *failure)
{
    struct document document;
    int status = parse(text, protocol, python2, &document, failure);

    if (!status)
        status = pickle_encode(&document, protocol, out, failure);
    document_release(&document);
    return status;
}

static int encode_again(struct bytes pickle, bool python2, struct buffer *out, struct failure *failure)
{
    struct buffer text = BUFFER_INIT;
    struct document document;
    int status;

    document_init(&document, SIZE_MAX);
    status = pickle_decode(pickle, &document, failure);
    document.python2 |= python2;
    if (!status && pickle_faithful(pickle, &document) == 0)
        status = failure_set(failure, -ENOTSUP, 0, "it would be shown as asm(...)");
    if (!status)
        status = expression_print(&document, &text);
    if (!status)
        status = encode_text(buffer_bytes(&text), document.protocol, document.python2, out, failure);
    document_release(&document);
    buffer_release(&text);
    return status;
}

static int answer(struct buffer *input)
{
    struct buffer out = BUFFER_INIT;
    struct failure failure = {0};
    char kind[16];
    unsigned protocol, python2;
    size_t size;
    int status;

    if (scanf("%15s %u %u %zu", kind, &protocol, &python2, &size) != 4 || getchar() != '\n')
        return 1;
    buffer_clear(input);
    buffer_resize(input, size);
    if (fread(input->data, 1, size, stdin) != size)
        return 1;
    if (strcmp(kind, "pickle") == 0)
        status = print_pickle(buffer_bytes(input), &out, &failure);
    else if (strcmp(kind, "again") == 0)
        status = encode_again(buffer_bytes(input), python2, &out, &failure);
    else
        status = print_text(buffer_bytes(input), protocol, python2, &out, &failure);
    exchange_tell(status, buffer_bytes(&out), &failure);
    buffer_release(&out);
    return 0;
}

int main(void)
{
    struct buffer input = BUFFER_INIT;

    while (answer(&input) == 0)
        ;
    buffer_release(&input);
    return 0;
}
