/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How each kind of node is written, in the order of Modules/_pickle.c's save_*() functions.
 */
#include "codecs/pickle_encoder.h"

#include "src/utf8.h"

#include <errno.h>

static struct value *new_text(struct encoder *encoder, const char *text)
{
    return value_new_bytes(&encoder->scratch, VALUE_STR, bytes_of_string(text));
}

static struct value *new_global(struct encoder *encoder, const char *module, const char *name)
{
    struct value *global = value_new(&encoder->scratch, VALUE_GLOBAL);
    struct value *names[] = {new_text(encoder, module), new_text(encoder, name)};

    if (!global || !names[0] || !names[1] ||
        !value_list_add_all(&encoder->scratch, &global->items, names, 2))
        return NULL;
    return global;
}

static struct value *new_helper(struct encoder *encoder, enum value_helper helper)
{
    static const char *const names[HELPER_COUNT] = {
        [HELPER_BYTES] = "bytes",
        [HELPER_BYTEARRAY] = "bytearray",
        [HELPER_SET] = "set",
        [HELPER_FROZENSET] = "frozenset",
    };

    if (helper == HELPER_ENCODE)
        return new_global(encoder, "_codecs", "encode");
    if (helper == HELPER_LATIN1)
        return new_text(encoder, "latin1");
    return new_global(encoder, encoder->writer.protocol < 3 ? "__builtin__" : "builtins",
                      names[helper]);
}

static struct value *helper(struct encoder *encoder, enum value_helper which)
{
    if (!encoder->helpers[which])
        encoder->helpers[which] = new_helper(encoder, which);
    return encoder->helpers[which];
}

static struct value *new_items(struct encoder *encoder, enum value_kind kind,
                               struct value *const *items, size_t count)
{
    struct value *value = value_new(&encoder->scratch, kind);

    for (size_t i = 0; i < count; i++)
        if (!items[i])
            return NULL;
    if (!value || !value_list_add_all(&encoder->scratch, &value->items, items, count))
        return NULL;
    value->flags = PICKLE_SCRATCH;
    return value;
}

/*
 * Saves `value` as a call of a helper. Call and arguments are made for this one time, as CPython's
 * save_bytes() and __reduce__() make them: if the value contains itself, that is seen in the bytes.
 */
static void save_as_call(struct encoder *encoder, struct value *value, enum value_helper which,
                         struct value *const *arguments, size_t count)
{
    struct value *parts[] = {helper(encoder, which),
                             new_items(encoder, VALUE_TUPLE, arguments, count)};
    struct value *call = new_items(encoder, VALUE_CALL, parts, 2);

    if (!call) {
        encoder_fail_memory(encoder);
        return;
    }
    encoder_then_finish(encoder, value);
    encoder_then_save(encoder, call, 0);
}

/* The bytes as a str of the characters U+0000 to U+00FF. */
static struct value *new_latin1(struct encoder *encoder, struct bytes bytes)
{
    struct buffer text = BUFFER_INIT;
    struct value *value = NULL;

    for (size_t i = 0; i < bytes.size; i++)
        utf8_add(&text, bytes.data[i]);
    if (!buffer_status(&text))
        value = value_new_bytes(&encoder->scratch, VALUE_STR,
                                arena_copy(&encoder->scratch.arena, buffer_bytes(&text)));
    buffer_release(&text);
    return value;
}

static void save_bytes(struct encoder *encoder, struct value *value)
{
    if (encoder->writer.protocol >= 3) {
        pickle_write_bytes(&encoder->writer, value->bytes);
        encoder_put(encoder, value);
        encoder_then_steps(encoder, value);
    } else if (!value->bytes.size) {
        save_as_call(encoder, value, HELPER_BYTES, NULL, 0);
    } else {
        struct value *arguments[] = {new_latin1(encoder, value->bytes),
                                     helper(encoder, HELPER_LATIN1)};

        save_as_call(encoder, value, HELPER_ENCODE, arguments, 2);
    }
}

static void save_bytearray(struct encoder *encoder, struct value *value)
{
    if (encoder->writer.protocol >= 5) {
        pickle_write_bytearray(&encoder->writer, value->bytes);
        encoder_put(encoder, value);
        encoder_then_steps(encoder, value);
    } else if (encoder->writer.python2) {
        struct value *arguments[] = {
            new_latin1(encoder, value->bytes),
            value_new_bytes(&encoder->scratch, VALUE_STR8, BYTES("latin-1")),
        };

        save_as_call(encoder, value, HELPER_BYTEARRAY, arguments, 2);
    } else {
        struct value *bytes = value_new_bytes(&encoder->scratch, VALUE_BYTES, value->bytes);

        save_as_call(encoder, value, HELPER_BYTEARRAY, &bytes, value->bytes.size > 0);
    }
}

/* A set or frozenset of a protocol without them. */
static void save_set_as_call(struct encoder *encoder, struct value *value, enum value_helper which)
{
    struct value *list = value_new(&encoder->scratch, VALUE_LIST);

    if (list) {
        list->items = value->items;
        list->flags = PICKLE_SCRATCH;
    }
    save_as_call(encoder, value, which, &list, 1);
}

static void save_list(struct encoder *encoder, struct value *value)
{
    if (encoder->writer.protocol == 0) {
        encoder_write_op(encoder, PICKLE_MARK);
        encoder_write_op(encoder, value->kind == VALUE_LIST ? PICKLE_LIST : PICKLE_DICT);
    } else {
        encoder_write_op(encoder,
                         value->kind == VALUE_LIST ? PICKLE_EMPTY_LIST : PICKLE_EMPTY_DICT);
    }
    encoder_put(encoder, value);
    encoder_then_steps(encoder, value);
    if (value->kind == VALUE_DICT)
        encoder_then_fill(encoder, FILL_DICT, &value->items);
    else /* cPickle has no way of its own for plain lists */
        encoder_then_fill(encoder, encoder->writer.python2 ? FILL_MORE_LIST : FILL_LIST, &value->items);
}

static void save_set(struct encoder *encoder, struct value *value)
{
    if (encoder->writer.protocol < 4) {
        save_set_as_call(encoder, value, HELPER_SET);
        return;
    }
    encoder_write_op(encoder, PICKLE_EMPTY_SET);
    encoder_put(encoder, value);
    encoder_then_steps(encoder, value);
    encoder_then_fill(encoder, FILL_SET, &value->items);
}

static void save_frozenset(struct encoder *encoder, struct value *value)
{
    if (encoder->writer.protocol < 4) {
        save_set_as_call(encoder, value, HELPER_FROZENSET);
        return;
    }
    encoder_write_op(encoder, PICKLE_MARK);
    encoder_then_finish(encoder, value);
    encoder_then_save(encoder, value, 0);
}

/* Whether TUPLE1 to TUPLE3 take its items from the stack without a mark. */
static bool is_short_tuple(const struct encoder *encoder, const struct value *value)
{
    return encoder->writer.protocol >= 2 && value->items.count <= 3;
}

static void save_tuple(struct encoder *encoder, struct value *value)
{
    if (!value->items.count) {
        /* There is one empty tuple, which no writer memoises. */
        if (encoder->writer.protocol == 0)
            encoder_write_op(encoder, PICKLE_MARK);
        encoder_write_op(encoder,
                         encoder->writer.protocol == 0 ? PICKLE_TUPLE : PICKLE_EMPTY_TUPLE);
        encoder_finish_unnamed(encoder, value);
        return;
    }
    if (!is_short_tuple(encoder, value))
        encoder_write_op(encoder, PICKLE_MARK);
    encoder_then_finish(encoder, value);
    encoder_then_save(encoder, value, 0);
}

/* Whether it is an argument that __reduce__() may well make anew each time. */
static bool is_fresh(struct encoder *encoder, const struct value *value)
{
    bool container =
        value->kind == VALUE_TUPLE || value->kind == VALUE_LIST || value->kind == VALUE_DICT;

    return container && !value->last_step && !(value->flags & PICKLE_SHARED) &&
           !encoder_is_shared(encoder, value);
}

static struct value *fresh_copy(struct encoder *encoder, const struct value *value)
{
    return new_items(encoder, value->kind, value->items.at, value->items.count);
}

/* Replaces those items from `first` on that are fresh by copies; false: no memory. */
static bool refresh_items(struct encoder *encoder, struct value *value, uint32_t first)
{
    for (uint32_t i = first; value && i < value->items.count; i++) {
        struct value **item = &value->items.at[i];

        if (is_fresh(encoder, *item))
            *item = fresh_copy(encoder, *item);
        if (!*item)
            return false;
    }
    return value != NULL;
}

/* The call with arguments of their own, and containers in them too. NULL: no memory. */
static const struct value *fresh_call(struct encoder *encoder, const struct value *call)
{
    struct value *copy = fresh_copy(encoder, call);

    if (!refresh_items(encoder, copy, 1))
        return NULL;
    if (copy->items.at[1] != call->items.at[1] && !refresh_items(encoder, copy->items.at[1], 0))
        return NULL;
    return copy;
}

/* Whether a loader can make it; a text may say `None()`. */
static bool can_make(struct encoder *encoder, const struct value *value)
{
    const char *fault = pickle_making_fault((enum value_kind)value->kind, value->items.at);

    if (fault)
        encoder_fail(encoder, -EINVAL, fault);
    return !fault;
}

/*
 * A call that is met again while its own arguments are saved: CPython asks the object a second time what to call with
 * which arguments, and that is another tuple.
 */
static void save_call(struct encoder *encoder, struct value *value)
{
    const struct value *call = value;

    if (!can_make(encoder, value))
        return;
    if (value_mark(encoder->document, value) & MARK_OPEN)
        call = fresh_call(encoder, value);
    encoder_then_finish(encoder, value);
    if (call)
        encoder_then_save(encoder, call, 0);
    else
        encoder_fail_memory(encoder);
}

/* Whether INST can name the class, which is then not an object of its own. */
static bool is_inst(const struct encoder *encoder, const struct value *value)
{
    const struct value *class = value->items.at[0];

    return encoder->writer.protocol == 0 && class->kind == VALUE_GLOBAL && !class->last_step &&
           encoder_fits_lines(encoder, class);
}

static void save_instance(struct encoder *encoder, struct value *value)
{
    if (!can_make(encoder, value))
        return;
    encoder_write_op(encoder, PICKLE_MARK);
    encoder_then_finish(encoder, value);
    encoder_then_save(encoder, value, is_inst(encoder, value));
}

/* Whether PERSID's line can hold the id. */
static bool is_persid(const struct encoder *encoder, const struct value *id)
{
    return encoder->writer.protocol == 0 && id->kind == VALUE_STR && !id->last_step &&
           bytes_are_ascii(id->bytes) && bytes_find_byte(id->bytes, '\n') == id->bytes.size;
}

/* CPython memoises none of what comes from outside the pickle; here it is when it must be one object. */
static void finish_external(struct encoder *encoder, struct value *value)
{
    if (encoder_is_shared(encoder, value))
        encoder_put(encoder, value);
    encoder_then_steps(encoder, value);
}

static void save_persistent(struct encoder *encoder, struct value *value)
{
    if (is_persid(encoder, value->items.at[0])) {
        encoder_write_op(encoder, PICKLE_PERSID);
        pickle_write_line(&encoder->writer, value->items.at[0]->bytes);
        finish_external(encoder, value);
    } else {
        encoder_then_finish(encoder, value);
        encoder_then_save(encoder, value, 0);
    }
}

static void write_making_op(struct encoder *encoder, const struct value *value)
{
    switch ((enum value_kind)value->kind) {
    case VALUE_NEW:
        encoder_write_op(encoder, PICKLE_NEWOBJ);
        break;
    case VALUE_NEW_EX:
        encoder_write_op(encoder, PICKLE_NEWOBJ_EX);
        break;
    case VALUE_GLOBAL:
        encoder_write_op(encoder, PICKLE_STACK_GLOBAL);
        break;
    case VALUE_PERSISTENT:
        encoder_write_op(encoder, PICKLE_BINPERSID);
        break;
    case VALUE_READONLY:
        encoder_write_op(encoder, PICKLE_READONLY_BUFFER);
        break;
    case VALUE_INSTANCE:
        if (is_inst(encoder, value))
            encoder_write_lines(encoder, PICKLE_INST, value->items.at[0]);
        else
            encoder_write_op(encoder, PICKLE_OBJ);
        break;
    default: /* a call, or what this protocol writes as one */
        encoder_write_op(encoder, PICKLE_REDUCE);
        break;
    }
}

/* Takes the items of a tuple or frozenset off the stack again. */
static void drop_items(struct encoder *encoder, const struct value *value)
{
    if (value->kind == VALUE_TUPLE && is_short_tuple(encoder, value))
        pickle_write_ops(&encoder->writer, PICKLE_POP, value->items.count);
    else if (encoder->writer.protocol == 0)
        pickle_write_ops(&encoder->writer, PICKLE_POP, value->items.count + 1);
    else
        encoder_write_op(encoder, PICKLE_POP_MARK);
}

/* Saving the items has saved the container itself: that one is the object. */
static bool finish_frozen(struct encoder *encoder, struct value *value)
{
    if (encoder_is_memoised(encoder, value)) {
        drop_items(encoder, value);
        encoder_get(encoder, value);
        return false;
    }
    if (value->kind == VALUE_FROZENSET)
        encoder_write_op(encoder, PICKLE_FROZENSET);
    else if (is_short_tuple(encoder, value))
        encoder_write_op(encoder, (uint8_t)(PICKLE_TUPLE1 - 1 + value->items.count));
    else
        encoder_write_op(encoder, PICKLE_TUPLE);
    return true;
}

static bool finish_made(struct encoder *encoder, struct value *value)
{
    write_making_op(encoder, value);
    if (encoder_is_memoised(encoder, value)) {
        encoder_write_op(encoder, PICKLE_POP);
        encoder_get(encoder, value);
        return false;
    }
    return true;
}

void encoder_finish_value(struct encoder *encoder, struct value *value)
{
    bool frozen = value->kind == VALUE_TUPLE ||
                  (value->kind == VALUE_FROZENSET && encoder->writer.protocol >= 4);

    if (!(frozen ? finish_frozen : finish_made)(encoder, value))
        return;
    if (value->kind == VALUE_PERSISTENT || value->kind == VALUE_READONLY) {
        finish_external(encoder, value);
    } else {
        encoder_put(encoder, value);
        encoder_then_steps(encoder, value);
    }
}

static void save_text(struct encoder *encoder, struct value *value)
{
    if (value->kind == VALUE_STR)
        pickle_write_str(&encoder->writer, value->bytes);
    else
        pickle_write_str8(&encoder->writer, value->bytes);
    encoder_put(encoder, value);
    encoder_then_steps(encoder, value);
}

/* An object that is not in the memo. */
void encoder_save_new(struct encoder *encoder, struct value *value)
{
    switch ((enum value_kind)value->kind) {
    case VALUE_STR:
    case VALUE_STR8:
        save_text(encoder, value);
        break;
    case VALUE_BYTES:
        save_bytes(encoder, value);
        break;
    case VALUE_BYTEARRAY:
        save_bytearray(encoder, value);
        break;
    case VALUE_LIST:
    case VALUE_DICT:
        save_list(encoder, value);
        break;
    case VALUE_TUPLE:
        save_tuple(encoder, value);
        break;
    case VALUE_SET:
        save_set(encoder, value);
        break;
    case VALUE_FROZENSET:
        save_frozenset(encoder, value);
        break;
    case VALUE_GLOBAL:
        encoder_save_global(encoder, value);
        break;
    case VALUE_INSTANCE:
        save_instance(encoder, value);
        break;
    case VALUE_PERSISTENT:
        save_persistent(encoder, value);
        break;
    case VALUE_NEXT_BUFFER:
        encoder_write_op(encoder, PICKLE_NEXT_BUFFER);
        finish_external(encoder, value);
        break;
    case VALUE_READONLY:
        encoder_then_finish(encoder, value);
        encoder_then_save(encoder, value, 0);
        break;
    default: /* CALL, NEW, NEW_EX */
        save_call(encoder, value);
        break;
    }
}
