/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - One pass reads in Python 3's or Python 2's way and with one layout of code objects; where it fails, the next is tried,
 *   Python 3's newest first. Most values have no code object and need one pass.
 * - Children wait on a stack until their container is complete and then move into an array of the right size. What is
 *   visible to its own children (tuple, list, dict, set) is made before them, the rest after them, as CPython does.
 * - CPython reads at most 2000 objects in one another, so more is no marshal, and the stack of containers is short.
 * - A container that declares more items than bytes are left is refused before anything is allocated.
 *
 * As read, but written otherwise by marshal_encode_as_read(): a flagged None (or another of the type bytes without
 * content), floats in text that no Python writes, and a dict that ends with a key, which CPython drops.
 */
#include "codecs/marshal.h"

#include "codecs/code_layout.h"
#include "codecs/cursor.h"
#include "codecs/marshal_types.h"
#include "src/bigint.h"
#include "src/floattext.h"
#include "src/utf8.h"

#include <errno.h>
#include <stdlib.h>

/* Dialects as bits: Python 3's versions 0 to 5, then Python 2's 0 to 2. */
enum {
    PYTHON2_SHIFT = MARSHAL_NEWEST + 1,
    ALL_3 = (1 << PYTHON2_SHIFT) - 1,
    ALL_2 = 7 << PYTHON2_SHIFT,
    ALL = ALL_3 | ALL_2,
    SINCE_2 = (ALL_3 & ~3) | 4 << PYTHON2_SHIFT,
    BEFORE_2 = 3 | 3 << PYTHON2_SHIFT,
    SINCE_3 = ALL_3 & ~7,
    SINCE_4 = ALL_3 & ~15,
    SINCE_5 = 1 << 5,
    BEFORE_4 = 15 | ALL_2, /* Python 2 has nothing newer */
    INTERNING_2 = 6 << PYTHON2_SHIFT,
};

enum { NO_REF = UINT32_MAX, UNBOUNDED = UINT32_MAX };

/* A container whose children are being read. */
struct frame {
    uint8_t code;        /* its type byte */
    bool ended;          /* a dict: its NULL came */
    uint32_t want;       /* children; UNBOUNDED: until NULL */
    uint32_t ref;        /* its place among the references if it becomes visible when complete, or NO_REF */
    size_t base;         /* its first child on the stack */
    struct value *value; /* NULL: made when complete */
};

/* A growing array outside of the arena. */
struct stack {
    struct value **at;
    size_t count, capacity;
};

struct decoder {
    struct cursor cursor;
    struct document *document;
    struct failure *failure;
    bool python2;
    enum code_layout layout;
    struct frame *frames;
    size_t frame_count, frame_capacity;
    struct stack children, refs, strings; /* flagged objects; Python 2's interned strings */
    uint32_t possible;                    /* dialects in which this may have been written */
    unsigned least;                       /* the version that the type bytes need */
    bool flagged, interned, has_code;     /* which of these occurred; `interned`: 't' without flag */
    int status;
};

uint32_t marshal_dialect_bit(unsigned version, bool python2)
{
    return UINT32_C(1) << (version + (python2 ? PYTHON2_SHIFT : 0));
}

struct dialect marshal_likeliest(uint32_t set)
{
    static const struct dialect order[] = {
        {CODEC_MARSHAL, 4, false}, {CODEC_MARSHAL, 2, false}, {CODEC_MARSHAL, 3, false},
        {CODEC_MARSHAL, 5, false}, {CODEC_MARSHAL, 2, true},  {CODEC_MARSHAL, 1, true},
        {CODEC_MARSHAL, 1, false}, {CODEC_MARSHAL, 0, true},  {CODEC_MARSHAL, 0, false},
    };

    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        if (set & marshal_dialect_bit(order[i].protocol, order[i].python2))
            return order[i];
    return order[0];
}

static void fail(struct decoder *d, size_t offset, const char *why)
{
    if (!d->status)
        d->status = failure_set(d->failure, -EINVAL, offset, "%s", why);
}

static void fail_memory(struct decoder *d, int status)
{
    if (!d->status)
        d->status = failure_set(d->failure, status, d->cursor.position,
                                status == -EFBIG ? "too large" : "out of memory");
}

static bool stack_push(struct decoder *d, struct stack *stack, struct value *value)
{
    if (stack->count == stack->capacity) {
        size_t capacity = stack->capacity ? stack->capacity * 2 : 64;
        struct value **at = realloc(stack->at, capacity * sizeof *at);

        if (!at) {
            fail_memory(d, -ENOMEM);
            return false;
        }
        stack->at = at;
        stack->capacity = capacity;
    }
    stack->at[stack->count++] = value;
    return true;
}

/* A complete object, or one that its children may already refer to. */
static struct value *make(struct decoder *d, enum value_kind kind, uint8_t code)
{
    struct value *value = value_new(d->document, kind);

    if (!value) {
        fail_memory(d, arena_status(&d->document->arena));
        return NULL;
    }
    value->flags = code;
    if (code & MARSHAL_FLAG_REF && !stack_push(d, &d->refs, value))
        return NULL;
    return value;
}

static void push(struct decoder *d, struct value *value)
{
    if (value)
        stack_push(d, &d->children, value);
}

/* Objects without content: one node each, which nothing can refer to. */
static void read_constant(struct decoder *d, struct value **known, enum value_kind kind)
{
    if (!*known)
        *known = make(d, kind, 0);
    push(d, *known);
}

/* Numbers */

static void read_int(struct decoder *d, uint8_t code, unsigned size)
{
    struct value *value = make(d, VALUE_INT, code);
    uint64_t bits = cursor_little(&d->cursor, size);

    if (!value)
        return;
    value->integer = size == 4 ? (int32_t)(uint32_t)bits : (int64_t)bits;
    push(d, value);
}

/* Digits of 15 bits, the lowest first, as two's complement. */
static bool add_digits(struct decoder *d, struct bytes digits, struct buffer *out)
{
    uint32_t bits = 0, have = 0;

    for (size_t i = 0; i < digits.size; i += 2) {
        uint32_t digit = (uint32_t)digits.data[i] | (uint32_t)digits.data[i + 1] << 8;

        if (digit >> MARSHAL_DIGIT_BITS || (!digit && i + 2 == digits.size)) {
            fail(d, d->cursor.position, "a long number is not normalised");
            return false;
        }
        bits |= digit << have;
        for (have += MARSHAL_DIGIT_BITS; have >= 8; have -= 8, bits >>= 8)
            buffer_add_byte(out, (uint8_t)bits);
    }
    buffer_add_byte(out, (uint8_t)bits);
    buffer_add_byte(out, 0);
    return true;
}

static void push_integer(struct decoder *d, uint8_t code, struct bytes bytes)
{
    int64_t integer = 0;
    bool fits = bigint_to_int64(bytes, &integer);
    struct value *value = make(d, fits ? VALUE_INT : VALUE_BIG_INT, code);

    if (!value)
        return;
    if (fits)
        value->integer = integer;
    else
        value->bytes = arena_copy(&d->document->arena, bigint_minimal(bytes));
    push(d, value);
}

static void read_long(struct decoder *d, uint8_t code)
{
    int64_t count = (int32_t)cursor_little(&d->cursor, 4);
    struct bytes digits = cursor_take(&d->cursor, (uint64_t)(count < 0 ? -count : count) * 2);
    struct buffer positive = BUFFER_INIT, negative = BUFFER_INIT;

    if (!d->cursor.failed && add_digits(d, digits, &positive)) {
        if (count < 0)
            bigint_negate(buffer_bytes(&positive), &negative);
        if (buffer_status(&positive) || buffer_status(&negative))
            fail_memory(d, -ENOMEM);
        else
            push_integer(d, code, buffer_bytes(count < 0 ? &negative : &positive));
    }
    buffer_release(&positive);
    buffer_release(&negative);
}

static uint64_t read_double(struct decoder *d, bool binary)
{
    uint64_t bits = 0;
    size_t offset = d->cursor.position;

    if (binary)
        return cursor_little(&d->cursor, 8);
    if (!floattext_parse(cursor_take(&d->cursor, cursor_byte(&d->cursor)), &bits) && !d->cursor.failed)
        fail(d, offset, "this is no number");
    return bits;
}

static void read_float(struct decoder *d, uint8_t code, bool binary)
{
    struct value *value = make(d, VALUE_FLOAT, code);
    uint64_t bits = read_double(d, binary);

    if (!value)
        return;
    value->bits = bits;
    push(d, value);
}

static void read_complex(struct decoder *d, uint8_t code, bool binary)
{
    struct value *value = make(d, VALUE_COMPLEX, code);
    uint64_t real = read_double(d, binary), imaginary = read_double(d, binary);

    if (!value)
        return;
    value->complex_.real = real;
    value->complex_.imaginary = imaginary;
    push(d, value);
}

/* Strings */

static struct bytes take_sized(struct decoder *d)
{
    uint32_t size = (uint32_t)cursor_little(&d->cursor, 4);

    return cursor_take(&d->cursor, size > INT32_MAX ? UINT64_MAX : size);
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

/* What says ASCII is read as Latin-1. */
static struct bytes widen(struct decoder *d, struct bytes latin1)
{
    uint8_t *wide = arena_alloc(&d->document->arena, latin1.size * 2);
    size_t size = 0;

    for (size_t i = 0; wide && i < latin1.size; i++)
        size += utf8_encode(latin1.data[i], wide + size);
    return bytes_of(wide, size);
}

static void read_bytes(struct decoder *d, enum value_kind kind, uint8_t code, struct bytes content)
{
    struct value *value = d->cursor.failed ? NULL : make(d, kind, code);

    if (!value)
        return;
    value->bytes = content;
    push(d, value);
    if (kind == VALUE_STR8 && code == MARSHAL_INTERNED)
        stack_push(d, &d->strings, value);
}

static void read_unicode(struct decoder *d, uint8_t code)
{
    size_t offset = d->cursor.position;
    struct bytes content = take_sized(d);

    if (!utf8_valid(content, UTF8_SURROGATES))
        fail(d, offset, "a string is not UTF-8");
    else if (is_ascii(content))
        d->possible &= BEFORE_4;
    read_bytes(d, VALUE_STR, code, content);
}

static void read_ascii(struct decoder *d, uint8_t code, bool is_short)
{
    struct bytes content = is_short ? cursor_take(&d->cursor, cursor_byte(&d->cursor)) : take_sized(d);

    if (!is_ascii(content)) {
        content = widen(d, content);
        d->possible = 0;
    }
    read_bytes(d, VALUE_STR, code, content);
}

static void read_interned(struct decoder *d, uint8_t code)
{
    if (d->python2) {
        read_bytes(d, VALUE_STR8, code, take_sized(d));
        return;
    }
    d->interned |= !(code & MARSHAL_FLAG_REF);
    read_unicode(d, code);
}

/* References */

static void push_known(struct decoder *d, const struct stack *stack, size_t offset)
{
    uint64_t index = cursor_little(&d->cursor, 4);

    if (d->cursor.failed)
        return;
    if (index >= stack->count || !stack->at[index])
        fail(d, offset, "a reference to no object");
    else
        push(d, stack->at[index]);
}

/* Containers */

static void open_frame(struct decoder *d, struct frame frame)
{
    if (d->frame_count == d->frame_capacity) {
        size_t capacity = d->frame_capacity ? d->frame_capacity * 2 : 32;
        struct frame *frames = realloc(d->frames, capacity * sizeof *frames);

        if (!frames) {
            fail_memory(d, -ENOMEM);
            return;
        }
        d->frames = frames;
        d->frame_capacity = capacity;
    }
    frame.base = d->children.count;
    d->frames[d->frame_count++] = frame;
}

static void open_container(struct decoder *d, uint8_t code, enum value_kind kind, uint32_t count)
{
    struct value *value;

    if (count != UNBOUNDED && count > cursor_left(&d->cursor)) {
        d->cursor.failed = true;
        return;
    }
    value = make(d, kind, code);
    if (value)
        open_frame(d, (struct frame){.code = code, .want = count, .ref = NO_REF, .value = value});
}

/* Its children can't refer to it. */
static void open_late(struct decoder *d, uint8_t code, uint32_t count)
{
    uint32_t ref = NO_REF;

    if (count > cursor_left(&d->cursor)) {
        d->cursor.failed = true;
        return;
    }
    if (code & MARSHAL_FLAG_REF) {
        ref = (uint32_t)d->refs.count;
        if (!stack_push(d, &d->refs, NULL))
            return;
    }
    open_frame(d, (struct frame){.code = code, .want = count, .ref = ref});
}

/* INT32_MAX items never fit, so a negative count is refused as too large. */
static uint32_t read_count(struct decoder *d)
{
    uint32_t count = (uint32_t)cursor_little(&d->cursor, 4);

    return count > INT32_MAX ? INT32_MAX : count;
}

static void open_tuple(struct decoder *d, uint8_t code, bool is_small)
{
    uint32_t count = is_small ? cursor_byte(&d->cursor) : read_count(d);

    if (!is_small && count <= UINT8_MAX)
        d->possible &= BEFORE_4;
    open_container(d, code, VALUE_TUPLE, count);
}

static void open_code(struct decoder *d, uint8_t code)
{
    static const uint32_t written[CODE_LAYOUTS] = {
        [CODE_2] = ALL_2, [CODE_3_0] = ALL_3 & ~SINCE_5, [CODE_3_8] = ALL_3 & ~SINCE_5, [CODE_3_11] = ALL_3};
    uint32_t count;

    d->has_code = true;
    d->possible &= written[d->layout];
    code_fields(d->layout, &count);
    open_late(d, code, count);
}

/* The numbers that come before the next object of a code object. */
static void read_code_numbers(struct decoder *d, const struct frame *frame)
{
    uint32_t count;
    const struct code_field *fields = code_fields(d->layout, &count);
    size_t at = d->children.count - frame->base;

    for (; at < count && fields[at].kind == CODE_NUMBER && !d->status && !d->cursor.failed; at++)
        read_int(d, 0, 4);
}

static bool code_is_sound(struct decoder *d, const struct frame *frame)
{
    uint32_t count;
    const struct code_field *fields = code_fields(d->layout, &count);

    for (uint32_t i = 0; i < count; i++)
        if (!code_field_accepts(d->layout, &fields[i], d->children.at[frame->base + i])) {
            fail(d, d->cursor.position, "a code object has a field of the wrong type");
            return false;
        }
    return true;
}

static bool is_complete(const struct decoder *d, const struct frame *frame)
{
    return frame->want == UNBOUNDED ? frame->ended : d->children.count - frame->base == frame->want;
}

static struct value *finish_late(struct decoder *d, const struct frame *frame)
{
    uint8_t type = frame->code & (uint8_t)~MARSHAL_FLAG_REF;
    enum value_kind kind = type == MARSHAL_FROZENSET ? VALUE_FROZENSET
                           : type == MARSHAL_SLICE   ? VALUE_SLICE
                                                     : VALUE_CODE;
    struct value *value;

    if (kind == VALUE_CODE && !code_is_sound(d, frame))
        return NULL;
    value = make(d, kind, type);
    if (!value)
        return NULL;
    value->flags = frame->code;
    if (kind == VALUE_CODE)
        value->role = (uint16_t)d->layout;
    if (frame->ref != NO_REF)
        d->refs.at[frame->ref] = value;
    return value;
}

/* Moves the children into their container, which becomes a child itself. */
static void close_frame(struct decoder *d)
{
    struct frame frame = d->frames[--d->frame_count];
    struct value *value = frame.value ? frame.value : finish_late(d, &frame);

    size_t count = d->children.count - frame.base;

    if (!value)
        return;
    if (count && !value_list_add_all(d->document, &value->items, d->children.at + frame.base, count)) {
        fail_memory(d, arena_status(&d->document->arena));
        return;
    }
    d->children.count = frame.base;
    push(d, value);
}

/* A key that NULL follows instead of a value is dropped, as CPython does. */
static void end_dict(struct decoder *d, size_t offset)
{
    struct frame *frame = d->frame_count ? &d->frames[d->frame_count - 1] : NULL;

    if (!frame || frame->want != UNBOUNDED) {
        fail(d, offset, "expected an object");
        return;
    }
    if ((d->children.count - frame->base) % 2) {
        d->children.count--;
        d->possible = 0;
    }
    frame->ended = true;
}

/* Objects */

/* The dialects whose writers use the type byte, and the version that reads it. */
static bool note_type(struct decoder *d, enum marshal_type type)
{
    switch (type) {
    case MARSHAL_INT64:
        d->possible &= ALL_2;
        break;
    case MARSHAL_FLOAT:
    case MARSHAL_COMPLEX:
        d->possible &= BEFORE_2;
        break;
    case MARSHAL_BINARY_FLOAT:
    case MARSHAL_BINARY_COMPLEX:
        d->possible &= SINCE_2;
        break;
    case MARSHAL_INTERNED:
        d->possible &= SINCE_3 | INTERNING_2;
        break;
    case MARSHAL_STRING_REF:
        d->possible &= INTERNING_2;
        return d->python2;
    case MARSHAL_REF:
        d->possible &= SINCE_3;
        d->least = d->least < 3 ? 3 : d->least;
        return !d->python2;
    case MARSHAL_ASCII:
    case MARSHAL_ASCII_INTERNED:
    case MARSHAL_SHORT_ASCII:
    case MARSHAL_SHORT_ASCII_INTERNED:
    case MARSHAL_SMALL_TUPLE:
        d->possible &= SINCE_4;
        d->least = d->least < 4 ? 4 : d->least;
        return !d->python2;
    case MARSHAL_SLICE:
        d->possible &= SINCE_5;
        d->least = 5;
        return !d->python2;
    case MARSHAL_CODE:
        return d->python2 == (d->layout == CODE_2);
    default:
        break;
    }
    return true;
}

static void note_flag(struct decoder *d)
{
    d->flagged = true;
    d->possible &= SINCE_3;
    d->least = d->least < 3 ? 3 : d->least;
}

static void read_type(struct decoder *d, uint8_t code, enum marshal_type type, size_t offset)
{
    struct document *document = d->document;

    switch (type) {
    case MARSHAL_NULL:
        return end_dict(d, offset);
    case MARSHAL_NONE:
        return read_constant(d, &document->none, VALUE_NONE);
    case MARSHAL_FALSE:
        return read_constant(d, &document->false_, VALUE_FALSE);
    case MARSHAL_TRUE:
        return read_constant(d, &document->true_, VALUE_TRUE);
    case MARSHAL_STOP_ITERATION:
        return read_constant(d, &document->stop_iteration, VALUE_STOP_ITERATION);
    case MARSHAL_ELLIPSIS:
        return read_constant(d, &document->ellipsis, VALUE_ELLIPSIS);
    case MARSHAL_INT:
        return read_int(d, code, 4);
    case MARSHAL_INT64:
        return read_int(d, code, 8);
    case MARSHAL_LONG:
        return read_long(d, code);
    case MARSHAL_FLOAT:
    case MARSHAL_BINARY_FLOAT:
        return read_float(d, code, type == MARSHAL_BINARY_FLOAT);
    case MARSHAL_COMPLEX:
    case MARSHAL_BINARY_COMPLEX:
        return read_complex(d, code, type == MARSHAL_BINARY_COMPLEX);
    case MARSHAL_STRING:
        return read_bytes(d, d->python2 ? VALUE_STR8 : VALUE_BYTES, code, take_sized(d));
    case MARSHAL_INTERNED:
        return read_interned(d, code);
    case MARSHAL_STRING_REF:
        return push_known(d, &d->strings, offset);
    case MARSHAL_UNICODE:
        return read_unicode(d, code);
    case MARSHAL_ASCII:
    case MARSHAL_ASCII_INTERNED:
        return read_ascii(d, code, false);
    case MARSHAL_SHORT_ASCII:
    case MARSHAL_SHORT_ASCII_INTERNED:
        return read_ascii(d, code, true);
    case MARSHAL_TUPLE:
    case MARSHAL_SMALL_TUPLE:
        return open_tuple(d, code, type == MARSHAL_SMALL_TUPLE);
    case MARSHAL_LIST:
        return open_container(d, code, VALUE_LIST, read_count(d));
    case MARSHAL_DICT:
        return open_container(d, code, VALUE_DICT, UNBOUNDED);
    case MARSHAL_SET:
        return open_container(d, code, VALUE_SET, read_count(d));
    case MARSHAL_FROZENSET:
        return open_late(d, code, read_count(d));
    case MARSHAL_SLICE:
        return open_late(d, code, 3);
    case MARSHAL_CODE:
        return open_code(d, code);
    case MARSHAL_REF:
        return push_known(d, &d->refs, offset);
    case MARSHAL_FLAG_REF:
        break;
    }
    fail(d, offset, "an unknown type byte");
}

static void read_object(struct decoder *d)
{
    size_t offset = d->cursor.position;
    uint8_t code = cursor_byte(&d->cursor), type = code & (uint8_t)~MARSHAL_FLAG_REF;

    if (d->cursor.failed)
        return;
    if (d->frame_count >= MARSHAL_DEPTH) {
        fail(d, offset, "nested more than 2000 levels deep");
        return;
    }
    if (code & MARSHAL_FLAG_REF)
        note_flag(d);
    if ((d->python2 && code & MARSHAL_FLAG_REF) || !note_type(d, (enum marshal_type)type))
        fail(d, offset, "a type byte of another version");
    else
        read_type(d, code, (enum marshal_type)type, offset);
}

/* Closes what has all its children, and reads what code objects have between theirs. */
static void settle(struct decoder *d)
{
    while (d->frame_count && !d->status && !d->cursor.failed) {
        const struct frame *frame = &d->frames[d->frame_count - 1];

        if ((frame->code & ~MARSHAL_FLAG_REF) == MARSHAL_CODE)
            read_code_numbers(d, frame);
        if (d->status || d->cursor.failed || !is_complete(d, frame))
            return;
        close_frame(d);
    }
}

/* One pass in one way; leaves the document empty but for `globals` on failure. */
static int decode(struct decoder *d, struct bytes stored, struct document *document, bool python2,
                  enum code_layout layout, struct failure *failure)
{
    *d = (struct decoder){.cursor = cursor_at(stored, 0),
                          .document = document,
                          .failure = failure,
                          .python2 = python2,
                          .layout = layout,
                          .possible = ALL};
    do {
        read_object(d);
        settle(d);
    } while (d->frame_count && !d->status && !d->cursor.failed);
    if (!d->status && arena_status(&document->arena))
        fail_memory(d, arena_status(&document->arena));
    if (d->cursor.failed)
        fail(d, stored.size, "the end is missing");
    if (!d->status && d->cursor.position < stored.size)
        fail(d, d->cursor.position, "bytes are left behind the object");
    if (!d->status)
        document->root = d->children.at[0];
    if (python2)
        d->possible &= ALL_2;
    document->marshal = true;
    document->python2 = python2;
    free(d->frames);
    free(d->children.at);
    free(d->refs.at);
    free(d->strings.at);
    return d->status;
}

static void set_dialect(const struct decoder *d, const struct dialect *prefer)
{
    uint32_t mine = d->possible & (d->python2 ? ALL_2 : ALL_3);
    struct dialect dialect = *prefer;

    if (prefer->codec != CODEC_MARSHAL || !(mine & marshal_dialect_bit(prefer->protocol, prefer->python2)))
        dialect = marshal_likeliest(mine);
    if (!mine)
        dialect.protocol = d->python2 || d->least < 2 ? 2 : d->least;
    d->document->protocol = (uint8_t)dialect.protocol;
}

/* Python 3 interns without a flag next to never; Python 2 has no flags, and alone has 64-bit integers. */
static bool looks_like_python2(const struct decoder *d, const struct dialect *prefer)
{
    return !d->flagged && d->possible & ALL_2 && (d->interned || !(d->possible & ALL_3)) &&
           !(prefer->codec == CODEC_MARSHAL && d->possible & marshal_dialect_bit(prefer->protocol, false));
}

struct way {
    bool python2;
    enum code_layout layout;
};

static int decode_way(struct decoder *d, struct bytes stored, struct document *document,
                      const struct way *way, struct failure *failure)
{
    document_release(document);
    return decode(d, stored, document, way->python2, way->layout, failure);
}

/* Python 3's layouts differ in nothing where there is no code object. */
static bool is_needless(const struct decoder *d, const struct way *way, const struct way *before)
{
    return !way->python2 && !before->python2 && !d->has_code;
}

/* The first way that works, or that which knows of code objects. */
static int decode_somehow(struct decoder *d, struct bytes stored, struct document *document,
                          bool python2_first, struct failure *failure)
{
    static const struct way orders[2][CODE_LAYOUTS] = {
        {{false, CODE_3_11}, {false, CODE_3_8}, {false, CODE_3_0}, {true, CODE_2}},
        {{true, CODE_2}, {false, CODE_3_11}, {false, CODE_3_8}, {false, CODE_3_0}},
    };
    const struct way *ways = orders[python2_first], *telling = NULL;
    struct failure why = {0};
    int status = -EINVAL;

    for (unsigned i = 0; i < CODE_LAYOUTS && status == -EINVAL; i++) {
        if (i && is_needless(d, &ways[i], &ways[i - 1]))
            continue;
        status = decode_way(d, stored, document, &ways[i], &why);
        if (status == -EINVAL && !telling && document->globals.count)
            telling = &ways[i];
    }
    if (status == -EINVAL && telling && decode_way(d, stored, document, telling, NULL) == -ENOMEM)
        status = -ENOMEM;
    return status ? failure_set(failure, status, why.offset, "%s", why.message) : 0;
}

int marshal_decode(struct bytes stored, const struct dialect *prefer, struct document *document,
                   uint32_t *possible, struct failure *failure)
{
    static const struct way python2 = {true, CODE_2};
    struct decoder d;
    int status = decode_somehow(&d, stored, document, prefer->codec == CODEC_MARSHAL && prefer->python2,
                                failure);

    if (!status && !d.python2 && looks_like_python2(&d, prefer)) {
        struct way way = {false, d.layout};

        status = decode_way(&d, stored, document, &python2, NULL);
        if (status == -EINVAL)
            status = decode_way(&d, stored, document, &way, failure);
    }
    if (status)
        return status;
    set_dialect(&d, prefer);
    if (possible)
        *possible = d.possible;
    return 0;
}
