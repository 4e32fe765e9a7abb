/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - It is the decoder's own machine that runs, so depths are what they are for CPython's loader, and the listing ends
 *   exactly where decoding does.
 * - After STOP a loader ignores the rest. A reader should not: it is listed as another pickle.
 * - All pickles of a value share one document, whose globals are what the end tells.
 *
 * Not done: what a call does once it is made; __setstate__() of BUILD and the methods of APPENDS, SETITEMS and ADDITEMS are
 * seen in the lines only.
 */
#include "codecs/pickle_dis.h"

#include "codecs/dangerous.h"
#include "codecs/globals.h"
#include "codecs/pickle_machine.h"
#include "codecs/pickle_words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { LONGEST = 1024 }; /* bytes of a line */

/* Something that a loader would look up, call or ask for. */
struct found {
    const struct value *value;
    size_t offset;
    bool called;
};

struct listing {
    struct buffer *out;
    struct document document; /* a mark of 1: a global that is called */
    struct pickle_machine machine;
    struct buffer marks; /* offsets of the open marks */
    struct found *found;
    size_t count, capacity;
    uint32_t globals; /* of the document, that are in `found` */
    size_t last_line; /* where instructions end that fit into the buffer */
    bool cut;
    int status; /* sticky: no memory */
};

/* Instructions */

static const struct value *top(const struct listing *listing)
{
    return listing->machine.depth ? listing->machine.stack[listing->machine.depth - 1] : NULL;
}

/* Where the topmost value went, or what came from there. */
static void add_memo(const struct listing *listing, const struct pickle_op *op, size_t entries,
                     struct buffer *out)
{
    bool get = op->code == PICKLE_GET || op->code == PICKLE_BINGET || op->code == PICKLE_LONG_BINGET;

    buffer_add_string(out, "memo[");
    if (op->code == PICKLE_MEMOIZE)
        buffer_printf(out, "%zu", entries);
    else
        words_add_argument(op, out);
    buffer_add_string(out, get ? "]: " : "] = ");
    words_add_value(top(listing), out);
}

/* What an instruction does that its argument doesn't tell. */
static void add_effect(const struct listing *listing, const struct pickle_op *op, struct buffer *out)
{
    const struct value *value = top(listing);

    if (!value)
        return;
    if (op->code == PICKLE_STACK_GLOBAL) {
        words_add_global(value, out);
    } else if (op->info->family == FAMILY_OBJECT && value_has_items(value) && value->kind != VALUE_GLOBAL) {
        buffer_add_string(out, op->info->argument == ARGUMENT_NONE ? "call " : " call ");
        words_add_value(value->items.at[0], out);
    } else if (op->code == PICKLE_BUILD) {
        buffer_add_string(out, "set state of ");
        words_add_value(value, out);
    }
}

static size_t mark_count(const struct listing *listing)
{
    return listing->marks.size / sizeof(size_t);
}

/* Keeps the offsets of marks, and tells whether a mark was taken away, and which. */
static bool follow_marks(struct listing *listing, size_t *taken)
{
    size_t offset = listing->machine.offset;

    if (listing->machine.mark_count > mark_count(listing)) {
        buffer_add(&listing->marks, bytes_of(&offset, sizeof offset));
    } else if (listing->machine.mark_count < mark_count(listing)) {
        memcpy(taken, listing->marks.data + listing->marks.size - sizeof *taken, sizeof *taken);
        listing->marks.size -= sizeof *taken;
        return true;
    }
    return false;
}

static void trim(struct buffer *out)
{
    while (out->size && out->data[out->size - 1] == ' ')
        out->size--;
}

static bool has_room(struct listing *listing)
{
    if (!listing->cut && listing->out->size >= listing->last_line) {
        buffer_printf(listing->out, "# from byte %zu on: too many instructions to show\n",
                      listing->machine.offset);
        listing->cut = true;
    }
    return !listing->cut;
}

/* `read`: the instruction could be read. It may have failed nevertheless. */
static void add_instruction(struct listing *listing, const struct pickle_op *op, bool read, size_t entries)
{
    struct buffer *out = listing->out;
    bool done = read && !listing->machine.status;
    size_t mark = 0;
    bool marked = done && follow_marks(listing, &mark);

    if (!has_room(listing))
        return;
    buffer_printf(out, "%8zu  %02x  %-16s ", op->offset, op->code,
                  op->info->name ? op->info->name : "?");
    if (done)
        buffer_printf(out, "%5zu %5zu  ", listing->machine.depth, listing->machine.mark_count);
    else
        buffer_printf(out, "%5s %5s  ", "", "");
    if (done && op->info->family == FAMILY_MEMO)
        add_memo(listing, op, entries, out);
    else if (read)
        words_add_argument(op, out);
    if (done)
        add_effect(listing, op, out);
    if (marked)
        buffer_printf(out, "%s(mark at %zu)", bytes_end_with(buffer_bytes(out), BYTES(" ")) ? "" : " ", mark);
    trim(out);
    buffer_add_byte(out, '\n');
}

/* What is found */

static void find(struct listing *listing, const struct value *value)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? listing->capacity * 2 : 32;
        struct found *found = realloc(listing->found, capacity * sizeof *found);

        if (!found) {
            listing->status = -ENOMEM;
            return;
        }
        listing->found = found;
        listing->capacity = capacity;
    }
    listing->found[listing->count++] = (struct found){value, listing->machine.offset, false};
}

static void note_call(struct listing *listing, const struct value *made)
{
    struct value *callee;

    if (made->kind < VALUE_CALL || made->kind > VALUE_INSTANCE)
        return;
    callee = made->items.at[0];
    if (callee->kind == VALUE_GLOBAL || callee->kind == VALUE_EXTENSION)
        value_set_mark(&listing->document, callee, 1);
}

static void note_found(struct listing *listing, const struct pickle_op *op)
{
    const struct value_list *globals = &listing->document.globals;

    for (; listing->globals < globals->count; listing->globals++)
        find(listing, globals->at[listing->globals]);
    if (listing->machine.status || !listing->machine.depth)
        return;
    if (op->code == PICKLE_PERSID || op->code == PICKLE_BINPERSID)
        find(listing, top(listing));
    else if (op->info->family == FAMILY_OBJECT)
        note_call(listing, top(listing));
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* Long ones are the same if they are one object's. */
static int compare_content(struct bytes a, struct bytes b)
{
    if (a.size <= GLOBAL_NAME_LONGEST || b.size <= GLOBAL_NAME_LONGEST)
        return bytes_compare(a, b);
    return compare_numbers((uintptr_t)a.data, (uintptr_t)b.data);
}

static int compare_names(const struct found *a, const struct found *b)
{
    struct bytes module[2], name[2];
    bool plain[2] = {global_parts(a->value, &module[0], &name[0]), global_parts(b->value, &module[1], &name[1])};
    int order;

    if (plain[0] != plain[1])
        return plain[0] ? -1 : 1;
    if (!plain[0])
        return compare_numbers(a->offset, b->offset); /* nobody knows whether they are the same */
    order = compare_content(module[0], module[1]);
    return order ? order : compare_content(name[0], name[1]);
}

/* Strings by content, anything else by its place. */
static int compare_ids(const struct found *a, const struct found *b)
{
    const struct value *left = a->value->items.at[0], *right = b->value->items.at[0];

    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    if (!value_has_bytes(left) || left->last_step || right->last_step)
        return compare_numbers(a->offset, b->offset);
    return compare_content(left->bytes, right->bytes);
}

static int compare_things(const struct found *a, const struct found *b)
{
    if (a->value->kind != b->value->kind)
        return a->value->kind < b->value->kind ? -1 : 1;
    if (a->value->kind == VALUE_EXTENSION)
        return compare_numbers(a->value->bits, b->value->bits);
    return a->value->kind == VALUE_PERSISTENT ? compare_ids(a, b) : compare_names(a, b);
}

static int compare_found(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    int order = compare_things(a, b);

    return order ? order : compare_numbers(a->offset, b->offset);
}

static bool is_dangerous(const struct value *value)
{
    struct bytes module, name;

    if (value->kind == VALUE_PERSISTENT)
        return false;
    return value->kind == VALUE_GLOBAL &&
           (!global_parts(value, &module, &name) || global_is_dangerous(module, name));
}

static void add_found(const struct found *found, size_t times, struct buffer *out)
{
    bool persistent = found->value->kind == VALUE_PERSISTENT;

    buffer_printf(out, "%c %s ", is_dangerous(found->value) ? '!' : ' ',
                  persistent      ? "asks for"
                  : found->called ? "calls   "
                                  : "looks up");
    if (persistent) {
        buffer_add_string(out, "the object with the persistent id ");
        words_add_value(found->value->items.at[0], out);
    } else {
        words_add_global(found->value, out);
    }
    buffer_printf(out, ", %sat byte %zu", times > 1 ? "first " : "", found->offset);
    if (times > 1)
        buffer_printf(out, ", %zu times", times);
    buffer_add_byte(out, '\n');
}

/* How many of the sorted from `at` on are the same; those that are called make the first one called. */
static size_t same_found(struct listing *listing, size_t at)
{
    struct found *first = &listing->found[at];
    size_t count = 0;

    do
        first->called |= value_mark(&listing->document, first[count].value) == 1;
    while (++count < listing->count - at && !compare_things(first, &first[count]));
    return count;
}

static void add_summary(struct listing *listing)
{
    struct buffer *out = listing->out;
    size_t limit = out->limit - (out->limit < 2 * LONGEST ? out->limit : 2 * LONGEST), times;

    if (!listing->count) {
        buffer_add_string(out, "# a loader would look up and call nothing\n");
        return;
    }
    qsort(listing->found, listing->count, sizeof *listing->found, compare_found);
    buffer_add_string(out, "# what a loader would look up and call (!: scanners take it for dangerous)\n");
    for (size_t i = 0; i < listing->count; i += times) {
        if (out->size >= limit) {
            buffer_printf(out, "# %zu more\n", listing->count - i);
            return;
        }
        times = same_found(listing, i);
        add_found(&listing->found[i], times, out);
    }
}

/* Pickles */

/* Runs one pickle from `start` on; returns where it ends, or the end of all if it breaks. */
static size_t list_pickle(struct listing *listing, struct bytes stored, size_t start)
{
    struct pickle_machine *machine = &listing->machine;
    struct failure failure = {0};
    size_t end = stored.size;

    *machine = (struct pickle_machine){.document = &listing->document,
                                       .failure = &failure,
                                       .cursor = cursor_at(stored, start),
                                       .offset = start,
                                       .scratch = BUFFER_INIT};
    listing->marks.size = 0;
    machine_start(machine);
    while (!machine->status && !machine->stopped && !listing->status) {
        size_t entries = machine->memo.count;
        struct pickle_op op;
        bool read = machine_step(machine, &op);

        note_found(listing, &op);
        add_instruction(listing, &op, read, entries);
    }
    if (machine->status == -ENOMEM)
        listing->status = -ENOMEM;
    else if (machine->status)
        buffer_printf(listing->out, "# it breaks at byte %zu: %s\n", machine->offset, failure.message);
    else
        end = machine->cursor.position;
    machine->failure = NULL;
    machine_release(machine);
    return end;
}

static void list_pickles(struct listing *listing, struct bytes stored)
{
    size_t at = 0;

    buffer_add_string(listing->out, "# offset  op  opcode           stack marks  argument, effect\n");
    do {
        if (at && has_room(listing))
            buffer_printf(listing->out, "# byte %zu: a loader has stopped; another pickle, or other data\n", at);
        at = list_pickle(listing, stored, at);
    } while (at < stored.size && !listing->status);
}

int pickle_dis(struct bytes stored, struct buffer *text)
{
    struct listing listing = {.out = text, .marks = BUFFER_INIT, .last_line = text->limit / 4 * 3};

    document_init(&listing.document, document_limit(stored.size));
    value_start_walk(&listing.document);
    list_pickles(&listing, stored);
    if (!listing.status)
        listing.status = buffer_status(&listing.marks);
    if (!listing.status)
        add_summary(&listing);
    free(listing.found);
    buffer_release(&listing.marks);
    document_release(&listing.document);
    return listing.status ? listing.status : buffer_status(text);
}
