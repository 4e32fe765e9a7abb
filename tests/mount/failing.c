/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/mount/failing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct failing *failing;

__attribute__((constructor)) static void find_control(void)
{
    const char *path = getenv("FAILING");
    int fd = path && strcmp(program_invocation_short_name, "shelvefs") == 0
                 ? open(path, O_RDWR | O_CLOEXEC)
                 : -1;
    void *at;

    if (fd < 0)
        return;
    at = mmap(NULL, sizeof *failing, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return;
    failing = at;
    atomic_store(&failing->pid, (uint64_t)getpid());
}

bool failing_now(void)
{
    uint64_t call = atomic_fetch_add(&failing->calls, 1) + 1;
    uint64_t first = atomic_load(&failing->first);

    return first && call >= first && call < atomic_load(&failing->end);
}
