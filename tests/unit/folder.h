/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A private folder for a test's files, in TMPDIR. After cmocka.h, whose assertions it uses. */
#ifndef SHELVEFS_TESTS_FOLDER_H
#define SHELVEFS_TESTS_FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Its path fits into 64 bytes unless TMPDIR is a long one, which fails the test. */
static inline void folder_make(char *folder, size_t size)
{
    snprintf(folder, size, "%s/shelvefs-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
}

/* Removes the files in it; there may be no folders. */
static inline void folder_empty(const char *folder)
{
    DIR *directory = opendir(folder);
    struct dirent *entry;

    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        if (entry->d_type != DT_DIR)
            assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
    }
    closedir(directory);
}

static inline void folder_remove(const char *folder)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

#endif
