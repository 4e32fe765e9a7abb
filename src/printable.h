/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which characters Python's repr() shows as themselves (str.isprintable): not controls, formats
 * (bidi marks among them), surrogates, private use, unassigned, and no blanks but the space.
 */
#ifndef SHELVEFS_PRINTABLE_H
#define SHELVEFS_PRINTABLE_H

#include "src/base.h"

bool printable(uint32_t point);

#endif
