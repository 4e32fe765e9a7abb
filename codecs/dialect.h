/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the values of a database are written, and the header line that says so for one value.
 *
 * Headers are "# pickle protocol N", "# pickle protocol N (Python 2 str)" and "# raw", alone on the first line.
 */
#ifndef SHELVEFS_DIALECT_H
#define SHELVEFS_DIALECT_H

#include "src/bytes.h"

enum codec_kind { CODEC_RAW, CODEC_TEXT, CODEC_PICKLE };

enum { PICKLE_NEWEST = 5, PICKLE_DEFAULT = 4 };

struct dialect {
    enum codec_kind codec;
    unsigned protocol; /* pickle protocol, 0 to PICKLE_NEWEST; 0 for other codecs */
    bool python2;      /* str is an 8-bit string; only with protocols 0 to 2 */
};

bool dialect_equal(struct dialect a, struct dialect b);

/* "raw", "text", "pickle"; and back, or -1. */
const char *codec_name(enum codec_kind kind);
int codec_from_name(const char *name);

/* "pickle protocol 4", "pickle protocol 0 (Python 2 str)", "raw", "text": for headers, status and messages. */
void dialect_describe(struct dialect dialect, struct buffer *out);

/* "# ...\n" */
void header_print(struct dialect dialect, struct buffer *text);
/* Length of the header line that `text` starts with (0: none), and what it says. */
size_t header_parse(struct bytes text, struct dialect *out);
/* Whether text could be taken for a header by this version or another: such content is never shown bare. */
bool header_resembles(struct bytes text);

/* Finds a database's dialect from some of its values: zero-initialise, add some values, ask. */
struct dialect_sample {
    unsigned values;
    unsigned pickles[PICKLE_NEWEST + 1]; /* by protocol */
    unsigned python2[PICKLE_NEWEST + 1]; /* those among them that hold 8-bit strings */
};
enum { DIALECT_SAMPLE_VALUES = 64 };
void dialect_sample_add(struct dialect_sample *sample, struct bytes stored);
/* The commonest protocol; raw if no value is a pickle; the default for an empty database. */
struct dialect dialect_sample_result(const struct dialect_sample *sample);

#endif
