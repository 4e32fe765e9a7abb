/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the values of a database are written, and the header line that says so for one value.
 *
 * Headers are "# pickle protocol N", "# marshal N", both perhaps with " (Python 2 str)", and "# raw", alone on the
 * first line.
 */
#ifndef SHELVEFS_DIALECT_H
#define SHELVEFS_DIALECT_H

#include "src/bytes.h"

enum codec_kind { CODEC_RAW, CODEC_TEXT, CODEC_PICKLE, CODEC_MARSHAL };

enum {
    PICKLE_NEWEST = 5,
    PICKLE_DEFAULT = 4,
    MARSHAL_NEWEST = 5,
    MARSHAL_DEFAULT = 4,
    PROTOCOL_NEWEST = 5, /* of any codec */
    MARSHAL_DIALECTS = 9, /* versions 0 to 5, and 0 to 2 of Python 2 */
    PYTHON2_NEWEST = 2,  /* Python 2 knows pickle protocols and marshal versions up to this */
};

struct dialect {
    enum codec_kind codec;
    unsigned protocol; /* pickle protocol or marshal version; 0 for other codecs */
    bool python2;      /* str is an 8-bit string; only with protocols 0 to 2 */
};

bool dialect_equal(struct dialect a, struct dialect b);

/* Of "raw", "text", "pickle", "marshal", or -1. */
int codec_from_name(const char *name);
/* The dialect of new values where nothing tells more. */
struct dialect dialect_default(enum codec_kind kind);

/* "pickle protocol 4", "pickle protocol 0 (Python 2 str)", "marshal 4", "raw", "text": for headers, status and messages. */
void dialect_describe(struct dialect dialect, struct buffer *out);

/* "# ...\n" */
void header_print(struct dialect dialect, struct buffer *text);
/* Length of the header line that `text` starts with (0: none), and what it says. */
size_t header_parse(struct bytes text, struct dialect *out);
/* Whether text could be taken for a header by this version or another: such content is never shown bare. */
bool header_resembles(struct bytes text);

/* Finds a database's dialect from some of its values: zero-initialise, add some values (-ENOMEM: start again), ask. */
struct dialect_sample {
    unsigned values;
    unsigned pickles[PICKLE_NEWEST + 1]; /* by protocol */
    unsigned python2[PICKLE_NEWEST + 1]; /* those among them that hold 8-bit strings */
    unsigned marshals, containers;       /* values that are marshals to their last byte; those that are containers */
    unsigned possible[MARSHAL_DIALECTS]; /* how many may be written in each dialect, as marshal.h numbers them */
    uint32_t likeliest;                  /* of some value */
    unsigned plain;                      /* values that are no marshals but plain text */
};
enum { DIALECT_SAMPLE_VALUES = 64 };
int dialect_sample_add(struct dialect_sample *sample, struct bytes stored);
/*
 * marshal if all values are marshals and some of them containers (marshal has no magic number), or if more of them are containers
 * than plain text and nothing else is among them; else the commonest
 * pickle protocol; raw if no value is a pickle; the default for an empty database.
 */
struct dialect dialect_sample_result(const struct dialect_sample *sample);

#endif
