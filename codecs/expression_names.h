/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a parser knows by name or content: `_1`, and the strings and globals that are one node
 * wherever they occur.
 */
#ifndef SHELVEFS_EXPRESSION_NAMES_H
#define SHELVEFS_EXPRESSION_NAMES_H

#include "src/digest.h"
#include "src/value.h"

struct known_name {
    uint32_t number; /* 0: a free place */
    bool defined;
    size_t offset;       /* of the first mention */
    struct value *value; /* an empty node until it is defined */
};

struct known {
    struct document *document;
    struct digest_key key;
    struct known_name *names; /* a hash table by number; both are charged to the document's limit */
    size_t name_count, name_room;
    struct value **values; /* a hash table by role and content */
    size_t value_count, value_room;
    struct value *program; /* of asm(...), which must be the whole value; or NULL */
};

/* 0 or negative errno. */
int known_init(struct known *known, struct document *document);
void known_release(struct known *known);

/* The entry of `_number`, made if there is none; valid until the next call. NULL: the arena failed. */
struct known_name *known_name(struct known *known, uint32_t number, size_t offset);
/* Whether `value` is the empty node of a name that is not defined yet. Some that are defined as None are taken for it, too. */
bool known_is_awaited(const struct known *known, const struct value *value);
/* The mentioned name that was never defined, whose first mention comes first, or NULL. */
const struct known_name *known_undefined(const struct known *known);

/*
 * A string of at most EXPRESSION_LONG bytes is one node for each content, a longer one a new node.
 */
struct value *known_string(struct known *known, enum value_kind kind, struct bytes content);
/*
 * One node for each global. Its module and name are nodes of their own, apart from the strings of
 * the document, as the interned strings of classes are in CPython.
 */
struct value *known_global(struct known *known, struct bytes module, struct bytes name);

#endif
