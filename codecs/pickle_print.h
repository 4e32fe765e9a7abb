/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The shortcut from a pickle of literals to its text: printed while it is read, by its outline, without a graph. Most values are such, and a graph is most
 * of the memory, and much of the time, of what it takes to show them.
 */
#ifndef SHELVEFS_PICKLE_PRINT_H
#define SHELVEFS_PICKLE_PRINT_H

#include "codecs/dialect.h"
#include "src/value.h"

/*
 * Appends the text that a pickle has on a mount of pickles, header and final newline included, and tells its dialect and the kind of its root. False: that
 * takes the graph, be it because the pickle is no container of literals or nests too deep, or because a graph's text might have to be
 * a shorter one (document_limit()); then `text` is as before.
 */
bool pickle_print(struct bytes stored, const struct dialect *mount, struct buffer *text,
                  struct dialect *dialect, enum value_kind *kind);

#endif
