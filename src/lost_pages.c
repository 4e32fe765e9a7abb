/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/lost_pages.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_uint lost;
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
        atomic_fetch_add(&lost, 1);
    else
        sigaction(SIGBUS, &before, NULL);
    errno = failure;
}

/* Whoever else wants to hear of SIGBUS came later than us, and does not know better. */
void lost_pages_start(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct sigaction action = {.sa_sigaction = replace_page, .sa_flags = SA_SIGINFO | SA_RESTART}, now;

    pthread_mutex_lock(&lock);
    if (sigaction(SIGBUS, NULL, &now) == 0 && now.sa_sigaction != replace_page) {
        page_size = sysconf(_SC_PAGESIZE);
        before = now;
        sigaction(SIGBUS, &action, NULL);
    }
    pthread_mutex_unlock(&lock);
}

unsigned lost_pages_count(void)
{
    return atomic_load(&lost);
}
