/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "codecs/datetime_call.h"

enum { FOLD = 0x80, FIRST_FOLD_PROTOCOL = 4 };

static const char *const names[] = {"year",   "month",  "day",         "hour",
                                    "minute", "second", "microsecond", "fold"};

static const struct {
    int64_t lowest, highest;
} ranges[] = {{1, 9999}, {1, 12}, {1, 31}, {0, 23}, {0, 59}, {0, 59}, {0, 999999}, {0, 1}};

static bool is_text(const struct value *value, const char *text)
{
    return value->kind == VALUE_STR && !value->last_step &&
           bytes_equal(value->bytes, bytes_of_string(text));
}

enum datetime_class datetime_class_of(const struct value *value)
{
    const struct value *name;

    if (value->kind != VALUE_GLOBAL || value->last_step || !is_text(value->items.at[0], "datetime"))
        return DATETIME_OTHER;
    name = value->items.at[1];
    if (is_text(name, "datetime"))
        return DATETIME_DATETIME;
    if (is_text(name, "date"))
        return DATETIME_DATE;
    return is_text(name, "time") ? DATETIME_TIME : DATETIME_OTHER;
}

const char *datetime_field_name(enum datetime_field field)
{
    return names[field];
}

enum datetime_field datetime_first_field(enum datetime_class class)
{
    return class == DATETIME_TIME ? DATETIME_HOUR : DATETIME_YEAR;
}

enum datetime_field datetime_end_field(enum datetime_class class)
{
    return class == DATETIME_DATE ? DATETIME_HOUR : DATETIME_FOLD;
}

static bool is_leap_year(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap_year(year));
}

static const char *out_of_range(enum datetime_class class, const struct datetime_fields *fields)
{
    const int64_t *at = fields->at;

    for (unsigned i = datetime_first_field(class); i < (unsigned)datetime_end_field(class); i++)
        if (at[i] < ranges[i].lowest || at[i] > ranges[i].highest)
            return names[i];
    if (class != DATETIME_TIME &&
        at[DATETIME_DAY] > days_in_month(at[DATETIME_YEAR], at[DATETIME_MONTH]))
        return names[DATETIME_DAY];
    return at[DATETIME_FOLD] < 0 || at[DATETIME_FOLD] > 1 ? names[DATETIME_FOLD] : NULL;
}

const char *datetime_pack(enum datetime_class class, const struct datetime_fields *fields,
                          uint8_t state[DATETIME_STATE], size_t *size)
{
    const int64_t *at = fields->at;
    const char *wrong = out_of_range(class, fields);
    uint8_t *end = state;

    if (wrong)
        return wrong;
    if (class != DATETIME_TIME) {
        *end++ = (uint8_t)(at[DATETIME_YEAR] >> 8);
        *end++ = (uint8_t)at[DATETIME_YEAR];
        *end++ = (uint8_t)at[DATETIME_MONTH];
        *end++ = (uint8_t)at[DATETIME_DAY];
    }
    if (class != DATETIME_DATE) {
        *end++ = (uint8_t)at[DATETIME_HOUR];
        *end++ = (uint8_t)at[DATETIME_MINUTE];
        *end++ = (uint8_t)at[DATETIME_SECOND];
        *end++ = (uint8_t)(at[DATETIME_MICROSECOND] >> 16);
        *end++ = (uint8_t)(at[DATETIME_MICROSECOND] >> 8);
        *end++ = (uint8_t)at[DATETIME_MICROSECOND];
    }
    if (at[DATETIME_FOLD])
        state[class == DATETIME_TIME ? 0 : 2] |= FOLD;
    *size = (size_t)(end - state);
    return NULL;
}

bool datetime_unpack(enum datetime_class class, struct bytes state, unsigned protocol,
                     struct datetime_fields *fields)
{
    static const size_t sizes[] = {
        [DATETIME_DATE] = 4, [DATETIME_TIME] = 6, [DATETIME_DATETIME] = 10};
    struct datetime_fields result = {0};
    const uint8_t *at = state.data;
    uint8_t mask = class == DATETIME_DATE || protocol < FIRST_FOLD_PROTOCOL ? 0xFF : 0xFF & ~FOLD;

    if (class == DATETIME_OTHER || state.size != sizes[class])
        return false;
    if (class != DATETIME_TIME) {
        result.at[DATETIME_YEAR] = at[0] << 8 | at[1];
        result.at[DATETIME_MONTH] = class == DATETIME_DATETIME ? at[2] & mask : at[2];
        result.at[DATETIME_DAY] = at[3];
        result.at[DATETIME_FOLD] = (at[2] & ~mask) != 0;
        at += 4;
    }
    if (class != DATETIME_DATE) {
        result.at[DATETIME_HOUR] = class == DATETIME_TIME ? at[0] & mask : at[0];
        if (class == DATETIME_TIME)
            result.at[DATETIME_FOLD] = (at[0] & ~mask) != 0;
        result.at[DATETIME_MINUTE] = at[1];
        result.at[DATETIME_SECOND] = at[2];
        result.at[DATETIME_MICROSECOND] = at[3] << 16 | at[4] << 8 | at[5];
    }
    if (out_of_range(class, &result))
        return false;
    *fields = result;
    return true;
}
