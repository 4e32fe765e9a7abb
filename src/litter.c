/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/litter.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool has_litter_name(const char *name)
{
    static const char prefix[] = ".shelvefs-";
    const char *digits = name + sizeof prefix - 1;

    return strncmp(name, prefix, sizeof prefix - 1) == 0 && strlen(digits) == 16 &&
           strspn(digits, "0123456789abcdef") == 16;
}

static bool is_litter(int directory, const char *name, uid_t owner)
{
    struct stat stat;

    return has_litter_name(name) && fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(stat.st_mode) && (stat.st_uid == owner || stat.st_uid == geteuid()) &&
           time(NULL) - stat.st_mtime > LITTER_SECONDS;
}

void litter_remove(const char *path)
{
    char *copy = strdup(path);
    DIR *directory = copy ? opendir(dirname(copy)) : NULL;
    struct dirent *entry;
    struct stat of_path;

    free(copy);
    if (!directory)
        return;
    if (stat(path, &of_path))
        of_path.st_uid = geteuid();
    while ((entry = readdir(directory))) {
        if (is_litter(dirfd(directory), entry->d_name, of_path.st_uid))
            unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
}
