/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Intrusive circular lists: the head and the members are the same structure, and a member leaves in one step
 * without knowing its list. A member that is in no list points to itself, so leaving twice is harmless.
 */
#ifndef SHELVEFS_LIST_H
#define SHELVEFS_LIST_H

#include "src/base.h"

struct list {
    struct list *previous, *next;
};

static inline void list_init(struct list *list)
{
    list->previous = list->next = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

/* `member` must be in no list. */
static inline void list_append(struct list *list, struct list *member)
{
    member->previous = list->previous;
    member->next = list;
    list->previous->next = member;
    list->previous = member;
}

static inline void list_leave(struct list *member)
{
    member->previous->next = member->next;
    member->next->previous = member->previous;
    list_init(member);
}

#endif
