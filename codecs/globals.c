/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/globals.h"

#include <errno.h>
#include <stdlib.h>

/*
 * "module" and its names. No getattr, no type, no operator, no functools: those reach everything.
 * copyreg._reconstructor calls only the class beside it, which is checked by itself; _codecs.encode is how
 * protocols 0 to 2 write bytes, and imports nothing but the standard library's encodings.
 */
static const struct {
    const char *module;
    const char *names; /* separated by blanks */
} HARMLESS[] = {
    {"builtins", "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple"},
    {"__builtin__", "bool bytearray bytes complex dict float frozenset int list long object range set slice str "
                    "tuple unicode xrange"},
    {"_codecs", "encode"},
    {"copyreg", "_reconstructor"},
    {"copy_reg", "_reconstructor"},
    {"collections", "ChainMap Counter OrderedDict UserDict UserList UserString defaultdict deque"},
    {"datetime", "date datetime time timedelta timezone"},
    {"decimal", "Decimal"},
    {"fractions", "Fraction"},
    {"ipaddress", "IPv4Address IPv4Interface IPv4Network IPv6Address IPv6Interface IPv6Network"},
    {"pathlib", "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath"},
    {"pathlib._local", "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath"},
    {"types", "SimpleNamespace"},
    {"uuid", "SafeUUID UUID"},
};

bool global_parts(const struct value *global, struct bytes *module, struct bytes *name)
{
    const struct value *first, *second;

    if (global->items.count != 2)
        return false;
    first = global->items.at[0];
    second = global->items.at[1];
    if ((first->kind != VALUE_STR && first->kind != VALUE_STR8) ||
        (second->kind != VALUE_STR && second->kind != VALUE_STR8))
        return false;
    *module = first->bytes;
    *name = second->bytes;
    return true;
}

static bool is_long(struct bytes module, struct bytes name)
{
    return module.size > GLOBAL_NAME_LONGEST || name.size > GLOBAL_NAME_LONGEST;
}

static bool harmless(struct bytes module, struct bytes name)
{
    for (size_t i = 0; i < ARRAY_SIZE(HARMLESS); i++)
        if (bytes_equal(module, bytes_of_string(HARMLESS[i].module)))
            return bytes_have_word(HARMLESS[i].names, name);
    return false;
}

static bool same_global(const struct value *a, const struct value *b)
{
    struct bytes module[2], name[2];

    if (a->kind != b->kind)
        return false;
    if (a->kind == VALUE_EXTENSION)
        return a->integer == b->integer;
    return global_parts(a, &module[0], &name[0]) && global_parts(b, &module[1], &name[1]) &&
           bytes_equal(module[0], module[1]) && bytes_equal(name[0], name[1]);
}

/* An order for plain globals and extensions, so that a long list can be searched. */
static int compare_globals(const void *left, const void *right)
{
    const struct value *a = *(struct value *const *)left, *b = *(struct value *const *)right;
    struct bytes module[2] = {{NULL, 0}, {NULL, 0}}, name[2] = {{NULL, 0}, {NULL, 0}};
    int order;

    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == VALUE_EXTENSION)
        return a->integer < b->integer ? -1 : a->integer > b->integer;
    global_parts(a, &module[0], &name[0]);
    global_parts(b, &module[1], &name[1]);
    order = bytes_compare(module[0], module[1]);
    return order ? order : bytes_compare(name[0], name[1]);
}

static int refuse(const struct value *global, struct failure *failure)
{
    struct bytes module, name;

    if (global->kind == VALUE_EXTENSION)
        return failure_set(failure, -EPERM, 0,
                           "ext(%lld) may be any function and the stored value does not name it; "
                           "-o globals=any allows it",
                           (long long)global->integer);
    if (!global_parts(global, &module, &name))
        return failure_set(failure, -EPERM, 0,
                           "a computed global may be any function; -o globals=any allows it");
    if (is_long(module, name))
        return failure_set(failure, -EPERM, 0,
                           "names a class or function whose module or name has more than %d bytes; "
                           "-o globals=any allows it",
                           GLOBAL_NAME_LONGEST);
    return failure_set(failure, -EPERM, 0,
                       "names %.*s.%.*s, which the stored value does not name; -o globals=any allows it",
                       (int)(module.size < 80 ? module.size : 80), (const char *)module.data,
                       (int)(name.size < 80 ? name.size : 80), (const char *)name.data);
}

/* What is_known() can find in a list that is sorted. */
static bool is_comparable(const struct value *global)
{
    struct bytes module, name;

    return global->kind == VALUE_EXTENSION ||
           (global->kind == VALUE_GLOBAL && global_parts(global, &module, &name) && !is_long(module, name));
}

static bool is_known(struct value *global, const struct value_list *sorted)
{
    struct bytes module, name;
    struct value **found;

    if (global->kind == VALUE_CODE)
        return true; /* for marshal_check_code() */
    if (global->kind == VALUE_GLOBAL) {
        if (global->items.count != 2)
            return true; /* decoding failed in the middle of it: a loader stops there, too */
        if (!global_parts(global, &module, &name) || is_long(module, name))
            return false;
        if (harmless(module, name))
            return true;
    }
    if (!sorted->count)
        return false;
    found = bsearch(&global, sorted->at, sorted->count, sizeof *sorted->at, compare_globals);
    return found && same_global(*found, global);
}

int globals_check(const struct document *document, const struct document *old,
                  struct failure *failure)
{
    struct value_list known = {0};
    int status = 0;

    if (old && old->globals.count) {
        known.at = malloc(old->globals.count * sizeof *known.at);
        if (!known.at)
            return failure_set(failure, -ENOMEM, 0, "out of memory");
        for (uint32_t i = 0; i < old->globals.count; i++)
            if (is_comparable(old->globals.at[i]))
                known.at[known.count++] = old->globals.at[i];
        qsort(known.at, known.count, sizeof *known.at, compare_globals);
    }
    for (uint32_t i = 0; i < document->globals.count && !status; i++)
        if (!is_known(document->globals.at[i], &known))
            status = refuse(document->globals.at[i], failure);
    free(known.at);
    return status;
}
