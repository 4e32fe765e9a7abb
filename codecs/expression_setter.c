/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Objects whose state a function sets (STEP_CALL). Each such step stands around what was there before it:
 *
 *     do(second(do(first((_1 := m.C()), 'a'), _1), 'b'), _1)
 *
 * so the innermost one defines the object's name. Other steps of such an object stand in parentheses of their own.
 */
#include "codecs/expression_printer.h"

bool printer_has_setter(const struct value *value)
{
    const struct value_step *step = value_may_be_set(value) ? value_first_step(value) : NULL;

    for (; step; step = value_next_step(value, step))
        if (step->kind == STEP_CALL)
            return true;
    return false;
}

void printer_set_body(struct printer *p, struct value *value)
{
    const struct value_step *step = printer_first_step(p, value);
    bool named = false;

    printer_push(p, (struct task){.kind = TASK_STEP, .step = step, .value = value});
    printer_push_value(p, TASK_MADE, value);
    for (; step; step = value_next_step(value, step)) {
        bool first = step->kind == STEP_CALL && !named;

        printer_push(p, (struct task){.kind = TASK_BEFORE_STEP, .step = step, .value = value, .follows = first});
        named |= first;
    }
}

void printer_before_step(struct printer *p, const struct task *task)
{
    struct task object = *task;

    if (task->step->kind != STEP_CALL) {
        printer_open_hug(p, "(");
        return;
    }
    object.kind = TASK_BEFORE_OBJECT;
    printer_open_group(p, "do(");
    printer_push(p, object);
    printer_callee(p, task->step->items.at[0], task->value);
}

void printer_before_object(struct printer *p, const struct task *task)
{
    printer_open_group(p, "(");
    if (task->follows)
        printer_define(p, task->value);
}

/* `follows`: the object was named by a step before. */
void printer_set_step(struct printer *p, const struct task *task)
{
    const struct value_step *step = task->step, *next = value_next_step(task->value, step);
    bool call = step->kind == STEP_CALL;

    if (next)
        printer_push(p, (struct task){.kind = TASK_STEP, .step = next, .value = task->value, .follows = task->follows || call});
    if (!call) {
        printer_push_close(p, HUG_ROUND);
        printer_operation(p, step);
        return;
    }
    if (!task->follows)
        printer_close(p, HUG_ROUND);
    printer_break(p, BREAK_NEXT);
    printer_push_value(p, TASK_AFTER_STATE, task->value);
    printer_push_close(p, CLOSE_ROUND);
    printer_push_value(p, TASK_VALUE, step->items.at[2]);
}

void printer_after_state(struct printer *p, const struct value *value)
{
    printer_break(p, BREAK_NEXT);
    printer_mention(p, value);
    printer_close(p, CLOSE_ROUND);
}
