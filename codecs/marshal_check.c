/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each code object is written down with all that it refers to, in an order that depends on the graph alone, and the
 * writings are compared by a keyed digest. Strings and numbers are written each time, as text can't tell whether two
 * equal ones are one object. That can be long where code objects share or nest a lot: beyond LIMIT a save is refused.
 */
#include "codecs/marshal.h"

#include "src/digest.h"

#include <errno.h>
#include <stdlib.h>

enum { LIMIT = 64 << 20 };

struct writer {
    struct document *document;
    struct buffer content;
    struct value_list pending; /* in reverse; its memory is ours */
    size_t total;
    uint32_t numbers;
    int status;
};

struct digests {
    struct digest *at;
    size_t count;
};

static void add_number(struct writer *w, uint64_t number)
{
    buffer_add(&w->content, bytes_of(&number, sizeof number));
}

static bool push_items(struct writer *w, const struct value_list *items)
{
    size_t want = (size_t)w->pending.count + items->count;

    if (want > w->pending.capacity) {
        size_t capacity = want * 2;
        struct value **at = capacity < UINT32_MAX ? realloc(w->pending.at, capacity * sizeof *at) : NULL;

        if (!at)
            return false;
        w->pending.at = at;
        w->pending.capacity = (uint32_t)capacity;
    }
    for (uint32_t i = items->count; i-- > 0;)
        w->pending.at[w->pending.count++] = items->at[i];
    return true;
}

static void write_value(struct writer *w, struct value *value)
{
    uint32_t number = value_mark(w->document, value);

    add_number(w, (uint64_t)value->kind << 32 | number);
    if (number)
        return;
    if (value->kind == VALUE_COMPLEX) {
        add_number(w, value->complex_.real);
        add_number(w, value->complex_.imaginary);
    } else if (value_has_bytes(value)) {
        add_number(w, value->bytes.size);
        buffer_add(&w->content, value->bytes);
    } else if (value_has_items(value)) {
        if (value->items.count)
            value_set_mark(w->document, value, ++w->numbers);
        add_number(w, (uint64_t)(value->kind == VALUE_CODE ? value->role : 0) << 32 | value->items.count);
        if (!push_items(w, &value->items))
            w->status = -ENOMEM;
    } else if (value->kind == VALUE_INT || value->kind == VALUE_FLOAT) {
        add_number(w, value->bits);
    }
}

static void write_code(struct writer *w, struct value *code)
{
    value_start_walk(w->document);
    w->numbers = 0;
    buffer_clear(&w->content);
    write_value(w, code);
    while (w->pending.count && !w->status && !buffer_status(&w->content))
        write_value(w, w->pending.at[--w->pending.count]);
    w->total += w->content.size;
    if (!w->status)
        w->status = buffer_status(&w->content);
    if (!w->status && w->total > LIMIT)
        w->status = -EFBIG;
}

/* The digests of all code objects of `document`. */
static int digest_codes(struct document *document, const struct digest_key *key, struct digests *digests)
{
    const struct value_list *globals = &document->globals;
    struct writer w = {.document = document};

    digests->at = malloc(globals->count * sizeof *digests->at + 1);
    if (!digests->at)
        return -ENOMEM;
    buffer_init(&w.content, LIMIT);
    for (uint32_t i = 0; i < globals->count && !w.status; i++) {
        if (globals->at[i]->kind != VALUE_CODE)
            continue;
        write_code(&w, globals->at[i]);
        digests->at[digests->count++] = digest_bytes(key, buffer_bytes(&w.content));
    }
    buffer_release(&w.content);
    free(w.pending.at);
    return w.status;
}

static int compare(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct digest));
}

static bool has_all(const struct digests *digests, const struct digests *wanted)
{
    for (size_t i = 0; i < wanted->count; i++)
        if (!digests->count ||
            !bsearch(&wanted->at[i], digests->at, digests->count, sizeof *digests->at, compare))
            return false;
    return true;
}

static bool has_code(const struct document *document)
{
    for (uint32_t i = 0; i < document->globals.count; i++)
        if (document->globals.at[i]->kind == VALUE_CODE)
            return true;
    return false;
}

int marshal_check_code(struct document *document, struct document *old, struct failure *failure)
{
    struct digests wanted = {0}, known = {0};
    struct digest_key key;
    int status;

    if (!has_code(document))
        return 0;
    status = digest_key_random(&key);
    if (!status)
        status = digest_codes(document, &key, &wanted);
    if (!status && old)
        status = digest_codes(old, &key, &known);
    if (!status && known.count)
        qsort(known.at, known.count, sizeof *known.at, compare);
    if ((!status && !has_all(&known, &wanted)) || status == -EFBIG)
        status = failure_set(failure, -EPERM, 0,
                             "has a code object that the stored value does not have; "
                             "-o globals=any allows it");
    else if (status)
        status = failure_set(failure, status, 0, "out of memory");
    free(wanted.at);
    free(known.at);
    return status;
}
