/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A private folder for a test's files, in TMPDIR. After cmocka.h, whose assertions it uses. */
#ifndef SHELVEFS_TESTS_FOLDER_H
#define SHELVEFS_TESTS_FOLDER_H

#include <stdio.h>
#include <stdlib.h>

/* Its path fits into 64 bytes unless TMPDIR is a long one, which fails the test. */
static inline void folder_make(char *folder, size_t size)
{
    snprintf(folder, size, "%s/shelvefs-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
}

static inline void folder_remove(const char *folder)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

#endif
