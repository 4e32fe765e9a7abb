/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/log.h"

#include "src/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

static time_t seconds_since_boot(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

void log_init(struct log *log, const char *program, int fd)
{
    *log = (struct log){.program = program, .fd = fd, .clock = seconds_since_boot};
    pthread_mutex_init(&log->lock, NULL);
}

void log_to_syslog(struct log *log)
{
    pthread_mutex_lock(&log->lock);
    openlog(log->program, LOG_PID, LOG_DAEMON);
    log->fd = -1;
    pthread_mutex_unlock(&log->lock);
}

void log_escape(struct bytes text, struct buffer *out)
{
    for (size_t offset = 0; offset < text.size && !buffer_status(out);) {
        struct utf8_point point = utf8_decode(text, offset, UTF8_STRICT);
        size_t length = point.length ? point.length : 1;

        if (point.length && !utf8_is_control(point.point))
            buffer_add(out, bytes_part(text, offset, length));
        else
            for (size_t i = 0; i < length; i++)
                buffer_printf(out, "\\x%02x", text.data[offset + i]);
        offset += length;
    }
}

/* One write a line, so that lines of several processes don't mix. A log that can't be written is no
 * reason to stop. */
static void write_line(int fd, struct bytes line)
{
    while (line.size) {
        ssize_t written = write(fd, line.data, line.size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        line = bytes_part(line, (size_t)written, SIZE_MAX);
    }
}

static void log_line(struct log *log, int priority, struct bytes text)
{
    struct buffer line = BUFFER_INIT;

    if (log->fd >= 0)
        buffer_printf(&line, "%s: ", log->program);
    log_escape(text, &line);
    buffer_add_byte(&line, log->fd >= 0 ? '\n' : '\0');
    if (buffer_status(&line) == 0) {
        if (log->fd >= 0)
            write_line(log->fd, buffer_bytes(&line));
        else
            syslog(priority, "%s", (const char *)line.data);
    }
    buffer_release(&line);
}

PRINTF_LIKE(3, 0)
static void log_formatted(struct log *log, int priority, const char *format, va_list arguments)
{
    struct buffer text = BUFFER_INIT;

    buffer_vprintf(&text, format, arguments);
    log_line(log, priority, buffer_bytes(&text));
    buffer_release(&text);
}

static void tell_held_back(struct log *log)
{
    char text[80];
    int size;

    if (log->refusals > LOG_REFUSALS) {
        size = snprintf(text, sizeof text, "refusals in %d seconds that are not shown: %u",
                        LOG_REFUSAL_SECONDS, log->refusals - LOG_REFUSALS);
        log_line(log, LOG_WARNING, bytes_of(text, (size_t)size));
    }
    log->refusals = 0;
}

static void end_window(struct log *log, time_t now)
{
    if (log->refusals && now - log->window >= LOG_REFUSAL_SECONDS)
        tell_held_back(log);
}

void log_release(struct log *log)
{
    if (!log)
        return;
    tell_held_back(log);
    pthread_mutex_destroy(&log->lock);
}

void log_tick(struct log *log)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    end_window(log, log->clock());
    pthread_mutex_unlock(&log->lock);
}

void log_refusal(struct log *log, const char *format, ...)
{
    va_list arguments;
    time_t now;

    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    now = log->clock();
    end_window(log, now);
    if (log->refusals == 0)
        log->window = now;
    if (++log->refusals <= LOG_REFUSALS) {
        va_start(arguments, format);
        log_formatted(log, LOG_WARNING, format, arguments);
        va_end(arguments);
    }
    pthread_mutex_unlock(&log->lock);
}

void log_error(struct log *log, const char *format, ...)
{
    va_list arguments;

    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    va_start(arguments, format);
    log_formatted(log, LOG_ERR, format, arguments);
    va_end(arguments);
    pthread_mutex_unlock(&log->lock);
}

void log_note(struct log *log, const char *format, ...)
{
    va_list arguments;

    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    va_start(arguments, format);
    log_formatted(log, LOG_NOTICE, format, arguments);
    va_end(arguments);
    pthread_mutex_unlock(&log->lock);
}
