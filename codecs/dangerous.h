/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What scanners of pickles call dangerous to look up.
 *
 * A hint to a reader, no protection: what a save may name is decided by what is harmless (globals.h). In it is all that these list:
 * picklescan (src/picklescan/scanner.py, _unsafe_globals, at 05c3514), fickling (fickling/fickle.py, Pickled.unsafe_imports(), at
 * 608c181, and OvertlyBadEvals of fickling/analysis.py, at 03c3185) and modelscan (modelscan/settings.py, unsafe_globals, at
 * 0ed0818); but for fickling's verdict on the whole of builtins, as every pickle of an old protocol names set or bytearray. And what
 * does the same but is left out there.
 */
#ifndef SHELVEFS_DANGEROUS_H
#define SHELVEFS_DANGEROUS_H

#include "src/bytes.h"

/* Whether one of them flags it. Modules inside a dangerous one are, too, and so are names that lead through one, as logging's `os.system`. */
bool global_is_dangerous(struct bytes module, struct bytes name);

#endif
