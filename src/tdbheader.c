/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "src/tdbheader.h"

#include "src/io.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* lib/tdb/common/tdb_private.h. The features count only with a mark in what was the word of another lock. */
enum { FEATURE_MUTEX = 1 };
static const uint32_t RECOVERY_PENDING = 0xf53bc0e7, FEATURE_MARK = 0x0bad1a52;

int tdbheader_read(int fd, struct tdb_header *out)
{
    return io_read_exactly(fd, out, sizeof *out, 0);
}

off_t tdbheader_base(const struct tdb_header *header)
{
    return header->rwlocks == FEATURE_MARK && header->features & FEATURE_MUTEX ? header->mutex_size
                                                                              : 0;
}

bool tdbheader_is_alike(const struct tdb_header *one, const struct tdb_header *other)
{
    struct tdb_header like = *other;

    like.recovery_start = one->recovery_start;
    like.sequence = one->sequence;
    return memcmp(one, &like, sizeof like) == 0;
}

/* 1: there is one, of which the record is told; 0: there is none. */
static int read_recovery(int fd, off_t base, uint32_t *start, struct tdb_record *record)
{
    int status = io_read_exactly(fd, start, sizeof *start,
                                 base + (off_t)offsetof(struct tdb_header, recovery_start));

    if (!status && *start)
        status = io_read_exactly(fd, record, sizeof *record, base + *start);
    return status ? status : *start != 0;
}

bool tdbheader_is_pending(int fd, off_t base)
{
    struct tdb_record record;
    uint32_t start;
    int found = read_recovery(fd, base, &start, &record);

    return found < 0 || (found && record.magic == RECOVERY_PENDING);
}

int tdbheader_check_recovery(int fd, off_t base)
{
    struct tdb_record record;
    struct stat stat;
    uint32_t start;
    int found = read_recovery(fd, base, &start, &record);

    if (found <= 0)
        return found;
    if (fstat(fd, &stat))
        return -errno;
    return stat.st_size < (off_t)(start + sizeof record + record.length) ? -EUCLEAN : 0;
}
