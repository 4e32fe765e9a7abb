/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/mount/failing.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

/* The library's own, which it offers for this. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static bool fails(void)
{
    if (!failing || atomic_load(&failing->mode) != FAILING_ALLOCATIONS || !failing_now())
        return false;
    errno = ENOMEM;
    return true;
}

static void *taken(void *memory)
{
    if (memory && failing)
        atomic_fetch_add(&failing->blocks, 1);
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

    if (memory && failing)
        atomic_fetch_sub(&failing->blocks, 1);
    __libc_free(memory);
    errno = before;
}
