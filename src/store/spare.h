/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory for a library that does not bear to get none: libdb 5.3 crashes where db_create() can't have all it wants, and else takes the
 * file for damaged. It is set aside before the library is called, and given out where the system refuses.
 */
#ifndef SHELVEFS_STORE_SPARE_H
#define SHELVEFS_STORE_SPARE_H

#include <stddef.h>

/* For what this thread calls until spare_end(). -ENOMEM: the library must not be called. */
int spare_begin(size_t size);
/* The library has given everything back. */
void spare_end(void);

/* What the library calls instead of malloc() and so on. */
void *spare_malloc(size_t size);
void *spare_realloc(void *memory, size_t size);
void spare_free(void *memory);

#endif
