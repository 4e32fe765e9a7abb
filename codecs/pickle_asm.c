/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which literals are canonical is not decided here: an operand is tried, assembled, and shown as bytes unless that gives
 * the line that it came from. So reading and writing can't disagree.
 */
#include "codecs/pickle_asm.h"

#include "codecs/pickle.h"
#include "codecs/pickle_text.h"
#include "codecs/pickle_write.h"
#include "src/bigint.h"
#include "src/utf8.h"

#include <errno.h>
#include <inttypes.h>

/* Operands of an instruction */

void pickle_operands_init(struct pickle_operands *operands)
{
    *operands = (struct pickle_operands){.content = BUFFER_INIT, .written = BUFFER_INIT};
}

void pickle_operands_release(struct pickle_operands *operands)
{
    buffer_release(&operands->content);
    buffer_release(&operands->written);
}

static void add_bytes(struct pickle_operands *operands, enum value_kind kind, struct bytes bytes)
{
    operands->at[operands->count++] = (struct value){.kind = (uint8_t)kind, .bytes = bytes};
}

static void add_text(struct pickle_operands *operands, struct bytes text, bool python2)
{
    add_bytes(operands, python2 && bytes_are_ascii(text) ? VALUE_STR8 : VALUE_STR, text);
}

static void add_int(struct pickle_operands *operands, int64_t integer)
{
    operands->at[operands->count++] = (struct value){.kind = VALUE_INT, .integer = integer};
}

/* Two's complement of any width. */
static void add_long(struct pickle_operands *operands, struct bytes bytes)
{
    int64_t integer;

    if (bigint_to_int64(bytes, &integer))
        add_int(operands, integer);
    else
        add_bytes(operands, VALUE_BIG_INT, bytes);
}

static bool is_nan(uint64_t bits)
{
    return (bits & INT64_MAX) > UINT64_C(0x7FF) << 52;
}

/* A NaN has no literal: it is `bytes`. */
static void add_float(struct pickle_operands *operands, uint64_t bits, struct bytes bytes)
{
    if (is_nan(bits))
        add_bytes(operands, VALUE_BYTES, bytes);
    else
        operands->at[operands->count++] = (struct value){.kind = VALUE_FLOAT, .bits = bits};
}

static void add_unsigned(struct pickle_operands *operands, uint64_t number)
{
    if (number <= INT64_MAX) {
        add_int(operands, (int64_t)number);
        return;
    }
    buffer_clear(&operands->content);
    for (int i = 0; i < 9; i++)
        buffer_add_byte(&operands->content, i < 8 ? (uint8_t)(number >> (8 * i)) : 0);
    add_bytes(operands, VALUE_BIG_INT, buffer_bytes(&operands->content));
}

static void add_integer_line(struct pickle_operands *operands, const struct pickle_op *op)
{
    struct pickle_integer integer;
    const char *problem = op->code == PICKLE_INT
                              ? pickle_text_int(op->bytes, &operands->content, &integer)
                              : pickle_text_long(op->bytes, &operands->content, &integer);

    if (problem)
        return;
    if (integer.boolean)
        add_bytes(operands, integer.integer ? VALUE_TRUE : VALUE_FALSE, (struct bytes){NULL, 0});
    else if (integer.big)
        add_bytes(operands, VALUE_BIG_INT, integer.bytes);
    else
        add_int(operands, integer.integer);
}

/* What the line of a text instruction may stand for; nothing where it stands for nothing. */
static void add_line(struct pickle_operands *operands, const struct pickle_op *op, bool python2)
{
    struct buffer *content = &operands->content;
    uint64_t number;

    switch (op->code) {
    case PICKLE_INT:
    case PICKLE_LONG:
        add_integer_line(operands, op);
        break;
    case PICKLE_GET:
    case PICKLE_PUT:
        if (!pickle_text_index(op->bytes, &number))
            add_unsigned(operands, number);
        break;
    case PICKLE_FLOAT:
        if (!pickle_text_float(op->bytes, &number))
            add_float(operands, number, op->bytes);
        break;
    case PICKLE_STRING:
        if (!pickle_text_string(op->bytes, content) && bytes_are_ascii(buffer_bytes(content)))
            add_text(operands, buffer_bytes(content), python2);
        break;
    case PICKLE_UNICODE:
        if (!pickle_text_unicode(op->bytes, content))
            add_text(operands, buffer_bytes(content), python2);
        break;
    default: /* PERSID */
        if (utf8_valid(op->bytes, UTF8_SURROGATES))
            add_text(operands, op->bytes, python2);
        break;
    }
}

/* Replaces what was added by the line itself unless it makes the same line. */
static void check_line(struct pickle_operands *operands, const struct pickle_op *op)
{
    struct value *only = &operands->at[0];
    struct bytes name = bytes_of_string(op->info->name);

    buffer_clear(&operands->written);
    if (operands->count && !pickle_assemble(name, &only, 1, &operands->written) &&
        operands->written.size == op->bytes.size + 2 &&
        bytes_equal(bytes_part(buffer_bytes(&operands->written), 1, op->bytes.size), op->bytes))
        return;
    operands->count = 0;
    add_bytes(operands, VALUE_BYTES, op->bytes);
}

static void add_name(struct pickle_operands *operands, struct bytes name, bool python2)
{
    if (utf8_valid(name, UTF8_SURROGATES))
        add_text(operands, name, python2);
    else
        add_bytes(operands, VALUE_BYTES, name);
}

static bool is_unicode(uint8_t code)
{
    return code == PICKLE_BINUNICODE || code == PICKLE_SHORT_BINUNICODE ||
           code == PICKLE_BINUNICODE8;
}

/* What stands behind its length. */
static void add_string(struct pickle_operands *operands, const struct pickle_op *op, bool python2)
{
    if (is_unicode(op->code))
        add_name(operands, op->bytes, python2);
    else if (op->info->family == FAMILY_NUMBER && bigint_minimal(op->bytes).size == op->bytes.size)
        add_long(operands, op->bytes);
    else
        add_bytes(operands, VALUE_BYTES, op->bytes);
}

int pickle_operands_read(struct pickle_operands *operands, const struct pickle_op *op, bool python2)
{
    operands->count = 0;
    switch ((enum pickle_argument)op->info->argument) {
    case ARGUMENT_NONE:
        break;
    case ARGUMENT_U8:
    case ARGUMENT_U16:
    case ARGUMENT_I32:
    case ARGUMENT_U32:
        add_int(operands, (int64_t)op->number);
        break;
    case ARGUMENT_U64:
        add_unsigned(operands, op->number);
        break;
    case ARGUMENT_FLOAT:
        add_float(operands, op->number, op->bytes);
        break;
    case ARGUMENT_LINE:
        add_line(operands, op, python2);
        check_line(operands, op);
        break;
    case ARGUMENT_LINES:
        add_name(operands, op->bytes, python2);
        add_name(operands, op->second, python2);
        break;
    default:
        add_string(operands, op, python2);
        break;
    }
    return buffer_status(&operands->content) ? buffer_status(&operands->content)
                                             : buffer_status(&operands->written);
}

/* An instruction of operands */

struct assembly {
    const struct pickle_opcode_info *info;
    uint8_t code;
    struct value *const *operands;
    struct buffer *out;
};

static bool is_text(const struct value *value)
{
    return value->kind == VALUE_STR || (value->kind == VALUE_STR8 && bytes_are_ascii(value->bytes));
}

static void put_code(const struct assembly *a)
{
    buffer_add_byte(a->out, a->code);
}

static void put_little(const struct assembly *a, uint64_t number, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        buffer_add_byte(a->out, (uint8_t)(number >> (8 * i)));
}

static const char *put_number(const struct assembly *a, int64_t least, uint64_t most, unsigned size)
{
    const struct value *value = a->operands[0];
    bool negative = value->kind == VALUE_INT && value->integer < 0;
    uint64_t number = 0;

    if (value->kind == VALUE_INT)
        number = (uint64_t)value->integer;
    else if (value->kind != VALUE_BIG_INT || value->bytes.size != 9 || value->bytes.data[8])
        return "expected one integer that fits the instruction";
    else
        for (unsigned i = 8; i-- > 0;)
            number = number << 8 | value->bytes.data[i];
    if (negative ? value->integer < least : number > most)
        return "expected one integer that fits the instruction";
    put_code(a);
    put_little(a, number, size);
    return NULL;
}

static const char *put_float(const struct assembly *a)
{
    const struct value *value = a->operands[0];

    if (value->kind != VALUE_FLOAT && (value->kind != VALUE_BYTES || value->bytes.size != 8))
        return "expected one float, or its eight bytes";
    put_code(a);
    if (value->kind == VALUE_FLOAT)
        put_little(a, __builtin_bswap64(value->bits), 8);
    else
        buffer_add(a->out, value->bytes);
    return NULL;
}

/* Bytes or text without the end of a line. */
static const char *put_line(const struct assembly *a, const struct value *value)
{
    if (!(value->kind == VALUE_BYTES || is_text(value)) ||
        bytes_find_byte(value->bytes, '\n') < value->bytes.size)
        return "expected a line without its end";
    buffer_add(a->out, value->bytes);
    buffer_add_byte(a->out, '\n');
    return NULL;
}

static const char *put_integer_line(const struct assembly *a)
{
    const struct value *value = a->operands[0];
    struct buffer bytes = BUFFER_INIT;
    const char *problem = NULL;

    put_code(a);
    if (value->kind == VALUE_INT)
        bigint_from_int64(value->integer, &bytes);
    else if (value->kind == VALUE_BIG_INT)
        buffer_add(&bytes, value->bytes);
    if (value->kind == VALUE_INT || value->kind == VALUE_BIG_INT)
        bigint_print(buffer_bytes(&bytes), a->out);
    else if (a->code == PICKLE_INT && (value->kind == VALUE_TRUE || value->kind == VALUE_FALSE))
        buffer_add_string(a->out, value->kind == VALUE_TRUE ? "01" : "00");
    else
        problem = "expected an integer, or a line as bytes";
    buffer_add_string(a->out, a->code == PICKLE_LONG ? "L\n" : "\n");
    if (buffer_status(&bytes))
        a->out->status = buffer_status(&bytes);
    buffer_release(&bytes);
    return problem;
}

/* As CPython's pickler writes it. */
static const char *put_text_line(const struct assembly *a)
{
    struct pickle_writer writer = {.out = a->out, .protocol = 0};
    const struct value *value = a->operands[0];

    switch (a->code) {
    case PICKLE_FLOAT:
        if (value->kind != VALUE_FLOAT || is_nan(value->bits))
            return "expected a float, or a line as bytes";
        pickle_write_float(&writer, value->bits);
        return NULL;
    case PICKLE_STRING:
        if (!is_text(value) || !bytes_are_ascii(value->bytes))
            return "expected an ASCII string, or a line as bytes";
        pickle_write_str8(&writer, value->bytes);
        return NULL;
    case PICKLE_UNICODE:
        if (!is_text(value))
            return "expected a string, or a line as bytes";
        pickle_write_str(&writer, value->bytes);
        return NULL;
    case PICKLE_PERSID:
        put_code(a);
        return put_line(a, value);
    default: /* INT, LONG, GET, PUT */
        return put_integer_line(a);
    }
}

static const char *put_lines(const struct assembly *a)
{
    const char *problem;

    put_code(a);
    problem = put_line(a, a->operands[0]);
    return problem ? problem : put_line(a, a->operands[1]);
}

static const char *put_string(const struct assembly *a, uint64_t most, unsigned length)
{
    const struct value *value = a->operands[0];
    bool number = a->info->family == FAMILY_NUMBER, fits = value->kind == VALUE_BYTES;
    struct buffer bytes = BUFFER_INIT;

    if (number && value->kind == VALUE_INT) {
        bigint_from_int64(value->integer, &bytes);
        fits = true;
    } else if (fits || (number && value->kind == VALUE_BIG_INT) || (is_unicode(a->code) && is_text(value))) {
        buffer_add(&bytes, value->bytes);
        fits = true;
    }
    fits = fits && bytes.size <= most;
    if (fits) {
        put_code(a);
        put_little(a, bytes.size, length);
        buffer_add(a->out, buffer_bytes(&bytes));
    }
    if (buffer_status(&bytes))
        a->out->status = buffer_status(&bytes);
    buffer_release(&bytes);
    if (fits)
        return NULL;
    return number               ? "expected an integer, or bytes, of a length that fits the instruction"
           : is_unicode(a->code) ? "expected a string, or bytes, of a length that fits the instruction"
                                : "expected bytes of a length that fits the instruction";
}

static const char *put_instruction(const struct assembly *a)
{
    switch ((enum pickle_argument)a->info->argument) {
    case ARGUMENT_NONE:
        return put_code(a), NULL;
    case ARGUMENT_U8:
        return put_number(a, 0, UINT8_MAX, 1);
    case ARGUMENT_U16:
        return put_number(a, 0, UINT16_MAX, 2);
    case ARGUMENT_I32:
        return put_number(a, INT32_MIN, INT32_MAX, 4);
    case ARGUMENT_U32:
        return put_number(a, 0, UINT32_MAX, 4);
    case ARGUMENT_U64:
        return put_number(a, 0, UINT64_MAX, 8);
    case ARGUMENT_FLOAT:
        return put_float(a);
    case ARGUMENT_LINE:
        if (a->operands[0]->kind != VALUE_BYTES)
            return put_text_line(a);
        put_code(a);
        return put_line(a, a->operands[0]);
    case ARGUMENT_LINES:
        return put_lines(a);
    case ARGUMENT_BYTES1:
        return put_string(a, UINT8_MAX, 1);
    case ARGUMENT_BYTES4:
        return put_string(a, UINT32_MAX, 4);
    case ARGUMENT_BYTES8:
        return put_string(a, SIZE_MAX, 8);
    case ARGUMENT_LONG4:
        return put_string(a, INT32_MAX, 4);
    }
    return NULL;
}

static bool find_opcode(struct bytes name, struct assembly *a)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        const struct pickle_opcode_info *info = pickle_opcode_info((uint8_t)byte);

        if (!info->name || !bytes_equal(name, bytes_of_string(info->name)))
            continue;
        a->info = info;
        a->code = (uint8_t)byte;
        return true;
    }
    return false;
}

const char *pickle_assemble(struct bytes name, struct value *const *operands, size_t count,
                            struct buffer *out)
{
    struct assembly a = {.operands = operands, .out = out};
    size_t wanted;

    if (!find_opcode(name, &a))
        return "there is no such instruction";
    wanted = a.info->argument == ARGUMENT_NONE ? 0 : a.info->argument == ARGUMENT_LINES ? 2 : 1;
    if (count != wanted)
        return wanted == 0   ? "expected no operand"
               : wanted == 1 ? "expected one operand"
                             : "expected two operands";
    for (size_t i = 0; i < count; i++)
        if (operands[i]->last_step)
            return "expected literals";
    return put_instruction(&a);
}

/* Programs */

/* The document is what its decoding said, but its graph is forgotten. */
static void keep_program(struct document *document, struct value *program, struct bytes rest)
{
    document->root = program;
    document->effects = (struct value_list){0};
    document->rest = rest;
    document->suspect = false;
    document->counted = false;
}

int pickle_program_check(struct document *document, struct failure *failure)
{
    struct value *program = document->root;
    struct bytes rest = document->rest;
    struct failure why = {0};
    int status = pickle_decode(program->bytes, document, &why);
    bool longer = !status && document->rest.size;

    keep_program(document, program, rest);
    if (longer)
        return failure_set(failure, -EBADMSG, 0, "asm(...) goes on behind STOP");
    if (status == -EINVAL)
        return failure_set(failure, -EBADMSG, 0, "asm(...) is no pickle: %s (byte %zu of it)", why.message,
                           why.offset);
    return status ? failure_set(failure, status, 0, "%s", why.message) : 0;
}

int pickle_program_of(struct bytes stored, struct document *document)
{
    struct bytes rest = document->rest;
    struct bytes bytes = bytes_part(stored, 0, stored.size - rest.size);
    struct value *program = value_new_bytes(document, VALUE_PROGRAM, bytes);

    if (!program)
        return arena_status(&document->arena);
    keep_program(document, program, rest);
    return 0;
}
