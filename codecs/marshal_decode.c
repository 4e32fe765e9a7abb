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
#include "codecs/marshal_decoder.h"

#include "src/array.h"

#include <errno.h>

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

void decoder_fail(struct decoder *d, size_t offset, const char *why)
{
    if (!d->status)
        d->status = failure_set(d->failure, -EINVAL, offset, "%s", why);
}

void decoder_fail_memory(struct decoder *d, int status)
{
    if (!d->status)
        d->status = failure_set(d->failure, status, d->cursor.position,
                                status == -EFBIG ? "too large" : "out of memory");
}

bool decoder_remember(struct decoder *d, struct stack *stack, struct value *value)
{
    if (stack->count == stack->capacity) {
        struct arena *arena = &d->document->arena;
        struct value **at = array_double_in(arena, stack->at, NULL, &stack->capacity, sizeof *at);

        if (!at) {
            decoder_fail_memory(d, arena_status(arena));
            return false;
        }
        stack->at = at;
    }
    stack->at[stack->count++] = value;
    return true;
}

struct value *decoder_make(struct decoder *d, enum value_kind kind, uint8_t code)
{
    struct value *value = value_new(d->document, kind);

    if (!value) {
        decoder_fail_memory(d, arena_status(&d->document->arena));
        return NULL;
    }
    value->flags = code;
    if (code & MARSHAL_FLAG_REF && !decoder_remember(d, &d->refs, value))
        return NULL;
    return value;
}

void decoder_push(struct decoder *d, struct value *value)
{
    if (value)
        decoder_remember(d, &d->children, value);
}

/* References */

static void push_known(struct decoder *d, const struct stack *stack, size_t offset)
{
    uint64_t index = cursor_little(&d->cursor, 4);

    if (d->cursor.failed)
        return;
    if (index >= stack->count || !stack->at[index])
        decoder_fail(d, offset, "a reference to no object");
    else
        decoder_push(d, stack->at[index]);
}

/* Containers */

static void open_frame(struct decoder *d, struct frame frame)
{
    if (d->frame_count == d->frame_capacity) {
        struct arena *arena = &d->document->arena;
        struct frame *frames =
            array_double_in(arena, d->frames, NULL, &d->frame_capacity, sizeof *frames);

        if (!frames) {
            decoder_fail_memory(d, arena_status(arena));
            return;
        }
        d->frames = frames;
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
    value = decoder_make(d, kind, code);
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
        if (!decoder_remember(d, &d->refs, NULL))
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
        decoder_read_int(d, 0, 4);
}

static bool code_is_sound(struct decoder *d, const struct frame *frame)
{
    uint32_t count;
    const struct code_field *fields = code_fields(d->layout, &count);

    for (uint32_t i = 0; i < count; i++)
        if (!code_field_accepts(d->layout, &fields[i], d->children.at[frame->base + i])) {
            decoder_fail(d, d->cursor.position, "a code object has a field of the wrong type");
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
    value = decoder_make(d, kind, type);
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
        decoder_fail_memory(d, arena_status(&d->document->arena));
        return;
    }
    d->children.count = frame.base;
    decoder_push(d, value);
}

/* A key that NULL follows instead of a value is dropped, as CPython does. */
static void end_dict(struct decoder *d, size_t offset)
{
    struct frame *frame = d->frame_count ? &d->frames[d->frame_count - 1] : NULL;

    if (!frame || frame->want != UNBOUNDED) {
        decoder_fail(d, offset, "expected an object");
        return;
    }
    if ((d->children.count - frame->base) % 2) {
        d->children.count--;
        d->possible = 0;
    }
    frame->ended = true;
}

/* Objects */

/* What is no new object. */
static bool is_constant(enum marshal_type type)
{
    return type == MARSHAL_NULL || type == MARSHAL_REF || type == MARSHAL_NONE || type == MARSHAL_FALSE || type == MARSHAL_TRUE || type == MARSHAL_ELLIPSIS ||
           type == MARSHAL_STOP_ITERATION;
}

/* They are read with a flag, too, but nobody writes them so, and no reference counts them. */
static void note_flag(struct decoder *d, enum marshal_type type)
{
    d->flagged = true;
    d->possible &= is_constant(type) ? 0 : SINCE_3;
    d->least = d->least < 3 ? 3 : d->least;
}

static void read_type(struct decoder *d, uint8_t code, enum marshal_type type, size_t offset)
{
    struct document *document = d->document;

    switch (type) {
    case MARSHAL_NULL:
        return end_dict(d, offset);
    case MARSHAL_NONE:
        return decoder_read_constant(d, &document->none, VALUE_NONE);
    case MARSHAL_FALSE:
        return decoder_read_constant(d, &document->false_, VALUE_FALSE);
    case MARSHAL_TRUE:
        return decoder_read_constant(d, &document->true_, VALUE_TRUE);
    case MARSHAL_STOP_ITERATION:
        return decoder_read_constant(d, &document->stop_iteration, VALUE_STOP_ITERATION);
    case MARSHAL_ELLIPSIS:
        return decoder_read_constant(d, &document->ellipsis, VALUE_ELLIPSIS);
    case MARSHAL_INT:
        return decoder_read_int(d, code, 4);
    case MARSHAL_INT64:
        return decoder_read_int(d, code, 8);
    case MARSHAL_LONG:
        return decoder_read_long(d, code);
    case MARSHAL_FLOAT:
    case MARSHAL_BINARY_FLOAT:
        return decoder_read_float(d, code, type == MARSHAL_BINARY_FLOAT);
    case MARSHAL_COMPLEX:
    case MARSHAL_BINARY_COMPLEX:
        return decoder_read_complex(d, code, type == MARSHAL_BINARY_COMPLEX);
    case MARSHAL_STRING:
        return decoder_read_bytes(d, code);
    case MARSHAL_INTERNED:
        return decoder_read_interned(d, code);
    case MARSHAL_STRING_REF:
        return push_known(d, &d->strings, offset);
    case MARSHAL_UNICODE:
        return decoder_read_unicode(d, code);
    case MARSHAL_ASCII:
    case MARSHAL_ASCII_INTERNED:
        return decoder_read_ascii(d, code, false);
    case MARSHAL_SHORT_ASCII:
    case MARSHAL_SHORT_ASCII_INTERNED:
        return decoder_read_ascii(d, code, true);
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
    decoder_fail(d, offset, "an unknown type byte");
}

static void read_object(struct decoder *d)
{
    size_t offset = d->cursor.position;
    uint8_t code = cursor_byte(&d->cursor), type = code & (uint8_t)~MARSHAL_FLAG_REF;

    if (d->cursor.failed)
        return;
    if (d->frame_count >= MARSHAL_DEPTH) {
        decoder_fail(d, offset, "nested more than 2000 levels deep");
        return;
    }
    if (code & MARSHAL_FLAG_REF)
        note_flag(d, (enum marshal_type)type);
    if ((d->python2 && code & MARSHAL_FLAG_REF) || !decoder_note_type(d, (enum marshal_type)type))
        decoder_fail(d, offset, "a type byte of another version");
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

static void release_stack(struct decoder *d, struct stack *stack)
{
    array_free_in(&d->document->arena, stack->at, NULL, stack->capacity, sizeof *stack->at);
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
        decoder_fail_memory(d, arena_status(&document->arena));
    if (d->cursor.failed)
        decoder_fail(d, stored.size, "the end is missing");
    if (!d->status && d->cursor.position < stored.size)
        decoder_fail(d, d->cursor.position, "bytes are left behind the object");
    if (!d->status)
        document->root = d->children.at[0];
    if (python2)
        d->possible &= ALL_2;
    document->marshal = true;
    document->python2 = python2;
    release_stack(d, &d->children);
    release_stack(d, &d->refs);
    release_stack(d, &d->strings);
    array_free_in(&document->arena, d->frames, NULL, d->frame_capacity, sizeof *d->frames);
    return d->status;
}

static void set_dialect(const struct decoder *d, const struct dialect *prefer)
{
    uint32_t mine = d->possible & (d->python2 ? ALL_2 : ALL_3);
    bool same_kind = prefer->codec == CODEC_MARSHAL && prefer->python2 == d->python2;
    unsigned version = prefer->protocol;

    if (mine && !(same_kind && mine & marshal_dialect_bit(version, d->python2)))
        version = marshal_likeliest(mine).protocol;
    /* Nobody wrote it so: any version that can read it. */
    if (!mine && !(same_kind && version >= d->least))
        version = d->python2 || d->least < 2 ? 2 : d->least;
    d->document->protocol = (uint8_t)version;
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
