/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The values of a dbm.dumb database: NAME.dat, which is only ever appended to. dumb.c has the design. */
#ifndef SHELVEFS_STORE_DUMB_VALUES_H
#define SHELVEFS_STORE_DUMB_VALUES_H

#include "src/bytes.h"
#include "src/failure.h"

#include <sys/types.h>

struct dumb_values {
    int fd;      /* -1: not open */
    ino_t inode; /* of what is open */
    bool dirty;  /* written to since the last fsync */
};

/*
 * Opens the file, instead of what was open, which stays after a failure. To write, it gets a lock that keeps other
 * writers of ours out: -EBUSY if one of them keeps it for `lock_timeout` seconds.
 */
int dumb_values_open(struct dumb_values *values, const char *path, bool read_only,
                     unsigned lock_timeout);
void dumb_values_release(struct dumb_values *values);
/* An empty file. One with values, but without an index, is not taken for a new database (-EUCLEAN); an empty one is what older Pythons leave. */
int dumb_values_create(const char *path, struct failure *failure);

/* Negative errno if that can't be told. */
int64_t dumb_values_size(const struct dumb_values *values);
/* Appends what is there to `value`. -EIO: the file ends before, or that is no place in a file. */
int dumb_values_read(const struct dumb_values *values, int64_t offset, int64_t size,
                     struct buffer *value);
/* Tells where it is. */
int dumb_values_append(struct dumb_values *values, struct bytes value, int64_t *offset);
int dumb_values_sync(struct dumb_values *values);

#endif
