/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writes single instructions as CPython's C pickler chooses them (CPython, Modules/_pickle.c), with its framing. Failures
 * stick in the buffer.
 */
#ifndef SHELVEFS_PICKLE_WRITE_H
#define SHELVEFS_PICKLE_WRITE_H

#include "src/value.h"

struct pickle_writer {
    struct buffer *out;
    unsigned protocol;
    bool python2;    /* as CPython 2.7's cPickle */
    bool framing;    /* protocols 4 and 5, but not while a large string is written */
    bool frame_open; /* its header is reserved at frame_start */
    size_t frame_start;
};

void pickle_write_start(struct pickle_writer *writer);
/* To be called before each object, where frames may end. */
void pickle_write_boundary(struct pickle_writer *writer);
/* STOP, and the end of the last frame. */
void pickle_write_stop(struct pickle_writer *writer);

void pickle_write_op(struct pickle_writer *writer, uint8_t opcode);
void pickle_write_ops(struct pickle_writer *writer, uint8_t opcode, uint32_t times);
void pickle_write_line(struct pickle_writer *writer, struct bytes line);
void pickle_write_boolean(struct pickle_writer *writer, bool boolean);
void pickle_write_int(struct pickle_writer *writer, int64_t integer);
/* One that Python 2 has as a long. */
void pickle_write_long(struct pickle_writer *writer, int64_t integer);
/* An integer outside int64_t. */
void pickle_write_big(struct pickle_writer *writer, struct bytes integer);
void pickle_write_float(struct pickle_writer *writer, uint64_t bits);
void pickle_write_str(struct pickle_writer *writer, struct bytes text);
/* In protocols from 3 on. */
void pickle_write_bytes(struct pickle_writer *writer, struct bytes bytes);
/* In protocol 5. */
void pickle_write_bytearray(struct pickle_writer *writer, struct bytes bytes);
void pickle_write_str8(struct pickle_writer *writer, struct bytes bytes);
void pickle_write_extension(struct pickle_writer *writer, int64_t code);
void pickle_write_put(struct pickle_writer *writer, uint32_t index);
void pickle_write_get(struct pickle_writer *writer, uint32_t index);

#endif
