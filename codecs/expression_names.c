/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Both tables are open addressing with linear probing, at most half full. Contents are hashed with
 * a random key, so that no text can be made of strings that all collide.
 */
#include "codecs/expression_names.h"

#include "codecs/expression_words.h"
#include "src/array.h"

/* What a node is known as; strings by their kind, which is below these. */
enum { ROLE_GLOBAL = VALUE_GLOBAL, ROLE_MODULE, ROLE_NAME };

int known_init(struct known *known, struct document *document)
{
    *known = (struct known){.document = document};
    return digest_key_random(&known->key);
}

void known_release(struct known *known)
{
    struct arena *arena = &known->document->arena;

    array_free_in(arena, known->names, NULL, known->name_room, sizeof *known->names);
    array_free_in(arena, known->values, NULL, known->value_room, sizeof *known->values);
}

/* The place of `number`, or the free one where it belongs. */
static struct known_name *find_name(struct known_name *names, size_t room, uint32_t number)
{
    size_t place = number * UINT32_C(2654435761) & (room - 1);

    while (names[place].number && names[place].number != number)
        place = (place + 1) & (room - 1);
    return &names[place];
}

static bool grow_names(struct known *known)
{
    struct arena *arena = &known->document->arena;
    size_t room = known->name_room ? known->name_room * 2 : 16;
    struct known_name *names;

    if (known->name_count * 2 < known->name_room)
        return true;
    names = array_new_in(arena, room, sizeof *names);
    if (!names)
        return false;
    for (size_t i = 0; i < known->name_room; i++)
        if (known->names[i].number)
            *find_name(names, room, known->names[i].number) = known->names[i];
    array_free_in(arena, known->names, NULL, known->name_room, sizeof *names);
    known->names = names;
    known->name_room = room;
    return true;
}

struct known_name *known_name(struct known *known, uint32_t number, size_t offset)
{
    struct known_name *name;

    if (!grow_names(known))
        return NULL;
    name = find_name(known->names, known->name_room, number);
    if (!name->number) {
        *name = (struct known_name){.number = number, .offset = offset};
        known->name_count++;
    }
    return name;
}

bool known_is_awaited(const struct known *known, const struct value *value)
{
    return value->kind == VALUE_NONE && value != known->document->none;
}

const struct known_name *known_undefined(const struct known *known)
{
    const struct known_name *first = NULL;

    for (size_t i = 0; i < known->name_room; i++) {
        const struct known_name *name = &known->names[i];

        if (name->number && !name->defined && (!first || name->offset < first->offset))
            first = name;
    }
    return first;
}

/* A node keeps its role, so that one table serves all. */
struct identity {
    unsigned role;
    struct bytes content, more; /* `more`: a global's name */
};

static struct identity identity_of(const struct value *value)
{
    if (value->kind == VALUE_GLOBAL)
        return (struct identity){value->role, value->items.at[0]->bytes, value->items.at[1]->bytes};
    return (struct identity){value->role, value->bytes, {NULL, 0}};
}

static bool identity_equal(struct identity a, struct identity b)
{
    return a.role == b.role && bytes_equal(a.content, b.content) && bytes_equal(a.more, b.more);
}

static size_t identity_hash(const struct known *known, struct identity identity)
{
    uint64_t content = digest_bytes(&known->key, identity.content).words[0];
    uint64_t more = identity.more.size ? digest_bytes(&known->key, identity.more).words[1] : 0;

    return (size_t)(content ^ more ^ identity.role * UINT64_C(0x9E3779B97F4A7C15));
}

static struct value **find_value(const struct known *known, struct value **values, size_t room,
                                 struct identity identity)
{
    size_t place = identity_hash(known, identity) & (room - 1);

    while (values[place] && !identity_equal(identity_of(values[place]), identity))
        place = (place + 1) & (room - 1);
    return &values[place];
}

static bool grow_values(struct known *known)
{
    struct arena *arena = &known->document->arena;
    size_t room = known->value_room ? known->value_room * 2 : 64;
    struct value **values;

    if (known->value_count * 2 < known->value_room)
        return true;
    values = array_new_in(arena, room, sizeof *values);
    if (!values)
        return false;
    for (size_t i = 0; i < known->value_room; i++)
        if (known->values[i])
            *find_value(known, values, room, identity_of(known->values[i])) = known->values[i];
    array_free_in(arena, known->values, NULL, known->value_room, sizeof *values);
    known->values = values;
    known->value_room = room;
    return true;
}

/* The place of a known value or of the one to be made; NULL: no memory. */
static struct value **place_of(struct known *known, struct identity identity)
{
    if (!grow_values(known))
        return NULL;
    return find_value(known, known->values, known->value_room, identity);
}

static void keep(struct known *known, struct value **place, struct value *value, unsigned role)
{
    if (!value)
        return;
    value->role = (uint8_t)role;
    *place = value;
    known->value_count++;
}

static struct value *known_bytes(struct known *known, enum value_kind kind, unsigned role,
                                 struct bytes content)
{
    struct value **place = place_of(known, (struct identity){role, content, {NULL, 0}});

    if (!place)
        return NULL;
    if (!*place)
        keep(known, place, value_new_bytes(known->document, kind, content), role);
    return *place;
}

struct value *known_string(struct known *known, enum value_kind kind, struct bytes content)
{
    if (content.size > EXPRESSION_LONG)
        return value_new_bytes(known->document, kind, content);
    return known_bytes(known, kind, kind, content);
}

struct value *known_global(struct known *known, struct bytes module, struct bytes name)
{
    struct identity identity = {ROLE_GLOBAL, module, name};
    struct value **place = place_of(known, identity);
    struct value *parts[2], *global;

    if (!place)
        return NULL;
    if (*place)
        return *place;
    parts[0] = known_bytes(known, VALUE_STR, ROLE_MODULE, module);
    parts[1] = known_bytes(known, VALUE_STR, ROLE_NAME, name);
    if (!parts[0] || !parts[1])
        return NULL;
    global = value_new_global(known->document, parts[0], parts[1]);
    /* The table may have grown meanwhile. */
    place = place_of(known, identity);
    if (!place)
        return NULL;
    keep(known, place, global, ROLE_GLOBAL);
    return global;
}
