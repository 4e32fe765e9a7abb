/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The threads that answer requests: one after the other while that goes fast, together when it does not.
 *
 * When several threads wait for requests, the kernel wakes another one for each, and all of them have the same locks and
 * memory to fetch from each other: answering thousands of short requests of one program then costs twice the processors' time. So
 * one thread *leads*: it alone waits, and answers what comes itself. A *watch* looks every millisecond whether it is still at the
 * same request; then another thread takes the lead, and requests that come meanwhile are answered beside the slow one. A leader who has replied,
 * and only prepares the next answer (reply.h), gets some ticks more: the one who will ask for that would but wait in another thread.
 *
 * Who has not led for a second ends, and leaves the memory that malloc() keeps for a thread to the others. Where nothing is asked, nobody wakes
 * up.
 */
#ifndef SHELVEFS_CREW_H
#define SHELVEFS_CREW_H

#include <stdbool.h>

struct crew_ops {
    /*
     * Waits for a request and keeps it in `*room`, which is NULL at first and belongs to the thread. 1: there is one, 0: not this time,
     * negative: there will be none any more. Cancelled while it waits.
     */
    int (*receive)(void *context, void **room);
    void (*answer)(void *context, void *room);
    void (*free_room)(void *room); /* NULL is allowed */
    /* Whether to end; looked at when a signal comes, and by the watch. */
    int (*ended)(void *context);
    /* Whether some answer() has replied, and does what the next one will need: then the lead changes a few ticks later. */
    bool (*at_leisure)(void *context);
};

/*
 * Serves until ops->ended() or receive() says so, with at most `most` threads beside the calling one, which takes the signals. Returns 0, or
 * negative: no thread could be started, or what receive() failed with.
 */
int crew_serve(const struct crew_ops *ops, void *context, unsigned most);

#endif
