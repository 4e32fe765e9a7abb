/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/litter.h"

#include "src/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/folder.h"

static const struct {
    const char *name;
    int age;
    bool goes;
} files[] = {
    {".shelvefs-0123456789abcdef", 2 * LITTER_SECONDS, true},
    {".shelvefs-0123456789abcdee", 0, false},
    {".shelvefs-0123456789ABCDEF", 2 * LITTER_SECONDS, false},
    {".shelvefs-0123456789abcdeff", 2 * LITTER_SECONDS, false},
    {".shelvefs-0123456789abcde", 2 * LITTER_SECONDS, false},
    {".shelf.shelvefs", 2 * LITTER_SECONDS, false},
    {"shelf", 2 * LITTER_SECONDS, false},
};

static void test_what_goes(void **state)
{
    char folder[64], path[128];
    struct stat found;

    folder_make(folder, sizeof folder);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct timespec times[2] = {{.tv_sec = time(NULL) - files[i].age}, {.tv_sec = time(NULL) - files[i].age}};
        int fd;

        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        assert_int_equal(futimens(fd, times), 0);
        close(fd);
    }
    snprintf(path, sizeof path, "%s/shelf", folder);
    litter_remove(path);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        assert_int_equal(lstat(path, &found), files[i].goes ? -1 : 0);
    }
    folder_remove(folder);
}

/* A folder or a link of such a name is nobody's litter, and a folder that is not there has none. */
static void test_others(void **state)
{
    char folder[64], path[128], name[128];
    struct stat found;
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    folder_make(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/.shelvefs-0123456789abcdef", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    snprintf(name, sizeof name, "%s/.shelvefs-0000000000000000", folder);
    assert_int_equal(symlink("nowhere", name), 0);
    assert_int_equal(utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW), 0);
    snprintf(path, sizeof path, "%s/shelf", folder);
    litter_remove(path);
    assert_int_equal(lstat(name, &found), 0);
    snprintf(path, sizeof path, "%s/nowhere/shelf", folder);
    litter_remove(path);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes),
        cmocka_unit_test(test_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
