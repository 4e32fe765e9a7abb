/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/code_layout.h"

/* What all layouts before 3.11 have behind the numbers. */
#define OBJECTS_BEFORE_3_11 \
    {"code", CODE_BYTES}, {"consts", CODE_TUPLE}, {"names", CODE_TUPLE}, \
    {"varnames", CODE_TUPLE}, {"freevars", CODE_TUPLE}, {"cellvars", CODE_TUPLE}, \
    {"filename", CODE_TEXT}, {"name", CODE_TEXT}, {"firstlineno", CODE_NUMBER}, {"lnotab", CODE_BYTES}

static const struct code_field fields_2[] = {
    {"argcount", CODE_NUMBER},
    {"nlocals", CODE_NUMBER},
    {"stacksize", CODE_NUMBER},
    {"flags", CODE_NUMBER},
    OBJECTS_BEFORE_3_11,
};

static const struct code_field fields_3_0[] = {
    {"argcount", CODE_NUMBER},
    {"kwonlyargcount", CODE_NUMBER},
    {"nlocals", CODE_NUMBER},
    {"stacksize", CODE_NUMBER},
    {"flags", CODE_NUMBER},
    OBJECTS_BEFORE_3_11,
};

static const struct code_field fields_3_8[] = {
    {"argcount", CODE_NUMBER},
    {"posonlyargcount", CODE_NUMBER},
    {"kwonlyargcount", CODE_NUMBER},
    {"nlocals", CODE_NUMBER},
    {"stacksize", CODE_NUMBER},
    {"flags", CODE_NUMBER},
    OBJECTS_BEFORE_3_11,
};

static const struct code_field fields_3_11[] = {
    {"argcount", CODE_NUMBER},
    {"posonlyargcount", CODE_NUMBER},
    {"kwonlyargcount", CODE_NUMBER},
    {"stacksize", CODE_NUMBER},
    {"flags", CODE_NUMBER},
    {"code", CODE_BYTES},
    {"consts", CODE_TUPLE},
    {"names", CODE_TUPLE},
    {"localsplusnames", CODE_TUPLE},
    {"localspluskinds", CODE_BYTES},
    {"filename", CODE_TEXT},
    {"name", CODE_TEXT},
    {"qualname", CODE_TEXT},
    {"firstlineno", CODE_NUMBER},
    {"linetable", CODE_BYTES},
    {"exceptiontable", CODE_BYTES},
};

static const struct {
    const struct code_field *fields;
    uint32_t count;
} LAYOUTS[CODE_LAYOUTS] = {
    [CODE_2] = {fields_2, ARRAY_SIZE(fields_2)},
    [CODE_3_0] = {fields_3_0, ARRAY_SIZE(fields_3_0)},
    [CODE_3_8] = {fields_3_8, ARRAY_SIZE(fields_3_8)},
    [CODE_3_11] = {fields_3_11, ARRAY_SIZE(fields_3_11)},
};

const struct code_field *code_fields(enum code_layout layout, uint32_t *count)
{
    *count = LAYOUTS[layout].count;
    return LAYOUTS[layout].fields;
}

bool code_field_accepts(enum code_layout layout, const struct code_field *field,
                        const struct value *value)
{
    if (value->last_step)
        return false;
    switch (field->kind) {
    case CODE_NUMBER:
        return value->kind == VALUE_INT && value->integer >= INT32_MIN && value->integer <= INT32_MAX;
    case CODE_BYTES:
        return value->kind == (layout == CODE_2 ? VALUE_STR8 : VALUE_BYTES);
    case CODE_TEXT:
        return value->kind == (layout == CODE_2 ? VALUE_STR8 : VALUE_STR);
    case CODE_TUPLE:
        return value->kind == VALUE_TUPLE;
    }
    return false;
}
