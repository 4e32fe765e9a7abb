/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Protocols without an opcode for a built-in type write a call (CPython, Modules/_pickle.c):
 *
 *     bytes      before 3    _codecs.encode('...', 'latin1'), __builtin__.bytes() when empty
 *     set        before 4    builtins.set([...])
 *     frozenset  before 4    builtins.frozenset([...])
 *     bytearray  before 5    builtins.bytearray(b'...'), builtins.bytearray() when empty;
 *                            Python 2: __builtin__.bytearray(u'...', 'latin-1'), both strings made for it
 *
 * A call that is exactly what the encoder writes becomes the plain node, in place, so that the printer and the
 * parser meet plain kinds only. It must be exact in its sharing too: what lies between the call and the contents
 * is referred to by nothing else. The callable and 'latin1' are one node for all calls of a document and are
 * remembered as its helpers; a call through another node stays a call.
 */
#include "codecs/pickle_internal.h"

#include "src/utf8.h"

/* A node of which only the call can know. */
static bool is_private(const struct value *value)
{
    return !(value->flags & PICKLE_SHARED) && !value->last_step;
}

static bool is_text(const struct value *value, struct bytes text)
{
    return value->kind == VALUE_STR && !value->last_step && bytes_equal(value->bytes, text);
}

static bool is_global(const struct value *value, struct bytes module, struct bytes name)
{
    return value->kind == VALUE_GLOBAL && !value->last_step &&
           is_text(value->items.at[0], module) && is_text(value->items.at[1], name);
}

static struct bytes builtins(const struct document *document)
{
    return document->protocol < 3 ? BYTES("__builtin__") : BYTES("builtins");
}

static bool is_builtin(const struct document *document, const struct value *value,
                       struct bytes name)
{
    return is_global(value, builtins(document), name);
}

/* Whether `value` is, or becomes, the document's node for that helper. */
static bool take_helper(struct document *document, enum value_helper helper, struct value *value)
{
    if (!document->helpers[helper])
        document->helpers[helper] = value;
    return document->helpers[helper] == value;
}

/* The Latin-1 bytes of `text` in the arena; NULL data: it has other characters, or no memory. */
static struct bytes latin1(struct document *document, struct bytes text)
{
    uint8_t *out = arena_alloc(&document->arena, text.size);
    size_t size = 0;

    for (size_t at = 0; out && at < text.size;) {
        struct utf8_point point = utf8_decode(text, at, UTF8_SURROGATES);

        if (!point.length || point.point > 0xFF)
            return (struct bytes){NULL, 0};
        out[size++] = (uint8_t)point.point;
        at += point.length;
    }
    return bytes_of(out, size);
}

static void become_bytes(struct value *call, enum value_kind kind, struct bytes bytes)
{
    call->kind = (uint8_t)kind;
    call->bytes = bytes;
}

static void lower_encode(struct document *document, struct value *call, struct value_list arguments)
{
    struct value *text;
    struct bytes bytes;

    if (arguments.count != 2 || !is_text(arguments.at[1], BYTES("latin1")))
        return;
    text = arguments.at[0];
    if (text->kind != VALUE_STR || !text->bytes.size || !is_private(text))
        return;
    bytes = latin1(document, text->bytes);
    if (bytes.data && take_helper(document, HELPER_ENCODE, call->items.at[0]) &&
        take_helper(document, HELPER_LATIN1, arguments.at[1]))
        become_bytes(call, VALUE_BYTES, bytes);
}

static void lower_python2_bytearray(struct document *document, struct value *call,
                                    struct value_list arguments)
{
    const struct value *text, *encoding;
    struct bytes bytes;

    if (arguments.count != 2)
        return;
    text = arguments.at[0];
    encoding = arguments.at[1];
    if (text->kind != VALUE_STR || !is_private(text) || encoding->kind != VALUE_STR8 ||
        !is_private(encoding) || !bytes_equal(encoding->bytes, BYTES("latin-1")))
        return;
    bytes = latin1(document, text->bytes);
    if (bytes.data && take_helper(document, HELPER_BYTEARRAY, call->items.at[0]))
        become_bytes(call, VALUE_BYTEARRAY, bytes);
}

static void lower_bytearray(struct document *document, struct value *call,
                            struct value_list arguments)
{
    struct bytes bytes = {NULL, 0};

    if (document->python2) {
        lower_python2_bytearray(document, call, arguments);
        return;
    }
    if (arguments.count > 1)
        return;
    if (arguments.count) {
        const struct value *content = arguments.at[0];

        if (content->kind != VALUE_BYTES || !content->bytes.size || !is_private(content))
            return;
        bytes = content->bytes;
    }
    if (take_helper(document, HELPER_BYTEARRAY, call->items.at[0]))
        become_bytes(call, VALUE_BYTEARRAY, bytes);
}

static void lower_set(struct document *document, struct value *call, struct value_list arguments,
                      enum value_kind kind)
{
    struct value *content = arguments.count == 1 ? arguments.at[0] : NULL;

    if (!content || content->kind != VALUE_LIST || !is_private(content))
        return;
    if (!take_helper(document, kind == VALUE_SET ? HELPER_SET : HELPER_FROZENSET,
                     call->items.at[0]))
        return;
    call->kind = (uint8_t)kind;
    call->items = content->items;
}

/*
 * CPython 3.13 and later do not memoise what names a nested class in protocols without dotted names:
 * getattr(Outer, 'Inner'). Earlier ones do.
 */
static void mark_anonymous(const struct value *call, struct value *arguments)
{
    struct value *outer = arguments->items.count == 2 ? arguments->items.at[0] : NULL;

    if (!outer || outer->kind != VALUE_GLOBAL || outer->last_step)
        return;
    if ((outer->flags | arguments->flags) & PICKLE_MEMOISED || !(call->flags & PICKLE_MEMOISED))
        return;
    outer->flags |= PICKLE_ANONYMOUS;
    arguments->flags |= PICKLE_ANONYMOUS;
}

static void lower(struct document *document, struct value *call)
{
    struct value *callee = call->items.at[0], *tuple = call->items.at[1];
    unsigned protocol = document->protocol;

    if (callee->kind != VALUE_GLOBAL || tuple->kind != VALUE_TUPLE || !is_private(tuple))
        return;
    if (protocol < 3 && is_global(callee, BYTES("_codecs"), BYTES("encode")))
        lower_encode(document, call, tuple->items);
    else if (protocol < 3 && !tuple->items.count && is_builtin(document, callee, BYTES("bytes")) &&
             take_helper(document, HELPER_BYTES, callee))
        become_bytes(call, VALUE_BYTES, (struct bytes){NULL, 0});
    else if (protocol < 4 && is_builtin(document, callee, BYTES("set")))
        lower_set(document, call, tuple->items, VALUE_SET);
    else if (protocol < 4 && is_builtin(document, callee, BYTES("frozenset")))
        lower_set(document, call, tuple->items, VALUE_FROZENSET);
    else if (protocol < 5 && is_builtin(document, callee, BYTES("bytearray")))
        lower_bytearray(document, call, tuple->items);
    else if (protocol < 4 && is_builtin(document, callee, BYTES("getattr")))
        mark_anonymous(call, tuple);
}

int pickle_lower(struct document *document, const struct value_list *calls)
{
    for (uint32_t i = 0; i < calls->count; i++)
        lower(document, calls->at[i]);
    return arena_status(&document->arena);
}
