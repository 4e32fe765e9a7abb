/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/shield.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { STACK_SIZE = 1 << 16 };

/*
 * ThreadSanitizer takes the other process for a fork with memory of its own: from then on it overlooks what this thread locks, and reports
 * races with whoever has the lock next.
 */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
static const bool has_shield = false;
#else
static const bool has_shield = true;
#endif

/* At the lower end of the stack, which is shared also where valgrind gives the other process memory of its own. */
struct job {
    int (*run)(void *context);
    void *context;
    int result;
};

static int run_job(void *argument)
{
    struct job *job = argument;

    job->result = job->run(job->context);
    return 0;
}

/* Nobody is told when that process ends (its exit signal is none), so a parent's handlers don't see it. */
static int run_beside(struct job *job, char *stack)
{
    sigset_t all, before;
    int pid;

    /* A signal to our whole group must not interrupt it, nor run our handlers there. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = clone(run_job, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK, job);
    if (pid > 0) {
        while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid > 0 ? job->result : job->run(job->context);
}

int shield_run(int (*run)(void *context), void *context)
{
    char *stack = MAP_FAILED;
    struct job *job;
    int result;

    if (has_shield)
        stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return run(context);
    job = (struct job *)stack;
    *job = (struct job){.run = run, .context = context, .result = -EINTR};
    result = run_beside(job, stack);
    munmap(stack, STACK_SIZE);
    return result;
}
