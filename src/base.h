/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every source may assume: attributes and the few macros that C lacks. */
#ifndef SHELVEFS_BASE_H
#define SHELVEFS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
/* The structure whose `member` `pointer` points to. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
/* For what is small and called in a loop, or only with constants. */
#define ALWAYS_INLINE inline __attribute__((always_inline))
/* For what is seldom needed inside of what is called in a loop. */
#define NEVER_INLINE __attribute__((noinline))
#define MUST_CHECK __attribute__((warn_unused_result))

#endif
