/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The encoder's parts: pickle_encode.c walks the graph, pickle_save.c knows how each kind of node is written.
 *
 * The pickler's recursion is a stack of tasks. Tasks are pushed in the opposite order of what will be written: the
 * last one comes first, and one is looked at again after everything it caused is done.
 */
#ifndef SHELVEFS_PICKLE_ENCODER_H
#define SHELVEFS_PICKLE_ENCODER_H

#include "codecs/pickle_globals.h"
#include "codecs/pickle_internal.h"
#include "codecs/pickle_ops.h"
#include "codecs/pickle_python2.h"
#include "codecs/pickle_write.h"

/*
 * In the mark of a node whose items are being saved and which will be in the memo afterwards; the other bits are
 * encoder->progress at that time. Other marks are memo indices plus one.
 */
#define MARK_OPEN (UINT32_C(1) << 31)

/* How containers are filled: plain ones, and others, which CPython fills through an iterator. */
enum fill { FILL_LIST, FILL_DICT, FILL_SET, FILL_MORE_LIST, FILL_MORE_DICT, FILL_MORE_SET };

struct encoder {
    struct document *document;
    struct document scratch; /* nodes that are made for the way in which a protocol writes others */
    struct failure *failure;
    struct pickle_writer writer;
    struct task *tasks;
    size_t depth, capacity;
    uint32_t memoised; /* entries in the memo */
    uint32_t progress; /* those of them that are nodes of the document */
    struct value *helpers[HELPER_COUNT];
    struct pickle_globals globals;
    enum holder holder; /* Python 2: of the object that is being saved */
    const struct value *passing[2]; /* an effect and its arguments: nobody will GET them */
    int status;                     /* sticky */
};

void encoder_fail(struct encoder *encoder, int code, const char *sentence);
void encoder_fail_memory(struct encoder *encoder);
void encoder_write_op(struct encoder *encoder, uint8_t opcode);

/*
 * Tasks: the node's steps; encoder_finish_value(); each item of `owner` from `first` on; filling what is on the stack. A node that is to be
 * finished while it is being saved already is refused unless something got into the memo in between: it would never end.
 */
void encoder_then_steps(struct encoder *encoder, struct value *value);
void encoder_then_finish(struct encoder *encoder, struct value *value);
void encoder_then_save(struct encoder *encoder, const struct value *owner, uint32_t first);
void encoder_then_fill(struct encoder *encoder, enum fill fill, const struct value_list *list);

/* Whether it has several references. They are counted only for those values and documents that need them. */
bool encoder_is_shared(struct encoder *encoder, const struct value *value);
bool encoder_is_memoised(const struct encoder *encoder, const struct value *value);
void encoder_put(struct encoder *encoder, struct value *value);
void encoder_get(struct encoder *encoder, const struct value *value);

/* Begins an object that is not in the memo: writes it, or what comes before its items and pushes tasks. */
void encoder_save_new(struct encoder *encoder, struct value *value);
/* What follows its items. */
void encoder_finish_value(struct encoder *encoder, struct value *value);
/* The end of what is never memoised, unless something is done to it: once, and it may refer to it. */
void encoder_finish_unnamed(struct encoder *encoder, struct value *value);

/* The same for a global (pickle_save_global.c). */
void encoder_save_global(struct encoder *encoder, struct value *global);
/* Whether the lines of GLOBAL and INST can hold its names, and such an instruction. */
bool encoder_fits_lines(const struct encoder *encoder, const struct value *global);
void encoder_write_lines(struct encoder *encoder, uint8_t opcode, const struct value *global);

#endif
