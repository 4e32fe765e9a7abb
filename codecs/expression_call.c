/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/expression_call.h"

#include "codecs/code_layout.h"
#include "codecs/datetime_call.h"
#include "codecs/globals.h"
#include "codecs/pickle_asm.h"
#include "src/bigint.h"

#include <errno.h>
#include <inttypes.h>

struct builder {
    const struct call *call;
    struct scanner *scanner;
    struct document *document;
    struct known *known;
};

#define FAIL(builder, ...) scanner_fail((builder)->scanner, (builder)->call->start, __VA_ARGS__)

static int finish(const struct builder *b, struct value *value, struct value **out)
{
    *out = value;
    return arena_status(&b->document->arena);
}

/* A node of up to three items; those from the first NULL on are none. */
static struct value *make(struct document *document, enum value_kind kind, struct value *first,
                          struct value *second, struct value *third)
{
    struct value *items[] = {first, second, third};
    struct value *value = value_new(document, kind);

    for (size_t i = 0; i < ARRAY_SIZE(items) && items[i] && value; i++)
        value_list_add(document, &value->items, items[i]);
    return value;
}

/* The arguments behind the first one, as a tuple of its own. */
static struct value *later_arguments(const struct builder *b)
{
    struct value *tuple = b->call->arguments;

    if (b->call->star)
        return b->call->star;
    tuple->items.at++;
    tuple->items.count--;
    tuple->items.capacity = tuple->items.count;
    return tuple;
}

static bool has_arguments(const struct builder *b, uint32_t count)
{
    const struct call *call = b->call;

    return !call->star && !call->keywords && !call->double_star &&
           call->arguments->items.count == count;
}

static struct value *argument(const struct builder *b, uint32_t index)
{
    return b->call->arguments->items.at[index];
}

/* The forms of the notation */

static int build_new(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    struct value *class, *keywords = call->double_star ? call->double_star : call->keywords;

    if (!call->arguments->items.count)
        return FAIL(b, "expected new(class, ...)");
    class = argument(b, 0);
    return finish(
        b,
        make(b->document, keywords ? VALUE_NEW_EX : VALUE_NEW, class, later_arguments(b), keywords),
        out);
}

static int build_instance(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    struct value *value;

    if (call->star || call->keywords || call->double_star || !call->arguments->items.count)
        return FAIL(b, "expected inst(class, argument, ...)");
    value = value_new(b->document, VALUE_INSTANCE);
    if (value)
        value->items = call->arguments->items;
    return finish(b, value, out);
}

static int build_wrapper(const struct builder *b, enum value_kind kind, const char *form,
                         struct value **out)
{
    if (!has_arguments(b, 1))
        return FAIL(b, "expected %s with one argument", form);
    return finish(b, make(b->document, kind, argument(b, 0), NULL, NULL), out);
}

static int build_extension(const struct builder *b, struct value **out)
{
    if (!has_arguments(b, 1) || argument(b, 0)->kind != VALUE_INT || argument(b, 0)->last_step ||
        argument(b, 0)->integer < 1 || argument(b, 0)->integer > INT32_MAX)
        return FAIL(b, "expected ext(code) with a code from 1 to 2147483647");
    return finish(b, value_new_extension(b->document, argument(b, 0)->integer), out);
}

static bool is_plain(const struct value *value, enum value_kind kind)
{
    return value->kind == kind && !value->last_step;
}

static int build_find_class(const struct builder *b, struct value **out)
{
    const struct value *module, *name;

    if (!has_arguments(b, 2))
        return FAIL(b, "expected find_class(module, name)");
    module = argument(b, 0);
    name = argument(b, 1);
    if (is_plain(module, VALUE_STR) && is_plain(name, VALUE_STR) && module->bytes.size <= GLOBAL_NAME_LONGEST &&
        name->bytes.size <= GLOBAL_NAME_LONGEST)
        return finish(b, known_global(b->known, module->bytes, name->bytes), out);
    return finish(b, value_new_global(b->document, argument(b, 0), argument(b, 1)), out);
}

static int build_str8(const struct builder *b, struct value **out)
{
    if (!has_arguments(b, 1) || !is_plain(argument(b, 0), VALUE_BYTES))
        return FAIL(b, "expected str8(b'...')");
    return finish(b, known_string(b->known, VALUE_STR8, argument(b, 0)->bytes), out);
}

static bool nan_bits(const struct value *value, uint64_t *bits)
{
    if (value->last_step)
        return false;
    if (value->kind == VALUE_INT) {
        *bits = (uint64_t)value->integer;
        return value->integer > INT64_C(0x7FF) << 52;
    }
    /* From 2^63 on: a sign bit, and one byte more for the sign of the integer. */
    if (value->kind != VALUE_BIG_INT || value->bytes.size != 9 || value->bytes.data[8])
        return false;
    *bits = 0;
    for (unsigned i = 8; i-- > 0;)
        *bits = *bits << 8 | value->bytes.data[i];
    return *bits > UINT64_C(0xFFF) << 52;
}

static int build_nan(const struct builder *b, struct value **out)
{
    uint64_t bits;

    if (!has_arguments(b, 1) || !nan_bits(argument(b, 0), &bits))
        return FAIL(b, "expected nan(bits) with the 64 bits of a number that is none");
    return finish(b, value_new_float(b->document, bits), out);
}

/* The layout whose fields the keywords are, in their order. */
static bool find_layout(const struct builder *b, const struct value_list *keywords,
                        enum code_layout *layout)
{
    for (unsigned i = 0; i < CODE_LAYOUTS; i++) {
        uint32_t count, same = 0;
        const struct code_field *fields = code_fields((enum code_layout)i, &count);

        if ((i == CODE_2) != b->document->python2 || keywords->count != 2 * count)
            continue;
        while (same < count &&
               bytes_equal(keywords->at[2 * same]->bytes, bytes_of_string(fields[same].name)))
            same++;
        *layout = (enum code_layout)i;
        if (same == count)
            return true;
    }
    return false;
}

static int build_code(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    const struct code_field *fields;
    enum code_layout layout;
    struct value *value;
    uint32_t count;

    if (!b->document->marshal)
        return FAIL(b, "code(...) is for marshal only");
    if (call->star || call->double_star || call->arguments->items.count || !call->keywords ||
        !find_layout(b, &call->keywords->items, &layout))
        return FAIL(b, "expected code(argcount=..., ...) with the fields of one of Python's versions, in order");
    value = value_new(b->document, VALUE_CODE);
    if (!value)
        return arena_status(&b->document->arena);
    value->role = (uint16_t)layout;
    fields = code_fields(layout, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct value *field = call->keywords->items.at[2 * i + 1];

        if (!code_field_accepts(layout, &fields[i], field))
            return FAIL(b, "the field %s can't hold this", fields[i].name);
        value_list_add(b->document, &value->items, field);
    }
    return finish(b, value, out);
}

static bool is_instruction(const struct value *value)
{
    return is_plain(value, VALUE_TUPLE) && value->items.count &&
           (is_plain(value->items.at[0], VALUE_STR) || is_plain(value->items.at[0], VALUE_STR8));
}

/* Once it looks like a program, what is wrong with it is not taken for text any more: -EBADMSG. */
static int assemble(const struct builder *b, struct buffer *program)
{
    const struct value_list *list = &b->call->arguments->items;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct value_list *items = &list->at[i]->items;
        struct bytes name = items->at[0]->bytes;
        const char *problem = pickle_assemble(name, items->at + 1, items->count - 1, program);

        if (problem) {
            FAIL(b, "instruction %" PRIu32 " of asm(...), %.*s: %s", i + 1, (int)(name.size < 40 ? name.size : 40),
                 (const char *)name.data, problem);
            return -EBADMSG;
        }
    }
    return buffer_status(program);
}

static int build_asm(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    struct buffer program = BUFFER_INIT;
    int status;

    if (b->document->marshal)
        return FAIL(b, "asm(...) is for pickles only");
    if (call->star || call->keywords || call->double_star || !call->arguments->items.count)
        return FAIL(b, "expected asm(('NAME', operand, ...), ...)");
    for (uint32_t i = 0; i < call->arguments->items.count; i++)
        if (!is_instruction(argument(b, i)))
            return FAIL(b, "expected asm(('NAME', operand, ...), ...)");
    if (b->known->program)
        return FAIL(b, "asm(...) is a whole value");
    status = assemble(b, &program);
    if (!status)
        *out = b->known->program = value_new_bytes(b->document, VALUE_PROGRAM,
                                                   arena_copy(&b->document->arena, buffer_bytes(&program)));
    buffer_release(&program);
    return status ? status : arena_status(&b->document->arena);
}

/* Whether a loader would call something for it. Sets that contain themselves through others are made twice. */
static bool is_called(const struct value *value)
{
    return value_has_effect(value) || value->kind == VALUE_SET || value->kind == VALUE_FROZENSET;
}

/* Whether it is setter((_1 := object), state), of which nobody else knows, before that object. */
static bool sets_state(const struct value *effect, const struct value *object)
{
    const struct value_list *arguments;

    if (!is_plain(effect, VALUE_CALL) || effect->role == CALL_MENTIONED || !value_may_be_set(object))
        return false;
    arguments = &effect->items.at[1]->items;
    return is_plain(effect->items.at[1], VALUE_TUPLE) && arguments->count == 2 && arguments->at[0] == object;
}

static bool set_state(struct document *document, struct value *object, const struct value *effect)
{
    struct value *const items[] = {effect->items.at[0], object, effect->items.at[1]->items.at[1]};

    return value_add_step(document, object, STEP_CALL, items, ARRAY_SIZE(items));
}

static int build_do(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    uint32_t count = call->arguments->items.count;
    bool setter;

    if (call->star || call->keywords || call->double_star || !count)
        return FAIL(b, "expected do(effect, ..., value)");
    setter = count > 1 && sets_state(argument(b, count - 2), argument(b, count - 1));
    if (call->inner && !(setter && count == 2))
        return FAIL(b, "do(...) can only stand around the whole value, or have the form do(setter((_1 := object), state), _1)");
    if (setter)
        set_state(b->document, argument(b, count - 1), argument(b, count - 2));
    for (uint32_t i = 0; i + 1 + setter < count; i++) {
        if (!is_called(argument(b, i)))
            return FAIL(b, "expected calls before the last argument of do(effect, ..., value)");
        value_list_add(b->document, &b->document->effects, argument(b, i));
    }
    return finish(b, argument(b, count - 1), out);
}

static int build_let(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    uint32_t count = call->arguments->items.count;

    if (call->star || call->keywords || call->double_star || !count)
        return FAIL(b, "expected let(_1 := ..., value)");
    return finish(b, argument(b, count - 1), out);
}

static int build_stream(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    const struct value_list *keywords = call->keywords ? &call->keywords->items : NULL;

    if (call->star || call->double_star || call->arguments->items.count != 1 || !keywords ||
        keywords->count != 2 || !bytes_equal(keywords->at[0]->bytes, BYTES("rest")) ||
        !is_plain(keywords->at[1], VALUE_BYTES))
        return FAIL(b, "expected stream(value, rest=b'...')");
    b->document->rest = keywords->at[1]->bytes;
    return finish(b, argument(b, 0), out);
}

static int build_form(const struct builder *b, struct value **out)
{
    switch (b->call->word) {
    case WORD_ASM:
        return build_asm(b, out);
    case WORD_CODE:
        return build_code(b, out);
    case WORD_NEW:
        return build_new(b, out);
    case WORD_INST:
        return build_instance(b, out);
    case WORD_PERSISTENT:
        return build_wrapper(b, VALUE_PERSISTENT, "persistent(id)", out);
    case WORD_READONLY:
        return build_wrapper(b, VALUE_READONLY, "readonly(buffer)", out);
    case WORD_NEXT_BUFFER:
        if (!has_arguments(b, 0))
            return FAIL(b, "expected next_buffer() without arguments");
        return finish(b, value_new(b->document, VALUE_NEXT_BUFFER), out);
    case WORD_EXT:
        return build_extension(b, out);
    case WORD_FIND_CLASS:
        return build_find_class(b, out);
    case WORD_STR8:
        return build_str8(b, out);
    case WORD_NAN:
        return build_nan(b, out);
    case WORD_DO:
        return build_do(b, out);
    case WORD_LET:
        return build_let(b, out);
    case WORD_STREAM:
        return build_stream(b, out);
    default:
        return FAIL(b, "this notation is not supported here");
    }
}

/* Dates */

/* How many of the positional arguments are fields; a tzinfo may follow them. */
static int take_positional(const struct builder *b, enum datetime_class class,
                           struct datetime_fields *fields, uint32_t *given, struct value **tzinfo)
{
    uint32_t first = datetime_first_field(class), end = datetime_end_field(class);
    const struct value_list *items = &b->call->arguments->items;

    for (uint32_t i = 0; i < items->count; i++) {
        if (first + i == end && class != DATETIME_DATE && !*tzinfo) {
            *tzinfo = items->at[i];
            continue;
        }
        if (first + i >= end || !is_plain(items->at[i], VALUE_INT))
            return FAIL(b, "expected %s",
                        first + i >= end ? "fewer arguments" : "an integer for each field");
        fields->at[first + i] = items->at[i]->integer;
        *given |= 1u << (first + i);
    }
    return 0;
}

static int take_keyword(const struct builder *b, enum datetime_class class, struct bytes key,
                        struct value *value, struct datetime_fields *fields, uint32_t *given,
                        struct value **tzinfo)
{
    if (class != DATETIME_DATE && bytes_equal(key, BYTES("tzinfo"))) {
        *tzinfo = value;
        return 0;
    }
    for (unsigned i = datetime_first_field(class); i < DATETIME_FIELDS; i++) {
        bool has = i < (unsigned)datetime_end_field(class) ||
                   (i == DATETIME_FOLD && class != DATETIME_DATE);

        if (!has || !bytes_equal(key, bytes_of_string(datetime_field_name((enum datetime_field)i))))
            continue;
        if (!is_plain(value, VALUE_INT) || (*given & 1u << i))
            return FAIL(b, "expected one integer for %s",
                        datetime_field_name((enum datetime_field)i));
        fields->at[i] = value->integer;
        *given |= 1u << i;
        return 0;
    }
    return FAIL(b, "'%.*s' is no field of this date or time", (int)(key.size < 40 ? key.size : 40),
                (const char *)key.data);
}

static int take_fields(const struct builder *b, enum datetime_class class,
                       struct datetime_fields *fields, struct value **tzinfo)
{
    const struct value_list *keywords = b->call->keywords ? &b->call->keywords->items : NULL;
    uint32_t given = 0, needed = class == DATETIME_TIME ? 0 : 7;
    int status = take_positional(b, class, fields, &given, tzinfo);

    for (uint32_t i = 0; !status && keywords && i < keywords->count; i += 2)
        status = take_keyword(b, class, keywords->at[i]->bytes, keywords->at[i + 1], fields, &given,
                              tzinfo);
    if (!status && (given & needed) != needed)
        status = FAIL(b, "expected at least year, month and day");
    if (*tzinfo && is_plain(*tzinfo, VALUE_NONE))
        *tzinfo = NULL;
    return status;
}

/* The call that Python pickles for such an object. */
static int build_date(const struct builder *b, enum datetime_class class, struct value **out)
{
    struct datetime_fields fields = {0};
    struct value *tzinfo = NULL, *state, *arguments;
    uint8_t packed[DATETIME_STATE];
    const char *wrong;
    size_t size = 0;
    int status = take_fields(b, class, &fields, &tzinfo);

    if (status)
        return status;
    if (fields.at[DATETIME_FOLD] && b->document->protocol < 4)
        return FAIL(b, "fold needs pickle protocol 4");
    wrong = datetime_pack(class, &fields, packed, &size);
    if (wrong)
        return FAIL(b, "the %s is out of range", wrong);
    state = known_string(b->known, b->document->python2 ? VALUE_STR8 : VALUE_BYTES,
                         arena_copy(&b->document->arena, bytes_of(packed, size)));
    if (!state)
        return arena_status(&b->document->arena);
    arguments = make(b->document, VALUE_TUPLE, state, tzinfo, NULL);
    return finish(b, make(b->document, VALUE_CALL, b->call->callee, arguments, NULL), out);
}

/* Whether the arguments are those of the constructor, not the state that a pickle has. */
static bool is_constructor(const struct builder *b)
{
    const struct value_list *items = &b->call->arguments->items;

    if (!b->call->direct || b->call->star || b->call->double_star)
        return false;
    if (!items->count)
        return b->call->keywords != NULL;
    return !is_plain(items->at[0], VALUE_BYTES) && !is_plain(items->at[0], VALUE_STR8);
}

/* Calls of what a loader would look up */

static bool is_text(const struct value *value, const char *text)
{
    return is_plain(value, VALUE_STR) && bytes_equal(value->bytes, bytes_of_string(text));
}

static bool is_builtin(const struct builder *b, const char *name)
{
    const struct value *callee = b->call->callee;

    return b->call->bare && callee->kind == VALUE_GLOBAL && !callee->last_step &&
           bytes_equal(callee->items.at[0]->bytes, expression_builtins(b->document)) &&
           bytes_equal(callee->items.at[1]->bytes, bytes_of_string(name));
}

/* An integer that the loader makes itself, where __builtin__.long(5) is a call. A long beyond int64 is one anyway. */
static bool is_integer(const struct value *value)
{
    return is_plain(value, VALUE_INT) || is_plain(value, VALUE_BIG_INT);
}

static struct value *build_long(const struct builder *b, struct value *integer)
{
    struct value *value = integer;

    if (integer->kind == VALUE_INT) {
        value = value_new_int(b->document, integer->integer);
        if (value)
            value->role = INTEGER_LONG;
    }
    return value;
}

/* set(), frozenset({...}), bytearray(b'...'), long(5): 1 if it was one, 0 if not, or an error. */
static int build_sugar(const struct builder *b, struct value **out)
{
    bool empty = has_arguments(b, 0);
    struct value *only = has_arguments(b, 1) ? argument(b, 0) : NULL;
    struct value *value = NULL;

    if (empty && is_builtin(b, "set"))
        value = value_new(b->document, VALUE_SET);
    else if ((empty || (only && b->call->display && is_plain(only, VALUE_SET))) &&
             is_builtin(b, "frozenset"))
        value = value_new(b->document, VALUE_FROZENSET);
    else if ((empty || (only && is_plain(only, VALUE_BYTES))) && is_builtin(b, "bytearray"))
        value = value_new(b->document, VALUE_BYTEARRAY);
    else if (b->document->python2 && only && is_integer(only) && is_builtin(b, "long"))
        value = build_long(b, only);
    else
        return 0;
    if (!value)
        return arena_status(&b->document->arena);
    if (only && value->kind == VALUE_FROZENSET)
        value->items = only->items;
    else if (only && value->kind == VALUE_BYTEARRAY)
        value->bytes = only->bytes;
    *out = value;
    return 1;
}

/* A part of complex(real, imaginary). */
static bool number_bits(const struct value *value, uint64_t *bits)
{
    static const int64_t most = INT64_C(1) << 53;
    double number;

    if (is_plain(value, VALUE_FLOAT)) {
        *bits = value->bits;
        return true;
    }
    if (!is_plain(value, VALUE_INT) || value->integer > most || value->integer < -most)
        return false;
    number = (double)value->integer;
    memcpy(bits, &number, sizeof number);
    return true;
}

static int build_complex(const struct builder *b, struct value **out)
{
    uint64_t real, imaginary;
    struct value *value;

    if (!has_arguments(b, 2) || !number_bits(argument(b, 0), &real) ||
        !number_bits(argument(b, 1), &imaginary))
        return FAIL(b, "expected complex(real, imaginary) with two numbers");
    value = value_new(b->document, VALUE_COMPLEX);
    if (value) {
        value->complex_.real = real;
        value->complex_.imaginary = imaginary;
    }
    return finish(b, value, out);
}

/* What only marshal has under these names: 1, 0 or an error, as build_sugar(). */
static int build_marshal_sugar(const struct builder *b, struct value **out)
{
    int status;

    if (!b->document->marshal)
        return 0;
    if (is_builtin(b, "complex"))
        status = build_complex(b, out);
    else if (!is_builtin(b, "slice"))
        return 0;
    else if (!has_arguments(b, 3))
        status = FAIL(b, "expected slice(start, stop, step)");
    else
        status = finish(b, make(b->document, VALUE_SLICE, argument(b, 0), argument(b, 1), argument(b, 2)),
                        out);
    return status ? status : 1;
}

/* C(a=1): NEWOBJ without arguments, then BUILD with the dict. */
static int build_keyword_call(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    struct value *value;

    if (is_plain(call->callee, VALUE_GLOBAL) && is_text(call->callee->items.at[0], "datetime"))
        return FAIL(b, "expected arguments without keywords, as in datetime.timedelta(days, "
                       "seconds, microseconds)");
    if (call->arguments->items.count || call->star || call->double_star)
        return FAIL(b, "a call has either positional arguments or keywords; new(class, ...) may "
                       "have both");
    value = make(b->document, VALUE_NEW, call->callee, call->arguments, NULL);
    if (value)
        value_add_step(b->document, value, STEP_BUILD, &call->keywords, 1);
    return finish(b, value, out);
}

int call_build(const struct call *call, struct scanner *scanner, struct known *known,
               struct value **out)
{
    struct builder b = {call, scanner, known->document, known};
    enum datetime_class class;
    struct value *value;
    int status;

    if (call->word != WORD_NONE)
        return build_form(&b, out);
    status = build_sugar(&b, out);
    if (!status)
        status = build_marshal_sugar(&b, out);
    if (status)
        return status < 0 ? status : 0;
    class = datetime_class_of(call->callee);
    if (class != DATETIME_OTHER && is_constructor(&b))
        return build_date(&b, class, out);
    if (call->keywords || call->double_star)
        return build_keyword_call(&b, out);
    value = make(b.document, VALUE_CALL, call->callee, call->star ? call->star : call->arguments, NULL);
    if (value && call->star)
        value->role = CALL_MENTIONED;
    return finish(&b, value, out);
}

int call_build_utc(struct known *known, struct value **out)
{
    struct document *document = known->document;
    struct value *zero = value_new_int(document, 0), *delta, *zone;

    delta = make(document, VALUE_CALL, known_global(known, BYTES("datetime"), BYTES("timedelta")),
                 make(document, VALUE_TUPLE, zero, zero, zero), NULL);
    zone = known_global(known, BYTES("datetime"), BYTES("timezone"));
    *out = make(document, VALUE_CALL, zone, make(document, VALUE_TUPLE, delta, NULL, NULL), NULL);
    return arena_status(&document->arena);
}
