/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/crew.h"

#include "src/base.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    TICK_US = 1000,
    LEISURE_TICKS = 4,
    QUIET_TICKS = 100, /* without any request: then the watch sleeps until the next one */
    REST_SECONDS = 1,  /* that a thread waits to lead before it ends */
};

struct crew {
    const struct crew_ops *ops;
    void *context;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct member *leader;  /* lock; NULL: nobody leads just now */
    unsigned idle;          /* lock: threads that wait to lead */
    unsigned count, most;   /* lock: threads that have not ended */
    bool stops;             /* lock */
    int failure;            /* lock */
    struct member *members; /* lock: all, newest first */

    /* Odd: the leader is answering. It counts on with every request and with every change of the lead. */
    atomic_uint_fast64_t progress;
    atomic_bool watched; /* the watch is awake */
    sem_t wake;          /* for the watch */
};

struct member {
    struct crew *crew;
    struct member *next;
    pthread_t thread;
    bool ended; /* lock: the thread did, or is about to; it is to be joined */
    void *room; /* of ops->receive() */
    /*
     * The crew's progress as the leader knows it. Not in a frame: cancelling a thread leaves AddressSanitizer's marks around such a
     * variable where they are, and what the thread does at its very end then looks like a fault.
     */
    uint_fast64_t mine;
};

static void wake_watch(struct crew *crew)
{
    if (!atomic_exchange(&crew->watched, true))
        sem_post(&crew->wake);
}

/* The end of everything: the watch is to see to it. */
static void give_up(struct crew *crew, int failure)
{
    pthread_mutex_lock(&crew->lock);
    crew->stops = true;
    if (!crew->failure)
        crew->failure = failure;
    pthread_mutex_unlock(&crew->lock);
    sem_post(&crew->wake);
}

static int receive(struct member *member)
{
    struct crew *crew = member->crew;
    int got;

    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    got = crew->ops->receive(crew->context, &member->room);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    return got;
}

/* Answers requests as long as it leads. False: there will be no more. */
static bool lead(struct member *member)
{
    struct crew *crew = member->crew;

    member->mine = atomic_load(&crew->progress);
    for (;;) {
        int got = receive(member);

        if (got < 0)
            give_up(crew, got);
        if (got < 0)
            return false;
        if (got == 0)
            continue;
        atomic_store(&crew->progress, ++member->mine);
        if (!atomic_load(&crew->watched))
            wake_watch(crew);
        crew->ops->answer(crew->context, member->room);
        /* The watch counted on: somebody else leads now. */
        if (!atomic_compare_exchange_strong(&crew->progress, &member->mine, member->mine + 1))
            return true;
        member->mine++;
    }
}

/* `REST_SECONDS` from now. */
static struct timespec end_of_rest(void)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REST_SECONDS;
    return until;
}

/* Lock held. Waits until nobody leads; false: that took too long, or all is over. */
static bool wait_to_lead(struct crew *crew)
{
    const struct timespec until = end_of_rest();
    int status = 0;

    crew->idle++;
    while (crew->leader && !crew->stops && status == 0)
        status = pthread_cond_clockwait(&crew->changed, &crew->lock, CLOCK_MONOTONIC, &until);
    crew->idle--;
    return !crew->leader && !crew->stops;
}

static void *work(void *argument)
{
    struct member *member = argument;
    struct crew *crew = member->crew;
    bool goes_on = true;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_mutex_lock(&crew->lock);
    while (goes_on && wait_to_lead(crew)) {
        crew->leader = member;
        pthread_mutex_unlock(&crew->lock);
        goes_on = lead(member);
        pthread_mutex_lock(&crew->lock);
    }
    crew->ops->free_room(member->room);
    member->room = NULL;
    member->ended = true;
    crew->count--;
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

/* Lock held. One whose thread has ended, or will in a moment, or a new one, which is not in the list. NULL: no memory. */
static struct member *free_member(struct crew *crew)
{
    struct member **at = &crew->members, *member;

    while (*at && !(*at)->ended)
        at = &(*at)->next;
    member = *at;
    if (!member)
        return calloc(1, sizeof *member);
    *at = member->next;
    pthread_join(member->thread, NULL);
    *member = (struct member){.crew = crew};
    return member;
}

/* Lock held. Signals are for the watch. */
static int add_member(struct crew *crew)
{
    struct member *member = free_member(crew);
    sigset_t all, before;
    int status;

    if (!member)
        return -ENOMEM;
    member->crew = crew;
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* is of the thread that it happens to: src/lost_pages.h */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    status = pthread_create(&member->thread, NULL, work, member);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status) {
        free(member);
        return -status;
    }
    member->next = crew->members;
    crew->members = member;
    crew->count++;
    return 0;
}

/* Somebody else leads, unless the leader has gone on since `seen`. */
static void change_lead(struct crew *crew, uint_fast64_t seen)
{
    pthread_mutex_lock(&crew->lock);
    if (!crew->idle && crew->count < crew->most)
        add_member(crew);
    if (crew->idle && atomic_compare_exchange_strong(&crew->progress, &seen, seen + 1)) {
        crew->leader = NULL;
        pthread_cond_signal(&crew->changed);
    }
    pthread_mutex_unlock(&crew->lock);
}

/* --- the watch --- */

static void wait_a_tick(struct crew *crew)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_US * 1000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    sem_clockwait(&crew->wake, CLOCK_MONOTONIC, &until);
}

static bool is_over(struct crew *crew)
{
    bool stops;

    pthread_mutex_lock(&crew->lock);
    stops = crew->stops;
    pthread_mutex_unlock(&crew->lock);
    return stops || crew->ops->ended(crew->context);
}

/* Who makes progress from now on wakes the watch, unless somebody just did. */
static void sleep_until_asked(struct crew *crew, uint_fast64_t seen)
{
    atomic_store(&crew->watched, false);
    if (atomic_load(&crew->progress) != seen && !atomic_exchange(&crew->watched, true))
        return;
    sem_wait(&crew->wake);
}

static void watch(struct crew *crew)
{
    uint_fast64_t seen = atomic_load(&crew->progress);
    unsigned quiet = QUIET_TICKS, stuck = 0;

    while (!is_over(crew)) {
        uint_fast64_t now;

        if (quiet < QUIET_TICKS)
            wait_a_tick(crew);
        else
            sleep_until_asked(crew, seen);
        now = atomic_load(&crew->progress);
        quiet = now == seen && now % 2 == 0 ? quiet + 1 : 0;
        stuck = now == seen && now % 2 ? stuck + 1 : 0;
        if (stuck && (stuck >= LEISURE_TICKS || !crew->ops->at_leisure(crew->context)))
            change_lead(crew, now);
        seen = now;
    }
}

/* Who waits for a request is cancelled, who answers one finishes. */
static void dismiss(struct crew *crew)
{
    pthread_mutex_lock(&crew->lock);
    crew->stops = true;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
    for (struct member *member = crew->members; member; member = member->next)
        pthread_cancel(member->thread);
    while (crew->members) {
        struct member *member = crew->members;

        crew->members = member->next;
        pthread_join(member->thread, NULL);
        crew->ops->free_room(member->room);
        free(member);
    }
}

int crew_serve(const struct crew_ops *ops, void *context, unsigned most)
{
    struct crew crew = {.ops = ops, .context = context, .most = most};
    int status;

    pthread_mutex_init(&crew.lock, NULL);
    pthread_cond_init(&crew.changed, NULL);
    sem_init(&crew.wake, 0, 0);
    pthread_mutex_lock(&crew.lock);
    status = add_member(&crew);
    pthread_mutex_unlock(&crew.lock);
    if (!status) {
        watch(&crew);
        dismiss(&crew);
        status = crew.failure;
    }
    sem_destroy(&crew.wake);
    pthread_cond_destroy(&crew.changed);
    pthread_mutex_destroy(&crew.lock);
    return status;
}
