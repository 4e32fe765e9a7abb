/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/pickle_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "codecs/pickle_ops.h"
#include "src/bigint.h"
#include "src/floattext.h"
#include "src/utf8.h"

enum {
    FRAME_HEADER = 9,
    FRAME_LEAST = 4, /* a shorter body gets no frame */
    FRAME_TARGET =
        65536, /* a frame ends at the first boundary after it; longer strings stand outside */
};

static void put_little(uint8_t *out, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number >> (8 * i));
}

static size_t frame_size(const struct pickle_writer *writer)
{
    return writer->out->size - writer->frame_start - FRAME_HEADER;
}

static void close_frame(struct pickle_writer *writer)
{
    uint8_t *header;
    size_t size;

    if (!writer->frame_open || buffer_status(writer->out))
        return;
    header = writer->out->data + writer->frame_start;
    size = frame_size(writer);
    writer->frame_open = false;
    if (size >= FRAME_LEAST) {
        header[0] = PICKLE_FRAME;
        put_little(header + 1, size, 8);
    } else {
        memmove(header, header + FRAME_HEADER, size);
        writer->out->size -= FRAME_HEADER;
    }
}

/* A frame opens with the first byte written in it. */
static void add(struct pickle_writer *writer, struct bytes bytes)
{
    if (writer->framing && !writer->frame_open) {
        writer->frame_start = writer->out->size;
        writer->frame_open = buffer_extend(writer->out, FRAME_HEADER) != NULL;
    }
    buffer_add(writer->out, bytes);
}

void pickle_write_boundary(struct pickle_writer *writer)
{
    if (writer->frame_open && frame_size(writer) >= FRAME_TARGET)
        close_frame(writer);
}

/* A header and its data, outside of any frame when the data is large. */
static void add_data(struct pickle_writer *writer, struct bytes header, struct bytes data)
{
    bool framing = writer->framing;

    if (data.size >= FRAME_TARGET) {
        close_frame(writer);
        writer->framing = false;
    }
    add(writer, header);
    add(writer, data);
    writer->framing = framing;
}

/* An opcode with a little-endian argument. */
static void add_number(struct pickle_writer *writer, uint8_t opcode, uint64_t number, size_t size)
{
    uint8_t bytes[9] = {opcode};

    put_little(bytes + 1, number, size);
    add(writer, bytes_of(bytes, 1 + size));
}

/* A string after its length, by the shortest opcode: `small`'s length has one byte (0: no such opcode). */
static void add_string(struct pickle_writer *writer, uint8_t small, uint8_t medium, uint8_t large,
                       struct bytes data)
{
    uint8_t header[9];
    size_t size;

    if (small && data.size <= UINT8_MAX) {
        header[0] = small;
        size = 1;
    } else if (data.size <= UINT32_MAX) {
        header[0] = medium;
        size = 4;
    } else {
        header[0] = large;
        size = 8;
    }
    put_little(header + 1, data.size, size);
    add_data(writer, bytes_of(header, 1 + size), data);
}

void pickle_write_start(struct pickle_writer *writer)
{
    const uint8_t header[] = {PICKLE_PROTO, (uint8_t)writer->protocol};

    if (writer->protocol >= 2)
        buffer_add(writer->out, bytes_of(header, sizeof header));
    writer->framing = writer->protocol >= 4;
}

void pickle_write_stop(struct pickle_writer *writer)
{
    pickle_write_op(writer, PICKLE_STOP);
    close_frame(writer);
}

void pickle_write_op(struct pickle_writer *writer, uint8_t opcode)
{
    add(writer, bytes_of(&opcode, 1));
}

void pickle_write_ops(struct pickle_writer *writer, uint8_t opcode, uint32_t times)
{
    while (times-- > 0)
        pickle_write_op(writer, opcode);
}

void pickle_write_line(struct pickle_writer *writer, struct bytes line)
{
    add(writer, line);
    add(writer, BYTES("\n"));
}

/* printf's, for short texts. */
static void PRINTF_LIKE(2, 3) add_text(struct pickle_writer *writer, const char *format, ...)
{
    char text[80];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add(writer, bytes_of(text, (size_t)size));
}

void pickle_write_boolean(struct pickle_writer *writer, bool boolean)
{
    if (writer->protocol >= 2)
        pickle_write_op(writer, boolean ? PICKLE_NEWTRUE : PICKLE_NEWFALSE);
    else
        add_text(writer, "I0%d\n", boolean);
}

static void add_long(struct pickle_writer *writer, struct bytes integer)
{
    if (integer.size <= UINT8_MAX)
        add_number(writer, PICKLE_LONG1, integer.size, 1);
    else
        add_number(writer, PICKLE_LONG4, integer.size, 4);
    add(writer, integer);
}

void pickle_write_long(struct pickle_writer *writer, int64_t integer)
{
    uint8_t bytes[8];

    put_little(bytes, (uint64_t)integer, sizeof bytes);
    if (writer->protocol < 2)
        add_text(writer, "L%" PRId64 "L\n", integer);
    else
        add_long(writer, bigint_minimal(bytes_of(bytes, sizeof bytes)));
}

void pickle_write_int(struct pickle_writer *writer, int64_t integer)
{
    bool wide = integer < INT32_MIN || integer > INT32_MAX;

    /* cPickle has ints of the machine's word, which only their text carries. */
    if (wide && !writer->python2)
        pickle_write_long(writer, integer);
    else if (wide || writer->protocol == 0)
        add_text(writer, "I%" PRId64 "\n", integer);
    else if (integer >= 0 && integer <= UINT8_MAX)
        add_number(writer, PICKLE_BININT1, (uint64_t)integer, 1);
    else if (integer >= 0 && integer <= UINT16_MAX)
        add_number(writer, PICKLE_BININT2, (uint64_t)integer, 2);
    else
        add_number(writer, PICKLE_BININT, (uint64_t)integer, 4);
}

/* Where text would be refused by the loader (over 4300 digits), the binary form is in all protocols. */
void pickle_write_big(struct pickle_writer *writer, struct bytes integer)
{
    struct buffer text = BUFFER_INIT;

    if (writer->protocol >= 2) {
        add_long(writer, integer);
        return;
    }
    bigint_print(integer, &text);
    if (buffer_status(&text))
        writer->out->status = buffer_status(&text);
    else if (bytes_find_byte(buffer_bytes(&text), 'x') < text.size) {
        add_long(writer, integer);
    } else {
        add(writer, BYTES("L"));
        add(writer, buffer_bytes(&text));
        add(writer, BYTES("L\n"));
    }
    buffer_release(&text);
}

/* cPickle's "%.17g". The locale of a mount is C, but a program that embeds this may have another. */
static void add_float17(struct pickle_writer *writer, uint64_t bits)
{
    char text[40], *comma;
    double number;

    memcpy(&number, &bits, sizeof number);
    snprintf(text, sizeof text, "%.17g", number);
    comma = strchr(text, ',');
    if (comma)
        *comma = '.';
    add_text(writer, "F%s\n", text);
}

/* A NaN of which the text "nan" would lose something; CPython's own has none. */
static bool has_payload(uint64_t bits)
{
    return (bits & INT64_MAX) > 0x7FF0000000000000u && bits != 0x7FF8000000000000u;
}

void pickle_write_float(struct pickle_writer *writer, uint64_t bits)
{
    char text[FLOATTEXT_MAX];

    if (writer->protocol > 0 || has_payload(bits)) {
        add_number(writer, PICKLE_BINFLOAT, __builtin_bswap64(bits), 8);
    } else if (writer->python2) {
        add_float17(writer, bits);
    } else {
        floattext_print(bits, text);
        add_text(writer, "F%s\n", text);
    }
}

/* Whether UNICODE's argument, Latin-1 with escapes, needs one here. */
static bool needs_escape(uint32_t point, bool python2)
{
    return point > 0xFF || point == '\\' || point == '\n' ||
           (!python2 && (point == '\r' || point == 0 || point == 0x1A));
}

static void write_unicode_line(struct pickle_writer *writer, struct bytes text)
{
    add(writer, BYTES("V"));
    for (size_t at = 0; at < text.size;) {
        struct utf8_point point = utf8_decode(text, at, UTF8_SURROGATES);
        uint8_t byte = (uint8_t)point.point;

        if (!needs_escape(point.point, writer->python2))
            add(writer, bytes_of(&byte, 1));
        else if (point.point > 0xFFFF)
            add_text(writer, "\\U%08" PRIx32, point.point);
        else
            add_text(writer, "\\u%04" PRIx32, point.point);
        at += point.length ? point.length : 1;
    }
    add(writer, BYTES("\n"));
}

void pickle_write_str(struct pickle_writer *writer, struct bytes text)
{
    if (writer->protocol == 0)
        write_unicode_line(writer, text);
    else
        add_string(writer, writer->protocol >= 4 ? PICKLE_SHORT_BINUNICODE : 0, PICKLE_BINUNICODE,
                   PICKLE_BINUNICODE8, text);
}

void pickle_write_bytes(struct pickle_writer *writer, struct bytes bytes)
{
    add_string(writer, PICKLE_SHORT_BINBYTES, PICKLE_BINBYTES, PICKLE_BINBYTES8, bytes);
}

void pickle_write_bytearray(struct pickle_writer *writer, struct bytes bytes)
{
    uint8_t header[9] = {PICKLE_BYTEARRAY8};

    put_little(header + 1, bytes.size, 8);
    add_data(writer, bytes_of(header, sizeof header), bytes);
}

/* repr() of Python 2. */
static void write_string_line(struct pickle_writer *writer, struct bytes bytes)
{
    bool single = bytes_find_byte(bytes, '\'') < bytes.size;
    bool quotes = bytes_find_byte(bytes, '"') < bytes.size;
    uint8_t quote = single && !quotes ? '"' : '\'';

    add_text(writer, "S%c", quote);
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];

        if (byte == quote || byte == '\\')
            add_text(writer, "\\%c", byte);
        else if (byte == '\t' || byte == '\n' || byte == '\r')
            add_text(writer, "\\%c", byte == '\t' ? 't' : byte == '\n' ? 'n' : 'r');
        else if (byte < ' ' || byte >= 0x7F)
            add_text(writer, "\\x%02x", byte);
        else
            add(writer, bytes_of(&byte, 1));
    }
    add_text(writer, "%c\n", quote);
}

void pickle_write_str8(struct pickle_writer *writer, struct bytes bytes)
{
    if (writer->protocol == 0)
        write_string_line(writer, bytes);
    else
        add_string(writer, PICKLE_SHORT_BINSTRING, PICKLE_BINSTRING, PICKLE_BINSTRING, bytes);
}

void pickle_write_extension(struct pickle_writer *writer, int64_t code)
{
    if (code <= UINT8_MAX)
        add_number(writer, PICKLE_EXT1, (uint64_t)code, 1);
    else if (code <= UINT16_MAX)
        add_number(writer, PICKLE_EXT2, (uint64_t)code, 2);
    else
        add_number(writer, PICKLE_EXT4, (uint64_t)code, 4);
}

void pickle_write_put(struct pickle_writer *writer, uint32_t index)
{
    if (writer->protocol >= 4)
        pickle_write_op(writer, PICKLE_MEMOIZE);
    else if (writer->protocol == 0)
        add_text(writer, "p%" PRIu32 "\n", index);
    else if (index <= UINT8_MAX)
        add_number(writer, PICKLE_BINPUT, index, 1);
    else
        add_number(writer, PICKLE_LONG_BINPUT, index, 4);
}

void pickle_write_get(struct pickle_writer *writer, uint32_t index)
{
    if (writer->protocol == 0)
        add_text(writer, "g%" PRIu32 "\n", index);
    else if (index <= UINT8_MAX)
        add_number(writer, PICKLE_BINGET, index, 1);
    else
        add_number(writer, PICKLE_LONG_BINGET, index, 4);
}
