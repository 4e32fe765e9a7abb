/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/mapped.h"

#include "src/io.h"
#include "src/lost_pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void mapped_set(struct mapped *mapped, int fd, const struct stat *stat)
{
    if (mapped->device != stat->st_dev || mapped->inode != stat->st_ino ||
        (uintmax_t)stat->st_size != mapped->size)
        mapped_end(mapped);
    mapped->fd = fd;
    mapped->device = stat->st_dev;
    mapped->inode = stat->st_ino;
}

static void *map_apart(int fd, size_t size)
{
    char name[40];
    void *data = MAP_FAILED;
    int other;

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    other = io_open(name, O_RDONLY, 0);
    if (other < 0)
        return data;
    data = mmap(NULL, size, PROT_READ, MAP_SHARED, other, 0);
    close(other);
    return data;
}

void mapped_begin(struct mapped *mapped, off_t size, enum mapped_locks locks)
{
    void *data;

    if (mapped->data && mapped->size == (size_t)size)
        return;
    mapped_end(mapped);
    if (size <= 0 || (uintmax_t)size > SIZE_MAX)
        return;
    lost_pages_start();
    data = locks == MAPPED_FLOCK ? map_apart(mapped->fd, (size_t)size)
                                 : mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, mapped->fd, 0);
    if (data == MAP_FAILED)
        return;
    mapped->data = data;
    mapped->size = (size_t)size;
    mapped->lost = lost_pages_count();
}

void mapped_end(struct mapped *mapped)
{
    if (mapped->data)
        munmap((void *)mapped->data, mapped->size);
    mapped->data = NULL;
}

int mapped_read(struct mapped *mapped, void *out, size_t size, off_t offset)
{
    if (mapped->data && offset >= 0 && (uintmax_t)offset <= mapped->size &&
        size <= mapped->size - (size_t)offset) {
        memcpy(out, mapped->data + offset, size);
        if (lost_pages_count() == mapped->lost)
            return 0;
        mapped_end(mapped);
    }
    return io_read_exactly(mapped->fd, out, size, offset);
}
