/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls that are the notation's own: new(...), persistent(id), code(...), asm(...), do(...), let(...). */
#include "codecs/code_layout.h"
#include "codecs/expression_builder.h"
#include "codecs/globals.h"
#include "codecs/pickle_asm.h"

#include <errno.h>
#include <inttypes.h>

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

static int build_new(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    struct value *class, *keywords = call->double_star ? call->double_star : call->keywords;

    if (!call->arguments->items.count)
        return FAIL(b, "expected new(class, ...)");
    class = builder_argument(b, 0);
    return builder_finish(
        b,
        builder_node(b->document, keywords ? VALUE_NEW_EX : VALUE_NEW, class, later_arguments(b), keywords),
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
    return builder_finish(b, value, out);
}

static int build_wrapper(const struct builder *b, enum value_kind kind, const char *form,
                         struct value **out)
{
    if (!builder_has_arguments(b, 1))
        return FAIL(b, "expected %s with one argument", form);
    return builder_finish(b, builder_node(b->document, kind, builder_argument(b, 0), NULL, NULL), out);
}

static int build_extension(const struct builder *b, struct value **out)
{
    if (!builder_has_arguments(b, 1) || builder_argument(b, 0)->kind != VALUE_INT || builder_argument(b, 0)->last_step ||
        builder_argument(b, 0)->integer < 1 || builder_argument(b, 0)->integer > INT32_MAX)
        return FAIL(b, "expected ext(code) with a code from 1 to 2147483647");
    return builder_finish(b, value_new_extension(b->document, builder_argument(b, 0)->integer), out);
}

static int build_find_class(const struct builder *b, struct value **out)
{
    const struct value *module, *name;

    if (!builder_has_arguments(b, 2))
        return FAIL(b, "expected find_class(module, name)");
    module = builder_argument(b, 0);
    name = builder_argument(b, 1);
    if (value_is_plain(module, VALUE_STR) && value_is_plain(name, VALUE_STR) && module->bytes.size <= GLOBAL_NAME_LONGEST &&
        name->bytes.size <= GLOBAL_NAME_LONGEST)
        return builder_finish(b, known_global(b->known, module->bytes, name->bytes), out);
    return builder_finish(b, value_new_global(b->document, builder_argument(b, 0), builder_argument(b, 1)), out);
}

static int build_str8(const struct builder *b, struct value **out)
{
    if (!builder_has_arguments(b, 1) || !value_is_plain(builder_argument(b, 0), VALUE_BYTES))
        return FAIL(b, "expected str8(b'...')");
    return builder_finish(b, known_string(b->known, VALUE_STR8, builder_argument(b, 0)->bytes), out);
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

    if (!builder_has_arguments(b, 1) || !nan_bits(builder_argument(b, 0), &bits))
        return FAIL(b, "expected nan(bits) with the 64 bits of a number that is none");
    return builder_finish(b, value_new_float(b->document, bits), out);
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

        /* What a name that is not defined yet stands for is seen in the end. */
        if (!code_field_accepts(layout, &fields[i], field) && !known_is_awaited(b->known, field))
            return FAIL(b, "the field %s can't hold this", fields[i].name);
        value_list_add(b->document, &value->items, field);
    }
    return builder_finish(b, value, out);
}

static bool is_instruction(const struct value *value)
{
    return value_is_plain(value, VALUE_TUPLE) && value->items.count &&
           (value_is_plain(value->items.at[0], VALUE_STR) || value_is_plain(value->items.at[0], VALUE_STR8));
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
        if (!is_instruction(builder_argument(b, i)))
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

    if (!value_is_plain(effect, VALUE_CALL) || effect->role == CALL_MENTIONED || !value_may_be_set(object))
        return false;
    arguments = &effect->items.at[1]->items;
    return value_is_plain(effect->items.at[1], VALUE_TUPLE) && arguments->count == 2 && arguments->at[0] == object;
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
    setter = count > 1 && sets_state(builder_argument(b, count - 2), builder_argument(b, count - 1));
    if (call->inner && !(setter && count == 2))
        return FAIL(b, "do(...) can only stand around the whole value, or have the form do(setter((_1 := object), state), _1)");
    if (setter)
        set_state(b->document, builder_argument(b, count - 1), builder_argument(b, count - 2));
    for (uint32_t i = 0; i + 1 + setter < count; i++) {
        if (!is_called(builder_argument(b, i)))
            return FAIL(b, "expected calls before the last argument of do(effect, ..., value)");
        value_list_add(b->document, &b->document->effects, builder_argument(b, i));
    }
    return builder_finish(b, builder_argument(b, count - 1), out);
}

static int build_let(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    uint32_t count = call->arguments->items.count;

    if (call->star || call->keywords || call->double_star || !count)
        return FAIL(b, "expected let(_1 := ..., value)");
    return builder_finish(b, builder_argument(b, count - 1), out);
}

static int build_stream(const struct builder *b, struct value **out)
{
    const struct call *call = b->call;
    const struct value_list *keywords = call->keywords ? &call->keywords->items : NULL;

    if (call->star || call->double_star || call->arguments->items.count != 1 || !keywords ||
        keywords->count != 2 || !bytes_equal(keywords->at[0]->bytes, BYTES("rest")) ||
        !value_is_plain(keywords->at[1], VALUE_BYTES))
        return FAIL(b, "expected stream(value, rest=b'...')");
    b->document->rest = keywords->at[1]->bytes;
    return builder_finish(b, builder_argument(b, 0), out);
}

int builder_form(const struct builder *b, struct value **out)
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
        if (!builder_has_arguments(b, 0))
            return FAIL(b, "expected next_buffer() without arguments");
        return builder_finish(b, value_new(b->document, VALUE_NEXT_BUFFER), out);
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
