/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * To be preloaded into shelvefs: allocations fail on demand, those of libfuse and the engines' libraries, too.
 *
 * FAILING names a file of four words that the test shares with the program: how many allocations there were, the first that is to fail
 * (counted from 1; 0: none) and the one behind the last, and how many blocks are in use.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The library's own, which it offers for this. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static struct control {
    _Atomic uint64_t calls, first, end, blocks;
} * control;

__attribute__((constructor)) static void find_control(void)
{
    const char *path = getenv("FAILING");
    int fd = path && strcmp(program_invocation_short_name, "shelvefs") == 0
                 ? open(path, O_RDWR | O_CLOEXEC)
                 : -1;
    void *at;

    if (fd < 0)
        return;
    at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        control = at;
}

static int fails(void)
{
    uint64_t call, first;

    if (!control)
        return 0;
    call = atomic_fetch_add(&control->calls, 1) + 1;
    first = atomic_load(&control->first);
    if (!first || call < first || call >= atomic_load(&control->end))
        return 0;
    errno = ENOMEM;
    return 1;
}

static void *taken(void *memory)
{
    if (memory && control)
        atomic_fetch_add(&control->blocks, 1);
    return memory;
}

void *malloc(size_t size)
{
    return fails() ? NULL : taken(__libc_malloc(size));
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : taken(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    if (fails())
        return NULL;
    return memory ? __libc_realloc(memory, size) : taken(__libc_realloc(memory, size));
}

void *memalign(size_t alignment, size_t size)
{
    return fails() ? NULL : taken(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *made = memalign(alignment, size);

    if (!made)
        return ENOMEM;
    *memory = made;
    return 0;
}

void free(void *memory)
{
    int before = errno;

    if (memory && control)
        atomic_fetch_sub(&control->blocks, 1);
    __libc_free(memory);
    errno = before;
}
