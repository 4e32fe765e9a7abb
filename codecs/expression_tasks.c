/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the printer still has to do, and the brackets that are open meanwhile. */
#include "codecs/expression_printer.h"

#include "src/array.h"

static const struct {
    bool group;
    enum layout_break last;
    uint8_t size;
    char text[3];
} closers[] = {
    [CLOSE_NONE] = {false, BREAK_LAST, 0, ""},         [CLOSE_SQUARE] = {true, BREAK_LAST, 1, "]"},
    [CLOSE_ROUND] = {true, BREAK_LAST, 1, ")"},        [CLOSE_CURLY] = {true, BREAK_LAST, 1, "}"},
    [CLOSE_SINGLE] = {true, BREAK_LAST_COMMA, 1, ")"}, [HUG_ROUND] = {false, BREAK_LAST, 1, ")"},
    [HUG_SINGLE] = {false, BREAK_LAST, 2, ",)"},
};

void *printer_with_room(struct printer *p, void *array, size_t count, size_t *capacity, size_t size)
{
    if (count == *capacity) {
        struct arena *arena = &p->document->arena;

        array = array_double_in(arena, array, p->first_tasks, capacity, size);
        if (!array)
            p->status = arena_status(arena);
    }
    return array;
}

void printer_push(struct printer *p, struct task task)
{
    struct task *tasks = printer_with_room(p, p->tasks, p->count, &p->capacity, sizeof *tasks);

    if (!tasks)
        return;
    p->tasks = tasks;
    p->tasks[p->count++] = task;
}

void printer_push_value(struct printer *p, enum task_kind kind, struct value *value)
{
    printer_push(p, (struct task){.kind = (uint8_t)kind, .value = value});
}

void printer_push_items(struct printer *p, enum task_kind kind, const struct value_list *list,
                        enum closer closer)
{
    printer_push(p, (struct task){.kind = (uint8_t)kind, .list = list, .closer = (uint8_t)closer});
}

void printer_push_close(struct printer *p, enum closer closer)
{
    printer_push(p, (struct task){.kind = TASK_CLOSE, .closer = (uint8_t)closer});
}

void printer_deepen(struct printer *p)
{
    p->depth++;
    if (p->depth > PRINTER_DEPTH && p->walk == WALK_PLAIN)
        p->too_deep = true;
}

void printer_open_group(struct printer *p, const char *bracket)
{
    printer_deepen(p);
    if (!printer_is_writing(p))
        return;
    layout_open(&p->layout);
    layout_add(&p->layout, bracket);
    layout_break(&p->layout, BREAK_FIRST);
}

void printer_open_hug(struct printer *p, const char *bracket)
{
    printer_deepen(p);
    printer_add(p, bracket);
}

void printer_close(struct printer *p, enum closer closer)
{
    if (closer == CLOSE_NONE)
        return;
    p->depth--;
    if (closers[closer].group)
        printer_break(p, closers[closer].last);
    if (!printer_is_writing(p))
        return;
    layout_add_bytes(&p->layout, bytes_of(closers[closer].text, closers[closer].size));
    if (closers[closer].group)
        layout_close(&p->layout);
}
