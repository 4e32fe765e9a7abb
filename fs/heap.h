/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What malloc() keeps of freed memory. A mount may hold a million nodes for a minute and then run for weeks.
 *
 * glibc's returns the free end of an arena only when that is larger than a limit, which it raises to tens of megabytes for each arena
 * once a large block was freed. That is good for large values, which come and go, and bad for what a very large directory leaves. Another
 * library's malloc() is left alone. One thread at a time.
 */
#ifndef SHELVEFS_HEAP_H
#define SHELVEFS_HEAP_H

#include "src/base.h"

/*
 * All threads share one arena from now on: before there are any. Others than the first one grow by a page and a system call at a time, and keep what
 * a thread freed that does something else now. What the threads wait for each other is little: each has a few pieces of each size at hand.
 */
void heap_begin(void);
/* Whether to return the ends of arenas from now on. */
void heap_set_thrifty(bool thrifty);
/* Returns the free pieces between what is in use. Takes as long as it takes to look at all of them: for after very many were freed. */
void heap_return(void);

#endif
