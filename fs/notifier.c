/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/notifier.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct notice {
    struct notice *next;
    uint64_t node, parent;
    char *name; /* in the same allocation, or NULL */
};

struct notifier {
    const struct notifier_ops *ops;
    void *context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct notice *first, **last; /* the queue, oldest first */
    struct timespec work_due; /* monotonic */
    bool stopping;
    bool running; /* the thread exists and has not finished its loop */
    bool started; /* the thread must be joined */
};

int notifier_new(const struct notifier_ops *ops, void *context, struct notifier **out)
{
    struct notifier *notifier = calloc(1, sizeof *notifier);
    pthread_condattr_t attributes;

    if (!notifier)
        return -ENOMEM;
    notifier->ops = ops;
    notifier->context = context;
    notifier->last = &notifier->first;
    pthread_mutex_init(&notifier->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&notifier->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = notifier;
    return 0;
}

static struct notice *notice_new(uint64_t node, uint64_t parent, const char *name)
{
    size_t size = name ? strlen(name) + 1 : 0;
    struct notice *notice = malloc(sizeof *notice + size);

    if (!notice)
        return NULL;
    *notice = (struct notice){.node = node, .parent = parent};
    if (name)
        notice->name = memcpy(notice + 1, name, size);
    return notice;
}

void notifier_add(struct notifier *notifier, uint64_t node, uint64_t parent, const char *name)
{
    struct notice *notice = notice_new(node, parent, name);

    if (!notice)
        return;
    pthread_mutex_lock(&notifier->lock);
    *notifier->last = notice;
    notifier->last = &notice->next;
    pthread_cond_signal(&notifier->changed);
    pthread_mutex_unlock(&notifier->lock);
}

void notifier_wake(struct notifier *notifier)
{
    pthread_mutex_lock(&notifier->lock);
    notifier->work_due = (struct timespec){0};
    pthread_cond_signal(&notifier->changed);
    pthread_mutex_unlock(&notifier->lock);
}

/* With the lock held. */
static struct notice *notifier_take(struct notifier *notifier)
{
    struct notice *notice = notifier->first;

    if (!notice)
        return NULL;
    notifier->first = notice->next;
    if (!notifier->first)
        notifier->last = &notifier->first;
    return notice;
}

static bool is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

static struct timespec monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now;
}

static struct timespec after(struct timespec time, unsigned ms)
{
    time.tv_sec += ms / 1000;
    time.tv_nsec += ms % 1000 * 1000000L;
    if (time.tv_nsec >= 1000000000L) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000L;
    }
    return time;
}

/* With the lock held, which it gives up while it calls. Returns whether there was work. */
static bool notifier_work(struct notifier *notifier)
{
    struct timespec now = monotonic();
    unsigned ms;

    if (!notifier->ops->work || is_before(now, notifier->work_due))
        return false;
    /* Who wakes it from now on sets it back. */
    notifier->work_due = (struct timespec){.tv_sec = now.tv_sec + UINT_MAX};
    pthread_mutex_unlock(&notifier->lock);
    ms = notifier->ops->work(notifier->context);
    pthread_mutex_lock(&notifier->lock);
    now = after(now, ms);
    if (ms < UINT_MAX && is_before(now, notifier->work_due))
        notifier->work_due = now;
    return true;
}

/* With the lock held, which it gives up while it calls. Returns whether there was something to do. */
static bool notifier_step(struct notifier *notifier, time_t *due)
{
    struct notice *notice = notifier_take(notifier);

    if (!notice && monotonic().tv_sec < *due)
        return notifier_work(notifier);
    pthread_mutex_unlock(&notifier->lock);
    if (notice)
        notifier->ops->deliver(notifier->context, notice->node, notice->parent, notice->name);
    else
        *due = monotonic().tv_sec + notifier->ops->tick(notifier->context);
    free(notice);
    pthread_mutex_lock(&notifier->lock);
    return true;
}

static void *notifier_run(void *argument)
{
    struct notifier *notifier = argument;
    time_t due = 0;

    pthread_mutex_lock(&notifier->lock);
    while (!notifier->stopping) {
        struct timespec until;

        if (notifier_step(notifier, &due))
            continue;
        until = (struct timespec){.tv_sec = due};
        if (notifier->ops->work && is_before(notifier->work_due, until))
            until = notifier->work_due;
        pthread_cond_timedwait(&notifier->changed, &notifier->lock, &until);
    }
    notifier->running = false;
    pthread_mutex_unlock(&notifier->lock);
    return NULL;
}

int notifier_start(struct notifier *notifier)
{
    sigset_t all, before;
    int status;

    if (notifier->started)
        return 0;
    /* Signals are for the thread that serves the session. */
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* is of the thread that it happens to: src/lost_pages.h */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    notifier->running = true;
    status = pthread_create(&notifier->thread, NULL, notifier_run, notifier);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    notifier->started = status == 0;
    if (status)
        notifier->running = false;
    return -status;
}

bool notifier_stop(struct notifier *notifier)
{
    bool running;

    pthread_mutex_lock(&notifier->lock);
    notifier->stopping = true;
    running = notifier->running;
    pthread_cond_signal(&notifier->changed);
    pthread_mutex_unlock(&notifier->lock);
    return !running;
}

void notifier_join(struct notifier *notifier)
{
    notifier_stop(notifier);
    if (notifier->started)
        pthread_join(notifier->thread, NULL);
    notifier->started = false;
}

void notifier_free(struct notifier *notifier)
{
    struct notice *notice;

    if (!notifier)
        return;
    notifier_join(notifier);
    while ((notice = notifier_take(notifier)))
        free(notice);
    pthread_cond_destroy(&notifier->changed);
    pthread_mutex_destroy(&notifier->lock);
    free(notifier);
}
