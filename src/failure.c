/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/failure.h"

#include <stdarg.h>
#include <stdio.h>

int failure_set(struct failure *failure, int code, size_t offset, const char *format, ...)
{
    va_list arguments;

    if (!failure || failure->code)
        return code;
    failure->code = code;
    failure->offset = offset;
    va_start(arguments, format);
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    return code;
}
