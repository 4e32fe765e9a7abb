/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/locks.h"

#include "src/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

enum { NAME_SIZE = 64 }; /* of a program: the kernel keeps 15 bytes of it */

bool locks_parse(const char *line, const struct stat *file, struct lock_holder *out)
{
    unsigned major_number, minor_number;
    unsigned long long inode, from;
    char kind[8], mode[8];
    long process;
    int count, waits = 0, start = 0;

    /* "1: -> POSIX  ADVISORY  WRITE 1234 fd:01:5678 0 EOF", the arrow only for one that waits. */
    if (sscanf(line, "%*d: %n-> %n", &start, &waits) < 0)
        return false;
    count = sscanf(line + (waits ? waits : start), "%7s %*s %7s %ld %x:%x:%llu %llu", kind, mode,
                   &process, &major_number, &minor_number, &inode, &from);
    if (count != 7 || inode != file->st_ino || makedev(major_number, minor_number) != file->st_dev)
        return false;
    *out = (struct lock_holder){.process = process,
                                .writes = strcmp(mode, "WRITE") == 0,
                                .waits = waits != 0,
                                .is_flock = strcmp(kind, "FLOCK") == 0,
                                .from = from};
    return true;
}

int locks_visit(const struct stat *file,
                void (*visit)(void *context, const struct lock_holder *holder), void *context)
{
    FILE *locks = fopen("/proc/locks", "re");
    struct lock_holder holder;
    char *line = NULL;
    size_t room = 0;

    if (!locks)
        return -errno;
    while (getline(&line, &room, locks) > 0) {
        if (locks_parse(line, file, &holder))
            visit(context, &holder);
    }
    free(line);
    fclose(locks);
    return 0;
}

void locks_add_process(long process, struct buffer *out)
{
    char path[48], name[NAME_SIZE];
    FILE *file;
    size_t size = 0;

    if (process <= 0) {
        buffer_add_string(out, "a process that the kernel does not name");
        return;
    }
    buffer_printf(out, "process %ld", process);
    snprintf(path, sizeof path, "/proc/%ld/comm", process);
    file = fopen(path, "re");
    if (file) {
        size = fread(name, 1, sizeof name, file);
        fclose(file);
    }
    if (size > 1) {
        buffer_add_string(out, " (");
        log_escape(bytes_of(name, size - 1), out);
        buffer_add_byte(out, ')');
    }
}
