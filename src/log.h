/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The one place where a mount says something: lines on standard error, and in syslog once it is a
 * daemon.
 *
 * What is logged often quotes keys and values, which are somebody else's bytes. Every line is
 * therefore escaped as a whole: control characters, characters that reorder or hide text, and bytes
 * that are no UTF-8 appear as \xNN, so a line is one line and a terminal can't be driven by it. All
 * functions may be called from any thread, and with NULL for no log.
 */
#ifndef SHELVEFS_LOG_H
#define SHELVEFS_LOG_H

#include "src/bytes.h"

#include <pthread.h>
#include <time.h>

enum {
    LOG_REFUSALS = 10,       /* lines let through ... */
    LOG_REFUSAL_SECONDS = 10 /* ... in this time; the others are counted and told in one line */
};

struct log {
    pthread_mutex_t lock;
    const char *program;   /* a constant; each line on `fd` starts with it */
    int fd;                /* -1: syslog */
    time_t (*clock)(void); /* seconds that never go back */
    time_t window;         /* when the present window of refusals began */
    unsigned refusals;     /* in the window */
};

/* Lines go to `fd`. */
void log_init(struct log *log, const char *program, int fd);
/* From here on to syslog, facility daemon. */
void log_to_syslog(struct log *log);
/* Tells what the limit held back. */
void log_release(struct log *log);

/* Something that the owner of the machine must look into. */
void log_error(struct log *log, const char *format, ...) PRINTF_LIKE(2, 3);
/* A user's request that was turned down, for example a save that doesn't parse: limited, see above.
 */
void log_refusal(struct log *log, const char *format, ...) PRINTF_LIKE(2, 3);
/* Good to know. */
void log_note(struct log *log, const char *format, ...) PRINTF_LIKE(2, 3);
/* To be called now and then: tells what the limit held back when its time is over. */
void log_tick(struct log *log);

/* Appends `text` as it is fit for a terminal. */
void log_escape(struct bytes text, struct buffer *out);

#endif
