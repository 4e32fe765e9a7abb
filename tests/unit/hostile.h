/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Values and texts made to exhaust whoever reads them, in any size, and the work that is done with them: test_hostile.c measures the
 * memory that it takes, test_linear.c counts its steps.
 */
#ifndef SHELVEFS_TESTS_HOSTILE_H
#define SHELVEFS_TESTS_HOSTILE_H

#include "codecs/codec.h"

enum hostile_part_kind {
    PART_NONE,
    PART_ONCE,     /* the content */
    PART_EACH,     /* the content, once for each unit of the size */
    PART_NUMBERED, /* the content and a number of eight digits, likewise */
    PART_SIZE,     /* the size, in four bytes */
    PART_PUTS,     /* instructions that fill a memo with large gaps, likewise */
};

struct hostile_part {
    enum hostile_part_kind kind;
    const char *content;
    size_t length;
};

enum { HOSTILE_PARTS = 8 };

struct hostile_row {
    const char *name;
    bool is_text; /* of a file, else a stored value */
    struct dialect dialect;
    struct hostile_part parts[HOSTILE_PARTS];
};

extern const struct hostile_row hostile_rows[];
extern const size_t hostile_row_count;

/* A row of a size: what is stored and what is shown of it. Either is empty if the other is refused. */
struct hostile_value {
    struct buffer stored, text;
};

void hostile_value_init(struct hostile_value *value, const struct hostile_row *row, size_t size);
void hostile_value_release(struct hostile_value *value);

enum hostile_work {
    WORK_RENDER,
    WORK_ACCEPT,
    WORK_ACCEPT_AGAIN, /* over the stored value */
    WORK_CHECK,        /* codec_accept_stored() of a value with the same names */
    WORK_LIST,         /* pickle_dis() */
    HOSTILE_WORKS,
};
extern const char *const hostile_work_names[HOSTILE_WORKS];

/* What `work` reads, in bytes. 0: this row has nothing for it. */
size_t hostile_input(const struct hostile_row *row, const struct hostile_value *value, enum hostile_work work);
/* 0, -EINVAL, -EFBIG: all fine. Others are not. */
int hostile_do(const struct hostile_row *row, const struct hostile_value *value, enum hostile_work work,
               struct buffer *out);

#endif
