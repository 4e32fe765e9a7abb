/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The values of a dbm.dumb database: NAME.dat, which is only ever appended to. dumb.c has the design. */
#ifndef SHELVEFS_STORE_DUMB_VALUES_H
#define SHELVEFS_STORE_DUMB_VALUES_H

#include "src/bytes.h"
#include "src/failure.h"

#include <sys/stat.h>

struct dumb_values {
    int fd;           /* -1: not open */
    struct stat file; /* what is open, as it was then */
    int64_t size;     /* when it was last looked at: nobody makes it smaller but by mistake */
    bool dirty;       /* written to since the last fsync */
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

/*
 * Whether it was cut: then the index has to be read again before anything is written there, or the keys whose values are gone
 * would seem to have what comes in their place. `now`: what stat() says of it.
 */
bool dumb_values_were_cut(struct dumb_values *values, const struct stat *now);
/* Negative errno if that can't be told. */
int64_t dumb_values_size(const struct dumb_values *values);
/* Appends what is there to `value`. -EIO: the file ends before, or that is no place in a file. */
int dumb_values_read(const struct dumb_values *values, int64_t offset, int64_t size,
                     struct buffer *value);
/* Tells where it is. -ESTALE: it was cut. */
int dumb_values_append(struct dumb_values *values, struct bytes value, int64_t *offset);
int dumb_values_sync(struct dumb_values *values);

#endif
