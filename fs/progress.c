/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fs/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const int64_t PATIENCE_NS = 1000000000, PACE_NS = 200000000;

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* To the start of the line and, behind the text, what is left of an older one wiped away. */
static void put(struct progress *progress, const char *text)
{
    char line[160];
    int size = snprintf(line, sizeof line, "\r%s\033[K", text);

    if (write(progress->fd, line, (size_t)size) != size)
        progress->fd = -1;
}

static void report(void *context, const char *what, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    int64_t now = progress->fd >= 0 ? now_ns() : 0;
    char text[120];

    if (progress->fd < 0 || now < progress->due_ns)
        return;
    if (total)
        snprintf(text, sizeof text, "shelvefs: %.80s: %u%%", what,
                 (unsigned)(done >= total ? 100 : (double)done / (double)total * 100));
    else
        snprintf(text, sizeof text, "shelvefs: %.80s: %llu", what, (unsigned long long)done);
    put(progress, text);
    progress->shown = true;
    progress->due_ns = now + PACE_NS;
}

void progress_init(struct progress *progress, int fd)
{
    *progress = (struct progress){
        .sink = {report, progress}, .fd = isatty(fd) ? fd : -1, .due_ns = now_ns() + PATIENCE_NS};
}

void progress_end(struct progress *progress)
{
    if (progress->shown && progress->fd >= 0)
        put(progress, "");
    progress->fd = -1;
}
