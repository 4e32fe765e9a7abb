/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/heap.h"

#ifdef HAVE_MALLOC_TRIM

#include <malloc.h>

/* The large ones are what glibc raises both to by itself. */
enum { END_THRIFTY = 1 << 20, END_USUAL = 64 << 20, MAPPED = 32 << 20 };

void heap_begin(void)
{
    mallopt(M_ARENA_MAX, 1);
}

void heap_set_thrifty(bool thrifty)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED);
    mallopt(M_TRIM_THRESHOLD, thrifty ? END_THRIFTY : END_USUAL);
}

void heap_return(void)
{
    malloc_trim(0);
}

#else

void heap_begin(void)
{
}

void heap_set_thrifty(bool thrifty)
{
}

void heap_return(void)
{
}

#endif
