/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/sqlite_guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_uint hits;
static long page_size;
static struct sigaction before;

/* What else it may be happens again, and is answered as if we were not here. */
static void replace_page(int number, siginfo_t *what, void *context)
{
    int failure = errno;
    void *page = (void *)((uintptr_t)what->si_addr & ~((uintptr_t)page_size - 1));

    if (what->si_code == BUS_ADRERR &&
        mmap(page, (size_t)page_size, PROT_READ | PROT_WRITE,
             MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        atomic_fetch_add(&hits, 1);
    else
        sigaction(SIGBUS, &before, NULL);
    errno = failure;
}

static void install(void)
{
    struct sigaction action = {.sa_sigaction = replace_page, .sa_flags = SA_SIGINFO | SA_RESTART};

    page_size = sysconf(_SC_PAGESIZE);
    sigaction(SIGBUS, &action, &before);
}

void sqlite_guard_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, install);
}

unsigned sqlite_guard_hits(void)
{
    return atomic_load(&hits);
}
