/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/sqlite_log.h"

#include "src/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where SQLite locks a database for as long as it is open in WAL mode, among others (os.h: PENDING_BYTE, SHARED_SIZE). */
enum { LOCKS_START = 0x40000000, LOCKS_SIZE = 512 };

static int stat_companion(const char *path, const char *suffix, struct stat *out)
{
    char *name;
    int status;

    if (asprintf(&name, "%s%s", path, suffix) < 0)
        return -ENOMEM;
    status = lstat(name, out) ? -errno : 0;
    free(name);
    return status;
}

int sqlite_log_check(const char *path, const struct stat *database, struct failure *failure)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    struct stat file;

    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        if (stat_companion(path, suffixes[i], &file))
            continue;
        if (!S_ISREG(file.st_mode) || file.st_nlink > 1)
            return failure_set(failure, -EPERM, 0, "%s%s is no plain file of one name: move it away",
                               path, suffixes[i]);
        if (file.st_uid != database->st_uid && file.st_uid != geteuid() && file.st_uid != 0)
            return failure_set(failure, -EPERM, 0, "%s%s belongs to somebody else: move it away",
                               path, suffixes[i]);
    }
    return 0;
}

bool sqlite_log_is_open(const char *path)
{
    struct stat log, mine;
    DIR *descriptors;
    struct dirent *entry;
    bool found = false;

    if (stat_companion(path, "-wal", &log))
        return false;
    descriptors = opendir("/proc/self/fd");
    if (!descriptors)
        return true; /* the careful answer */
    while (!found && (entry = readdir(descriptors)))
        found = fstat(atoi(entry->d_name), &mine) == 0 && io_is_same_file(&mine, &log);
    closedir(descriptors);
    return found;
}

/* This process has it closed, so that it loses no locks here. */
static bool is_in_use(const char *path)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCKS_START, .l_len = LOCKS_SIZE};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool used;

    if (fd < 0)
        return false;
    used = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return used;
}

static int remove_companion(const char *path, const char *suffix)
{
    char *name;
    int status;

    if (asprintf(&name, "%s%s", path, suffix) < 0)
        return -ENOMEM;
    status = unlink(name) && errno != ENOENT ? -errno : 0;
    free(name);
    return status;
}

int sqlite_log_remove(const char *path)
{
    int status = is_in_use(path) ? -EBUSY : remove_companion(path, "-wal");

    return status ? status : remove_companion(path, "-shm");
}
