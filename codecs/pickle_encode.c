/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A graph becomes the program that CPython's C pickler writes for it, byte for byte (formats.md, 1.6).
 *
 * - The pickler's recursion is a stack of tasks: a list of items to save, or what follows its items. A task is
 *   looked at again after everything it caused is done.
 * - The memo is a mark on each node: its index plus one. Globals are objects, of which there is one a name,
 *   so they also have a table by name: two nodes may name the same one.
 * - Recursive tuples, frozensets and calls come out as CPython writes them by running its algorithm: save the items; if
 *   that saved the node itself, drop them and GET it.
 * - Python 2 (document->python2): cPickle's numbers and strings, memo from 1, and no PUT for strings with one
 *   reference. Its loader reads the same graph; the bytes differ where its choice depended on the reference counts
 *   of the program that wrote them.
 * - A node that a protocol has no opcode for is written with the opcode of a later one (NEWOBJ in protocol 1,
 *   STACK_GLOBAL for a name with a newline): every loader since Python 3.8 knows all of them.
 */
#include "codecs/pickle_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "codecs/pickle_ops.h"
#include "codecs/pickle_write.h"
#include "src/digest.h"
#include "src/utf8.h"

enum { BATCH = 1000 };

/* The mark of a call whose items are being saved; others are memo indices plus one. */
#define MARK_OPEN UINT32_MAX

enum task_kind {
    TASK_SAVE,   /* each item of `list` in turn */
    TASK_FILL,   /* the items of `list` in batches, into what is on the stack */
    TASK_FINISH, /* the instruction that makes `value` of its items */
    TASK_STEPS,  /* the steps of `value` from `step` on */
    TASK_OP,     /* just `opcode` */
};

struct task {
    uint8_t kind;
    uint8_t opcode;
    uint8_t fill; /* enum fill */
    bool in_batch;
    uint32_t next, end; /* indices into the list: the next item; the end of the batch */
    union {
        const struct value_list *list;
        const struct value_step *step;
    };
    struct value *value;
};

/* How containers are filled; "exact" is for plain ones, the others are filled through an iterator. */
enum fill { FILL_LIST, FILL_DICT, FILL_SET, FILL_MORE_LIST, FILL_MORE_DICT, FILL_MORE_SET };

static const struct fill_rule {
    uint8_t one, many;     /* opcodes: for a single item (0: none), for a batch */
    uint8_t unit;          /* values an item */
    bool one_only_alone;   /* `one` only when the container has a single item, else whenever one is left */
    bool empty_last_batch; /* an empty batch follows a full one */
} fill_rules[] = {
    [FILL_LIST] = {PICKLE_APPEND, PICKLE_APPENDS, 1, true, false},
    [FILL_DICT] = {PICKLE_SETITEM, PICKLE_SETITEMS, 2, true, true},
    [FILL_SET] = {0, PICKLE_ADDITEMS, 1, false, true},
    [FILL_MORE_LIST] = {PICKLE_APPEND, PICKLE_APPENDS, 1, false, false},
    [FILL_MORE_DICT] = {PICKLE_SETITEM, PICKLE_SETITEMS, 2, false, false},
    [FILL_MORE_SET] = {0, PICKLE_ADDITEMS, 1, false, false},
};

/* Saved globals by name: open addressing, at most half full. */
struct global_table {
    struct value **slots;
    size_t size, used;
    struct digest_key key;
};

struct encoder {
    struct document *document;
    struct document scratch; /* nodes that are made for the way in which a protocol writes others */
    struct failure *failure;
    struct pickle_writer writer;
    struct task *tasks;
    size_t depth, capacity;
    uint32_t memoised;
    struct value *helpers[HELPER_COUNT];
    struct global_table globals;
    const struct value *passing[2]; /* an effect and its arguments: nobody will GET them */
    int status;
};

static void save(struct encoder *encoder, struct value *value);

static void fail(struct encoder *encoder, int code, const char *sentence)
{
    if (!encoder->status)
        encoder->status = failure_set(encoder->failure, code, 0, "%s", sentence);
}

static void fail_memory(struct encoder *encoder)
{
    fail(encoder, -ENOMEM, "out of memory");
}

static void push_task(struct encoder *encoder, struct task task)
{
    if (encoder->depth == encoder->capacity) {
        size_t capacity = encoder->capacity ? encoder->capacity * 2 : 64;
        struct task *tasks = realloc(encoder->tasks, capacity * sizeof *tasks);

        if (!tasks) {
            fail_memory(encoder);
            return;
        }
        encoder->tasks = tasks;
        encoder->capacity = capacity;
    }
    encoder->tasks[encoder->depth++] = task;
}

/* Tasks are pushed in the opposite order of what will be written: the last one comes first. */

static void then_steps(struct encoder *encoder, struct value *value)
{
    if (value->last_step)
        push_task(encoder, (struct task){.kind = TASK_STEPS, .step = value_first_step(value),
                                         .value = value});
}

static void then_finish(struct encoder *encoder, struct value *value)
{
    push_task(encoder, (struct task){.kind = TASK_FINISH, .value = value});
}

/* The items of `list` from index `first` on. */
static void then_save(struct encoder *encoder, const struct value_list *list, uint32_t first)
{
    if (list->count > first)
        push_task(encoder, (struct task){.kind = TASK_SAVE, .list = list, .next = first});
}

static void then_fill(struct encoder *encoder, enum fill fill, const struct value_list *list)
{
    if (list->count)
        push_task(encoder, (struct task){.kind = TASK_FILL, .fill = fill, .list = list});
}

static void then_op(struct encoder *encoder, uint8_t opcode)
{
    push_task(encoder, (struct task){.kind = TASK_OP, .opcode = opcode});
}

static void write_op(struct encoder *encoder, uint8_t opcode)
{
    pickle_write_op(&encoder->writer, opcode);
}

/* References are counted only for those kinds of values and documents that need them. */
static bool is_shared(struct encoder *encoder, const struct value *value)
{
    if (value_count_references(encoder->document))
        fail_memory(encoder);
    return value->references > 1;
}

/*
 * cPickle stores only what has another reference in the running program, and never strings of up to one character.
 * Containers are all stored here: a cycle may pass through one that has a single reference.
 */
static bool python2_memoises(struct encoder *encoder, const struct value *value)
{
    if ((value->kind != VALUE_STR && value->kind != VALUE_STR8) || value->last_step)
        return true;
    return value->bytes.size > 1 && is_shared(encoder, value);
}

/* An index for an object that no node stands for. */
static uint32_t put_unnamed(struct encoder *encoder)
{
    uint32_t index = encoder->memoised++ + encoder->writer.python2;

    pickle_write_put(&encoder->writer, index);
    return index;
}

static void put(struct encoder *encoder, struct value *value)
{
    if (value == encoder->passing[0] || value == encoder->passing[1] ||
        value->flags & PICKLE_ANONYMOUS)
        return;
    if (encoder->writer.python2 && !python2_memoises(encoder, value))
        return;
    value_set_mark(encoder->document, value, put_unnamed(encoder) + 1);
}

static bool is_memoised(const struct encoder *encoder, const struct value *value)
{
    uint32_t mark = value_mark(encoder->document, value);

    return mark && mark != MARK_OPEN;
}

static void get(struct encoder *encoder, const struct value *value)
{
    pickle_write_get(&encoder->writer, value_mark(encoder->document, value) - 1);
}

/* What is never memoised, unless something is done to it: that must be done once, and may refer to it. */
static void finish_unnamed(struct encoder *encoder, struct value *value)
{
    if (!value->last_step)
        return;
    put(encoder, value);
    then_steps(encoder, value);
}

/* ---- globals ---- */

static bool has_plain_name(const struct value *global)
{
    return global->items.at[0]->kind == VALUE_STR && !global->items.at[0]->last_step &&
           global->items.at[1]->kind == VALUE_STR && !global->items.at[1]->last_step;
}

static bool same_name(const struct value *a, const struct value *b)
{
    return bytes_equal(a->items.at[0]->bytes, b->items.at[0]->bytes) &&
           bytes_equal(a->items.at[1]->bytes, b->items.at[1]->bytes);
}

static struct value **global_slot(const struct global_table *table, const struct value *global)
{
    struct digest module = digest_bytes(&table->key, global->items.at[0]->bytes);
    struct digest name = digest_bytes(&table->key, global->items.at[1]->bytes);
    size_t at = (size_t)(module.words[0] ^ name.words[1]);

    for (;; at++) {
        struct value **slot = &table->slots[at & (table->size - 1)];

        if (!*slot || same_name(*slot, global))
            return slot;
    }
}

static bool global_table_reserve(struct global_table *table)
{
    struct global_table old = *table;

    if (old.used < old.size / 2)
        return true;
    table->size = old.size ? old.size * 2 : 32;
    table->slots = calloc(table->size, sizeof *table->slots);
    if (!table->slots || (!old.size && digest_key_random(&table->key))) {
        free(table->slots);
        *table = old;
        return false;
    }
    for (size_t i = 0; i < old.size; i++)
        if (old.slots[i])
            *global_slot(table, old.slots[i]) = old.slots[i];
    free(old.slots);
    return true;
}

/* The saved node that names the same global, which may be `global` itself from now on. */
static struct value *find_or_add_global(struct encoder *encoder, struct value *global)
{
    struct global_table *table = &encoder->globals;
    struct value **slot;

    if (!has_plain_name(global) || global->flags & PICKLE_ANONYMOUS)
        return global;
    if (!global_table_reserve(table)) {
        fail_memory(encoder);
        return global;
    }
    slot = global_slot(table, global);
    if (!*slot) {
        *slot = global;
        table->used++;
    }
    return *slot;
}

static bool is_ascii(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i] >= 0x80)
            return false;
    return true;
}

/* Whether GLOBAL's lines can hold it; loaders read them as ASCII before protocol 3. */
static bool fits_line(const struct encoder *encoder, struct bytes name)
{
    return name.size && bytes_find_byte(name, '\n') == name.size &&
           (encoder->writer.protocol == 3 ? utf8_valid(name, UTF8_STRICT) : is_ascii(name));
}

static bool fits_lines(const struct encoder *encoder, const struct value *global)
{
    return encoder->writer.protocol < 4 && has_plain_name(global) &&
           fits_line(encoder, global->items.at[0]->bytes) &&
           fits_line(encoder, global->items.at[1]->bytes);
}

static void write_lines(struct encoder *encoder, uint8_t opcode, const struct value *global)
{
    write_op(encoder, opcode);
    pickle_write_line(&encoder->writer, global->items.at[0]->bytes);
    pickle_write_line(&encoder->writer, global->items.at[1]->bytes);
}

static void save_global(struct encoder *encoder, struct value *global)
{
    struct value *same = find_or_add_global(encoder, global);

    if (is_memoised(encoder, same)) {
        value_set_mark(encoder->document, global, value_mark(encoder->document, same));
        get(encoder, global);
        then_steps(encoder, global);
    } else if (fits_lines(encoder, global)) {
        write_lines(encoder, PICKLE_GLOBAL, global);
        put(encoder, global);
        then_steps(encoder, global);
    } else {
        then_finish(encoder, global);
        then_save(encoder, &global->items, 0);
    }
}

/* ---- built-in types that a protocol writes as calls ---- */

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
        fail(encoder, arena_status(&encoder->scratch.arena), "out of memory");
        return;
    }
    then_finish(encoder, value);
    then_save(encoder, &call->items, 0);
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
        put(encoder, value);
        then_steps(encoder, value);
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
        put(encoder, value);
        then_steps(encoder, value);
    } else {
        struct value *bytes = value_new_bytes(&encoder->scratch, VALUE_BYTES, value->bytes);

        save_as_call(encoder, value, HELPER_BYTEARRAY, &bytes, value->bytes.size > 0);
    }
}

/* A set or frozenset of a protocol without them. */
static void save_set_as_call(struct encoder *encoder, struct value *value, enum value_helper which)
{
    struct value *list = value_new(&encoder->scratch, VALUE_LIST);

    if (list)
        list->items = value->items;
    save_as_call(encoder, value, which, &list, 1);
}

/* ---- containers ---- */

static void save_list(struct encoder *encoder, struct value *value)
{
    if (encoder->writer.protocol == 0) {
        write_op(encoder, PICKLE_MARK);
        write_op(encoder, value->kind == VALUE_LIST ? PICKLE_LIST : PICKLE_DICT);
    } else {
        write_op(encoder, value->kind == VALUE_LIST ? PICKLE_EMPTY_LIST : PICKLE_EMPTY_DICT);
    }
    put(encoder, value);
    then_steps(encoder, value);
    then_fill(encoder, value->kind == VALUE_LIST ? FILL_LIST : FILL_DICT, &value->items);
}

static void save_set(struct encoder *encoder, struct value *value)
{
    if (encoder->writer.protocol < 4) {
        save_set_as_call(encoder, value, HELPER_SET);
        return;
    }
    write_op(encoder, PICKLE_EMPTY_SET);
    put(encoder, value);
    then_steps(encoder, value);
    then_fill(encoder, FILL_SET, &value->items);
}

static void save_frozenset(struct encoder *encoder, struct value *value)
{
    if (encoder->writer.protocol < 4) {
        save_set_as_call(encoder, value, HELPER_FROZENSET);
        return;
    }
    write_op(encoder, PICKLE_MARK);
    then_finish(encoder, value);
    then_save(encoder, &value->items, 0);
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
            write_op(encoder, PICKLE_MARK);
        write_op(encoder, encoder->writer.protocol == 0 ? PICKLE_TUPLE : PICKLE_EMPTY_TUPLE);
        finish_unnamed(encoder, value);
        return;
    }
    if (!is_short_tuple(encoder, value))
        write_op(encoder, PICKLE_MARK);
    then_finish(encoder, value);
    then_save(encoder, &value->items, 0);
}

/* ---- objects ---- */

/* Whether it is an argument that __reduce__() may well make anew each time. */
static bool is_fresh(struct encoder *encoder, const struct value *value)
{
    bool container = value->kind == VALUE_TUPLE || value->kind == VALUE_LIST ||
                     value->kind == VALUE_DICT;

    return container && !value->last_step && !(value->flags & PICKLE_SHARED) &&
           !is_shared(encoder, value);
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

/* The items of a call with arguments of their own, and containers in them too. NULL: no memory. */
static const struct value_list *fresh_items(struct encoder *encoder, const struct value *call)
{
    struct value *copy = fresh_copy(encoder, call);

    if (!refresh_items(encoder, copy, 1))
        return NULL;
    if (copy->items.at[1] != call->items.at[1] && !refresh_items(encoder, copy->items.at[1], 0))
        return NULL;
    return &copy->items;
}

/*
 * A call that is met again while its own arguments are saved: CPython asks the object a second time what to call with
 * which arguments, and that is another tuple.
 */
static void save_call(struct encoder *encoder, struct value *value)
{
    const struct value_list *items = &value->items;

    if (value_mark(encoder->document, value) == MARK_OPEN)
        items = fresh_items(encoder, value);
    value_set_mark(encoder->document, value, MARK_OPEN);
    then_finish(encoder, value);
    if (items)
        then_save(encoder, items, 0);
    else
        fail(encoder, arena_status(&encoder->scratch.arena), "out of memory");
}

/* Whether INST can name the class, which is then not an object of its own. */
static bool is_inst(const struct encoder *encoder, const struct value *value)
{
    const struct value *class = value->items.at[0];

    return encoder->writer.protocol == 0 && class->kind == VALUE_GLOBAL && !class->last_step &&
           fits_lines(encoder, class);
}

static void save_instance(struct encoder *encoder, struct value *value)
{
    write_op(encoder, PICKLE_MARK);
    then_finish(encoder, value);
    then_save(encoder, &value->items, is_inst(encoder, value));
}

/* Whether PERSID's line can hold the id. */
static bool is_persid(const struct encoder *encoder, const struct value *id)
{
    return encoder->writer.protocol == 0 && id->kind == VALUE_STR && !id->last_step &&
           is_ascii(id->bytes) && bytes_find_byte(id->bytes, '\n') == id->bytes.size;
}

/* CPython memoises none of what comes from outside the pickle; here it is when it must be one object. */
static void finish_external(struct encoder *encoder, struct value *value)
{
    if (is_shared(encoder, value))
        put(encoder, value);
    then_steps(encoder, value);
}

static void save_persistent(struct encoder *encoder, struct value *value)
{
    if (is_persid(encoder, value->items.at[0])) {
        write_op(encoder, PICKLE_PERSID);
        pickle_write_line(&encoder->writer, value->items.at[0]->bytes);
        finish_external(encoder, value);
    } else {
        then_finish(encoder, value);
        then_save(encoder, &value->items, 0);
    }
}

/* ---- what follows the items ---- */

static void write_making_op(struct encoder *encoder, const struct value *value)
{
    switch ((enum value_kind)value->kind) {
    case VALUE_NEW:
        write_op(encoder, PICKLE_NEWOBJ);
        break;
    case VALUE_NEW_EX:
        write_op(encoder, PICKLE_NEWOBJ_EX);
        break;
    case VALUE_GLOBAL:
        write_op(encoder, PICKLE_STACK_GLOBAL);
        break;
    case VALUE_PERSISTENT:
        write_op(encoder, PICKLE_BINPERSID);
        break;
    case VALUE_READONLY:
        write_op(encoder, PICKLE_READONLY_BUFFER);
        break;
    case VALUE_INSTANCE:
        if (is_inst(encoder, value))
            write_lines(encoder, PICKLE_INST, value->items.at[0]);
        else
            write_op(encoder, PICKLE_OBJ);
        break;
    default: /* a call, or what this protocol writes as one */
        write_op(encoder, PICKLE_REDUCE);
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
        write_op(encoder, PICKLE_POP_MARK);
}

/* Saving the items has saved the container itself: that one is the object. */
static bool finish_frozen(struct encoder *encoder, struct value *value)
{
    if (is_memoised(encoder, value)) {
        drop_items(encoder, value);
        get(encoder, value);
        return false;
    }
    if (value->kind == VALUE_FROZENSET)
        write_op(encoder, PICKLE_FROZENSET);
    else if (is_short_tuple(encoder, value))
        write_op(encoder, (uint8_t)(PICKLE_TUPLE1 - 1 + value->items.count));
    else
        write_op(encoder, PICKLE_TUPLE);
    return true;
}

static bool finish_made(struct encoder *encoder, struct value *value)
{
    write_making_op(encoder, value);
    if (is_memoised(encoder, value)) {
        write_op(encoder, PICKLE_POP);
        get(encoder, value);
        return false;
    }
    return true;
}

static void finish_value(struct encoder *encoder, struct value *value)
{
    bool frozen = value->kind == VALUE_TUPLE ||
                  (value->kind == VALUE_FROZENSET && encoder->writer.protocol >= 4);

    if (!(frozen ? finish_frozen : finish_made)(encoder, value))
        return;
    if (value->kind == VALUE_PERSISTENT || value->kind == VALUE_READONLY) {
        finish_external(encoder, value);
    } else {
        put(encoder, value);
        then_steps(encoder, value);
    }
}

/* ---- the walk ---- */

/* Atoms have no identity: written each time. */
static bool save_atom(struct encoder *encoder, const struct value *value)
{
    struct pickle_writer *writer = &encoder->writer;

    switch ((enum value_kind)value->kind) {
    case VALUE_NONE:
        pickle_write_op(writer, PICKLE_NONE);
        return true;
    case VALUE_FALSE:
    case VALUE_TRUE:
        pickle_write_boolean(writer, value->kind == VALUE_TRUE);
        return true;
    case VALUE_INT:
        pickle_write_int(writer, value->integer);
        return true;
    case VALUE_BIG_INT:
        pickle_write_big(writer, value->bytes);
        return true;
    case VALUE_FLOAT:
        pickle_write_float(writer, value->bits);
        return true;
    case VALUE_EXTENSION:
        pickle_write_extension(writer, value->integer);
        return true;
    default:
        return false;
    }
}

static void save_text(struct encoder *encoder, struct value *value)
{
    if (value->kind == VALUE_STR)
        pickle_write_str(&encoder->writer, value->bytes);
    else
        pickle_write_str8(&encoder->writer, value->bytes);
    put(encoder, value);
    then_steps(encoder, value);
}

/* An object that is not in the memo. */
static void save_new(struct encoder *encoder, struct value *value)
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
        save_global(encoder, value);
        break;
    case VALUE_INSTANCE:
        save_instance(encoder, value);
        break;
    case VALUE_PERSISTENT:
        save_persistent(encoder, value);
        break;
    case VALUE_NEXT_BUFFER:
        write_op(encoder, PICKLE_NEXT_BUFFER);
        finish_external(encoder, value);
        break;
    case VALUE_READONLY:
        then_finish(encoder, value);
        then_save(encoder, &value->items, 0);
        break;
    default: /* CALL, NEW, NEW_EX */
        save_call(encoder, value);
        break;
    }
}

static void save(struct encoder *encoder, struct value *value)
{
    pickle_write_boundary(&encoder->writer);
    if (is_memoised(encoder, value))
        get(encoder, value);
    else if (save_atom(encoder, value))
        finish_unnamed(encoder, value);
    else
        save_new(encoder, value);
}

static void run_save(struct encoder *encoder, struct task *task)
{
    struct value *value = task->list->at[task->next++];

    if (task->next == task->list->count)
        encoder->depth--;
    save(encoder, value);
}

static void begin_batch(struct encoder *encoder, struct task *task)
{
    const struct fill_rule *rule = &fill_rules[task->fill];
    uint32_t left = task->list->count - task->next;
    bool last_one = left == rule->unit && (!rule->one_only_alone || task->next == 0);

    task->in_batch = true;
    if (rule->one && (last_one || encoder->writer.protocol == 0)) {
        task->opcode = rule->one;
        task->end = task->next + rule->unit;
        return;
    }
    task->opcode = rule->many;
    task->end = task->next + (left < BATCH * rule->unit ? left : (uint32_t)BATCH * rule->unit);
    write_op(encoder, PICKLE_MARK);
}

static void end_batch(struct encoder *encoder, struct task *task)
{
    const struct fill_rule *rule = &fill_rules[task->fill];

    task->in_batch = false;
    write_op(encoder, task->opcode);
    if (task->next < task->list->count)
        return;
    if (rule->empty_last_batch && task->opcode == rule->many &&
        task->next % (BATCH * rule->unit) == 0) {
        write_op(encoder, PICKLE_MARK);
        write_op(encoder, rule->many);
    }
    encoder->depth--;
}

static void run_fill(struct encoder *encoder, struct task *task)
{
    if (!task->in_batch)
        begin_batch(encoder, task);
    else if (task->next < task->end)
        save(encoder, task->list->at[task->next++]);
    else
        end_batch(encoder, task);
}

static void run_steps(struct encoder *encoder, struct task *task)
{
    const struct value_step *step = task->step;

    task->step = value_next_step(task->value, step);
    if (!task->step)
        encoder->depth--;
    switch (step->kind) {
    case STEP_BUILD:
        then_op(encoder, PICKLE_BUILD);
        then_save(encoder, &step->items, 0);
        break;
    case STEP_APPEND:
        then_fill(encoder, FILL_MORE_LIST, &step->items);
        break;
    case STEP_SET_ITEM:
        then_fill(encoder, FILL_MORE_DICT, &step->items);
        break;
    case STEP_ADD:
        then_fill(encoder, FILL_MORE_SET, &step->items);
        break;
    }
}

static void run_task(struct encoder *encoder, struct task *task)
{
    switch ((enum task_kind)task->kind) {
    case TASK_SAVE:
        run_save(encoder, task);
        break;
    case TASK_FILL:
        run_fill(encoder, task);
        break;
    case TASK_FINISH:
        encoder->depth--;
        finish_value(encoder, task->value);
        break;
    case TASK_STEPS:
        run_steps(encoder, task);
        break;
    case TASK_OP:
        encoder->depth--;
        write_op(encoder, task->opcode);
        break;
    }
}

static void save_all(struct encoder *encoder, struct value *value)
{
    const struct buffer *out = encoder->writer.out;

    save(encoder, value);
    while (encoder->depth && !encoder->status && !buffer_status(out))
        run_task(encoder, &encoder->tasks[encoder->depth - 1]);
    if (buffer_status(out))
        fail(encoder, buffer_status(out), "the pickle is too large");
}

/* What a loader computes before the root and drops; what nobody can refer to again is not memoised. */
static void save_effect(struct encoder *encoder, struct value *effect)
{
    if (effect->kind == VALUE_CALL && !is_shared(encoder, effect)) {
        encoder->passing[0] = effect;
        if (!is_shared(encoder, effect->items.at[1]))
            encoder->passing[1] = effect->items.at[1];
    }
    save_all(encoder, effect);
    write_op(encoder, PICKLE_POP);
    encoder->passing[0] = encoder->passing[1] = NULL;
}

static void encode(struct encoder *encoder)
{
    struct document *document = encoder->document;

    pickle_write_start(&encoder->writer);
    for (uint32_t i = 0; i < document->effects.count && !encoder->status; i++)
        save_effect(encoder, document->effects.at[i]);
    if (!encoder->status)
        save_all(encoder, document->root);
    pickle_write_stop(&encoder->writer);
    buffer_add(encoder->writer.out, document->rest);
    if (buffer_status(encoder->writer.out))
        fail(encoder, buffer_status(encoder->writer.out), "the pickle is too large");
}

int pickle_encode(struct document *document, unsigned protocol, struct buffer *out,
                  struct failure *failure)
{
    struct encoder encoder = {
        .document = document,
        .failure = failure,
        .writer = {.out = out, .protocol = protocol, .python2 = document->python2},
    };
    size_t size = out->size;

    /* The names of built-in types changed with Python 3; from there on the nodes serve all protocols. */
    if ((protocol < 3) == (document->protocol < 3))
        memcpy(encoder.helpers, document->helpers, sizeof encoder.helpers);
    document_init(&encoder.scratch, SIZE_MAX);
    value_start_walk(document);
    encode(&encoder);
    if (encoder.status)
        out->size = size;
    document_release(&encoder.scratch);
    free(encoder.tasks);
    free(encoder.globals.slots);
    return encoder.status;
}
