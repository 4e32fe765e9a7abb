/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a graph tells the truth about the order of effects.
 *
 * The final graph of `]q0 ctuple h0 \x85 R h0 K1 a` says tuple([1]), but a loader called tuple() while the list was still
 * empty. So the original and the program that the encoder makes of the graph are both run by the decoder, which
 * reports each creation and each change; the reports are hashed, and the hashes must agree.
 *
 * - What has an identity (containers, calls, instances) is a number in the order of creation; everything else
 *   (numbers, strings, tuples, globals) is known by a hash of its value, made once, of the hashes of its items:
 *   a chain of DUP TUPLE2 is linear. Once such a value is changed (a class by BUILD) it gets a number, too: the graph tells
 *   it from others of its value, and the encoder may not.
 * - Framing, opcode widths, memo numbers and batches leave no trace: a batch is reported item by item.
 * - A global's hash holds what the active protocol means for its lookup: renamed modules before 3, dotted names
 *   from 4 on.
 * - Hashes are keyed, so that no value can be made to collide.
 */
#include "codecs/pickle_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "codecs/pickle_globals.h"
#include "src/array.h"
#include "src/digest.h"

struct pickle_trace {
    struct document *document; /* whose marks are indices into `hashes`, plus one */
    struct digest_key key;
    uint64_t events;  /* of all reports so far */
    uint64_t objects; /* created so far */
    uint64_t *hashes;
    size_t count, capacity;
    uint8_t protocol;
    int status;
};

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ hash >> 29) * 0xBF58476D1CE4E5B9u;
    return hash ^ hash >> 32;
}

static void report(struct pickle_trace *trace, uint64_t word)
{
    trace->events = mix(trace->events, word);
}

static uint64_t hash_of(const struct pickle_trace *trace, const struct value *value)
{
    uint32_t mark = value_mark(trace->document, value);

    return mark ? trace->hashes[mark - 1] : 0;
}

static void set_hash(struct pickle_trace *trace, struct value *value, uint64_t hash)
{
    if (trace->count == trace->capacity) {
        struct arena *arena = &trace->document->arena;
        uint64_t *hashes =
            array_double_in(arena, trace->hashes, NULL, &trace->capacity, sizeof *hashes);

        if (!hashes) {
            trace->status = arena_status(arena);
            return;
        }
        trace->hashes = hashes;
    }
    trace->hashes[trace->count++] = hash;
    value_set_mark(trace->document, value, (uint32_t)trace->count);
}

static uint64_t hash_items(const struct pickle_trace *trace, uint64_t hash,
                           const struct value *value)
{
    for (uint32_t i = 0; i < value->items.count; i++)
        hash = mix(hash, hash_of(trace, value->items.at[i]));
    return mix(hash, value->items.count);
}

static bool has_identity(const struct value *value)
{
    switch (value->kind) {
    case VALUE_BYTEARRAY:
    case VALUE_LIST:
    case VALUE_SET:
    case VALUE_DICT:
    case VALUE_CALL:
    case VALUE_NEW:
    case VALUE_NEW_EX:
    case VALUE_INSTANCE:
    case VALUE_PERSISTENT:
    case VALUE_NEXT_BUFFER:
    case VALUE_READONLY:
        return true;
    default:
        return false;
    }
}

/* 0, 1, 2: before protocol 3, in it, after it. */
static uint64_t lookup_rules(const struct pickle_trace *trace)
{
    return (trace->protocol >= 3) + (trace->protocol >= 4);
}

static uint64_t hash_content(const struct pickle_trace *trace, const struct value *value)
{
    uint64_t hash = mix(trace->key.words[0], value->kind);

    if (value_has_bytes(value)) {
        struct digest digest = digest_bytes(&trace->key, value->bytes);

        return mix(hash, digest.words[0]);
    }
    if (value->kind == VALUE_GLOBAL)
        hash = mix(hash, lookup_rules(trace));
    if (value_has_items(value))
        return hash_items(trace, hash, value);
    if (value->kind == VALUE_INT || value->kind == VALUE_FLOAT || value->kind == VALUE_EXTENSION)
        hash = mix(hash, value->bits);
    return hash;
}

static void report_items(struct pickle_trace *trace, uint64_t target, enum value_step_kind kind,
                         struct value *const *items, size_t count)
{
    size_t unit = kind == STEP_SET_ITEM ? 2 : 1;

    for (size_t i = 0; i < count; i++) {
        if (i % unit == 0) {
            report(trace, target);
            report(trace, kind);
        }
        report(trace, hash_of(trace, items[i]));
    }
}

/* A container that LIST or DICT made of its items is one that was filled after it was made. */
static void report_container(struct pickle_trace *trace, const struct value *value, uint64_t hash)
{
    enum value_step_kind kind = value->kind == VALUE_LIST   ? STEP_APPEND
                                : value->kind == VALUE_DICT ? STEP_SET_ITEM
                                                            : STEP_ADD;

    report(trace, mix(trace->key.words[0], value->kind));
    report_items(trace, hash, kind, value->items.at, value->items.count);
}

static void report_object(struct pickle_trace *trace, const struct value *value, uint64_t hash)
{
    report(trace, hash);
    if (value->kind == VALUE_LIST || value->kind == VALUE_DICT || value->kind == VALUE_SET)
        report_container(trace, value, hash);
    else
        report(trace, hash_content(trace, value));
}

void pickle_trace_protocol(struct pickle_trace *trace, uint8_t protocol)
{
    trace->protocol = protocol;
}

void pickle_trace_created(struct pickle_trace *trace, struct value *value)
{
    uint64_t hash;

    if (value_mark(trace->document, value) || trace->status)
        return;
    if (has_identity(value)) {
        hash = mix(trace->key.words[1], ++trace->objects);
        report_object(trace, value, hash);
    } else {
        hash = hash_content(trace, value);
    }
    set_hash(trace, value, hash);
}

void pickle_trace_changed(struct pickle_trace *trace, struct value *value,
                          enum value_step_kind kind, struct value *const *items, size_t count)
{
    report_items(trace, hash_of(trace, value), kind, items, count);
    if (has_identity(value) || value->flags & PICKLE_TOLD_APART || trace->status)
        return;
    value->flags |= PICKLE_TOLD_APART;
    set_hash(trace, value, mix(trace->key.words[1], ++trace->objects));
}

void pickle_trace_finished(struct pickle_trace *trace, struct value *root)
{
    report(trace, hash_of(trace, root));
}

/* Runs a pickle and gives the hash of what a loader would do. */
static int trace_pickle(struct bytes stored, const struct digest_key *key, size_t limit,
                        uint64_t *events)
{
    struct document document;
    struct pickle_trace trace = {.document = &document, .key = *key, .events = key->words[0]};
    int status;

    document_init(&document, limit);
    value_start_walk(&document);
    status = pickle_run(stored, &document, &trace, NULL);
    if (!status)
        status = trace.status;
    if (!status)
        *events = trace.events;
    free(trace.hashes);
    document_release(&document);
    return status;
}

/* Notes the plain globals that are changed, or tells whether another one has the name of such a one: 1, 0 or negative errno. */
static int find_changed_twins(const struct document *document, bool changed, struct pickle_globals *found)
{
    for (uint32_t i = 0; i < document->globals.count; i++) {
        struct value *global = document->globals.at[i], *first;

        if (global->kind != VALUE_GLOBAL || !global->last_step == changed || !pickle_global_is_plain(global))
            continue;
        first = pickle_globals_add(found, global);
        if (!first)
            return arena_status(&document->arena) ? arena_status(&document->arena) : -ENOMEM;
        if (first != global && first->last_step)
            return 1;
    }
    return 0;
}

/*
 * Whether a class that the value changes is also looked up by another instruction. It is one object, which a graph of
 * two nodes doesn't say.
 */
static int changes_twins(struct document *document)
{
    struct pickle_globals found = {.arena = &document->arena};
    int status = find_changed_twins(document, true, &found);

    if (!status && found.used)
        status = find_changed_twins(document, false, &found);
    pickle_globals_release(&found);
    return status;
}

int pickle_faithful(struct bytes stored, struct document *document)
{
    struct buffer again;
    struct digest_key key;
    uint64_t events[2] = {0, 0};
    size_t left = arena_left(&document->arena);
    int status;

    if (!document->suspect)
        return 1;
    status = changes_twins(document);
    if (status)
        return status < 0 ? status : 0;
    buffer_init(&again, arena_left(&document->arena));
    status = digest_key_random(&key);
    if (!status)
        status = pickle_encode(document, document->protocol, &again, NULL);
    left = again.size < left ? left - again.size : 0;
    if (!status)
        status = trace_pickle(stored, &key, left, &events[0]);
    if (!status)
        status = trace_pickle(buffer_bytes(&again), &key, left, &events[1]);
    buffer_release(&again);
    return status ? status : events[0] == events[1];
}
