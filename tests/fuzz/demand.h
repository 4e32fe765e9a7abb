/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef SHELVEFS_FUZZ_DEMAND_H
#define SHELVEFS_FUZZ_DEMAND_H

#include "src/base.h"

#include <stdlib.h>

/* Aborts, so that the fuzzer sees it. */
static inline void demand(bool truth)
{
    if (!truth)
        abort();
}

#endif
