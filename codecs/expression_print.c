/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions
 * - One walk with a stack of tasks, each of which writes something or leaves tasks for what comes
 *   behind a child. What comes before a child is written at once. layout.c breaks the lines.
 * - Names: a node with several references is named where it first comes, when repeating it would
 *   change the meaning or blow up the text.
 * - Depth: the walk gives up when more than PRINTER_DEPTH brackets nest and is done again twice: once
 *   without writing, to find the nodes to hoist, and once to write let(_2 := ..., _1 := [... _2
 *   ...], value), the deepest first. A node is written where the walk without let() would have met
 *   it first; elsewhere in the text, also before, stands its name.
 *
 * Not done: many steps of one object (`((a << b) + [c]) << d` ...) nest one parenthesis each and
 * are not hoisted, so from about 90 on Python's parser refuses the text. Ours doesn't.
 */
#include "codecs/expression.h"

#include "codecs/code_layout.h"
#include "codecs/expression_printer.h"
#include "codecs/expression_words.h"
#include "src/array.h"

#include <errno.h>
#include <inttypes.h>

enum {
    HOIST_DEPTH = 80, /* a value has at most a handful of brackets of its own */
    OUTER_DEPTH = 3,  /* stream(let(do( */
    LONG_NAME = 200,  /* bytes of module and name from which on a shared global is named */
};

/* Names */

bool printer_is_nameable(const struct value *value)
{
    if (value->last_step)
        return true;
    switch ((enum value_kind)value->kind) {
    case VALUE_NONE:
    case VALUE_FALSE:
    case VALUE_TRUE:
    case VALUE_INT:
    case VALUE_FLOAT:
    case VALUE_COMPLEX:
    case VALUE_ELLIPSIS:
    case VALUE_STOP_ITERATION:
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
    struct name *names = printer_with_room(p, p->names, p->name_count, &p->name_capacity, sizeof *names);

    if (!names)
        return NULL;
    p->names = names;
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
    bool shared = value->references > 1 && printer_is_nameable(value);
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
    if (!printer_is_writing(p))
        return;
    buffer_printf(layout_word(&p->layout), "%s_%" PRIu32 "%s", before, number, after);
    layout_ascii_end(&p->layout);
}

/* The number of a node that has a name. */
static uint32_t name_number(const struct printer *p, const struct value *value)
{
    uint32_t mark = value_mark(p->document, value);

    return p->walk == WALK_PLAIN ? mark : p->names[mark - 1].number;
}

void printer_define(struct printer *p, const struct value *value)
{
    printer_deepen(p);
    add_name(p, "(", name_number(p, value), " := ");
}

void printer_mention(struct printer *p, const struct value *value)
{
    add_name(p, "", name_number(p, value), "");
}

/*
 * A plain global is short wherever it stands, and calls look at how it is written. What is held says so by its name's definition
 * among the arguments.
 */
static bool is_hoistable(const struct value *value)
{
    bool container =
        value->kind == VALUE_LIST || value->kind == VALUE_TUPLE || value->kind == VALUE_DICT;

    return has_content(value) && !(container && value->role == CONTAINER_HELD) && (value->kind != VALUE_GLOBAL || printer_is_nameable(value));
}

/* Walks on in `value` as if it stood in let(...). */
static void hoist(struct printer *p, struct value *value)
{
    uint32_t mark = value_mark(p->document, value);
    struct name *name = mark ? &p->names[mark - 1] : new_name(p, value);

    if (!name)
        return;
    printer_push(p, (struct task){
                        .kind = TASK_UNHOIST, .index = p->part, .depth = p->depth, .value = value});
    p->part = name->part = ++p->parts_found;
    p->depth = OUTER_DEPTH;
    printer_body(p, value);
}

static void unhoist(struct printer *p, const struct task *task)
{
    struct value **parts = printer_with_room(p, p->parts, p->part_count, &p->part_capacity, sizeof *parts);

    if (!parts)
        return;
    p->parts = parts;
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
    if (occurrence == DEFINITION && !printer_has_setter(value)) {
        printer_define(p, value);
        printer_push_close(p, HUG_ROUND);
    }
    printer_body(p, value);
}

/* Whether `value`, written here, is `a << b` or the like without parentheses around it. */
static bool is_bare_operation(const struct printer *p, const struct value *value)
{
    return printer_first_step(p, value) && !(value->references > 1) &&
           !(p->walk == WALK_PLANNED && value_mark(p->document, value));
}

static void print_operand(struct printer *p, struct value *value)
{
    if (is_bare_operation(p, value)) {
        printer_open_hug(p, "(");
        printer_push_close(p, HUG_ROUND);
    }
    print_value(p, value);
}

/* Tasks */

static void print_keyword(struct printer *p, struct bytes key)
{
    struct buffer *out;

    if (!printer_is_writing(p))
        return;
    out = layout_word(&p->layout);
    buffer_add(out, key);
    buffer_add_byte(out, '=');
    layout_ascii_end(&p->layout);
}

static struct bytes field_name(const struct value *code, uint32_t index)
{
    uint32_t count;

    return bytes_of_string(code_fields((enum code_layout)code->role, &count)[index].name);
}

/* Writes what needs no name and leaves no tasks: most leaves of most values. */
static bool print_leaf(struct printer *p, const struct value *value)
{
    if (value->kind > VALUE_BYTES || value->last_step ||
        (value->references > 1 && printer_is_nameable(value)))
        return false;
    return printer_atom(p, value);
}

/* Nodes an item. */
static uint32_t unit_of(const struct task *list)
{
    return list->kind == TASK_ITEMS || list->kind == TASK_FIELDS ? 1 : 2;
}

static void push_rest(struct printer *p, struct task rest)
{
    rest.index += unit_of(&rest);
    printer_push(p, rest);
}

/* The item, pair or keyword that is next. False if it left tasks: behind them, the rest of the list. */
static bool print_item(struct printer *p, const struct task *task)
{
    struct value **item = task->list->at + task->index;

    if (task->kind == TASK_FIELDS)
        print_keyword(p, field_name(task->value, task->index));
    if (task->kind == TASK_KEYWORDS)
        print_keyword(p, (*item++)->bytes);
    if (task->kind == TASK_PAIRS) {
        if (!print_leaf(p, *item)) {
            push_rest(p, *task);
            printer_push_value(p, TASK_PAIR, item[1]);
            print_value(p, *item);
            return false;
        }
        printer_add(p, ": ");
        item++;
    }
    if (print_leaf(p, *item))
        return true;
    push_rest(p, *task);
    print_value(p, *item);
    return false;
}

/* The list from its next item on, up to one that leaves tasks, or with its closing bracket. */
static void print_next(struct printer *p, struct task task)
{
    uint32_t unit = unit_of(&task);

    for (; task.index < task.list->count; task.index += unit) {
        if (task.index || task.follows)
            printer_break(p, BREAK_NEXT);
        if (!print_item(p, &task) || buffer_status(p->layout.out))
            return;
    }
    printer_close(p, (enum closer)task.closer);
}

static void print_task(struct printer *p, struct task task)
{
    switch ((enum task_kind)task.kind) {
    case TASK_VALUE:
        return print_value(p, task.value);
    case TASK_OPERAND:
        return print_operand(p, task.value);
    case TASK_STEP:
        if (printer_has_setter(task.value))
            return printer_set_step(p, &task);
        return printer_step(p, task.value, task.step);
    case TASK_MADE:
        return printer_made(p, task.value);
    case TASK_BEFORE_STEP:
        return printer_before_step(p, &task);
    case TASK_BEFORE_OBJECT:
        return printer_before_object(p, &task);
    case TASK_AFTER_STATE:
        return printer_after_state(p, task.value);
    case TASK_ITEMS:
    case TASK_PAIRS:
    case TASK_KEYWORDS:
    case TASK_FIELDS:
        return print_next(p, task);
    case TASK_PAIR:
        printer_add(p, ": ");
        return print_value(p, task.value);
    case TASK_ARGUMENTS:
        return printer_arguments(p, task.value);
    case TASK_KEYWORD_CALL:
        return printer_keyword_call(p, task.value);
    case TASK_TAIL:
        return printer_tail(p, task.value);
    case TASK_STAR:
        printer_break(p, BREAK_NEXT);
        printer_add(p, task.text);
        return print_operand(p, task.value);
    case TASK_CLOSE:
        return printer_close(p, (enum closer)task.closer);
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
    if (!printer_has_setter(value))
        add_name(p, "", name->number, " := ");
    printer_body(p, value);
    run(p);
    printer_break(p, BREAK_NEXT);
    p->part = 0;
}

/* A lone name would be text: it gets parentheses. */
static void print_root(struct printer *p, struct value *root)
{
    bool alone = root->kind == VALUE_GLOBAL && !root->last_step && p->depth == 0;

    if (alone)
        printer_open_hug(p, "(");
    print_value(p, root);
    run(p);
    if (alone)
        printer_close(p, HUG_ROUND);
}

static void print_document(struct printer *p)
{
    const struct document *document = p->document;
    bool parts = p->part_count > 0;

    if (document->rest.size)
        printer_open_group(p, "stream(");
    if (parts) {
        printer_open_group(p, "let(");
        for (size_t i = 0; i < p->part_count; i++)
            print_part(p, p->parts[i]);
    }
    if (document->effects.count) {
        printer_open_group(p, "do(");
        for (uint32_t i = 0; i < document->effects.count; i++) {
            print_value(p, document->effects.at[i]);
            run(p);
            printer_break(p, BREAK_NEXT);
        }
    }
    print_root(p, document->root);
    if (document->effects.count)
        printer_close(p, CLOSE_ROUND);
    if (parts)
        printer_close(p, CLOSE_ROUND);
    if (document->rest.size) {
        printer_break(p, BREAK_NEXT);
        printer_add(p, "rest=");
        printer_bytes(p, NULL, document->rest);
        printer_close(p, CLOSE_ROUND);
    }
}

static void start_layout(struct printer *p, struct buffer *text)
{
    layout_init(&p->layout, text, EXPRESSION_WIDTH);
    if (p->document->flat)
        p->layout.levels = 0;
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
    struct printer p;
    size_t start = text->size;
    int status = document->unshared ? 0 : value_count_references(document);

    if (status)
        return status;
    printer_init(&p, document);
    start_layout(&p, text);
    walk(&p, WALK_PLAIN);
    if (p.too_deep) {
        layout_release(&p.layout);
        start_layout(&p, text);
        buffer_resize(text, start);
        print_deep(&p);
    }
    status = layout_finish(&p.layout);
    layout_release(&p.layout);
    array_free_in(&document->arena, p.tasks, p.first_tasks, p.capacity, sizeof *p.tasks);
    array_free_in(&document->arena, p.names, NULL, p.name_capacity, sizeof *p.names);
    array_free_in(&document->arena, p.parts, NULL, p.part_capacity, sizeof *p.parts);
    return p.status ? p.status : status;
}
