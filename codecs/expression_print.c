/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - One walk with a stack of tasks, each of which writes something or leaves tasks for what comes behind a child. What
 *   comes before a child is written at once. layout.c breaks the lines.
 * - Names: a node with several references is named where it first comes, when repeating it would change the
 *   meaning or blow up the text (formats.md 4.3, rule 1).
 * - Depth: the walk gives up when more than DEPTH brackets nest and is done again twice: once without writing, to find
 *   the nodes to hoist, and once to write let(_2 := ..., _1 := [... _2 ...], value), the deepest first. A
 *   node is written where the walk without let() would have met it first; elsewhere in the text, also
 *   before, stands its name.
 *
 * Not done: many steps of one object (`((a << b) + [c]) << d` ...) nest one parenthesis each and are not hoisted, so from
 * about 90 on Python's parser refuses the text. Ours doesn't.
 */
#include "codecs/expression.h"

#include "codecs/datetime_call.h"
#include "codecs/expression_words.h"
#include "codecs/layout.h"
#include "codecs/literal.h"
#include "src/bigint.h"
#include "src/floattext.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
    DEPTH = 90,       /* brackets; Python 3.8 reads 99 */
    HOIST_DEPTH = 80, /* a value has at most a handful of brackets of its own */
    OUTER_DEPTH = 3,  /* stream(let(do( */
    LONG_NAME = 200,  /* bytes of module and name from which on a shared global is named */
};

enum task_kind {
    TASK_VALUE,
    TASK_OPERAND,   /* a value, in parentheses if it is an operation */
    TASK_STEP,      /* the step `at` of a value and those behind it */
    TASK_ITEMS,     /* of the list `at`, from `index` on, and the closing bracket */
    TASK_PAIRS,     /* the same of a dict's keys and values */
    TASK_KEYWORDS,  /* the same as name=value */
    TASK_PAIR,      /* ": " and the value of a pair */
    TASK_ARGUMENTS, /* of a call */
    TASK_KEYWORD_CALL, /* likewise, of C(a=1) */
    TASK_TAIL,      /* what stands behind the class in new(...) */
    TASK_STAR,      /* ", " and `text`, before an operand */
    TASK_CLOSE,
    TASK_UNHOIST,   /* back from a hoisted node to the depth and the part `index` around it */
};

/* How a bracket is closed. Those with a group break their content into lines. */
enum closer {
    CLOSE_NONE,
    CLOSE_SQUARE,
    CLOSE_ROUND,
    CLOSE_CURLY,
    CLOSE_SINGLE, /* a tuple of one */
    HUG_ROUND,
    HUG_SINGLE,
};

static const struct {
    bool group;
    enum layout_break last;
    const char *text;
} closers[] = {
    [CLOSE_NONE] = {false, BREAK_LAST, ""},
    [CLOSE_SQUARE] = {true, BREAK_LAST, "]"},
    [CLOSE_ROUND] = {true, BREAK_LAST, ")"},
    [CLOSE_CURLY] = {true, BREAK_LAST, "}"},
    [CLOSE_SINGLE] = {true, BREAK_LAST_COMMA, ")"},
    [HUG_ROUND] = {false, BREAK_LAST, ")"},
    [HUG_SINGLE] = {false, BREAK_LAST, ",)"},
};

struct task {
    uint8_t kind;   /* enum task_kind */
    uint8_t closer; /* enum closer */
    bool follows;   /* items: others stand before them in the same bracket */
    uint32_t index;
    union {
        const struct value_list *list;
        const struct value_step *step;
        const char *text;
        size_t depth;
    };
    struct value *value;
};

/* A named node of a text with let(). */
struct name {
    uint32_t part;   /* the hoisted node, or 0 for the rest, in whose text it is written */
    uint32_t number; /* given where it is first mentioned */
    bool written;
};

enum walk { WALK_PLAIN, WALK_PLAN, WALK_PLANNED };

struct printer {
    struct document *document;
    enum walk walk;
    struct layout layout;
    struct task *tasks;
    size_t count, capacity;
    size_t depth; /* open brackets */
    bool too_deep;
    int status;
    uint32_t numbers; /* given so far */
    /* WALK_PLAN fills them, WALK_PLANNED uses them. A node's mark is its index in `names` plus one. */
    struct name *names;
    size_t name_count, name_capacity;
    struct value **parts; /* hoisted nodes in the order of their text; part 1 is the first that was found */
    size_t part_count, part_capacity;
    uint32_t parts_found;
    uint32_t part; /* whose text is being walked */
};

static bool is_writing(const struct printer *p)
{
    return p->walk != WALK_PLAN;
}

static bool grow(struct printer *p, void *array, size_t count, size_t *capacity, size_t size)
{
    size_t more = *capacity ? *capacity * 2 : 64;
    void **pointer = array, *larger;

    if (count < *capacity)
        return true;
    larger = realloc(*pointer, more * size);
    if (!larger) {
        p->status = -ENOMEM;
        return false;
    }
    *pointer = larger;
    *capacity = more;
    return true;
}

static void push(struct printer *p, struct task task)
{
    if (grow(p, &p->tasks, p->count, &p->capacity, sizeof *p->tasks))
        p->tasks[p->count++] = task;
}

static void push_value(struct printer *p, enum task_kind kind, struct value *value)
{
    push(p, (struct task){.kind = (uint8_t)kind, .value = value});
}

static void push_items(struct printer *p, enum task_kind kind, const struct value_list *list,
                       enum closer closer)
{
    push(p, (struct task){.kind = (uint8_t)kind, .list = list, .closer = (uint8_t)closer});
}

static void push_close(struct printer *p, enum closer closer)
{
    push(p, (struct task){.kind = TASK_CLOSE, .closer = (uint8_t)closer});
}

static void add(struct printer *p, const char *text)
{
    if (is_writing(p))
        layout_add(&p->layout, text);
}

static void add_break(struct printer *p, enum layout_break kind)
{
    if (is_writing(p))
        layout_break(&p->layout, kind);
}

static void deepen(struct printer *p)
{
    p->depth++;
    if (p->depth > DEPTH && p->walk == WALK_PLAIN)
        p->too_deep = true;
}

/* A bracket whose content may be broken into lines. */
static void open_group(struct printer *p, const char *bracket)
{
    deepen(p);
    if (!is_writing(p))
        return;
    layout_open(&p->layout);
    layout_add(&p->layout, bracket);
    layout_break(&p->layout, BREAK_FIRST);
}

/* A bracket that stays with its content. */
static void open_hug(struct printer *p, const char *bracket)
{
    deepen(p);
    add(p, bracket);
}

static void close_bracket(struct printer *p, enum closer closer)
{
    if (closer == CLOSE_NONE)
        return;
    p->depth--;
    if (closers[closer].group)
        add_break(p, closers[closer].last);
    add(p, closers[closer].text);
    if (closers[closer].group && is_writing(p))
        layout_close(&p->layout);
}

/* Names */

static bool is_plain(const struct value *value)
{
    return value->references <= 1 && !value->last_step;
}

static bool is_short_text(const struct value *value)
{
    return value->kind == VALUE_STR && !value->last_step;
}

static bool is_nameable(const struct value *value)
{
    if (value->last_step)
        return true;
    switch ((enum value_kind)value->kind) {
    case VALUE_NONE:
    case VALUE_FALSE:
    case VALUE_TRUE:
    case VALUE_INT:
    case VALUE_FLOAT:
    case VALUE_EXTENSION:
        return false;
    case VALUE_BIG_INT:
    case VALUE_STR:
    case VALUE_STR8:
    case VALUE_BYTES:
        return value->bytes.size > EXPRESSION_LONG;
    case VALUE_TUPLE:
        return value->items.count > 0;
    case VALUE_GLOBAL:
        return !is_short_text(value->items.at[0]) || !is_short_text(value->items.at[1]) ||
               value->items.at[0]->bytes.size + value->items.at[1]->bytes.size > LONG_NAME;
    default:
        return true;
    }
}

static bool has_content(const struct value *value)
{
    return value->last_step || (value_has_items(value) && value->items.count);
}

enum occurrence { UNNAMED, DEFINITION, REFERENCE };

static struct name *new_name(struct printer *p, struct value *value)
{
    if (!grow(p, &p->names, p->name_count, &p->name_capacity, sizeof *p->names))
        return NULL;
    p->names[p->name_count++] = (struct name){.part = p->part};
    value_set_mark(p->document, value, (uint32_t)p->name_count);
    return &p->names[p->name_count - 1];
}

static enum occurrence plain_occurrence(struct printer *p, struct value *value, uint32_t *number)
{
    *number = value_mark(p->document, value);
    if (*number)
        return REFERENCE;
    *number = ++p->numbers;
    value_set_mark(p->document, value, *number);
    return DEFINITION;
}

static enum occurrence planned_occurrence(struct printer *p, struct name *name, uint32_t *number)
{
    if (!name->number)
        name->number = ++p->numbers;
    *number = name->number;
    if (name->written || name->part != p->part)
        return REFERENCE;
    name->written = true;
    return DEFINITION;
}

/* What stands at this edge to `value`; counts as having written it. */
static enum occurrence occurrence_of(struct printer *p, struct value *value, uint32_t *number)
{
    bool shared = value->references > 1 && is_nameable(value);
    uint32_t mark;

    if (p->walk == WALK_PLAIN)
        return shared ? plain_occurrence(p, value, number) : UNNAMED;
    mark = value_mark(p->document, value);
    if (p->walk == WALK_PLANNED)
        return mark ? planned_occurrence(p, &p->names[mark - 1], number) : UNNAMED;
    if (mark)
        return REFERENCE;
    if (!shared)
        return UNNAMED;
    return new_name(p, value) ? DEFINITION : UNNAMED;
}

static void add_name(struct printer *p, const char *before, uint32_t number, const char *after)
{
    if (!is_writing(p))
        return;
    buffer_printf(layout_word(&p->layout), "%s_%" PRIu32 "%s", before, number, after);
    layout_word_end(&p->layout);
}

/* Atoms */

static void add_literal(struct printer *p, const char *prefix, struct bytes content, bool text)
{
    struct buffer *out;

    if (!is_writing(p))
        return;
    out = layout_word(&p->layout);
    buffer_add_string(out, prefix);
    if (text)
        literal_print_text(content, out);
    else
        literal_print_bytes(content, out);
    layout_word_end(&p->layout);
}

/* Bytes between `before` and `)`, or bare with parentheses only around several lines. */
static void add_bytes(struct printer *p, const char *before, struct bytes content)
{
    if (!is_writing(p))
        return;
    layout_open(&p->layout);
    if (before)
        layout_add(&p->layout, before);
    layout_break(&p->layout, before ? BREAK_FIRST : BREAK_OPEN);
    layout_bytes(&p->layout, content);
    layout_break(&p->layout, before ? BREAK_LAST_BARE : BREAK_CLOSE);
    if (before)
        layout_add(&p->layout, ")");
    layout_close(&p->layout);
}

static void print_float(uint64_t bits, struct buffer *out)
{
    static const uint64_t infinity = UINT64_C(0x7FF) << 52, quiet = UINT64_C(0xFFF) << 51;
    char text[FLOATTEXT_MAX];
    uint64_t size = bits & ~(UINT64_C(1) << 63);

    if (bits == quiet)
        buffer_add_string(out, "nan");
    else if (size > infinity)
        buffer_printf(out, "nan(0x%016" PRIx64 ")", bits);
    else if (size == infinity)
        buffer_add_string(out, bits == infinity ? "1e999" : "-1e999");
    else
        buffer_add(out, bytes_of(text, floattext_print(bits, text)));
}

static void print_integer(int64_t integer, struct buffer *out)
{
    char digits[24], *start = digits + sizeof digits;
    uint64_t rest = integer < 0 ? -(uint64_t)integer : (uint64_t)integer;

    do
        *--start = (char)('0' + rest % 10);
    while (rest /= 10);
    if (integer < 0)
        *--start = '-';
    buffer_add(out, bytes_of(start, (size_t)(digits + sizeof digits - start)));
}

static void add_number(struct printer *p, const struct value *value)
{
    struct buffer *out;

    if (!is_writing(p))
        return;
    out = layout_word(&p->layout);
    if (value->kind == VALUE_INT)
        print_integer(value->integer, out);
    else if (value->kind == VALUE_BIG_INT)
        bigint_print(value->bytes, out);
    else if (value->kind == VALUE_FLOAT)
        print_float(value->bits, out);
    else
        buffer_printf(out, "ext(%" PRId64 ")", value->integer);
    layout_word_end(&p->layout);
}

/* True if `value` has no children and was written. */
static bool print_atom(struct printer *p, const struct value *value)
{
    bool python2 = p->document->python2;

    switch ((enum value_kind)value->kind) {
    case VALUE_NONE:
        return add(p, "None"), true;
    case VALUE_FALSE:
        return add(p, "False"), true;
    case VALUE_TRUE:
        return add(p, "True"), true;
    case VALUE_INT:
    case VALUE_BIG_INT:
    case VALUE_FLOAT:
    case VALUE_EXTENSION:
        return add_number(p, value), true;
    case VALUE_STR:
        return add_literal(p, python2 ? "u" : "", value->bytes, true), true;
    case VALUE_STR8:
        if (python2)
            add_literal(p, "", value->bytes, false);
        else
            add_bytes(p, "str8(", value->bytes);
        return true;
    case VALUE_BYTES:
        return add_bytes(p, NULL, value->bytes), true;
    case VALUE_BYTEARRAY:
        if (value->bytes.size)
            add_bytes(p, "bytearray(", value->bytes);
        else
            add(p, "bytearray()");
        return true;
    case VALUE_NEXT_BUFFER:
        return add(p, "next_buffer()"), true;
    default:
        return false;
    }
}

/* Globals */

static bool is_dotted_name(struct bytes text)
{
    for (;;) {
        size_t dot = bytes_find_byte(text, '.');

        if (!literal_is_identifier(bytes_part(text, 0, dot)))
            return false;
        if (dot == text.size)
            return true;
        text = bytes_part(text, dot + 1, SIZE_MAX);
    }
}

/* Whether the parser takes module.name for this very global. */
static bool has_dotted_form(struct bytes module, struct bytes name)
{
    return is_dotted_name(module) && literal_is_identifier(name) &&
           !expression_is_name(bytes_part(module, 0, bytes_find_byte(module, '.'))) &&
           !(bytes_equal(module, BYTES("datetime.timezone")) && bytes_equal(name, BYTES("utc")));
}

static bool has_bare_form(const struct printer *p, struct bytes module, struct bytes name)
{
    return bytes_equal(module, expression_builtins(p->document)) && literal_is_identifier(name) &&
           name.data[0] != '_' && expression_word(name) == WORD_NONE;
}

static bool is_sugar_name(struct bytes name)
{
    return bytes_equal(name, BYTES("set")) || bytes_equal(name, BYTES("frozenset")) ||
           bytes_equal(name, BYTES("bytearray"));
}

enum spelling { SPELL_SHORTEST, SPELL_WITH_MODULE, SPELL_FIND_CLASS };

static void print_find_class(struct printer *p, const struct value *value)
{
    open_group(p, "find_class(");
    for (uint32_t i = 0; i < 2; i++) {
        add_literal(p, "", value->items.at[i]->bytes, true);
        if (i == 0)
            add_break(p, BREAK_NEXT);
    }
    close_bracket(p, CLOSE_ROUND);
}

static void print_global(struct printer *p, struct value *value, enum spelling spelling)
{
    struct bytes module, name;
    struct buffer *out;

    if (!is_short_text(value->items.at[0]) || !is_short_text(value->items.at[1])) {
        open_group(p, "find_class(");
        push_items(p, TASK_ITEMS, &value->items, CLOSE_ROUND);
        return;
    }
    module = value->items.at[0]->bytes;
    name = value->items.at[1]->bytes;
    if (spelling == SPELL_SHORTEST && has_bare_form(p, module, name))
        module.size = 0;
    else if (spelling == SPELL_FIND_CLASS || !has_dotted_form(module, name)) {
        print_find_class(p, value);
        return;
    }
    if (!is_writing(p))
        return;
    out = layout_word(&p->layout);
    buffer_add(out, module);
    buffer_add_string(out, module.size ? "." : "");
    buffer_add(out, name);
    layout_word_end(&p->layout);
}

/* Calls */

static bool is_fresh_tuple(const struct value *value)
{
    return value->kind == VALUE_TUPLE && !value->last_step &&
           (value->references <= 1 || !value->items.count);
}

/* Whether the pairs can be written name=value: different identifiers. Quadratic, so only for a few. */
static bool is_keyword_dict(const struct value *dict, enum value_kind key_kind)
{
    enum { MOST = 256 };

    if (dict->kind != VALUE_DICT || !is_plain(dict) || !dict->items.count ||
        dict->items.count > 2 * MOST)
        return false;
    for (uint32_t i = 0; i < dict->items.count; i += 2) {
        const struct value *key = dict->items.at[i];

        if (key->kind != key_kind || key->last_step || !literal_is_identifier(key->bytes) ||
            key->bytes.size > EXPRESSION_LONG)
            return false;
        for (uint32_t k = 0; k < i; k += 2)
            if (bytes_equal(dict->items.at[k]->bytes, key->bytes))
                return false;
    }
    return true;
}

/* C(a=1): an instance without arguments whose first step is its dict. */
static const struct value *keyword_state(const struct printer *p, const struct value *value)
{
    const struct value_step *step = value_first_step(value);
    const struct value *class;

    if (value->kind != VALUE_NEW || !step || step->kind != STEP_BUILD)
        return NULL;
    class = value->items.at[0];
    if (class->kind != VALUE_GLOBAL || class->last_step || value->items.at[1]->items.count ||
        !is_fresh_tuple(value->items.at[1]) || datetime_class_of(class) != DATETIME_OTHER)
        return NULL;
    return is_keyword_dict(step->items.at[0], p->document->python2 ? VALUE_STR8 : VALUE_STR)
               ? step->items.at[0]
               : NULL;
}

static const struct value_step *first_printed_step(const struct printer *p,
                                                   const struct value *value)
{
    const struct value_step *step = value_first_step(value);

    return keyword_state(p, value) ? value_next_step(value, step) : step;
}

/* Whether `value`, written here, is `a << b` or the like without parentheses around it. */
static bool is_bare_operation(const struct printer *p, const struct value *value)
{
    return first_printed_step(p, value) && !(value->references > 1) &&
           !(p->walk == WALK_PLANNED && value_mark(p->document, value));
}

/* Whether a bracket around it alone may stay on its line: [ of f([ opens the lines. */
static bool is_huggable(const struct value *value)
{
    return value->kind >= VALUE_LIST && value->kind <= VALUE_DICT && value->items.count &&
           is_plain(value);
}

static bool is_constructor_state(const struct printer *p, const struct value *arguments,
                                 enum datetime_class class, struct datetime_fields *fields)
{
    const struct value_list *items = &arguments->items;
    enum value_kind kind = p->document->python2 ? VALUE_STR8 : VALUE_BYTES;

    if (class == DATETIME_OTHER || !is_fresh_tuple(arguments) || !items->count)
        return false;
    if (items->at[0]->kind != kind || items->at[0]->last_step ||
        !datetime_unpack(class, items->at[0]->bytes, p->document->protocol, fields))
        return false;
    return items->count == 1 ||
           (items->count == 2 && class != DATETIME_DATE && items->at[1]->kind != VALUE_NONE);
}

static void print_fields(struct printer *p, enum datetime_class class,
                         const struct datetime_fields *fields)
{
    enum datetime_field first = datetime_first_field(class), end = datetime_end_field(class);
    struct buffer *out;

    if (!is_writing(p))
        return;
    /* As repr() does: seconds and microseconds only if they are not 0. */
    while (end > DATETIME_SECOND && !fields->at[end - 1])
        end--;
    out = layout_word(&p->layout);
    for (enum datetime_field field = first; field < end; field++)
        buffer_printf(out, "%s%" PRId64, field > first ? ", " : "", fields->at[field]);
    if (class != DATETIME_DATE && fields->at[DATETIME_FOLD])
        buffer_add_string(out, ", fold=1");
    layout_word_end(&p->layout);
}

static void print_constructor(struct printer *p, const struct value *arguments,
                              enum datetime_class class, const struct datetime_fields *fields)
{
    open_group(p, "(");
    print_fields(p, class, fields);
    push_close(p, CLOSE_ROUND);
    if (arguments->items.count == 1)
        return;
    add_break(p, BREAK_NEXT);
    add(p, "tzinfo=");
    push_value(p, TASK_VALUE, arguments->items.at[1]);
}

static void print_arguments(struct printer *p, struct value *call)
{
    struct value *arguments = call->items.at[1];
    struct datetime_fields fields;
    enum datetime_class class = datetime_class_of(call->items.at[0]);

    if (is_constructor_state(p, arguments, class, &fields)) {
        print_constructor(p, arguments, class, &fields);
    } else if (!is_fresh_tuple(arguments)) {
        open_group(p, "(");
        add(p, "*");
        push_close(p, CLOSE_ROUND);
        push_value(p, TASK_OPERAND, arguments);
    } else if (!arguments->items.count) {
        add(p, "()");
    } else if (arguments->items.count == 1 && is_huggable(arguments->items.at[0])) {
        open_hug(p, "(");
        push_close(p, HUG_ROUND);
        push_value(p, TASK_VALUE, arguments->items.at[0]);
    } else {
        open_group(p, "(");
        push_items(p, TASK_ITEMS, &arguments->items, CLOSE_ROUND);
    }
}

/* Numbers and strings would be read with the bracket behind them, so all but names and calls get parentheses. */
static bool is_callable_form(const struct value *value)
{
    return value->kind >= VALUE_GLOBAL && value->kind <= VALUE_READONLY && !value->last_step;
}

/* Spells a global so that the parser doesn't take the call for something else. */
static enum spelling callee_spelling(const struct value *global, const struct value *arguments)
{
    if (arguments && datetime_class_of(global) != DATETIME_OTHER && is_fresh_tuple(arguments) &&
        arguments->items.count) {
        const struct value *first = arguments->items.at[0];

        if (first->last_step || (first->kind != VALUE_BYTES && first->kind != VALUE_STR8))
            return SPELL_FIND_CLASS;
    }
    return is_short_text(global->items.at[1]) && is_sugar_name(global->items.at[1]->bytes)
               ? SPELL_WITH_MODULE
               : SPELL_SHORTEST;
}

static void print_callee(struct printer *p, struct value *callee, const struct value *arguments)
{
    bool named = callee->references > 1 && is_nameable(callee);

    if (callee->kind == VALUE_GLOBAL && !callee->last_step && !named) {
        print_global(p, callee, callee_spelling(callee, arguments));
        return;
    }
    if (!named && !is_callable_form(callee)) {
        open_hug(p, "(");
        push_close(p, HUG_ROUND);
    }
    push_value(p, TASK_VALUE, callee);
}

static void print_keyword_call(struct printer *p, const struct value *value)
{
    const struct value_list *state = &keyword_state(p, value)->items;
    bool hug = state->count == 2 && is_huggable(state->at[1]);

    if (hug)
        open_hug(p, "(");
    else
        open_group(p, "(");
    push_items(p, TASK_KEYWORDS, state, hug ? HUG_ROUND : CLOSE_ROUND);
}

static void push_following(struct printer *p, enum task_kind kind, const struct value_list *list)
{
    push(p, (struct task){.kind = (uint8_t)kind, .list = list, .follows = true});
}

/* The arguments and keywords behind the class in new(...). */
static void print_tail(struct printer *p, struct value *value)
{
    struct value *arguments = value->items.at[1];

    push_close(p, CLOSE_ROUND);
    if (value->kind == VALUE_NEW_EX) {
        struct value *keywords = value->items.at[2];

        if (is_keyword_dict(keywords, VALUE_STR))
            push_following(p, TASK_KEYWORDS, &keywords->items);
        else
            push(p, (struct task){.kind = TASK_STAR, .text = "**", .value = keywords});
    }
    if (is_fresh_tuple(arguments))
        push_following(p, TASK_ITEMS, &arguments->items);
    else
        push(p, (struct task){.kind = TASK_STAR, .text = "*", .value = arguments});
}

/* Values */

static void print_container(struct printer *p, const struct value *value, const char *bracket,
                            const char *empty, enum closer closer)
{
    if (!value->items.count) {
        add(p, empty);
        return;
    }
    open_group(p, bracket);
    push_items(p, value->kind == VALUE_DICT ? TASK_PAIRS : TASK_ITEMS, &value->items, closer);
}

static void print_tuple(struct printer *p, const struct value *value)
{
    if (value->items.count != 1) {
        print_container(p, value, "(", "()", CLOSE_ROUND);
    } else if (is_huggable(value->items.at[0])) {
        open_hug(p, "(");
        push_items(p, TASK_ITEMS, &value->items, HUG_SINGLE);
    } else {
        print_container(p, value, "(", "()", CLOSE_SINGLE);
    }
}

static void print_frozenset(struct printer *p, const struct value *value)
{
    if (!value->items.count) {
        add(p, "frozenset()");
        return;
    }
    open_hug(p, "frozenset(");
    push_close(p, HUG_ROUND);
    print_container(p, value, "{", "", CLOSE_CURLY);
}

static void print_wrapper(struct printer *p, const struct value *value, const char *bracket)
{
    bool hug = is_huggable(value->items.at[0]);

    if (hug)
        open_hug(p, bracket);
    else
        open_group(p, bracket);
    push_items(p, TASK_ITEMS, &value->items, hug ? HUG_ROUND : CLOSE_ROUND);
}

static void print_new(struct printer *p, struct value *value)
{
    if (keyword_state(p, value)) {
        push_value(p, TASK_KEYWORD_CALL, value);
        print_callee(p, value->items.at[0], NULL);
        return;
    }
    open_group(p, "new(");
    push_value(p, TASK_TAIL, value);
    push_value(p, TASK_VALUE, value->items.at[0]);
}

/* The value as it was made, without its steps. */
static void print_made(struct printer *p, struct value *value)
{
    if (print_atom(p, value))
        return;
    switch ((enum value_kind)value->kind) {
    case VALUE_LIST:
        return print_container(p, value, "[", "[]", CLOSE_SQUARE);
    case VALUE_TUPLE:
        return print_tuple(p, value);
    case VALUE_SET:
        return print_container(p, value, "{", "set()", CLOSE_CURLY);
    case VALUE_FROZENSET:
        return print_frozenset(p, value);
    case VALUE_DICT:
        return print_container(p, value, "{", "{}", CLOSE_CURLY);
    case VALUE_GLOBAL:
        return print_global(p, value, SPELL_SHORTEST);
    case VALUE_CALL:
        push_value(p, TASK_ARGUMENTS, value);
        return print_callee(p, value->items.at[0], value->items.at[1]);
    case VALUE_NEW:
    case VALUE_NEW_EX:
        return print_new(p, value);
    case VALUE_INSTANCE:
        return print_container(p, value, "inst(", "", CLOSE_ROUND);
    case VALUE_PERSISTENT:
        return print_wrapper(p, value, "persistent(");
    case VALUE_READONLY:
        return print_wrapper(p, value, "readonly(");
    default:
        return;
    }
}

static void push_step(struct printer *p, struct value *value, const struct value_step *step)
{
    if (step)
        push(p, (struct task){.kind = TASK_STEP, .step = step, .value = value});
}

static void print_body(struct printer *p, struct value *value)
{
    const struct value_step *step = first_printed_step(p, value);

    push_step(p, value, step);
    for (; step && step != value->last_step; step = value_next_step(value, step))
        open_hug(p, "(");
    print_made(p, value);
}

static void print_step(struct printer *p, struct value *value, const struct value_step *step)
{
    if (step != value->last_step) {
        push_step(p, value, value_next_step(value, step));
        push_close(p, HUG_ROUND);
    }
    switch (step->kind) {
    case STEP_BUILD:
        add(p, " << ");
        push_value(p, TASK_OPERAND, step->items.at[0]);
        return;
    case STEP_APPEND:
        add(p, " + ");
        open_group(p, "[");
        push_items(p, TASK_ITEMS, &step->items, CLOSE_SQUARE);
        return;
    case STEP_SET_ITEM:
    case STEP_ADD:
        add(p, " | ");
        open_group(p, "{");
        push_items(p, step->kind == STEP_ADD ? TASK_ITEMS : TASK_PAIRS, &step->items, CLOSE_CURLY);
        return;
    }
}

/* A plain global is short wherever it stands, and calls look at how it is written. */
static bool is_hoistable(const struct value *value)
{
    return has_content(value) && (value->kind != VALUE_GLOBAL || is_nameable(value));
}

/* Walks on in `value` as if it stood in let(...). */
static void hoist(struct printer *p, struct value *value)
{
    uint32_t mark = value_mark(p->document, value);
    struct name *name = mark ? &p->names[mark - 1] : new_name(p, value);

    if (!name)
        return;
    push(p, (struct task){
                .kind = TASK_UNHOIST, .index = p->part, .depth = p->depth, .value = value});
    p->part = name->part = ++p->parts_found;
    p->depth = OUTER_DEPTH;
    print_body(p, value);
}

static void unhoist(struct printer *p, const struct task *task)
{
    if (grow(p, &p->parts, p->part_count, &p->part_capacity, sizeof *p->parts))
        p->parts[p->part_count++] = task->value;
    p->part = task->index;
    p->depth = task->depth;
}

static void print_value(struct printer *p, struct value *value)
{
    uint32_t number = 0;
    enum occurrence occurrence = occurrence_of(p, value, &number);

    if (occurrence == REFERENCE) {
        add_name(p, "", number, "");
        return;
    }
    if (p->walk == WALK_PLAN && p->depth >= HOIST_DEPTH && is_hoistable(value)) {
        hoist(p, value);
        return;
    }
    if (occurrence == DEFINITION) {
        deepen(p);
        add_name(p, "(", number, " := ");
        push_close(p, HUG_ROUND);
    }
    print_body(p, value);
}

static void print_operand(struct printer *p, struct value *value)
{
    if (is_bare_operation(p, value)) {
        open_hug(p, "(");
        push_close(p, HUG_ROUND);
    }
    print_value(p, value);
}

/* Tasks */

static void print_keyword(struct printer *p, const struct value *key)
{
    struct buffer *out;

    if (!is_writing(p))
        return;
    out = layout_word(&p->layout);
    buffer_add(out, key->bytes);
    buffer_add_byte(out, '=');
    layout_word_end(&p->layout);
}

/* One item, pair or keyword of a list, or its closing bracket. */
static void print_next(struct printer *p, struct task task)
{
    struct value **item = task.list->at + task.index;

    if (task.index == task.list->count) {
        close_bracket(p, (enum closer)task.closer);
        return;
    }
    if (task.index || task.follows)
        add_break(p, BREAK_NEXT);
    task.index += task.kind == TASK_ITEMS ? 1 : 2;
    push(p, task);
    if (task.kind == TASK_PAIRS)
        push_value(p, TASK_PAIR, item[1]);
    if (task.kind == TASK_KEYWORDS)
        print_keyword(p, *item++);
    print_value(p, *item);
}

static void print_task(struct printer *p, struct task task)
{
    switch ((enum task_kind)task.kind) {
    case TASK_VALUE:
        return print_value(p, task.value);
    case TASK_OPERAND:
        return print_operand(p, task.value);
    case TASK_STEP:
        return print_step(p, task.value, task.step);
    case TASK_ITEMS:
    case TASK_PAIRS:
    case TASK_KEYWORDS:
        return print_next(p, task);
    case TASK_PAIR:
        add(p, ": ");
        return print_value(p, task.value);
    case TASK_ARGUMENTS:
        return print_arguments(p, task.value);
    case TASK_KEYWORD_CALL:
        return print_keyword_call(p, task.value);
    case TASK_TAIL:
        return print_tail(p, task.value);
    case TASK_STAR:
        add_break(p, BREAK_NEXT);
        add(p, task.text);
        return print_operand(p, task.value);
    case TASK_CLOSE:
        return close_bracket(p, (enum closer)task.closer);
    case TASK_UNHOIST:
        return unhoist(p, &task);
    }
}

static void run(struct printer *p)
{
    while (p->count && !p->status && !p->too_deep && !buffer_status(p->layout.out))
        print_task(p, p->tasks[--p->count]);
}

static void print_part(struct printer *p, struct value *value)
{
    struct name *name = &p->names[value_mark(p->document, value) - 1];

    p->part = name->part;
    name->written = true;
    if (!name->number)
        name->number = ++p->numbers;
    add_name(p, "", name->number, " := ");
    print_body(p, value);
    run(p);
    add_break(p, BREAK_NEXT);
    p->part = 0;
}

/* A lone name would be text: it gets parentheses. */
static void print_root(struct printer *p, struct value *root)
{
    bool alone = root->kind == VALUE_GLOBAL && !root->last_step && p->depth == 0;

    if (alone)
        open_hug(p, "(");
    print_value(p, root);
    run(p);
    if (alone)
        close_bracket(p, HUG_ROUND);
}

static void print_document(struct printer *p)
{
    const struct document *document = p->document;
    bool parts = p->part_count > 0;

    if (document->rest.size)
        open_group(p, "stream(");
    if (parts) {
        open_group(p, "let(");
        for (size_t i = 0; i < p->part_count; i++)
            print_part(p, p->parts[i]);
    }
    if (document->effects.count) {
        open_group(p, "do(");
        for (uint32_t i = 0; i < document->effects.count; i++) {
            print_value(p, document->effects.at[i]);
            run(p);
            add_break(p, BREAK_NEXT);
        }
    }
    print_root(p, document->root);
    if (document->effects.count)
        close_bracket(p, CLOSE_ROUND);
    if (parts)
        close_bracket(p, CLOSE_ROUND);
    if (document->rest.size) {
        add_break(p, BREAK_NEXT);
        add(p, "rest=");
        add_bytes(p, NULL, document->rest);
        close_bracket(p, CLOSE_ROUND);
    }
}

static void walk(struct printer *p, enum walk walk)
{
    p->walk = walk;
    p->count = 0;
    p->depth = 0;
    if (walk != WALK_PLANNED)
        value_start_walk(p->document);
    print_document(p);
}

static int print_deep(struct printer *p)
{
    p->too_deep = false;
    p->numbers = 0;
    walk(p, WALK_PLAN);
    if (p->status)
        return p->status;
    walk(p, WALK_PLANNED);
    return p->status;
}

int expression_print(struct document *document, struct buffer *text)
{
    struct printer p = {.document = document};
    size_t start = text->size;
    int status = value_count_references(document);

    if (status)
        return status;
    layout_init(&p.layout, text, EXPRESSION_WIDTH);
    walk(&p, WALK_PLAIN);
    if (p.too_deep) {
        layout_release(&p.layout);
        layout_init(&p.layout, text, EXPRESSION_WIDTH);
        buffer_resize(text, start);
        print_deep(&p);
    }
    status = layout_finish(&p.layout);
    layout_release(&p.layout);
    free(p.tasks);
    free(p.names);
    free(p.parts);
    return p.status ? p.status : status;
}
