/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the sources of the printer share; beside them only pickle_print.c includes this. expression_print.c walks,
 * expression_value.c and expression_invoke.c write one value each and leave its children as tasks.
 */
#ifndef SHELVEFS_EXPRESSION_PRINTER_H
#define SHELVEFS_EXPRESSION_PRINTER_H

#include "codecs/layout.h"
#include "src/value.h"

enum { PRINTER_DEPTH = 90 }; /* brackets; Python 3.8 reads 99 */

enum task_kind {
    TASK_VALUE,
    TASK_OPERAND,      /* a value, in parentheses if it is an operation */
    TASK_STEP,         /* what stands behind a value of its step `step`, and the steps after that */
    TASK_MADE,         /* a value as it was made, without its steps */
    TASK_BEFORE_STEP,  /* what stands before it; `follows`: it is to be named there */
    TASK_BEFORE_OBJECT, /* the same behind the name of a function that sets its state */
    TASK_AFTER_STATE,  /* the end of a step of that kind */
    TASK_ITEMS,        /* of the list `at`, from `index` on, and the closing bracket */
    TASK_PAIRS,        /* the same of a dict's keys and values */
    TASK_KEYWORDS,     /* the same as name=value */
    TASK_FIELDS,       /* the same of the code object `value` */
    TASK_PAIR,         /* ": " and the value of a pair */
    TASK_ARGUMENTS,    /* of a call */
    TASK_KEYWORD_CALL, /* likewise, of C(a=1) */
    TASK_TAIL,         /* what stands behind the class in new(...) */
    TASK_STAR,         /* ", " and `text`, before an operand */
    TASK_CLOSE,
    TASK_UNHOIST, /* back from a hoisted node to the depth and the part `index` around it */
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
    struct task *tasks;
    size_t count, capacity;
    size_t depth; /* open brackets */
    bool too_deep;
    int status;
    uint32_t numbers; /* given so far */
    /*
     * WALK_PLAN fills them, WALK_PLANNED uses them. A node's mark is its index in `names` plus
     * one.
     */
    struct name *names;
    size_t name_count, name_capacity;
    struct value *
        *parts; /* hoisted nodes in the order of their text; part 1 is the first that was found */
    size_t part_count, part_capacity;
    uint32_t parts_found;
    uint32_t part; /* whose text is being walked */
    struct layout layout;
    struct task first_tasks[16]; /* so it must stay where it is */
};

/* Begins WALK_PLAIN. The room for tasks, which is large, is left as it is, and so is the layout. */
static inline void printer_init(struct printer *p, struct document *document)
{
    memset(p, 0, offsetof(struct printer, layout));
    p->document = document;
    p->tasks = p->first_tasks;
    p->capacity = ARRAY_SIZE(p->first_tasks);
}

static inline bool is_plain(const struct value *value)
{
    return value->references <= 1 && !value->last_step;
}

static inline bool is_short_text(const struct value *value)
{
    return value->kind == VALUE_STR && !value->last_step;
}

static inline bool is_fresh_tuple(const struct value *value)
{
    return value->kind == VALUE_TUPLE && !value->last_step &&
           (value->references <= 1 || !value->items.count);
}

/* Whether a bracket around it alone may stay on its line: [ of f([ opens the lines. */
static inline bool is_huggable(const struct value *value)
{
    return value->kind >= VALUE_LIST && value->kind <= VALUE_DICT && value->items.count &&
           is_plain(value);
}

/* Output: nothing happens while the text is only being planned. */
static inline bool printer_is_writing(const struct printer *p)
{
    return p->walk != WALK_PLAN;
}
static inline void printer_add(struct printer *p, const char *text)
{
    if (printer_is_writing(p))
        layout_add(&p->layout, text);
}
static inline void printer_break(struct printer *p, enum layout_break kind)
{
    if (printer_is_writing(p))
        layout_break(&p->layout, kind);
}
/* A string literal behind `prefix`: of text, or of bytes that fit no bytes literal's lines. */
void printer_literal(struct printer *p, struct bytes prefix, struct bytes content, bool text);
/* A bytes literal between `before` and `)`, or bare with parentheses only around several lines. */
void printer_bytes(struct printer *p, const char *before, struct bytes content);
/* A bracket whose content may be broken into lines, or that stays with its content. */
void printer_open_group(struct printer *p, const char *bracket);
void printer_open_hug(struct printer *p, const char *bracket);
void printer_close(struct printer *p, enum closer closer);
/* A bracket that the caller writes. */
void printer_deepen(struct printer *p);

/* Tasks; the last one pushed is done first. */
void printer_push(struct printer *p, struct task task);
void printer_push_value(struct printer *p, enum task_kind kind, struct value *value);
void printer_push_items(struct printer *p, enum task_kind kind, const struct value_list *list,
                        enum closer closer);
void printer_push_close(struct printer *p, enum closer closer);
/* One of the printer's arrays with room for one more than `count`, or NULL: no memory. */
void *printer_with_room(struct printer *p, void *array, size_t count, size_t *capacity, size_t size);

/* Whether a name may stand for it; what else is shared is repeated. */
bool printer_is_nameable(const struct value *value);

/* True if `value` has no children and was written, without its steps. */
bool printer_atom(struct printer *p, const struct value *value);
/* A value with its steps, then each step. */
void printer_body(struct printer *p, struct value *value);
void printer_made(struct printer *p, struct value *value);
void printer_step(struct printer *p, struct value *value, const struct value_step *step);
/* ` << state` and the like. */
void printer_operation(struct printer *p, const struct value_step *step);
/* Brackets and names, counted as such: (_1 :=, which HUG_ROUND closes, and _1. */
void printer_define(struct printer *p, const struct value *value);
void printer_mention(struct printer *p, const struct value *value);

/*
 * expression_setter.c: a value whose state functions set, do(setter((_1 := object), state), _1), which is named inside. What these tasks
 * do, of a body with such a step.
 */
bool printer_has_setter(const struct value *value);
void printer_set_body(struct printer *p, struct value *value);
void printer_before_step(struct printer *p, const struct task *task);
void printer_before_object(struct printer *p, const struct task *task);
void printer_set_step(struct printer *p, const struct task *task);
void printer_after_state(struct printer *p, const struct value *value);
/* The first step that is written as such, or NULL. */
const struct value_step *printer_first_step(const struct printer *p, const struct value *value);

enum spelling { SPELL_SHORTEST, SPELL_WITH_MODULE, SPELL_FIND_CLASS };
void printer_global(struct printer *p, struct value *value, enum spelling spelling);
/* What is called with these arguments, of which `first` is the first, unless NULL. */
void printer_callee(struct printer *p, struct value *callee, const struct value *first);
void printer_arguments(struct printer *p, struct value *call);
/* asm(...) */
void printer_program(struct printer *p, const struct value *program);
/* C(a=1) or new(...), and what they leave as tasks. */
void printer_new(struct printer *p, struct value *value);
void printer_keyword_call(struct printer *p, const struct value *value);
void printer_tail(struct printer *p, struct value *value);

#endif
