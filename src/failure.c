/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/failure.h"

#include "src/utf8.h"

#include <stdarg.h>
#include <stdio.h>

static void make_printable(char *message)
{
    struct bytes text = bytes_of_string(message);
    size_t offset = 0;

    while (offset < text.size) {
        struct utf8_point point = utf8_decode(text, offset, UTF8_STRICT);

        if (point.length && !utf8_is_control(point.point)) {
            offset += point.length;
            continue;
        }
        for (unsigned i = 0; i < (point.length ? point.length : 1); i++)
            message[offset++] = '?';
    }
}

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
    make_printable(failure->message);
    return code;
}
