/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/locks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

bool locks_parse(const char *line, const struct stat *file, struct lock_holder *out)
{
    unsigned major_number, minor_number;
    unsigned long long inode;
    char mode[8];
    long process;
    int count, waits = 0;

    /* "1: -> POSIX  ADVISORY  WRITE 1234 fd:01:5678 0 EOF", the arrow only for one that waits. */
    if (sscanf(line, "%*d: -> %n", &waits) < 0)
        return false;
    count = waits ? sscanf(line + waits, "%*s %*s %7s %ld %x:%x:%llu", mode, &process,
                           &major_number, &minor_number, &inode)
                  : sscanf(line, "%*d: %*s %*s %7s %ld %x:%x:%llu", mode, &process, &major_number,
                           &minor_number, &inode);
    if (count != 5 || inode != file->st_ino || makedev(major_number, minor_number) != file->st_dev)
        return false;
    *out = (struct lock_holder){process, strcmp(mode, "WRITE") == 0, waits != 0};
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
