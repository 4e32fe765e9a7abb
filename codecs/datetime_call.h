/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Dates as a person writes them: datetime.datetime(2026, 11, 21, 5, 37) and the call that Python
 * pickles, datetime.datetime(b'\x07\xea\x0b\x15\x05%\x00\x00\x00\x00') (CPython,
 * Modules/_datetimemodule.c, *_getstate).
 *
 * The state is year (2 bytes, high first), month, day for a date; hour, minute, second,
 * microsecond (3 bytes, high first) for a time; one behind the other for a datetime. From protocol
 * 4 on, fold is the top bit of the month or, in a time, of the hour.
 */
#ifndef SHELVEFS_DATETIME_CALL_H
#define SHELVEFS_DATETIME_CALL_H

#include "src/value.h"

enum datetime_class { DATETIME_OTHER, DATETIME_DATE, DATETIME_TIME, DATETIME_DATETIME };

/* In the order of the constructors' parameters; what a class doesn't have is not looked at. */
enum datetime_field {
    DATETIME_YEAR,
    DATETIME_MONTH,
    DATETIME_DAY,
    DATETIME_HOUR,
    DATETIME_MINUTE,
    DATETIME_SECOND,
    DATETIME_MICROSECOND,
    DATETIME_FOLD,
    DATETIME_FIELDS,
};

enum { DATETIME_STATE = 10 };

struct datetime_fields {
    int64_t at[DATETIME_FIELDS];
};

/* Which class of the module datetime the global `value` is. */
enum datetime_class datetime_class_of(const struct value *value);
const char *datetime_field_name(enum datetime_field field);
/* The first field of a class, and the one after its last but DATETIME_FOLD. */
enum datetime_field datetime_first_field(enum datetime_class class);
enum datetime_field datetime_end_field(enum datetime_class class);

/* Whether the state is one that Python writes in `protocol`, and its fields. */
bool datetime_unpack(enum datetime_class class, struct bytes state, unsigned protocol,
                     struct datetime_fields *fields);
/* The name of a field that is out of range, or NULL and the state, of `*size` bytes. */
const char *datetime_pack(enum datetime_class class, const struct datetime_fields *fields,
                          uint8_t state[DATETIME_STATE], size_t *size);

#endif
