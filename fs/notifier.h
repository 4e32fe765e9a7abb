/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one thread beside those that serve requests. It tells the kernel what it must not cache any longer, does
 * what time makes due, and works ahead.
 *
 * Telling the kernel from inside a request can deadlock: the kernel may hold the very locks that it needs to
 * forget something until the request is answered. So notifier_add() only queues.
 */
#ifndef SHELVEFS_NOTIFIER_H
#define SHELVEFS_NOTIFIER_H

#include "src/base.h"

struct notifier;

/* All are called from the notifier's thread, one at a time, without locks held. */
struct notifier_ops {
    /* As tree_options.invalidate: node 0: no node; name NULL: no entry. */
    void (*deliver)(void *context, uint64_t node, uint64_t parent, const char *name);
    /* Returns the seconds until it wants to be called again. */
    unsigned (*tick)(void *context);
    /*
     * Does a piece of what can wait, when there is nothing else to do. Returns the milliseconds until it wants to be called again, at the
     * latest: 0: at once, UINT_MAX: after notifier_wake(). NULL: there is nothing.
     */
    unsigned (*work)(void *context);
};

/* `ops` is borrowed. The thread starts with notifier_start(), what is added before waits for it. Once it runs, that does nothing. */
int notifier_new(const struct notifier_ops *ops, void *context, struct notifier **out);
int notifier_start(struct notifier *notifier);
/* What finds no memory is dropped: the kernel then finds out when its timeouts end. */
void notifier_add(struct notifier *notifier, uint64_t node, uint64_t parent, const char *name);
/* There is work. */
void notifier_wake(struct notifier *notifier);
/*
 * No more deliveries or ticks begin; what is queued is dropped. Returns whether the thread is done: while it is
 * not, it may wait in the kernel for the answer to a request, so serve some and ask again.
 */
bool notifier_stop(struct notifier *notifier);
/* Stops it and waits for its thread: nothing is delivered and no tick runs after this. */
void notifier_join(struct notifier *notifier);
/* Joins it first. NULL is allowed. */
void notifier_free(struct notifier *notifier);

#endif
