/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/store/gdbm_rescue.h"

#include "src/io.h"
#include "src/io_draft.h"
#include "src/store/gdbm_plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_BACKUPS = 10000 };

/* The new file in our directory; libgdbm's own temporary file has a longer name that begins like this. */
#define FRESH "db"

/* Where everything is. */
struct scene {
    char *path;   /* of the database, without symbolic links */
    char *folder; /* ours */
    int fd;       /* of it; -1: it is not open */
    char fresh[40]; /* the new file in it, whatever becomes of the names that lead there */
};

static void scene_release(struct scene *scene)
{
    if (scene->fd >= 0)
        close(scene->fd);
    free(scene->path);
    free(scene->folder);
}

static int scene_init(struct scene *scene, const char *database)
{
    char *slash;

    *scene = (struct scene){.path = realpath(database, NULL), .fd = -1};
    if (!scene->path)
        return -errno;
    slash = strrchr(scene->path, '/');
    if (asprintf(&scene->folder, "%.*s/.%s.shelvefs-rescue", (int)(slash - scene->path),
                 scene->path, slash + 1) < 0) {
        scene->folder = NULL;
        scene_release(scene);
        return -ENOMEM;
    }
    return 0;
}

/* --- our directory --- */

/* Nobody else can have put anything there. -EPERM: it is not ours. */
static int enter_folder(struct scene *scene)
{
    struct stat stat;
    int fd = open(scene->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &stat) || stat.st_uid != geteuid() || (stat.st_mode & 07777) != 0700) {
        close(fd);
        return -EPERM;
    }
    if (scene->fd >= 0)
        close(scene->fd);
    scene->fd = fd;
    snprintf(scene->fresh, sizeof scene->fresh, "/proc/self/fd/%d/" FRESH, fd);
    return 0;
}

/* What is not ours in it, if it is another directory that was given our one's name, stays. */
static void remove_folder(struct scene *scene)
{
    int copy = scene->fd < 0 ? -1 : openat(scene->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *files = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;

    if (!files) {
        if (copy >= 0)
            close(copy);
        return;
    }
    while ((entry = readdir(files))) {
        if (strncmp(entry->d_name, FRESH, strlen(FRESH)) == 0)
            unlinkat(scene->fd, entry->d_name, 0);
    }
    closedir(files);
    rmdir(scene->folder);
}

static int make_folder(struct scene *scene)
{
    if (!enter_folder(scene))
        remove_folder(scene);
    if (mkdir(scene->folder, 0700))
        return errno == EEXIST ? -EPERM : -errno;
    return enter_folder(scene);
}

bool gdbm_rescue_is_left(const char *path)
{
    struct scene scene;
    bool left;

    if (scene_init(&scene, path))
        return false;
    left = !enter_folder(&scene);
    scene_release(&scene);
    return left;
}

void gdbm_rescue_clear(const char *path)
{
    struct scene scene;

    if (scene_init(&scene, path))
        return;
    if (!enter_folder(&scene))
        remove_folder(&scene);
    scene_release(&scene);
}

/* --- the new file in the old one's place --- */

/* libgdbm makes it for nobody but us, and does not wait for the disk. */
static int finish_fresh(const char *fresh, int database)
{
    struct stat like;
    int status, fd = io_open(fresh, O_RDWR | O_NOFOLLOW, 0);

    if (fd < 0)
        return fd;
    status = fstat(database, &like) ? -errno : io_own_as(fd, &like);
    if (!status && fsync(fd))
        status = -errno;
    close(fd);
    return status;
}

static bool is_same_file(const char *one, const char *other)
{
    struct stat of_one, of_other;

    return !stat(one, &of_one) && !lstat(other, &of_other) && io_is_same_file(&of_one, &of_other);
}

/*
 * A second name for the database, or where there are no hard links, its only one. A rescue that was killed after this step
 * has made one already.
 */
static int keep_backup(const char *path, char **out)
{
    int status = -EEXIST;
    char *name = NULL;

    for (int i = 1; status == -EEXIST && i < MOST_BACKUPS; i++) {
        free(name);
        if (asprintf(&name, "%s.~%d~", path, i) < 0)
            return -ENOMEM;
        status = link(path, name) ? -errno : 0;
        if (status == -EEXIST && is_same_file(path, name))
            status = 0;
        else if (status == -EPERM || status == -EOPNOTSUPP || status == -EMLINK)
            status = renameat2(AT_FDCWD, path, AT_FDCWD, name, RENAME_NOREPLACE) ? -errno : 0;
    }
    if (status)
        free(name);
    else
        *out = name;
    return status;
}

static int replace(const struct scene *scene, char **backup)
{
    char *name;
    int status = keep_backup(scene->path, &name);

    if (status)
        return status;
    if (rename(scene->fresh, scene->path)) {
        status = -errno;
        /* If both are names of the file, this does nothing, and the second one is to go. */
        if (rename(name, scene->path) == 0)
            unlink(name);
        free(name);
        return status;
    }
    *backup = name;
    return io_sync_directory_of(scene->path);
}

int gdbm_rescue_run(const char *path, int fd, struct gdbm_rescue *out)
{
    struct gdbm_rescue made = {.keys = 0};
    struct scene scene;
    int status = scene_init(&scene, path);

    if (status)
        return status;
    status = make_folder(&scene);
    if (!status) {
        status = gdbm_plan_recover(scene.fresh, fd, &made.keys);
        if (!status)
            status = finish_fresh(scene.fresh, fd);
        if (!status)
            status = replace(&scene, &made.backup);
        remove_folder(&scene);
    }
    scene_release(&scene);
    if (status)
        free(made.backup);
    else
        *out = made;
    return status;
}
